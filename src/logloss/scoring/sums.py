"""Exact sums of many groups at once: bins of a histogram, clusters, levels of a column.

Nothing here knows what is summed.  A single sum over all rows is `kernel.ExactSum`'s.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Bits of one digit.  65,536 rows of 24-bit digits add up to 40 bits, which a double
#: holds exactly while a block is counted; int64 then holds 2³⁹ rows.
_DIGIT = 24


def total(terms: Iterable[float]) -> float:
    """Return the sum of some terms, rounded once; beyond the doubles, what IEEE 754 says.

    >>> total([1e308, 1e308]), total([float("inf"), -float("inf")])
    (inf, nan)
    """
    terms = list(terms)
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):  # fsum raises where a sum is infinite or undefined
        return sum(map(float, terms))


class DigitSums:
    """Sums of float64 values in numbered groups, exact whatever their order.

    Every value is cut into digits of 24 bits at fixed places, value = Σ dⱼ·2²⁴ʲ, and
    the digits of a place are added as integers.  Places nobody used take no room.

    Parameters
    ----------
    n_groups, n_sums : int
        Number of groups, and of sums kept for each.
    """

    def __init__(self, n_groups: int, n_sums: int) -> None:
        self.shape = (n_groups, n_sums)
        self._places: dict[int, IntArray] = {}
        self._infinite: set[tuple[int, int]] = set()

    def add(self, groups: npt.NDArray[np.intp], sum_index: int, values: FloatArray) -> None:
        """Add `values`, finite or inf, to sum number `sum_index` of their `groups`."""
        infinite = np.isinf(values)
        if infinite.any():
            self._infinite |= {(group, sum_index) for group in groups[infinite].tolist()}
            values = np.where(infinite, 0.0, values)
        while True:
            nonzero = np.flatnonzero(values)
            if nonzero.size == 0:
                return
            if nonzero.size < values.size:
                groups, values = groups[nonzero], values[nonzero]
            place = (math.frexp(np.abs(values).max())[1] - 1) // _DIGIT
            digits = np.trunc(np.ldexp(values, -_DIGIT * place))
            counted = np.bincount(groups, weights=digits, minlength=self.shape[0])
            self._place(place)[:, sum_index] += counted.astype(np.int64)
            values = values - np.ldexp(digits, _DIGIT * place)

    def merge(self, other: DigitSums, into: npt.NDArray[np.intp] | None = None) -> None:
        """Add the sums of `other`, whose group g stands here at ``into[g]`` (or at g)."""
        self._infinite |= {
            (group if into is None else int(into[group]), number)
            for group, number in other._infinite
        }
        for place, digits in other._places.items():
            if into is None:
                self._place(place)[:] += digits
            else:
                self._place(place)[into] += digits[: into.size]

    def grow(self, n_groups: int) -> None:
        """Make room for groups up to `n_groups`."""
        added = n_groups - self.shape[0]
        if added > 0:
            self.shape = (n_groups, self.shape[1])
            for place, digits in self._places.items():
                self._places[place] = np.pad(digits, ((0, added), (0, 0)))

    def values(self) -> FloatArray:
        """Return all sums, correctly rounded, shape (n_groups, n_sums)."""
        sums = self._finite()
        for group, number in self._infinite:
            sums[group, number] = np.inf
        return sums

    def _finite(self) -> FloatArray:
        if set(self._places) <= {0}:
            # whole numbers, such as counts: int64 to double rounds once
            return self._place(0).astype(np.float64)
        terms: list[list[float]] = []
        for place, digits in sorted(self._places.items()):
            # an int64 has more bits than a double: in two halves each is exact
            for half in (digits >> 32 << 32, digits & 0xFFFFFFFF):
                with np.errstate(over="ignore"):
                    shifted = np.ldexp(half.astype(np.float64), _DIGIT * place)
                terms.append(shifted.ravel().tolist())
        sums = [total(parts) for parts in zip(*terms, strict=True)]
        return np.array(sums, dtype=np.float64).reshape(self.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DigitSums):
            return NotImplemented
        if self.shape != other.shape or self._infinite != other._infinite:
            return False
        nothing = np.zeros(self.shape, dtype=np.int64)
        return all(
            np.array_equal(self._places.get(place, nothing), other._places.get(place, nothing))
            for place in self._places.keys() | other._places.keys()
        )

    __hash__ = None  # type: ignore[assignment]  # it grows while a pass fills it

    def __getstate__(self) -> tuple[tuple[int, int], dict[int, IntArray], set[tuple[int, int]]]:
        return self.shape, self._places, self._infinite

    def __setstate__(
        self, state: tuple[tuple[int, int], dict[int, IntArray], set[tuple[int, int]]]
    ) -> None:
        self.shape, self._places, self._infinite = state

    def _place(self, place: int) -> IntArray:
        if place not in self._places:
            self._places[place] = np.zeros(self.shape, dtype=np.int64)
        return self._places[place]


class GroupSums:
    """Exact sums and row counts of groups that are met on the way, by key.

    It grows while a pass fills it and is a value to everyone else: ``a + b`` leaves
    both as they are.

    Parameters
    ----------
    n_sums : int
        Number of sums kept for each group.
    """

    def __init__(self, n_sums: int) -> None:
        self._index: dict[Hashable, int] = {}
        self._sums = DigitSums(0, n_sums)
        self._counts = np.zeros(0, dtype=np.int64)

    def add(
        self,
        keys: Sequence[Hashable],
        groups: npt.NDArray[np.intp],
        columns: Iterable[FloatArray],
    ) -> None:
        """Add a block whose rows belong to ``keys[groups]``, one array for each sum."""
        here = self._positions(keys)[groups]
        self._counts += np.bincount(here, minlength=self._counts.size)
        for number, values in enumerate(columns):
            self._sums.add(here, number, values)

    def __add__(self, other: GroupSums, /) -> GroupSums:
        total = GroupSums(self._sums.shape[1])
        for part in (self, other):
            into = total._positions(part.keys)
            total._counts[into] += part.counts
            total._sums.merge(part._sums, into)
        return total

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupSums):
            return NotImplemented
        return self._table() == other._table()

    __hash__ = None  # type: ignore[assignment]  # it grows while a pass fills it

    def _table(self) -> dict[Hashable, tuple[float, ...]]:
        """Return what is known of each key, whatever the order in which they were met."""
        rows = zip(self.keys, self.counts.tolist(), self.values().tolist(), strict=True)
        return {key: (count, *sums) for key, count, sums in rows}

    def __len__(self) -> int:
        return len(self._index)

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """The groups' keys, in the order in which they were met."""
        return tuple(self._index)

    @property
    def counts(self) -> IntArray:
        """Rows of each group, in the order of `keys`."""
        return self._counts[: len(self)]

    def values(self) -> FloatArray:
        """Return the sums, correctly rounded, one row a group in the order of `keys`."""
        return self._sums.values()[: len(self)]

    def _positions(self, keys: Sequence[Hashable]) -> npt.NDArray[np.intp]:
        places = [self._index.setdefault(key, len(self._index)) for key in keys]
        if len(self) > self._counts.size:
            # doubled, so that a million keys met block by block are not copied each time
            room = max(len(self), 2 * self._counts.size)
            self._counts = np.pad(self._counts, (0, room - self._counts.size))
            self._sums.grow(room)
        return np.array(places, dtype=np.intp)
