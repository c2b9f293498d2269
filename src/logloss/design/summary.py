"""The first pass: what one reading of the rows tells about every column.

Counts are integers and sums are exact, so nothing here depends on how the rows are
cut or in which order they come.  What is made of it stands in `design`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from logloss.design.columns import (
    Kind,
    check_finite,
    coded,
    column_of,
    numbers_of,
    offsets_of,
    text_of,
    weights_of,
)
from logloss.errors import ColumnError
from logloss.kernel import ExactSum
from logloss.rows.draws import bits, mix
from logloss.rows.protocols import Batch

#: More distinct values than this in one column of text: an identifier, not a category.
MAX_LEVELS = 1_000_000
#: What a level takes: its text, its count and its hash, in the sum of shards and in the one
#: that is being read.
_LEVEL_BYTES = 500

#: Seeds of the two lanes of row coefficients; any two that differ do.
_LANES = (1, 2)

#: Stands for a missing value in digests; no finite double has these bits.
_MISSING = np.uint64(0x7FF8_0000_0000_0001)

Digest = tuple[int, int]
UintArray = npt.NDArray[np.uint64]


def _add_digests(a: Digest, b: Digest) -> Digest:
    return (a[0] + b[0]) % 2**64, (a[1] + b[1]) % 2**64


def _digest(words: UintArray, lanes: list[UintArray]) -> Digest:
    """Σ rᵢ·vᵢ mod 2⁶⁴ in two lanes, rᵢ random and belonging to the row.

    Two columns that differ somewhere agree in one lane with a chance of about 2⁻⁶⁴
    (multilinear hashing: J. Carter and M. Wegman, "Universal classes of hash functions",
    JCSS 18, 1979), so equal digests mean equal columns.
    """
    mixed = mix(words)
    first, second = (int(np.sum(mixed * lane, dtype=np.uint64)) for lane in lanes)
    return first, second


def _words_of(values: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_] | None) -> UintArray:
    words: UintArray = (values + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
    if missing is not None:
        words[missing] = _MISSING
    return words


@dataclass(frozen=True)
class NumberSums:
    """What some rows tell about a column of numbers; a partial.

    Attributes
    ----------
    n_missing : int
        Rows without a value.
    weight, first, second : ExactSum
        Σw, Σwx and Σwx² over the rows with a value.
    low, high : float
        Smallest and largest value; inf and -inf where there is none.
    values : tuple of float or None
        The distinct values, sorted; None where there are more than two.
    digest, missing_digest : tuple of int
        Of the values, and of the indicator that they are missing.
    """

    n_missing: int
    weight: ExactSum
    first: ExactSum
    second: ExactSum
    low: float
    high: float
    values: tuple[float, ...] | None
    digest: Digest
    missing_digest: Digest

    def __add__(self, other: Self, /) -> Self:
        values = None
        if self.values is not None and other.values is not None:
            union = tuple(sorted({*self.values, *other.values}))
            values = union if len(union) <= 2 else None
        return type(self)(
            self.n_missing + other.n_missing,
            self.weight + other.weight,
            self.first + other.first,
            self.second + other.second,
            min(self.low, other.low),
            max(self.high, other.high),
            values,
            _add_digests(self.digest, other.digest),
            _add_digests(self.missing_digest, other.missing_digest),
        )

    def mean_and_scale(self) -> tuple[float, float]:
        """Return weighted mean and standard deviation, (0, 0) where there is no value."""
        if self.low > self.high:
            return 0.0, 0.0
        weight, first, second = map(_exactly, (self.weight, self.first, self.second))
        if weight is None or first is None or second is None:  # squares beyond 1e308
            return self.low / 2 + self.high / 2, self.high / 2 - self.low / 2
        mean = first / weight
        scale = math.sqrt(max(second / weight - mean * mean, Fraction(0)))
        # The products w·x² are rounded; the range bounds what that may have done.
        widest = self.high / 2 - self.low / 2
        if scale == 0 or scale > widest:
            scale = widest
        return min(max(float(mean), self.low), self.high), scale


def _exactly(total: ExactSum) -> Fraction | None:
    """Return the exact value of a sum, by taking off its leading doubles one by one."""
    exact = Fraction(0)
    while leading := total.value:
        if not math.isfinite(leading):
            return None
        exact += Fraction(leading)
        total = total + ExactSum.of(np.array([-leading]))
    return exact


@dataclass(frozen=True)
class LevelCounts:
    """What some rows tell about a column of categories; a partial.

    Attributes
    ----------
    n_missing : int
        Rows without a value.
    counts : mapping of str to int
        Rows of each level.
    digest : tuple of int
        Of the values.
    name : str
        The column, for messages.
    limit : int, optional
        Most levels that there may be; `MAX_LEVELS` by default.
    """

    n_missing: int
    counts: Mapping[str, int]
    digest: Digest
    name: str = ""
    limit: int | None = None

    def __add__(self, other: Self, /) -> Self:
        counts = _merged(self.counts, other.counts)
        check_levels(self.name, counts, self.limit)
        return type(self)(
            self.n_missing + other.n_missing,
            counts,
            _add_digests(self.digest, other.digest),
            self.name,
            self.limit,
        )


def _merged(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """Add counts up, at the cost of the smaller of the two."""
    small, large = sorted((a, b), key=len)
    total = dict(large)
    for level, count in small.items():
        total[level] = total.get(level, 0) + count
    return total


@dataclass(frozen=True)
class Summary:
    """What some rows tell about all columns; a partial.

    Attributes
    ----------
    n_rows : int
        Rows of positive weight; the others do not count anywhere.
    columns : tuple of NumberSums or LevelCounts
        In the order of the pass.
    """

    n_rows: int
    columns: tuple[NumberSums | LevelCounts, ...]

    def __add__(self, other: Self, /) -> Self:
        return type(self)(
            self.n_rows + other.n_rows,
            tuple(a + b for a, b in zip(self.columns, other.columns, strict=True)),  # type: ignore[operator]
        )


@dataclass(frozen=True)
class SummaryPass:
    """Batches → `Summary` of the named columns.

    Attributes
    ----------
    columns : tuple of (str, kind)
        What to look at; kind is ``"number"``, ``"bool"`` or ``"category"``.
    weight, offset : str, optional
        Columns of weights, and of fixed additions to the logit; they are checked here.
    max_levels : int, optional
        Most levels that a column may have; `MAX_LEVELS` by default.
    """

    columns: tuple[tuple[str, Kind], ...]
    weight: str | None = None
    offset: str | None = None
    max_levels: int | None = None

    def __call__(self, blocks: Iterable[Batch], /) -> Summary:
        """Look at these batches."""
        gatherers = [
            _Levels(name, self.max_levels) if kind == "category" else _Numbers()
            for name, kind in self.columns
        ]
        n_rows = 0
        for batch in blocks:
            if self.offset is not None:
                offsets_of(batch, self.offset)
            weight, used = None, None
            if self.weight is not None:
                weight = weights_of(batch, self.weight)
                used = None if weight.all() else np.flatnonzero(weight)
            rows = np.arange(batch.first_row, batch.first_row + len(batch))
            rows = rows if used is None else rows[used]
            lanes = [bits(seed, rows) for seed in _LANES]
            n_rows += len(rows)
            for (name, _), gatherer in zip(self.columns, gatherers, strict=True):
                gatherer.gather(name, batch, lanes, weight, used)
        return Summary(n_rows, tuple(gatherer.result() for gatherer in gatherers))


class _Numbers:
    """Gathers `NumberSums` over the batches of one call of the pass."""

    def __init__(self) -> None:
        nothing = ExactSum.of(np.zeros(0))
        digest = (0, 0)
        self.total = NumberSums(
            0, nothing, nothing, nothing, math.inf, -math.inf, (), digest, digest
        )

    def gather(
        self,
        name: str,
        batch: Batch,
        lanes: list[UintArray],
        weight: npt.NDArray[np.float64] | None,
        used: npt.NDArray[np.intp] | None,
    ) -> None:
        """Add one batch."""
        values, missing = numbers_of(column_of(batch, name))
        check_finite(name, values, batch.first_row)
        if used is not None and weight is not None:
            values, weight = values[used], weight[used]
            missing = None if missing is None else missing[used]
        digest = _digest(_words_of(values, missing), lanes)
        missing_digest = (0, 0)
        if missing is not None:
            missing_digest = _digest(_words_of(missing.astype(np.float64), None), lanes)
            values = values[~missing]
            weight = None if weight is None else weight[~missing]
        low = float(values.min(initial=math.inf))
        high = float(values.max(initial=-math.inf))
        extremes = tuple(sorted({low, high})) if len(values) else ()
        two_valued = bool(((values == low) | (values == high)).all())
        weighted = values if weight is None else weight * values
        with np.errstate(over="ignore"):
            squares = weighted * values
        self.total = self.total + NumberSums(
            0 if missing is None else int(missing.sum()),
            ExactSum.of(np.array([float(len(values))]) if weight is None else weight),
            ExactSum.of(weighted),
            ExactSum.of(squares),
            low,
            high,
            extremes if two_valued else None,
            digest,
            missing_digest,
        )

    def result(self) -> NumberSums:
        """Return what was gathered."""
        return self.total


class _Levels:
    """Gathers `LevelCounts` over the batches of one call of the pass."""

    def __init__(self, name: str, limit: int | None) -> None:
        self.name, self.limit = name, limit
        self.n_missing = 0
        self.counts: Counter[str] = Counter()
        self.digest = (0, 0)
        self.hashes: dict[str, int] = {}

    def gather(
        self,
        name: str,
        batch: Batch,
        lanes: list[UintArray],
        weight: npt.NDArray[np.float64] | None,
        used: npt.NDArray[np.intp] | None,
    ) -> None:
        """Add one batch."""
        values, codes = coded(column_of(batch, name))
        if used is not None:
            codes = codes[used]
        levels = [text_of(value) for value in values]
        counts = np.bincount(codes + 1, minlength=len(levels) + 1)
        self.n_missing += int(counts[0])
        for level, count in zip(levels, counts[1:].tolist(), strict=True):
            if count:
                self.counts[level] += count
        check_levels(name, self.counts, self.limit)
        words = np.array([self._hash(level) for level in levels] + [int(_MISSING)], np.uint64)
        self.digest = _add_digests(self.digest, _digest(words[codes], lanes))

    def _hash(self, level: str) -> int:
        known = self.hashes.get(level)
        if known is None:
            digest = blake2b(level.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            known = self.hashes[level] = int.from_bytes(digest, "little")
        return known

    def result(self) -> LevelCounts:
        """Return what was gathered."""
        return LevelCounts(self.n_missing, self.counts, self.digest, self.name, self.limit)


def check_levels(name: str, counts: Mapping[str, Any], limit: int | None = None) -> None:
    """Raise where a column has so many levels that it must be an identifier.

    Raises
    ------
    ColumnError
        Beyond `MAX_LEVELS`, or beyond `limit`, which is what memory allows.
    """
    if len(counts) > MAX_LEVELS:
        raise ColumnError(
            f"column {name!r} has over {MAX_LEVELS:,} levels, so it identifies rows rather than "
            f"describes them: leave it out with --drop {name}"
        )
    if limit is not None and len(counts) > limit:
        raise ColumnError(
            f"column {name!r} has over {limit:,} levels, which take more than the memory "
            f"allowed: allow more with --memory, or leave it out with --drop {name}"
        )


def levels_within(memory: int, n_columns: int) -> int:
    """Return how many levels each of some columns may have, at least a thousand."""
    return max(1000, memory // (_LEVEL_BYTES * max(n_columns, 1)))
