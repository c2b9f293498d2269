"""The pass that scores rows: from blocks of checked rows to a `ScoreState`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.clipping import TORCH_LIMIT, Clip, clip_probabilities
from logloss.scoring.histogram import Histogram
from logloss.scoring.state import (
    COMPONENTS,
    LEVEL_PRODUCTS,
    LEVEL_SUMS,
    N_NAMED,
    PRODUCTS,
    Infinite,
    ScoredRows,
    ScoreState,
    WorstRows,
)
from logloss.scoring.sums import FloatArray, GroupSums


@dataclass(frozen=True)
class ScorePass:
    """Score rows, keeping what the statistics need.

    Attributes
    ----------
    on_logits : bool
        Whether forecasts are logits; else probabilities.
    weighted, clustered : bool
        Whether rows bring weights and clusters.
    n_by : int
        Number of columns to split by.
    n_worst : int
        Number of worst rows to keep.
    clip : float, str or None
        Clip policy for probabilities.
    """

    on_logits: bool
    weighted: bool = False
    clustered: bool = False
    n_by: int = 0
    n_worst: int = 10
    clip: Clip = None

    def __call__(self, blocks: Iterable[ScoredRows], /) -> ScoreState:
        """Score these blocks."""
        clusters = GroupSums(len(COMPONENTS)) if self.clustered else None
        n_sums = len(LEVEL_SUMS) + (0 if self.clustered else len(LEVEL_PRODUCTS))
        by = tuple(GroupSums(n_sums) for _ in range(self.n_by))
        state = self._state(_Losses.of(self._no_rows(), self.clip))
        for rows in blocks:
            losses = _Losses.of(rows, self.clip)
            state += self._state(losses)
            if clusters is not None and rows.clusters is not None:
                totals = [losses.weighted(name) for name in COMPONENTS]
                clusters.add(rows.clusters.keys, rows.clusters.codes, totals)
            for sums, level in zip(by, rows.by, strict=True):
                groups = level if rows.clusters is None else level.crossed(rows.clusters)
                sums.add(groups.keys, groups.codes, losses.level_sums(squares=not self.clustered))
        return replace(state, clusters=clusters, by=by)

    def _no_rows(self) -> ScoredRows:
        none = np.zeros(0)
        return ScoredRows(0, none, none, self.on_logits, none if self.weighted else None)

    def _state(self, losses: _Losses) -> ScoreState:
        """Return the state of one block, without its groups."""
        rows, columns = losses.rows, losses.columns
        real = np.ones(rows.y.size, dtype=bool) if rows.weight is None else rows.weight > 0
        loss = np.where(losses.infinite_y1 | losses.infinite_y0, np.inf, columns["loss"])
        row = np.flatnonzero(real)
        exact = kernel.ExactSum.of
        return ScoreState(
            n_rows=rows.y.size,
            n_clipped=losses.n_clipped,
            n_weighted=int(real.sum()),
            n_y1=int(np.count_nonzero(rows.y[real] > 0)),
            n_y0=int(np.count_nonzero(rows.y[real] < 1)),
            totals={name: exact(losses.weighted(name)) for name in (*COMPONENTS, "loss")},
            products={}
            if self.clustered
            else {(a, b): exact(losses.product(a, b)) for a, b in PRODUCTS},
            infinite=losses.infinite_rows(),
            worst=WorstRows.of(
                self.n_worst,
                row + rows.first_row,
                loss[row],
                rows.y[row],
                columns["probability"][row],
            ),
            histogram=Histogram.of(rows.y, rows.forecasts, rows.weight, on_logits=self.on_logits),
            clusters=None,
            by=(),
        )


@dataclass(frozen=True)
class _Losses:
    """One block with its losses; infinite ones are masks, and 0 among the columns."""

    rows: ScoredRows
    columns: dict[str, FloatArray]
    infinite_y1: npt.NDArray[np.bool_]
    infinite_y0: npt.NDArray[np.bool_]
    n_clipped: int

    @classmethod
    def of(cls, rows: ScoredRows, clip: Clip) -> _Losses:
        y = rows.y
        forecasts = rows.forecasts if rows.on_logits else clip_probabilities(rows.forecasts, clip)
        changed = forecasts != rows.forecasts
        measure = kernel.losses_from_logits if rows.on_logits else kernel.losses_from_probabilities
        loss = measure(y, forecasts).astype(np.float64)
        if np.all((y == 0) | (y == 1)):
            owed_y1, owed_y0 = np.where(y == 1, loss, 0.0), np.where(y == 0, loss, 0.0)
        else:
            # 0·inf is 0: a label of no weight owes nothing
            ones, zeros = np.ones_like(y), np.zeros_like(y)
            with np.errstate(invalid="ignore"):
                owed_y1 = np.where(y > 0, y * measure(ones, forecasts), 0.0)
                owed_y0 = np.where(y < 1, (1.0 - y) * measure(zeros, forecasts), 0.0)
        if clip == "torch":
            changed = (owed_y1 > TORCH_LIMIT * y) | (owed_y0 > TORCH_LIMIT * (1.0 - y))
            owed_y1 = np.minimum(owed_y1, TORCH_LIMIT * y)
            owed_y0 = np.minimum(owed_y0, TORCH_LIMIT * (1.0 - y))
            loss = owed_y1 + owed_y0
        probability = (kernel.sigmoid(forecasts) if rows.on_logits else forecasts).astype(float)
        weighed = np.ones(y.size, dtype=bool) if rows.weight is None else rows.weight > 0
        infinite_y1, infinite_y0 = np.isinf(owed_y1) & weighed, np.isinf(owed_y0) & weighed
        finite = np.isfinite(loss)
        columns = {
            "one": np.ones_like(y),
            "y": y,
            "loss_y1": np.where(finite, owed_y1, 0.0),
            "loss_y0": np.where(finite, owed_y0, 0.0),
            "loss": np.where(finite, loss, 0.0),
            "probability": probability,
            "square": (y - probability) ** 2,
        }
        return cls(rows, columns, infinite_y1, infinite_y0, int(np.count_nonzero(changed)))

    def weighted(self, name: str) -> FloatArray:
        """Return w·c."""
        weight, column = self.rows.weight, self.columns[name]
        with np.errstate(over="ignore"):
            return column if weight is None else weight * column

    def product(self, a: str, b: str) -> FloatArray:
        """Return w²·a·b."""
        with np.errstate(over="ignore"):  # a loss beyond 1e154 has no interval
            return self.weighted(a) * self.weighted(b)

    def level_sums(self, *, squares: bool) -> list[FloatArray]:
        """Return the columns of `LEVEL_SUMS`, and of `LEVEL_PRODUCTS` with `squares`."""
        weight = self.weighted("one")
        counted = {
            "n_weighted": (weight > 0).astype(np.float64),
            "n_infinite": (self.infinite_y1 | self.infinite_y0).astype(np.float64),
        }
        sums = [counted[name] if name in counted else self.weighted(name) for name in LEVEL_SUMS]
        return sums + [self.product(a, b) for a, b in LEVEL_PRODUCTS if squares]

    def infinite_rows(self) -> Infinite:
        """Return which rows have an infinite loss."""
        rows = np.flatnonzero(self.infinite_y1 | self.infinite_y0)
        return Infinite(
            n_y1=int(self.infinite_y1.sum()),
            n_y0=int(self.infinite_y0.sum()),
            weight=kernel.ExactSum.of(self.weighted("one")[rows]),
            rows=tuple((self.rows.first_row + rows[:N_NAMED]).tolist()),
        )
