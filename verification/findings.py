"""What a verification found: the worst error of every quantity, where it is, and every fault."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from logloss import _core, kernel

#: A kernel may differ from the truth by less than this, in units in the last place.
LIMIT = 1.0
#: Instruction-set levels that this machine can run, the best one last.
LEVELS = [
    level for level in ("baseline", "x86-64-v3", "x86-64-v4") if _core.kernels_at(level) is not None
]
#: So many faults of one quantity are told; the others are counted.
_TOLD = 3


@contextmanager
def computing_at(level: str) -> Iterator[None]:
    """Have the package compute at one instruction-set level."""
    usual = kernel.level.KERNELS
    kernel.level.KERNELS = _core.kernels_at(level)
    try:
        yield
    finally:
        kernel.level.KERNELS = usual


class Worst(NamedTuple):
    """The largest error of a quantity, in ulp, the label and the score it was found at."""

    ulp: float
    y: int | None
    at: float
    level: str

    def or_worse(self, other: Worst) -> Worst:
        """Choose the worse of two, in any order; NaN is worse than all."""
        return max(self, other, key=lambda found: (math.isnan(found.ulp), found.ulp, -found.at))


@dataclass
class Findings:
    """Figures that add up over parts: worst cases, faults, and how many rows were evaluated."""

    worst: dict[str, Worst] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    n_faults: int = 0
    n_scores: int = 0

    def note(self, quantity: str, found: Worst) -> None:
        """Keep an error if it is the worst; one at the limit is a fault."""
        self.worst[quantity] = self.worst.get(quantity, found).or_worse(found)
        if not found.ulp < LIMIT:
            self.blame(
                quantity, f"{found.ulp:.3f} ulp at {place(found.y, found.at)}, {found.level}"
            )

    def blame(self, quantity: str, words: str) -> None:
        """Count a fault."""
        self.n_faults += 1
        told = self.faults.setdefault(quantity, [])
        if len(told) < _TOLD:
            told.append(words)

    def __iadd__(self, other: Self) -> Self:
        self.n_faults += other.n_faults
        self.n_scores += other.n_scores
        for quantity, found in other.worst.items():
            self.worst[quantity] = self.worst.get(quantity, found).or_worse(found)
        for quantity, told in other.faults.items():
            mine = self.faults.setdefault(quantity, [])
            mine += told[: _TOLD - len(mine)]
        return self

    def compare_bits(
        self,
        quantity: str,
        values: npt.NDArray[Any],
        others: npt.NDArray[Any],
        at: tuple[int | None, npt.NDArray[np.floating]],
        way: str,
    ) -> None:
        """Blame a quantity if any bit differs in `others`, evaluated in another way.

        `at` are the label and the scores of both.
        """
        if values.tobytes() != others.tobytes():
            bits = np.dtype(f"u{values.dtype.itemsize}")
            differ = np.flatnonzero(values.view(bits) != others.view(bits))
            first, (y, scores) = int(differ[0]), at
            self.blame(
                quantity,
                f"{len(differ)} with other bits, first {values[first]!r} and {others[first]!r} "
                f"at {place(y, float(scores[first]))}, {way}",
            )

    def record(self, score: str) -> Mapping[str, Any]:
        """Return the worst cases as they are written down; `score` names the place."""
        return {
            quantity: {
                "ulp": round(found.ulp, 6),
                "y": found.y,
                score: found.at,
                "level": found.level,
            }
            for quantity, found in sorted(self.worst.items())
        }


def place(y: int | None, at: float) -> str:
    """Words for a label and a score."""
    return f"{at!r} ({float(at).hex()})" + ("" if y is None else f", y = {y}")
