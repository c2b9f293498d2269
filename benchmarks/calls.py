"""`python -m benchmarks.calls`: what one call costs on a handful of rows, beside torch's own."""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import logloss

SIZES = (1, 10, 100)
#: Best of so many repetitions of so many calls: what a call costs when nothing interferes.
REPETITIONS, CALLS = 15, 2000


def main() -> int:
    """Check that both mean the same, time them, print one table."""
    print("one call · float32 · best of 15 repetitions\n")
    print("| rows | logloss, µs | torch, µs |\n| --- | --- | --- |")
    for size in SIZES:
        ours, theirs = calls(size)
        if abs(ours() - float(theirs())) > 1e-6:
            raise ValueError(f"torch answers {float(theirs())} for {size} rows; logloss {ours()}")
        print(f"| {size} | {microseconds(ours):.2f} | {microseconds(theirs):.2f} |")
    return 0


def calls(size: int) -> Iterator[Callable[[], Any]]:
    """Mean loss of the same rows, by logloss and by torch."""
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(0)
    z = rng.normal(0, 3, size).astype(np.float32)
    y = (rng.random(size) < 0.5).astype(np.uint8)
    tensors = torch.from_numpy(z), torch.from_numpy(y.astype(np.float32))
    yield lambda: logloss.binary_cross_entropy_with_logits(y, z)
    yield lambda: functional.binary_cross_entropy_with_logits(*tensors)


def microseconds(call: Callable[[], Any]) -> float:
    """Time of one call."""
    return min(timeit.repeat(call, number=CALLS, repeat=REPETITIONS)) / CALLS * 1e6


if __name__ == "__main__":
    sys.exit(main())
