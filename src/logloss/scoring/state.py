"""The one pass over scored rows and the mergeable state that it leaves.

The state holds exact sums, counts, the worst rows and a histogram; what they mean is
for `estimates.py` and `segments.py`.  Nothing here reads a table.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.scoring.histogram import Histogram
from logloss.scoring.sums import FloatArray, GroupSums, IntArray

#: How many rows of infinite loss are named.
N_NAMED = 10
#: What is summed for every row, each times its weight: 1, y, the loss owed to y = 1 and
#: to y = 0, the probability, and the squared error.  A score is a ratio of two linear
#: forms of these totals.
COMPONENTS = ("one", "y", "loss_y1", "loss_y0", "probability", "square")
#: The products of components whose sums the variances of those ratios need.
PRODUCTS = tuple(
    dict.fromkeys(
        pair
        for family in (COMPONENTS[:4], ("one", "y", "probability"), ("one", "square"))
        for pair in combinations_with_replacement(family, 2)
    )
)
#: Sums of a level of a `by` column: weight, target, loss, probability, and how many rows
#: have positive weight and infinite loss …
LEVEL_SUMS = ("one", "y", "loss", "probability", "n_weighted", "n_infinite")
#: … and, where rows are not clustered, the products for the variance of its loss.
LEVEL_PRODUCTS = (("one", "one"), ("one", "loss"), ("loss", "loss"))


@dataclass(frozen=True)
class Groups:
    """Which group each row of a block belongs to: ``keys[codes]``."""

    keys: tuple[Hashable, ...]
    codes: npt.NDArray[np.intp]

    def crossed(self, other: Groups) -> Groups:
        """Return the pairs of groups that occur."""
        pairs, codes = np.unique(self.codes * len(other.keys) + other.codes, return_inverse=True)
        ours, theirs = np.divmod(pairs, max(len(other.keys), 1))
        keys = zip(ours.tolist(), theirs.tolist(), strict=True)
        return Groups(tuple((self.keys[a], other.keys[b]) for a, b in keys), codes)


@dataclass(frozen=True)
class ScoredRows:
    """One block of rows to score; everything is already checked.

    Attributes
    ----------
    first_row : int
        Global number of the first row.
    y : ndarray of shape (n,), float64
        Target in [0, 1].
    forecasts : ndarray of shape (n,), float32 or float64
        Logits or probabilities.
    on_logits : bool
        Which of the two.
    weight : ndarray of shape (n,), float64, or None
        Sample weights; None means 1.
    clusters : Groups or None
        Rows that are not independent of each other.
    by : tuple of Groups
        The level of each row in every column asked for.
    """

    first_row: int
    y: FloatArray
    forecasts: npt.NDArray[np.floating]
    on_logits: bool
    weight: FloatArray | None = None
    clusters: Groups | None = None
    by: tuple[Groups, ...] = ()

    def __len__(self) -> int:
        return self.y.size


@dataclass(frozen=True)
class WorstRows:
    """The `k` rows of greatest loss, the greatest first; ties go to the earlier row."""

    k: int
    row: IntArray
    loss: FloatArray
    y: FloatArray
    probability: FloatArray

    def __add__(self, other: WorstRows, /) -> WorstRows:
        return WorstRows.of(
            self.k,
            np.concatenate((self.row, other.row)),
            np.concatenate((self.loss, other.loss)),
            np.concatenate((self.y, other.y)),
            np.concatenate((self.probability, other.probability)),
        )

    @classmethod
    def of(
        cls, k: int, row: IntArray, loss: FloatArray, y: FloatArray, probability: FloatArray
    ) -> WorstRows:
        """Pick them from some rows."""
        near = np.arange(loss.size)
        if 0 < k < loss.size:
            # all that tie with the k-th stay in, so that row numbers decide
            near = np.flatnonzero(loss >= np.partition(loss, loss.size - k)[loss.size - k])
        best = near[np.lexsort((row[near], -loss[near]))[:k]]
        return cls(k, row[best], loss[best], y[best], probability[best])


@dataclass(frozen=True)
class Infinite:
    """Rows of infinite loss: how many for each label, their weight, the first of them."""

    n_y1: int
    n_y0: int
    weight: kernel.ExactSum
    rows: tuple[int, ...]

    def __add__(self, other: Infinite, /) -> Infinite:
        return Infinite(
            self.n_y1 + other.n_y1,
            self.n_y0 + other.n_y0,
            self.weight + other.weight,
            tuple(sorted(self.rows + other.rows)[:N_NAMED]),
        )


@dataclass(frozen=True)
class ScoreState:
    """What is known of a score after some rows.

    Attributes
    ----------
    n_rows, n_clipped : int
        Rows; rows whose probability a clip policy changed.
    n_weighted, n_y1, n_y0 : int
        Rows of positive weight; of these, rows with y > 0 and with y < 1.
    totals : mapping of str to ExactSum
        Σw·c for each of `COMPONENTS`, and Σw·loss.  Infinite losses count as 0.
    products : mapping of (str, str) to ExactSum
        Σw²·a·b for `PRODUCTS`; empty where rows are clustered.
    infinite : Infinite
        The rows left out of the sums of losses.
    worst : WorstRows
        Rows of greatest loss.
    histogram : Histogram
        Logit × class.
    clusters : GroupSums or None
        `COMPONENTS` by cluster.
    by : tuple of GroupSums
        `LEVEL_SUMS` (and `LEVEL_PRODUCTS`) by level, or by (level, cluster).
    """

    n_rows: int
    n_clipped: int
    n_weighted: int
    n_y1: int
    n_y0: int
    totals: Mapping[str, kernel.ExactSum]
    products: Mapping[tuple[str, str], kernel.ExactSum]
    infinite: Infinite
    worst: WorstRows
    histogram: Histogram
    clusters: GroupSums | None
    by: tuple[GroupSums, ...]

    def __add__(self, other: ScoreState, /) -> ScoreState:
        clusters = None
        if self.clusters is not None and other.clusters is not None:
            clusters = self.clusters + other.clusters
        return ScoreState(
            self.n_rows + other.n_rows,
            self.n_clipped + other.n_clipped,
            self.n_weighted + other.n_weighted,
            self.n_y1 + other.n_y1,
            self.n_y0 + other.n_y0,
            {name: total + other.totals[name] for name, total in self.totals.items()},
            {pair: total + other.products[pair] for pair, total in self.products.items()},
            self.infinite + other.infinite,
            self.worst + other.worst,
            self.histogram + other.histogram,
            clusters,
            tuple(a + b for a, b in zip(self.by, other.by, strict=True)),
        )
