"""What one pass over the rows tells about each coefficient's column: centre, scale, weight.

The optimiser works in standardised columns; this is where the standard comes
from, and where weights and offsets are checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.design.block import Block, Layout
from logloss.errors import ArgumentError, ColumnError, WeightError
from logloss.logistic.standard import Standard
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

FloatArray = npt.NDArray[np.float64]

#: Squares of numbers and of weights within these bounds, and sums of them, neither overflow
#: nor vanish.
_NUMBERS, _WEIGHTS = (1e-100, 1e100), (1e-50, 1e50)
#: A variance this much smaller than the squared distance to the shift has lost half its digits.
_CANCELLATION = 1e-6


@dataclass(frozen=True)
class Moments:
    """Sums over rows of positive weight; a partial.

    Attributes
    ----------
    n, n_high : int
        Rows of positive weight, and those of them with y ≥ ½.
    weight, target, offset : float
        Σw, Σwy and Σw·offset.
    low_target, high_target : float
        Smallest and largest y.
    heaviest : float
        Largest weight.
    has_offset : bool
        Whether any row carries an offset.
    first, second : ndarray of shape (p,)
        Σw(x − shift) and Σw(x − shift)².
    low, high : ndarray of shape (p,)
        Smallest and largest value of each number.
    two_valued : ndarray of shape (p,), bool
        Whether no number other than `low` and `high` occurs.
    levels : tuple of ndarray
        Σw for each level of each code column.
    """

    n: int
    n_high: int
    weight: float
    target: float
    offset: float
    low_target: float
    high_target: float
    heaviest: float
    has_offset: bool
    first: FloatArray
    second: FloatArray
    low: FloatArray
    high: FloatArray
    two_valued: npt.NDArray[np.bool_]
    levels: tuple[FloatArray, ...]

    def __add__(self, other: Self, /) -> Self:
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        between = np.zeros(low.shape, bool)
        for value in (self.low, self.high, other.low, other.high):
            between |= (value > low) & (value < high)
        return type(self)(
            n=self.n + other.n,
            n_high=self.n_high + other.n_high,
            weight=self.weight + other.weight,
            target=self.target + other.target,
            offset=self.offset + other.offset,
            low_target=min(self.low_target, other.low_target),
            high_target=max(self.high_target, other.high_target),
            heaviest=max(self.heaviest, other.heaviest),
            has_offset=self.has_offset or other.has_offset,
            first=self.first + other.first,
            second=self.second + other.second,
            low=low,
            high=high,
            two_valued=self.two_valued & other.two_valued & ~between,
            levels=tuple(a + b for a, b in zip(self.levels, other.levels, strict=True)),
        )


@dataclass(frozen=True)
class MomentsPass:
    """Blocks → `Moments` about `shift`, with weights and offsets checked."""

    layout: Layout
    shift: tuple[float, ...]

    def __call__(self, blocks: Iterable[Block], /) -> Moments:
        """Sum the moments of these blocks."""
        p = len(self.layout.numbers)
        total = Moments(
            n=0,
            n_high=0,
            weight=0.0,
            target=0.0,
            offset=0.0,
            low_target=np.inf,
            high_target=-np.inf,
            heaviest=0.0,
            has_offset=False,
            first=np.zeros(p),
            second=np.zeros(p),
            low=np.full(p, np.nan),
            high=np.full(p, np.nan),
            two_valued=np.ones(p, bool),
            levels=tuple(np.zeros(len(column)) for column in self.layout.levels),
        )
        for block in blocks:
            total = total + self._of(block)
        return total

    def _of(self, block: Block) -> Moments:
        _check(block)
        assert block.y is not None, "a fit needs a target"
        y, weight = block.y, np.ones(len(block)) if block.weight is None else block.weight
        used = y if block.weight is None else y[weight > 0]
        found = kernel.column_moments(block.numbers, np.array(self.shift), block.weight)
        return Moments(
            n=len(used),
            n_high=int(np.count_nonzero(used >= 0.5)),
            weight=float(weight.sum()),
            target=float((weight * y).sum()),
            offset=0.0 if block.offset is None else float((weight * block.offset).sum()),
            low_target=float(used.min(initial=np.inf)),
            high_target=float(used.max(initial=-np.inf)),
            heaviest=float(weight.max(initial=0.0)),
            has_offset=block.offset is not None and bool(np.any(block.offset)),
            first=found.first,
            second=found.second,
            low=np.where(len(used) > 0, found.low, np.nan),
            high=np.where(len(used) > 0, found.high, np.nan),
            two_valued=found.two_valued,
            levels=tuple(
                np.asarray(np.bincount(codes, weight, minlength=len(column)), np.float64)
                for codes, column in zip(block.codes.T, self.layout.levels, strict=True)
            ),
        )


@dataclass(frozen=True)
class Columns:
    """The standard that the optimiser works in, and the rows' totals.

    Attributes
    ----------
    layout : Layout
        Names and order of the coefficients.
    center, scale : ndarray of shape (p,)
        Weighted mean and standard deviation of each number (scale 1 for a constant).
    two_valued : ndarray of shape (p,), bool
        Whether a number takes two values only.
    span : ndarray of shape (p,)
        Largest less smallest value.
    reach : ndarray of shape (p,)
        Largest distance of a value from `center`.
    heaviest : float
        Largest weight.
    level_shares : tuple of ndarray
        Weighted share of each level, for each code column.
    n, weight, base_rate
        Rows of positive weight, Σw, and Σwy/Σw.
    constant_target : bool
        Whether all rows say the same.
    has_offset : bool
        Whether any row carries an offset.
    offset : float
        The weighted mean of the offsets.
    """

    layout: Layout
    center: FloatArray
    scale: FloatArray
    two_valued: npt.NDArray[np.bool_]
    span: FloatArray
    reach: FloatArray
    heaviest: float
    level_shares: tuple[FloatArray, ...]
    n: int
    weight: float
    base_rate: float
    constant_target: bool
    has_offset: bool
    offset: float = 0.0

    @property
    def n_effective(self) -> float:
        """max(Σw, n): what a fraction of a standard error is measured against."""
        return max(self.weight, float(self.n))

    @cached_property
    def standard(self) -> Standard:
        """Layout and standardisation, as passes carry them."""
        n_levels = tuple(map(len, self.layout.levels))
        return Standard(self.center, self.scale, n_levels, self.reach, self.heaviest)

    def to_user_units(self, standardised: FloatArray) -> FloatArray:
        """Turn coefficients of standardised columns into those of the user's columns."""
        user = standardised / self.standard.units
        user[0] -= self.center @ user[1 : 1 + len(self.center)]
        return user

    def to_user_units_matrix(self) -> FloatArray:
        """Jacobian of the user's coefficients with respect to the standardised ones."""
        matrix = np.eye(self.layout.size)
        numbers = slice(1, 1 + len(self.scale))
        matrix[numbers, numbers] = np.diag(1.0 / self.scale)
        matrix[0, numbers] = -self.center / self.scale
        return matrix


def learn_columns(
    source: Source[Block],
    layout: Layout,
    engine: Engine,
    *,
    fit_intercept: bool = True,
    moments: Moments | None = None,
) -> Columns:
    """Learn the standard of every column, in one pass; in two where digits would cancel.

    Moments about zero that are known already spare the first.

    Raises
    ------
    WeightError
        If a weight is negative or not finite, all are zero, or the largest is out of range.
    ArgumentError
        If an offset is not finite, or too large.
    ColumnError
        If a number is not finite, or the numbers of a column are too large or too close to each
        other to be squared.
    """
    shift = np.zeros(len(layout.numbers))
    if moments is None:
        moments = engine.reduce(MomentsPass(layout, tuple(shift)), source)
    if not moments.weight > 0:
        raise WeightError(
            "sample_weight must not sum to zero: no row has a positive weight. "
            "Pass at least one weight above 0.",
            value=moments.weight,
        )
    _check_range(moments, layout)
    _check_numbers(moments, layout)
    mean, variance = _mean_and_variance(moments, shift)
    if np.any(variance < _CANCELLATION * np.square(mean - shift)):
        shift = mean
        moments = engine.reduce(MomentsPass(layout, tuple(shift)), source)
        mean, variance = _mean_and_variance(moments, shift)
    constant = moments.low == moments.high
    scale = np.where(constant | (variance <= 0), 1.0, np.sqrt(np.maximum(variance, 0.0)))
    if not fit_intercept:  # nothing absorbs a shift then; scale by the root mean square
        scale = np.where(constant & (moments.low == 0), 1.0, np.sqrt(variance + np.square(mean)))
        mean = np.zeros_like(mean)
    return Columns(
        layout=layout,
        center=mean,
        scale=np.where(scale > 0, scale, 1.0),
        two_valued=moments.two_valued,
        span=moments.high - moments.low,
        reach=np.maximum(moments.high - mean, mean - moments.low),
        heaviest=moments.heaviest,
        level_shares=tuple(level / moments.weight for level in moments.levels),
        n=moments.n,
        weight=moments.weight,
        base_rate=min(max(moments.target / moments.weight, 0.0), 1.0),
        constant_target=moments.low_target == moments.high_target,
        has_offset=moments.has_offset,
        offset=moments.offset / moments.weight,
    )


def _check_range(moments: Moments, layout: Layout) -> None:
    """Raise where squares would overflow or vanish, so that sums would say nothing."""
    low, high = _WEIGHTS
    if not low <= moments.heaviest <= high:
        raise WeightError(
            f"sample_weight must have its largest value between {low:g} and {high:g}; it is "
            f"{moments.heaviest:g}. Multiply all weights by one number: it moves no coefficient.",
            value=moments.heaviest,
        )
    low, high = _NUMBERS
    largest = np.fmax(np.abs(moments.low), np.abs(moments.high))
    span = np.where(largest <= high, moments.high - moments.low, 0.0)
    for name, size, width in zip(layout.numbers, largest, span, strict=True):
        if size > high:
            raise ColumnError(
                f"column {name!r} has values of {size:g} in size, and no square of more than "
                f"{high:g} can be summed. Divide the column by a number, or drop it."
            )
        if 0 < width < low:
            raise ColumnError(
                f"column {name!r} has values that differ by no more than {width:g}, and no square "
                f"of less than {low:g} can be summed. Multiply the column by a number, or drop it."
            )


def _mean_and_variance(moments: Moments, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    offset = moments.first / moments.weight
    variance = np.maximum(moments.second / moments.weight - np.square(offset), 0.0)
    mean = np.where(moments.low == moments.high, moments.low, shift + offset)
    return mean, variance


def _check_numbers(moments: Moments, layout: Layout) -> None:
    """Raise where a sum says that a column holds NaN; what is infinite is out of range already."""
    bad = np.flatnonzero(np.isnan(moments.first))
    if len(bad):
        raise ColumnError(
            f"numbers must be finite; column {layout.numbers[bad[0]]!r} holds NaN. "
            "Remove the rows or fill the values."
        )


def _check(block: Block) -> None:
    """Raise if a weight or an offset of this block cannot be used."""
    weight, offset = block.weight, block.offset
    if weight is not None and not np.all((weight >= 0) & (weight < np.inf)):
        bad = int(np.flatnonzero(~((weight >= 0) & (weight < np.inf)))[0])
        row = block.first_row + bad
        raise WeightError(
            f"sample_weight must be finite and at least 0; row {row} has {weight[bad]}. "
            "Remove the row or mend its weight.",
            index=row,
            value=float(weight[bad]),
        )
    largest = _NUMBERS[1]
    if offset is not None and not np.all(np.abs(offset) <= largest):
        bad = int(np.flatnonzero(~(np.abs(offset) <= largest))[0])
        raise ArgumentError(
            f"offset must be finite and at most {largest:g} in size; row {block.first_row + bad} "
            f"has {offset[bad]}. Remove the row or mend its offset."
        )
