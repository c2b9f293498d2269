"""The histogram of logit × class: AUC and its bounds, reliability, density."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from logloss.scoring.histogram import Histogram

from .draws import forecasts


def probabilities(logits):
    return 1 / (1 + np.exp(-logits))


def test_auc_of_few_rows_is_exact():
    y, logits, weight = forecasts(60)
    low, high = Histogram.of(y, logits, weight, on_logits=True).auc_bounds()
    assert low == high
    assert low == pytest.approx(roc_auc_score(y, logits, sample_weight=weight), abs=1e-14)


def test_auc_bounds_enclose_the_auc_of_many_rows():
    y, logits, _ = forecasts(20_000)
    low, high = Histogram.of(y, logits, on_logits=True).auc_bounds()
    assert low < roc_auc_score(y, logits) < high
    assert high - low < 0.003


def test_auc_counts_ties_as_half():
    y = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    said = np.array([0.3, 0.3, 0.3, 0.7, 0.7])
    assert Histogram.of(y, said, on_logits=False).auc_bounds() == (2.5 / 6, 2.5 / 6)


def test_auc_orders_certainties_at_the_ends():
    y, logits = np.array([0.0, 0, 1, 1]), np.array([-np.inf, -1e300, 1e300, np.inf])
    assert Histogram.of(y, logits, on_logits=True).auc_bounds() == (1.0, 1.0)


def test_auc_of_neighbours_in_one_bin_is_known():
    y, logits = np.array([0.0, 1.0]), np.array([0.0, 1e-9])
    assert Histogram.of(y, logits, on_logits=True).auc_bounds() == (1.0, 1.0)


def test_auc_of_one_class_is_not_a_number():
    assert np.isnan(Histogram.of(np.ones(3), np.zeros(3), on_logits=True).auc_bounds()).all()


def test_auc_of_proportions_is_that_of_the_expanded_rows():
    y, logits, _ = forecasts(12, soft=True)
    low, high = Histogram.of(y, logits, on_logits=True).auc_bounds()
    expanded = roc_auc_score(
        np.repeat([1, 0], 12), np.tile(logits, 2), sample_weight=np.r_[y, 1 - y]
    )
    assert (low, high) == pytest.approx((expanded, expanded), abs=1e-14)


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_groups_of_forecasts_hold_all_weight_and_all_events(strategy):
    y, logits, weight = forecasts(5000)
    groups = Histogram.of(y, logits, weight, on_logits=True).reliability(10, strategy)
    assert groups.weight.sum() == pytest.approx(weight.sum())
    assert (groups.realised * groups.weight).sum() == pytest.approx((weight * y).sum())
    assert (np.diff(groups.claimed) > 0).all()


def test_quantile_groups_weigh_nearly_the_same():
    y, logits, _ = forecasts(20_000)
    groups = Histogram.of(y, logits, on_logits=True).reliability(8)
    np.testing.assert_allclose(groups.weight, 2500, rtol=0.05)


def test_uniform_groups_are_those_of_a_plain_binning():
    rng = np.random.default_rng(3)
    said = rng.choice([0.05, 0.11, 0.34, 0.38, 0.81], 400)
    y = (rng.random(400) < said).astype(float)
    groups = Histogram.of(y, said, on_logits=False).reliability(5, "uniform")
    number = (said * 5).astype(int)
    for claimed, realised, which in zip(groups.claimed, groups.realised, (0, 1, 4), strict=True):
        assert claimed == pytest.approx(said[number == which].mean())
        assert realised == pytest.approx(y[number == which].mean())


def test_effective_size_is_the_number_of_rows_when_weights_are_equal():
    y, logits, _ = forecasts(300)
    groups = Histogram.of(y, logits, np.full(300, 2.5), on_logits=True).reliability(1)
    assert groups.size == pytest.approx([300])


def test_density_counts_every_forecast_once():
    y, logits, weight = forecasts(1000)
    density = Histogram.of(y, logits, weight, on_logits=True).density(np.linspace(0, 1, 21))
    expected = np.histogram(probabilities(logits), 20, (0, 1), weights=weight)[0]
    # forecasts within half a bin of an edge may fall on its other side
    assert density.sum() == pytest.approx(weight.sum())
    np.testing.assert_allclose(np.cumsum(density), np.cumsum(expected), atol=weight.sum() / 200)
