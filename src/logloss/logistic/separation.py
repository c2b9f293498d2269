"""Separation: a direction d with (2y − 1)·xᵀd ≥ 0 on every row and > 0 on some.

Along such a direction the likelihood rises for ever, so no finite maximum exists
(Albert and Anderson 1984).  A pass tells whether a direction may be one; a linear program
over the rows that matter, enlarged until no row objects, decides (Konis 2007).  Each row
judges by its own rounding, in columns that numbers far out neither centre nor scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import optimize

from logloss.design.block import Block
from logloss.logistic.objective import FACE_TOLERANCE, FloatArray, Objective, on_face
from logloss.logistic.sample import SamplePass
from logloss.logistic.standard import Standard

#: Components of a direction this much smaller than its largest may be noise; each threshold
#: gives a candidate, and a pass judges them all. The cleanest is taken: its zeros leave the
#: other coefficients where they belong.
_CLEANING = (1e-2, 1e-4, 1e-6, 0.0)
#: Enlargements of the linear program before it is given up as undecided.
_MAX_ROUNDS = 40
#: |xᵀd| below this fraction of Σ|xⱼdⱼ|, of the same row, may be rounding alone.
_ROUNDING = 1e-13
#: A row of the linear program, scaled to a largest entry of 1, is tight below this.
_TIGHT = 1e-7
#: Rows, about, whose medians make the frame, and that begin the linear program.
_SAMPLE = 2_000


@dataclass(frozen=True)
class Margins:
    """For each direction d: smallest signed and largest absolute xᵀd; a partial.

    Attributes
    ----------
    low, high : ndarray
        Of xᵀd / Σ|xⱼdⱼ|, in [−1, 1]; or of xᵀd itself, if the pass was told so.
    reach : ndarray
        Largest |xᵀd|.
    signed_sum : ndarray of shape (size,)
        Σ(2y − 1)x over all rows, each scaled to a largest entry of 1.
    rows, objections, row_numbers : ndarray
        The scaled rows, times 2y − 1, that most object to the last direction.
    keep : int
        How many of them.
    """

    low: FloatArray
    high: FloatArray
    reach: FloatArray
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
            reach=np.maximum(self.reach, other.reach),
            signed_sum=self.signed_sum + other.signed_sum,
            rows=np.concatenate([self.rows, other.rows])[first],
            objections=objections[first],
            row_numbers=numbers[first],
            keep=self.keep,
        )

    @property
    def proved(self) -> npt.NDArray[np.bool_]:
        """Which directions separate, whatever rounding has done to the relative margins."""
        return (self.low >= -_ROUNDING) & (self.high > _ROUNDING)


@dataclass(frozen=True)
class MarginPass:
    """Blocks → `Margins` of directions in `frame`; the rows of the `keep` smallest margins.

    Margins are `relative` to Σ|xⱼdⱼ| of their row, or not.  The `faces`, whose rows alone
    count, are in `standard`.
    """

    frame: Standard
    directions: tuple[FloatArray, ...]
    keep: int
    standard: Standard
    faces: tuple[FloatArray, ...] = ()
    relative: bool = True

    def __call__(self, blocks: Iterable[Block], /) -> Margins:
        """Find the margins over these blocks."""
        n, size = len(self.directions), self.frame.size
        total = Margins(
            low=np.full(n, np.inf),
            high=np.zeros(n),
            reach=np.zeros(n),
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
        frame, codes, y = self.frame, block.codes, block.y
        assert y is not None, "a fit needs a target"
        dense = frame.dense(block)
        sizes = np.abs(dense)
        weight = on_face(self.standard, block, self.faces)
        used = np.ones(len(y), bool) if weight is None else weight > 0
        hard = (y == 0) | (y == 1)
        sign = np.where(hard, 2 * y - 1, 0.0)
        low, high, reach, last, side = [], [], [], np.zeros(len(y)), sign
        for direction in self.directions:
            linear = frame.products(block, direction)
            margin = linear
            if self.relative:
                terms = frame.product(sizes, codes, np.abs(direction))
                margin = np.divide(linear, terms, out=np.zeros_like(linear), where=terms > 0)
            last = np.where(hard, sign * margin, -np.abs(margin))
            side = np.where(hard, sign, -np.sign(linear))  # a soft label objects to both
            low.append(last[used].min(initial=np.inf))
            high.append(np.abs(margin[used]).max(initial=0.0))
            reach.append(np.abs(linear[used]).max(initial=0.0))
        longest = sizes.max(axis=1)
        rows = np.flatnonzero(used)
        tight = rows[np.lexsort((rows, last[rows]))[: self.keep]]
        matrix = _design_rows(frame, dense[tight], codes[tight])
        return Margins(
            low=np.array(low),
            high=np.array(high),
            reach=np.array(reach),
            signed_sum=frame.transposed(dense, codes, np.where(used, sign / longest, 0.0)),
            rows=matrix * (side / longest)[tight, None],
            objections=last[tight],
            row_numbers=tight + block.first_row,
            keep=self.keep,
        )


def suggest(objective: Objective, direction: FloatArray) -> FloatArray | None:
    """Return the direction near `direction` that may separate, to the digits of a fit, or None.

    Rows that stand far out hide others from this look, so `decide` has the word.
    """
    standard = objective.standard
    candidates = _cleaned(direction)
    task = MarginPass(standard, candidates, 0, standard, objective.faces, relative=False)
    margins = objective.engine.reduce(task, objective.source)
    near = (margins.high > 0) & (margins.low >= -FACE_TOLERANCE * margins.high)
    return candidates[int(np.argmax(near))] if near.any() else None


def decide(objective: Objective, candidate: FloatArray) -> tuple[FloatArray | None, int]:
    """Decide separation by a linear program over a growing set of rows.

    Only a direction whose margins rounding cannot have turned is an answer; `candidate` is
    tried first.

    Returns
    -------
    direction : ndarray or None
        A separating direction scaled to max|xᵀd| = 1; None if none was proved.
    scans : int
        Passes used.
    """
    free, standard, faces = objective.free, objective.standard, objective.faces
    chance = min(1.0, _SAMPLE / objective.source.n_rows)
    sample = objective.engine.reduce(SamplePass(chance, chance), objective.source).pieces
    frame = _frame(objective, sample)
    near = _carried(candidate, standard, frame)
    constraints = MarginPass(frame, (near,), _SAMPLE, standard, faces)(sample).rows
    keep, directions = max(200, 4 * int(free.sum())), _candidates(near, constraints)
    for scans in range(2, _MAX_ROUNDS + 2):
        task = MarginPass(frame, directions, keep, standard, faces)
        margins = objective.engine.reduce(task, objective.source)
        if margins.proved.any():
            best = int(np.argmax(margins.proved))
            direction = _carried(directions[best], frame, standard)
            return direction / margins.reach[best], scans
        known = len(constraints)
        constraints = np.unique(np.concatenate([constraints, margins.rows]), axis=0)
        vertex = _vertex(constraints[:, free], margins.signed_sum[free])
        if (scans > 2 and len(constraints) == known) or vertex is None:
            return None, scans
        direction = np.zeros(len(free))
        direction[free] = vertex
        directions = _candidates(direction, constraints)
    return None, _MAX_ROUNDS + 1


def _candidates(direction: FloatArray, constraints: FloatArray) -> tuple[FloatArray, ...]:
    """Return what may separate near `direction`: the cleanest first, itself last."""
    return (*(_polished(clean, constraints) for clean in _cleaned(direction)), direction)


def _cleaned(direction: FloatArray) -> tuple[FloatArray, ...]:
    """Return `direction` without its smallest components, for each threshold."""
    size = np.abs(direction)
    return tuple(np.where(size > share * size.max(), direction, 0.0) for share in _CLEANING)


def _frame(objective: Objective, sample: tuple[Block, ...]) -> Standard:
    """Return columns less their medians, in units of their usual distance from these.

    A mean and a standard deviation follow the numbers that stand farthest out, and leave the
    others next to no digits.
    """
    standard, numbers = objective.standard, []
    center, scale = standard.center.copy(), standard.scale.copy()
    for block in sample:
        on = on_face(standard, block, objective.faces)
        numbers.append(block.numbers if on is None else block.numbers[on > 0])
    for j, column in enumerate(np.concatenate(numbers, dtype=np.float64).T if numbers else ()):
        if len(column) and objective.free[0]:  # else nothing absorbs a shift
            center[j] = np.median(column)
        distance = np.abs(column - center[j])
        if distance.any():
            scale[j] = np.median(distance[distance > 0])
    return replace(standard, center=center, scale=scale)


def _carried(direction: FloatArray, old: Standard, new: Standard) -> FloatArray:
    """Return a direction in `old` columns as one in `new`, with the same xᵀd."""
    carried = direction / old.units * new.units
    shift = (new.center - old.center) / old.scale
    carried[0] += shift @ direction[1 : 1 + len(shift)]
    return np.asarray(carried)


def _vertex(constraints: FloatArray, gain: FloatArray) -> FloatArray | None:
    """Maximise gain·d over constraints·d ≥ 0 and |dⱼ| ≤ 1; None where it cannot be above 0."""
    solution = optimize.linprog(
        -gain / max(1.0, np.abs(gain).max(initial=0.0)),
        A_ub=-constraints,
        b_ub=np.zeros(len(constraints)),
        bounds=(-1, 1),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    found = solution.success and -solution.fun > FACE_TOLERANCE
    return np.asarray(solution.x) if found else None


def _polished(direction: FloatArray, constraints: FloatArray) -> FloatArray:
    """Make the tight rows zero to the last digits; zeros of `direction` stay."""
    moving = direction != 0
    tight = constraints[np.abs(constraints @ direction) <= _TIGHT][:, moving]
    inner = direction[moving]
    for _ in range(2 if len(tight) else 0):  # the second takes the first's own rounding
        inner = inner - np.linalg.lstsq(tight, tight @ inner, rcond=1e-10)[0]
    polished = np.zeros_like(direction)
    polished[moving] = inner
    return polished


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


def _design_rows(standard: Standard, dense: FloatArray, codes: npt.NDArray[np.int32]) -> FloatArray:
    """Rows of the whole design matrix."""
    matrix = np.zeros((len(dense), standard.size))
    matrix[:, : dense.shape[1]] = dense
    for k, start in enumerate(standard.starts):
        matrix[np.arange(len(dense)), start + codes[:, k]] = 1.0
    return matrix
