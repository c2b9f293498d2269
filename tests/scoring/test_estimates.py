"""Intervals against other people's estimators: statsmodels' robust and clustered errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special, stats

from logloss.scoring.estimates import Estimate, Ratios, constant_loss, entropy_of
from logloss.scoring.passes import ScorePass
from logloss.scoring.state import Groups, ScoredRows

from .draws import forecasts, rows_of, task

LOSS = {"loss_y1": 1.0, "loss_y0": 1.0}
ONE = {"one": 1.0}


def losses(y, logits):
    return np.logaddexp(0, np.where(y == 1, -logits, logits))


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_interval_of_the_mean_is_that_of_a_regression_on_a_constant(weighted, clustered):
    rows = rows_of(0, 500, weighted=weighted, clustered=clustered)
    estimate = Ratios(task(weighted=weighted, clustered=clustered)([rows])).ratio(LOSS, ONE)
    weight = np.ones(500) if rows.weight is None else rows.weight
    model = sm.WLS(losses(rows.y, rows.forecasts), np.ones(500), weight)
    if clustered:
        # statsmodels also multiplies by (n − 1)/(n − k), which is 1 for a constant
        fitted = model.fit(cov_type="cluster", cov_kwds={"groups": rows.clusters.codes}, use_t=True)
    else:
        fitted = model.fit(cov_type="HC1", use_t=True)
    assert estimate.value == pytest.approx(fitted.params[0], rel=1e-13)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(fitted.conf_int()[0]), rel=1e-10)


def test_interval_of_unweighted_rows_is_students():
    y, logits, _ = forecasts(50)
    state = ScorePass(True)([ScoredRows(0, y, logits, True)])
    estimate = Ratios(state).ratio(LOSS, ONE)
    loss = losses(y, logits)
    expected = stats.t.interval(0.95, 49, loss.mean(), stats.sem(loss))
    assert (estimate.low, estimate.high) == pytest.approx(expected, rel=1e-12)


def test_clusters_of_one_row_each_are_no_clusters():
    y, logits, weight = forecasts(80)
    alone = Groups(tuple(range(80)), np.arange(80))
    rows = ScoredRows(0, y, logits, True, weight, alone)
    with_clusters = Ratios(ScorePass(True, weighted=True, clustered=True)([rows]))
    without = Ratios(ScorePass(True, weighted=True)([rows]))
    one, other = with_clusters.ratio(LOSS, ONE), without.ratio(LOSS, ONE)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=1e-12)


def test_weights_have_no_unit():
    y, logits, weight = forecasts(100)
    one, other = (
        Ratios(
            ScorePass(True, weighted=True)([ScoredRows(0, y, logits, True, scale * weight)])
        ).ratio(LOSS, ONE)
        for scale in (1.0, 1024.0)
    )
    assert one == other


def test_equal_losses_have_no_error():
    y = np.array([0.0, 1.0] * 500)
    estimate = Ratios(ScorePass(False)([ScoredRows(0, y, np.full(1000, 0.5), False)])).ratio(
        LOSS, ONE
    )
    assert estimate.low == estimate.value == estimate.high


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    logits = rng.normal(size=(1000, 100))
    chance = 1 / (1 + np.exp(-logits))
    truth = float(stats.norm.expect(lambda z: entropy_of(special.expit(z))))
    hits = 0
    for z, p in zip(logits, chance, strict=True):
        rows = ScoredRows(0, (rng.random(100) < p).astype(float), z, True)
        estimate = Ratios(ScorePass(True)([rows])).ratio(LOSS, ONE)
        hits += estimate.low <= truth <= estimate.high
    assert 0.93 < hits / 1000 < 0.97


def test_one_unit_has_no_interval():
    estimate = Ratios(ScorePass(True)([ScoredRows(0, np.ones(1), np.zeros(1), True)])).ratio(
        LOSS, ONE
    )
    assert estimate.value == math.log(2)
    assert math.isnan(estimate.low)


def test_estimate_turns_into_plain_numbers():
    assert Estimate(0.5, 0.4, 0.6).to_dict() == {
        "value": 0.5, "low": 0.4, "high": 0.6, "kind": "exact"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "said", "loss"),
    [
        (0.5, 0.5, math.log(2)),
        (0.25, 0.5, math.log(2)),
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 0.0),
        (0.1, 0.0, math.inf),
        (0.9, 1.0, math.inf),
    ],
)
def test_loss_of_a_constant(rate, said, loss):
    assert constant_loss(rate, said) == pytest.approx(loss)
