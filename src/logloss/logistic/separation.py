"""Separation: a direction d with (2y − 1)·xᵀd ≥ 0 on every row and > 0 on some.

Along such a direction the likelihood rises for ever, so no finite maximum exists
(Albert and Anderson 1984).  A candidate is proved or refuted by one pass; a linear
program over the rows that matter, enlarged until no row objects, decides the rest
(Konis 2007).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import optimize

from logloss.design.block import Block
from logloss.logistic.objective import FACE_TOLERANCE, FloatArray, Objective, on_face
from logloss.logistic.standard import Standard

#: Components of a Newton step this much smaller than its largest are noise around a
#: separating direction; each threshold gives a candidate, and a pass judges them all. The
#: cleanest is taken: its zeros leave the other coefficients where they belong.
_CLEANING = (1e-2, 1e-4, 1e-6, 0.0)
#: Enlargements of the linear program before it is given up as undecided.
_MAX_ROUNDS = 40


@dataclass(frozen=True)
class Margins:
    """For each direction d: smallest signed and largest absolute xᵀd; a partial.

    `rows` are the design rows, times 2y − 1, that most object to the first direction;
    `signed_sum` is Σ(2y − 1)x over all rows.
    """

    low: FloatArray
    high: FloatArray
    signed_sum: FloatArray
    rows: FloatArray
    objections: FloatArray
    row_numbers: npt.NDArray[np.int64]
    keep: int

    def __add__(self, other: Self, /) -> Self:
        objections = np.concatenate([self.objections, other.objections])
        numbers = np.concatenate([self.row_numbers, other.row_numbers])
        first = np.lexsort((numbers, objections))[: self.keep]
        return type(self)(
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            signed_sum=self.signed_sum + other.signed_sum,
            rows=np.concatenate([self.rows, other.rows])[first],
            objections=objections[first],
            row_numbers=numbers[first],
            keep=self.keep,
        )


@dataclass(frozen=True)
class MarginPass:
    """Blocks → `Margins` of the given directions; the rows of the `keep` smallest margins."""

    standard: Standard
    directions: tuple[FloatArray, ...]
    keep: int = 0
    faces: tuple[FloatArray, ...] = ()

    def __call__(self, blocks: Iterable[Block], /) -> Margins:
        """Find the margins over these blocks."""
        n, size = len(self.directions), self.standard.size
        total = Margins(
            low=np.full(n, np.inf),
            high=np.zeros(n),
            signed_sum=np.zeros(size),
            rows=np.empty((0, size)),
            objections=np.empty(0),
            row_numbers=np.empty(0, np.int64),
            keep=self.keep,
        )
        for block in blocks:
            total = total + self._of(block)
        return total

    def _of(self, block: Block) -> Margins:
        standard, codes, y = self.standard, block.codes, block.y
        assert y is not None, "a fit needs a target"
        dense = standard.dense(block)
        weight = on_face(standard, block, self.faces)
        used = np.ones(len(y), bool) if weight is None else weight > 0
        hard = (y == 0) | (y == 1)
        sign = np.where(used & hard, 2 * y - 1, 0.0)
        low, high, first = [], [], np.zeros(len(y))
        for k, direction in enumerate(self.directions):
            linear = standard.products(block, direction)
            signed = np.where(hard, (2 * y - 1) * linear, -np.abs(linear))
            first = signed if k == 0 else first
            low.append(signed[used].min(initial=np.inf))
            high.append(np.abs(linear[used]).max(initial=0.0))
        rows = np.flatnonzero(used)
        tight = rows[np.lexsort((rows, first[rows]))[: self.keep]]
        return Margins(
            low=np.array(low),
            high=np.array(high),
            signed_sum=standard.transposed(dense, codes, sign),
            rows=_design_rows(standard, dense, codes, y, tight),
            objections=first[tight],
            row_numbers=tight + block.first_row,
            keep=self.keep,
        )


def prove(objective: Objective, direction: FloatArray) -> FloatArray | None:
    """Return a separating direction near `direction`, scaled to max|xᵀd| = 1, or None."""
    largest = np.abs(direction).max(initial=0.0)
    candidates = tuple(
        np.where(np.abs(direction) > threshold * largest, direction, 0.0) for threshold in _CLEANING
    )
    task = MarginPass(objective.standard, candidates, faces=objective.faces)
    margins = objective.engine.reduce(task, objective.source)
    for candidate, low, high in zip(candidates, margins.low, margins.high, strict=True):
        if high > 0 and low >= -FACE_TOLERANCE * high:
            return np.asarray(candidate / high)
    return None


def decide(objective: Objective, beta: FloatArray) -> tuple[FloatArray | None, int]:
    """Decide separation by a linear program over a growing set of rows.

    Returns
    -------
    direction : ndarray or None
        A separating direction scaled to max|xᵀd| = 1; None if there is none.
    scans : int
        Passes used.
    """
    free = objective.free
    keep = max(200, 4 * int(free.sum()))
    direction, constraints = beta, np.empty((0, len(free)))
    for scans in range(1, _MAX_ROUNDS + 1):
        task = MarginPass(objective.standard, (direction,), keep, objective.faces)
        margins = objective.engine.reduce(task, objective.source)
        low, high = margins.low[0], margins.high[0]
        if scans > 1 and high > 0 and low >= -FACE_TOLERANCE * high:
            return direction / high, scans
        constraints = np.concatenate([constraints, margins.rows])
        gain = margins.signed_sum / max(1.0, np.abs(margins.signed_sum).max(initial=0.0))
        solution = optimize.linprog(
            -gain[free],
            A_ub=-constraints[:, free],
            b_ub=np.zeros(len(constraints)),
            bounds=(-1, 1),
            method="highs-ds",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if not solution.success or -solution.fun <= FACE_TOLERANCE:
            return None, scans
        direction = np.zeros(len(free))
        direction[free] = solution.x
    return None, _MAX_ROUNDS


@dataclass(frozen=True)
class Reach:
    """How far along a direction the separated rows are at a margin; a partial (a maximum)."""

    length: float

    def __add__(self, other: Self, /) -> Self:
        return type(self)(max(self.length, other.length))


@dataclass(frozen=True)
class ReachPass:
    """Blocks → length t with (2y − 1)·xᵀ(β + td) ≥ `margin` wherever xᵀd is not 0."""

    standard: Standard
    beta: FloatArray
    direction: FloatArray
    margin: float
    faces: tuple[FloatArray, ...] = ()

    def __call__(self, blocks: Iterable[Block], /) -> Reach:
        """Find the length over these blocks."""
        total = Reach(0.0)
        for block in blocks:
            assert block.y is not None, "a fit needs a target"
            weight = on_face(self.standard, block, self.faces)
            along = self.standard.products(block, self.direction)
            sign = 2 * block.y - 1
            separated = np.abs(along) > FACE_TOLERANCE
            if weight is not None:
                separated &= weight > 0
            here = sign * self.standard.products(block, self.beta)
            needed = (self.margin - here[separated]) / np.abs(along[separated])
            total = total + Reach(float(needed.max(initial=0.0)))
        return total


def _design_rows(
    standard: Standard,
    dense: FloatArray,
    codes: npt.NDArray[np.int32],
    y: FloatArray,
    rows: npt.NDArray[np.intp],
) -> FloatArray:
    """Rows of the whole design matrix times 2y − 1; a soft label's row counts both ways."""
    matrix = np.zeros((len(rows), standard.size))
    matrix[:, : dense.shape[1]] = dense[rows]
    for k, start in enumerate(standard.starts):
        matrix[np.arange(len(rows)), start + codes[rows, k]] = 1.0
    return np.asarray(matrix * (2 * y[rows] - 1)[:, None])
