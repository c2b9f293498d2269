"""`python -m verification`: hold the kernels to the truth, tell the worst, write it down."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
from benchmarks.__main__ import processor

from logloss import _core
from logloss.files import dump_record, write_text
from verification import record, trust
from verification.findings import LEVELS, Findings, place
from verification.stages import STAGES, Stage

SEED = 3
#: Points that the truths are compared with 60 digits on, and what they must reach.
TRUST_POINTS, LEAST_BITS, LARGEST_ULP = 10_000, 100.0, 1e-6


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify; 0 if all holds, 1 if a value is 1 ulp off or a bit differs."""
    parser = argparse.ArgumentParser(prog="python -m verification", description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="do a part; nothing is written")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=SEED, help="of the float64 points")
    chosen = parser.parse_args(arguments)
    begin = time.monotonic()
    print(f"{processor()} · {_core.compiler} · NumPy {np.__version__} · {', '.join(LEVELS)}")
    truths = judge_truths(chosen.seed)
    found = verify(chosen.fraction, chosen.processes, chosen.seed)
    figures = [
        tell(stage, findings, chosen.seed) for stage, findings in zip(STAGES, found, strict=True)
    ]
    n_faults = sum(findings.n_faults for findings in found)
    print(
        f"\n{n_faults} faults in {time.monotonic() - begin:,.0f} s on {chosen.processes} processes"
    )
    if n_faults:
        return 1
    if chosen.fraction == 1:
        write_text(record.PATH, dump_record(record.of(truths, figures)) + "\n")
        print(f"written to {record.PATH}")
    return 0


def judge_truths(seed: int) -> dict[str, Any]:
    """Compare with 60 digits what everything else is compared with."""
    worst = max(
        trust.error_of_logits(TRUST_POINTS, seed), trust.error_of_probabilities(TRUST_POINTS, seed)
    )
    bits, ulp = -math.log2(worst), trust.error_of_doubles(TRUST_POINTS, seed)
    print(f"truths on {TRUST_POINTS:,} points at 60 digits, seed {seed}: ", end="")
    print(f"of float64 right to 2^-{bits:.1f}, of float32 to {ulp:.1e} ulp")
    if not (bits > LEAST_BITS and ulp < LARGEST_ULP):
        raise ArithmeticError("the truths are not good enough to judge anything")
    return {"float64": {"bits": round(bits, 1)}, "float32": {"ulp": float(f"{ulp:.1e}")}}


def verify(fraction: float, processes: int, seed: int) -> list[Findings]:
    """Do all parts of all stages, in any order."""
    parts = [(index, part) for index, stage in enumerate(STAGES) for part in stage.parts(fraction)]
    found = [Findings() for _ in STAGES]
    workers = ProcessPoolExecutor(processes, get_context("spawn"))  # forks of threads may hang
    with workers as pool, progress(len(parts)) as advance:
        waiting = {pool.submit(STAGES[index].part, part, seed): index for index, part in parts}
        try:
            for done in as_completed(waiting):
                found[waiting[done]] += done.result()
                advance()
        except BaseException:  # Ctrl-C too: begin nothing more
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


@contextmanager
def progress(n_parts: int) -> Iterator[Callable[[], None]]:
    """Yield what to call after each part: a bar on a terminal, nothing on a pipe."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verify", total=n_parts)
        yield lambda: bar.advance(task)


def tell(stage: Stage, findings: Findings, seed: int) -> Mapping[str, Any]:
    """Print what a stage found, its worst cases measured again at 60 digits; return it."""
    name = np.dtype(stage.dtype).name
    print(f"\n{name}, from each {stage.scores}: {findings.n_scores:,}", end="")
    print(" bit patterns" if stage.exhaustive else f" points, seed {seed}", end=", both labels\n")
    for quantity, found in findings.worst.items():
        worst = trust.measured(quantity, stage.scores, stage.dtype, found)
        findings.worst[quantity] = worst
        print(f"  {quantity:<9} {worst.ulp:.4f} ulp at {place(worst.y, worst.at)}, {worst.level}")
    for quantity, told in findings.faults.items():
        for words in told:
            print(f"  FAULT in {quantity}: {words}")
    extent = {"exhaustive": True} if stage.exhaustive else {"seed": seed}
    return {
        "dtype": name,
        "scores": stage.scores,
        "n": findings.n_scores,
        **extent,
        "worst": findings.record(stage.scores),
    }


if __name__ == "__main__":
    sys.exit(main())
