"""Exact sums: of doubles, mergeable, and of the rows of a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from logloss.kernel.level import _core


@dataclass(frozen=True)
class ExactSum:
    """A sum of doubles without error, rounded once when it is read: `math.fsum`, mergeable.

    It depends on nothing but the terms: not on their order, nor on how they were cut.

    Examples
    --------
    >>> (ExactSum.of(np.array([1e300, 1.0])) + ExactSum.of(np.array([-1e300]))).value
    1.0
    """

    _sum: Any

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Self:
        """Sum an array of shape (n,)."""
        total = _core.ExactSum()
        total.add(values)
        return cls(total)

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """Rebuild a sum from `to_bytes`; ValueError for anything of another length."""
        total = _core.ExactSum.__new__(_core.ExactSum)
        total.__setstate__(state)
        return cls(total)

    def to_bytes(self) -> bytes:
        """Return the state: 69 limbs of 32 bits in 64, and the counts of +inf, −inf and NaN."""
        return bytes(self._sum.__getstate__())

    def __add__(self, other: Self, /) -> Self:
        total = _core.ExactSum()
        total.merge(self._sum)
        total.merge(other._sum)
        return type(self)(total)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactSum):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"ExactSum({self.value!r})"

    @property
    def value(self) -> float:
        """The sum, correctly rounded; inf and NaN as `math.fsum` gives them."""
        return float(self._sum.value)


def sum_rows(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Exact sum of each row of a matrix, rounded once; strides may be any."""
    out = np.empty(len(values))
    _core.sum_rows(values, out)
    return out
