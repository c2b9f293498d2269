"""What is verified, cut into pieces that any process can do by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verification import float32, float64, points
from verification.findings import Findings

#: float64 points drawn for one piece.
DRAWN = 1 << 17
#: One piece of float32 logits in so many is tried in every form at every level.
EVERY_WAY_EACH = 67


def _float32_logits(piece: int, seed: int) -> Findings:
    first = piece * float32.BLOCK
    patterns = np.arange(first, first + float32.BLOCK, dtype=np.uint32)
    return float32.check_logits(patterns, every_way=piece % EVERY_WAY_EACH == 0)


def _float32_probabilities(piece: int, seed: int) -> Findings:
    first = piece * float32.BLOCK
    last = min(first + float32.BLOCK, float32.ONE + 1)
    return float32.check_probabilities(np.arange(first, last, dtype=np.uint32))


def _float64_logits(piece: int, seed: int) -> Findings:
    findings = Findings()
    for _, magnitudes in points.logits(DRAWN, (seed, piece)):
        findings += float64.check_logits(magnitudes)
    return findings


def _float64_probabilities(piece: int, seed: int) -> Findings:
    findings = Findings()
    for _, p in points.probabilities(DRAWN, (seed, piece)):
        findings += float64.check_probabilities(p)
    return findings


@dataclass(frozen=True)
class Stage:
    """One dtype and one kind of scores: so many pieces, a few at a time."""

    scores: str
    dtype: type[np.floating]
    pieces: int
    at_a_time: int
    check: Callable[[int, int], Findings]
    exhaustive: bool

    def part(self, pieces: Sequence[int], seed: int) -> Findings:
        """Check some pieces."""
        findings = Findings()
        for piece in pieces:
            findings += self.check(piece, seed)
        return findings

    def parts(self, fraction: float) -> list[list[int]]:
        """Cut a fraction of all pieces, spread evenly over them, into what is done at a time."""
        some = math.ceil(self.pieces * fraction)
        chosen = [i * self.pieces // some for i in range(some)]
        return [chosen[i : i + self.at_a_time] for i in range(0, some, self.at_a_time)]


STAGES = (
    Stage("logit", np.float32, (1 << 31) // float32.BLOCK, 64, _float32_logits, True),
    Stage(
        "probability",
        np.float32,
        float32.ONE // float32.BLOCK + 1,
        64,
        _float32_probabilities,
        True,
    ),
    Stage("logit", np.float64, 80, 1, _float64_logits, False),
    Stage("probability", np.float64, 32, 1, _float64_probabilities, False),
)
