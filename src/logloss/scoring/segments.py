"""Where the loss comes from: the levels of a column, each scored by itself."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from logloss.scoring.estimates import Estimate, entropy_of, half_width
from logloss.scoring.state import LEVEL_PRODUCTS, LEVEL_SUMS
from logloss.scoring.sums import FloatArray, GroupSums, total

_ONE, _Y, _LOSS, _PROBABILITY, _WEIGHTED, _INFINITE = range(len(LEVEL_SUMS))
_FIRST_PRODUCT = len(LEVEL_SUMS)


@dataclass(frozen=True)
class Segment:
    """The rows of one level of one column.

    Attributes
    ----------
    column : str
        The column.
    level : object
        Its value; None where it is missing.
    n : int
        Rows.
    weight : float
        Σw.
    log_loss : Estimate
        As of a score of these rows alone.
    share : float
        Part of the total loss that these rows make; NaN when some loss is infinite.
    excess : float
        Log loss less the entropy of the level's own rate: above 0, always saying that
        rate would do better here.
    mean_probability, base_rate : float
        What was claimed for these rows, and what happened.
    """

    column: str
    level: Hashable
    n: int
    weight: float
    log_loss: Estimate
    share: float
    excess: float
    mean_probability: float
    base_rate: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text."""
        return {**vars(self), "log_loss": self.log_loss.to_dict()}


def segments_of(column: str, sums: GroupSums, *, clustered: bool) -> tuple[Segment, ...]:
    """Return the levels of one column, the greatest share of the loss first.

    Parameters
    ----------
    column : str
        Name of the column.
    sums : GroupSums
        Sums by level, or by (level, cluster).
    clustered : bool
        Which of the two.
    """
    levels, member = _levels(sums, clustered=clustered)
    values = sums.values()
    totals = _by_level(values, member, len(levels))
    counts = np.bincount(member, weights=sums.counts, minlength=len(levels))
    whole = total(totals[:, _LOSS])
    any_infinite = bool(totals[:, _INFINITE].any())
    found = []
    for number, level in enumerate(levels):
        mine = totals[number]
        weight = float(mine[_ONE])
        if not weight > 0:
            continue
        rows = values[member == number] if clustered else mine[np.newaxis]
        log_loss = _level_loss(mine, rows, clustered=clustered)
        rate = min(float(mine[_Y]) / weight, 1.0)
        found.append(
            Segment(
                column=column,
                level=level,
                n=int(counts[number]),
                weight=weight,
                log_loss=log_loss,
                share=math.nan if any_infinite or not whole > 0 else float(mine[_LOSS]) / whole,
                excess=log_loss.value - entropy_of(rate),
                mean_probability=float(mine[_PROBABILITY]) / weight,
                base_rate=rate,
            )
        )
    return tuple(sorted(found, key=_rank))


@np.errstate(over="ignore", invalid="ignore")  # losses beyond 1e154 have no interval
def _level_loss(mine: FloatArray, rows: FloatArray, *, clustered: bool) -> Estimate:
    if mine[_INFINITE] > 0:
        return Estimate(math.inf, math.nan, math.nan)
    mean = float(mine[_LOSS] / mine[_ONE])
    if clustered:
        units = rows[rows[:, _ONE] > 0]
        n_units = len(units)
        squares = total((units[:, _LOSS] - mean * units[:, _ONE]) ** 2)
    else:
        n_units = int(mine[_WEIGHTED])
        ww, wl, ll = mine[_FIRST_PRODUCT : _FIRST_PRODUCT + len(LEVEL_PRODUCTS)]
        squares = max(total((ll, -2.0 * mean * wl, mean * mean * ww)), 0.0)
    half = half_width(squares, float(mine[_ONE]), n_units)
    return Estimate(mean, mean - half, mean + half)


def _levels(
    sums: GroupSums, *, clustered: bool
) -> tuple[tuple[Hashable, ...], npt.NDArray[np.intp]]:
    """Return the levels, and which of them each group of `sums` belongs to."""
    if not clustered:
        return sums.keys, np.arange(len(sums))
    index: dict[Hashable, int] = {}
    pairs = cast(tuple[tuple[Hashable, Hashable], ...], sums.keys)
    member = [index.setdefault(level, len(index)) for level, _ in pairs]
    return tuple(index), np.array(member, dtype=np.intp)


def _by_level(values: FloatArray, member: npt.NDArray[np.intp], n_levels: int) -> FloatArray:
    """Add the groups of every level, exactly, so that their order does not matter."""
    totals = np.zeros((n_levels, values.shape[1]))
    if len(values) == n_levels:
        return values
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(n_levels + 1))
    for level in range(n_levels):
        rows = values[order[starts[level] : starts[level + 1]]]
        totals[level] = [total(column) for column in rows.T]
    return totals


def _rank(segment: Segment) -> tuple[float, float, str]:
    """Sort key: greatest loss first; names decide ties."""
    loss = segment.log_loss.value * segment.weight
    return (-loss, -segment.weight, repr(segment.level))
