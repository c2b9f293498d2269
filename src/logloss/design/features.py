"""One column of the design: what is kept of a column of numbers, or of categories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from logloss.design.summary import LevelCounts, NumberSums

#: Levels with fewer rows are pooled: a coefficient from fewer has a standard error above ½.
MIN_ROWS = 20
#: Levels kept for one column, the most frequent ones.
MAX_KEPT = 64


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers or booleans.

    Attributes
    ----------
    name : str
        The column.
    kind : {"number", "bool"}
        What it holds.
    mean, scale : float
        Weighted mean, which missing values take, and standard deviation, over the rows
        with a value.
    low, high : float
        Smallest and largest value.
    missing_share : float
        Share of rows without a value.
    two_valued : bool
        Whether it takes no more than two values.
    uses_value : bool
        Whether the value itself enters the model; not if it is constant or a copy.
    indicator : str or None
        Name of the indicator of missing values, where one enters the model.
    """

    name: str
    kind: Literal["number", "bool"]
    mean: float
    scale: float
    low: float
    high: float
    missing_share: float
    two_valued: bool
    uses_value: bool = True
    indicator: str | None = None

    @classmethod
    def learn(
        cls,
        name: str,
        kind: Literal["number", "bool"],
        sums: NumberSums,
        n_rows: int,
        *,
        uses_value: bool,
        indicator: str | None,
    ) -> NumberColumn:
        """Make a column of what the first pass found."""
        mean, scale = sums.mean_and_scale()
        return cls(
            name,
            kind,
            mean,
            scale,
            sums.low,
            sums.high,
            sums.n_missing / n_rows,
            sums.values is not None,
            uses_value,
            indicator,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the design's numbers that come of it: itself, then its indicator."""
        value = (self.name,) if self.uses_value else ()
        return value if self.indicator is None else (*value, self.indicator)

    def fill(
        self,
        numbers: npt.NDArray[np.float64],
        at: int,
        values: npt.NDArray[np.float64],
        missing: npt.NDArray[np.bool_] | None,
    ) -> int:
        """Write the outputs into `numbers` from column `at` on; return the column after them."""
        if self.uses_value:
            numbers[:, at] = values
            if missing is not None:
                numbers[missing, at] = self.mean
            at += 1
        if self.indicator is not None:
            numbers[:, at] = 0.0 if missing is None else missing
            at += 1
        return at

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> NumberColumn:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is damaged."""
        if record["kind"] not in ("number", "bool"):
            raise ValueError(f"kind {record['kind']!r}")
        mean, scale, low, high = (float(record[key]) for key in ("mean", "scale", "low", "high"))
        if not (low <= mean <= high and 0 <= scale < np.inf):
            raise ValueError(f"mean, scale or range of {record['name']!r}")
        return cls(
            _text(record["name"]),
            record["kind"],
            mean,
            scale,
            low,
            high,
            float(record["missing_share"]),
            _boolean(record["two_valued"]),
            _boolean(record["uses_value"]),
            _optional_text(record["indicator"]),
        )


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories.

    Attributes
    ----------
    name : str
        The column.
    levels : tuple of str
        Values with a coefficient of their own, sorted.
    pooled : tuple of str
        Values that share the level `other`, sorted.
    other, missing : str or None
        Names of the level of pooled values and of the level of missing values, where
        there are such.
    shares : tuple of float
        Share of rows of each level: those of `levels`, then `other`, then `missing`.
    """

    name: str
    levels: tuple[str, ...]
    pooled: tuple[str, ...]
    other: str | None
    missing: str | None
    shares: tuple[float, ...]

    @classmethod
    def learn(cls, name: str, found: LevelCounts, n_rows: int) -> CategoryColumn:
        """Make a column of what the first pass found.

        Levels of fewer than 20 rows and all beyond the 64 most frequent are pooled; where
        two are equally frequent, the one that sorts first is kept.
        """
        ranked = sorted(found.counts, key=lambda level: (-found.counts[level], level))
        kept = sorted(level for level in ranked[:MAX_KEPT] if found.counts[level] >= MIN_ROWS)
        pooled = sorted(found.counts.keys() - set(kept))
        counts = [found.counts[level] for level in kept]
        if pooled:
            counts.append(sum(found.counts[level] for level in pooled))
        if found.n_missing:
            counts.append(found.n_missing)
        return cls(
            name,
            tuple(kept),
            tuple(pooled),
            fresh("(other)", kept.__contains__) if pooled else None,
            fresh("(missing)", kept.__contains__) if found.n_missing else None,
            tuple(count / n_rows for count in counts),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its coefficients, such as ``"carrier=EV"``; codes count along them."""
        special = [level for level in (self.other, self.missing) if level is not None]
        return tuple(f"{self.name}={level}" for level in (*self.levels, *special))

    @cached_property
    def lookup(self) -> Mapping[str | None, int]:
        """Code of each value seen in training; None stands for a missing one."""
        codes: dict[str | None, int] = {level: code for code, level in enumerate(self.levels)}
        codes |= dict.fromkeys(self.pooled, len(self.levels))
        if self.missing is not None:
            codes[None] = len(self.names) - 1
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> CategoryColumn:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is damaged."""
        column = cls(
            _text(record["name"]),
            tuple(map(_text, record["levels"])),
            tuple(map(_text, record["pooled"])),
            _optional_text(record["other"]),
            _optional_text(record["missing"]),
            tuple(float(share) for share in record["shares"]),
        )
        if len(column.shares) != len(column.names) or (column.other is None) == bool(column.pooled):
            raise ValueError(f"levels of {column.name!r}")
        return column


def fresh(name: str, taken: Callable[[str], bool]) -> str:
    """Return `name`, with underscores behind it until it is not taken."""
    while taken(name):
        name += "_"
    return name


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
