"""Sums of vectors that are exact by construction: terms rounded to one grid, added as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Bits of a term on its grid: 2¹⁰ terms of 43 bits add in a double without rounding.
_TERM_BITS = 43
#: Bits of the lower of the two words that hold a sum of many terms.
_WORD_BITS = 32
#: Binary exponents of bounds whose grids, and whose sums, are normal numbers.
_EXPONENTS = (-900, 900)


@dataclass(frozen=True)
class GridSum:
    """A vector of sums whose terms were rounded to multiples of a grid; a partial.

    Adding on a grid is exact, so the sums depend on the terms alone: not on their order, nor
    on how they were cut.  Entry j is (high·2³² + low)·grid.

    Attributes
    ----------
    grid : ndarray of shape (m,)
        Powers of two.
    high, low : ndarray of shape (m,), int64
        0 ≤ low < 2³².

    Examples
    --------
    >>> grid = grid_for(np.array([1.0]))
    >>> one = GridSum(grid, np.array([0]), np.array([3]))
    >>> bool((one + one).value == 6 * grid)
    True
    """

    grid: FloatArray
    high: IntArray
    low: IntArray

    @classmethod
    def zero(cls, grid: FloatArray) -> Self:
        """Return the sum of no terms."""
        return cls(grid, np.zeros(len(grid), np.int64), np.zeros(len(grid), np.int64))

    def __add__(self, other: Self, /) -> Self:
        low = self.low + other.low
        high = self.high + other.high + (low >> _WORD_BITS)
        return type(self)(self.grid, high, low & (2**_WORD_BITS - 1))

    @property
    def value(self) -> FloatArray:
        """The sums, each rounded once."""
        words = zip(self.high.tolist(), self.low.tolist(), strict=True)
        return np.array([float((high << _WORD_BITS) + low) for high, low in words]) * self.grid


def grid_for(bound: FloatArray) -> FloatArray:
    """Return the grids for terms of at most `bound` in size, shape (m,).

    A term is rounded by at most 2⁻⁴³ of its bound.
    """
    exponents = np.clip(np.frexp(bound)[1], *_EXPONENTS)
    return np.asarray(np.ldexp(1.0, exponents - _TERM_BITS))
