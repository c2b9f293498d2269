"""The mergeable histogram of logit × class, and what is read from it: AUC, reliability.

Bins are 1/128 of a logit wide on [−40, 40], the outer two open; logits of ±inf, that
is probabilities of exactly 0 and 1, have bins of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.scoring.sums import DigitSums, FloatArray

_PER_UNIT = 128
_REACH = 40
#: One bin for −inf, 10,240 for the finite logits, one for +inf.
N_BINS = 2 * _REACH * _PER_UNIT + 2

#: Columns of the sums: weight of y = 0, weight of y = 1, squared weight.
_NEGATIVE, _POSITIVE, _SQUARE = range(3)


@dataclass(frozen=True)
class Histogram:
    """Weight of each class by logit, with the range of forecasts in every bin.

    Attributes
    ----------
    sums : DigitSums of shape (N_BINS, 2 or 3)
        Σw(1−y), Σwy and, for weighted rows, Σw²; exact.
    lowest, highest : ndarray of shape (2, N_BINS)
        Range of the forecasts of each class (y = 0, y = 1) as they were given:
        it tells ties from neighbours.
    on_logits : bool
        Whether the forecasts were logits; else probabilities.
    """

    sums: DigitSums
    lowest: FloatArray
    highest: FloatArray
    on_logits: bool

    @classmethod
    def of(
        cls,
        y: FloatArray,
        forecasts: npt.NDArray[np.floating],
        weight: FloatArray | None = None,
        *,
        on_logits: bool,
    ) -> Histogram:
        """Count one block."""
        values: FloatArray = forecasts.astype(np.float64)
        bins = _bin_numbers(values if on_logits else kernel.logit(values))
        sums = DigitSums(N_BINS, 2 if weight is None else 3)
        lowest, highest = np.full((2, N_BINS), np.inf), np.full((2, N_BINS), -np.inf)
        for label, share in ((_NEGATIVE, 1.0 - y), (_POSITIVE, y)):
            mass = share if weight is None else weight * share
            sums.add(bins, label, mass)
            present = mass > 0
            np.minimum.at(lowest[label], bins[present], values[present])
            np.maximum.at(highest[label], bins[present], values[present])
        if weight is not None:
            sums.add(bins, _SQUARE, weight * weight)
        return cls(sums, lowest, highest, on_logits)

    @property
    def is_hard(self) -> bool:
        """Whether every forecast was a probability of exactly 0 or 1."""
        inner = np.isfinite(self.lowest[:, 1:-1]) | np.isfinite(self.highest[:, 1:-1])
        return not inner.any()

    def __add__(self, other: Histogram, /) -> Histogram:
        sums = DigitSums(*self.sums.shape)
        sums.merge(self.sums)
        sums.merge(other.sums)
        return Histogram(
            sums,
            np.minimum(self.lowest, other.lowest),
            np.maximum(self.highest, other.highest),
            self.on_logits,
        )

    def auc_bounds(self) -> tuple[float, float]:
        """Return the least and the greatest area under the ROC curve that fit the bins.

        They are equal when no bin holds both classes in an order that was not kept.
        Both are NaN when only one class is present.
        """
        sums = self.sums.values()
        negative, positive = sums[:, _NEGATIVE], sums[:, _POSITIVE]
        pairs = negative * positive
        below = np.concatenate(([0.0], np.cumsum(negative)[:-1]))
        total = negative.sum() * positive.sum()
        if not total > 0:
            return math.nan, math.nan
        ordered = self.lowest[1] > self.highest[0]
        reversed_ = self.highest[1] < self.lowest[0]
        tied = self.lowest.min(axis=0) == self.highest.max(axis=0)
        certain = math.fsum(positive * below) + math.fsum(
            np.where(ordered, pairs, np.where(tied, 0.5 * pairs, 0.0))
        )
        unknown = math.fsum(np.where(ordered | reversed_ | tied, 0.0, pairs))
        return min(certain / total, 1.0), min((certain + unknown) / total, 1.0)

    def reliability(
        self, n_bins: int, strategy: Literal["quantile", "uniform"] = "quantile"
    ) -> Reliability:
        """Group the bins into at most `n_bins` wider ones.

        Parameters
        ----------
        n_bins : int
            Number of groups wanted; empty ones are left out.
        strategy : {"quantile", "uniform"}
            Groups of equal weight, or of equal width in probability.
        """
        sums = self.sums.values()
        used = np.flatnonzero(sums[:, _NEGATIVE] + sums[:, _POSITIVE] > 0)
        positive = sums[used, _POSITIVE]
        weight = sums[used, _NEGATIVE] + positive
        square = weight if sums.shape[1] == _SQUARE else sums[used, _SQUARE]
        forecast = self._probabilities()[used]
        if strategy == "uniform":
            group = np.minimum((forecast * n_bins).astype(np.intp), n_bins - 1)
        else:
            # a bin belongs to the group in which the middle of its weight falls
            middle = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
            group = np.minimum((middle * n_bins).astype(np.intp), n_bins - 1)
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        total, claimed, realised, squares = (
            np.add.reduceat(terms, starts) if starts.size else np.zeros(0)
            for terms in (weight, weight * forecast, positive, square)
        )
        return Reliability(claimed / total, realised / total, total, total * total / squares)

    def density(self, edges: FloatArray) -> FloatArray:
        """Return the weight of forecasts between rising `edges` of probability."""
        weight = self.sums.values()[:, :_SQUARE].sum(axis=1)
        # a bin goes as a whole to where its middle lies; an empty one weighs nothing
        return np.histogram(self._probabilities(), edges, weights=weight)[0]

    def _probabilities(self) -> FloatArray:
        """Middle of the probabilities seen in every bin; 0 for an empty one."""
        lowest, highest = self.lowest.min(axis=0), self.highest.max(axis=0)
        empty = lowest > highest
        ends = np.where(empty, -np.inf if self.on_logits else 0.0, np.stack((lowest, highest)))
        if self.on_logits:
            ends = kernel.sigmoid(ends.ravel()).reshape(ends.shape)
        middle: FloatArray = ends.mean(axis=0)
        return middle


@dataclass(frozen=True)
class Reliability:
    """Groups of forecasts, in rising order.

    Attributes
    ----------
    claimed, realised : ndarray
        Mean probability and mean target of each group.
    weight : ndarray
        Σw.
    size : ndarray
        Effective number of rows, (Σw)²/Σw² (Kish).
    """

    claimed: FloatArray
    realised: FloatArray
    weight: FloatArray
    size: FloatArray


def _bin_numbers(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    inside = np.clip(logits, -_REACH, _REACH)
    bins: npt.NDArray[np.intp] = (
        np.minimum((inside + _REACH) * _PER_UNIT, N_BINS - 3).astype(np.intp) + 1
    )
    bins[np.isneginf(logits)] = 0
    bins[np.isposinf(logits)] = N_BINS - 1
    return bins
