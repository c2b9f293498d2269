"""Forecasts to score: one generator for all tests of this room."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from logloss.scoring.passes import ScorePass
from logloss.scoring.state import Groups, ScoredRows


def forecasts(n=500, *, seed=0, soft=False):
    """Return labels, logits and weights of forecasts that are good but not perfect."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.3, n)
    chance = 1 / (1 + np.exp(-0.8 * logits - 0.2))
    y = chance if soft else (rng.random(n) < chance).astype(float)
    return y, logits, rng.exponential(size=n) + 0.01


def table(n=500, *, seed=0):
    """Return the same as a table, with clusters and two columns to split by."""
    y, logits, weight = forecasts(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    return pa.table(
        {
            "late": y.astype(np.int8),
            "logit": logits,
            "probability": 1 / (1 + np.exp(-logits)),
            "weight": weight,
            "day": rng.integers(0, 23, n),
            "carrier": pa.array(rng.choice(["AA", "EV", "UA"], n)).dictionary_encode(),
            "gate": pa.array([None if g == 3 else int(g) for g in rng.integers(0, 4, n)]),
        }
    )


def rows_of(start, stop, *, n=500, on_logits=True, weighted=True, clustered=True) -> ScoredRows:
    """Return rows `start` to `stop` of one fixed set."""
    y, logits, weight = forecasts(n)
    rng = np.random.default_rng(7)
    days, carriers = rng.integers(0, 23, n), rng.integers(0, 3, n)
    given = logits if on_logits else 1 / (1 + np.exp(-logits))
    here = slice(start, stop)
    return ScoredRows(
        first_row=start,
        y=y[here],
        forecasts=given[here],
        on_logits=on_logits,
        weight=weight[here] if weighted else None,
        clusters=Groups(tuple(range(23)), days[here]) if clustered else None,
        by=(Groups(("AA", None, "UA"), carriers[here]),),
    )


def task(*, on_logits=True, weighted=True, clustered=True) -> ScorePass:
    """Return the pass that fits `rows_of`."""
    return ScorePass(on_logits=on_logits, weighted=weighted, clustered=clustered, n_by=1, n_worst=5)
