"""Prior correction: forecasts for a population of another base rate than the sample's."""

import numpy as np
import pandas as pd
import pytest

import logloss
from logloss import LogisticRegression, PriorCorrection
from logloss.errors import ArgumentError, ModelError


@pytest.fixture(scope="module")
def population():
    """Draw 400,000 rows, 2 % of them positive."""
    rng = np.random.default_rng(12)
    X = rng.normal(size=(400_000, 2))
    y = (rng.random(len(X)) < 1 / (1 + np.exp(-(X @ [1.0, -0.5] - 4.5)))).astype(int)
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y})


@pytest.fixture(scope="module")
def sample(population):
    """All cases, and as many controls."""
    cases = population[population["y"] == 1]
    controls = population[population["y"] == 0].sample(len(cases), random_state=0)
    return pd.concat([cases, controls])


def test_the_shift_is_that_of_king_and_zeng():
    tau, y_bar = 0.013, 0.4
    expected = -np.log(((1 - tau) / tau) * (y_bar / (1 - y_bar)))
    assert PriorCorrection(tau, y_bar).shift == pytest.approx(expected, rel=1e-14)


def test_equal_rates_change_nothing():
    np.testing.assert_array_equal(PriorCorrection(0.3, 0.3)([-1.0, 0.0, np.inf]), [-1, 0, np.inf])


def test_undersampled_negatives_do_not_ruin_probabilities(population, sample):
    rate = population["y"].mean()
    model = LogisticRegression(base_rate=rate).fit(sample[["a", "b"]], sample["y"])
    probability = model.predict_proba(population[["a", "b"]])[:, 1]
    naive = LogisticRegression().fit(sample[["a", "b"]], sample["y"])
    assert probability.mean() == pytest.approx(rate, rel=0.05)
    assert naive.predict_proba(population[["a", "b"]])[:, 1].mean() > 10 * rate
    np.testing.assert_array_equal(model.coef_, naive.coef_)


def test_the_corrected_intercept_is_that_of_the_population_within_its_error(population, sample):
    model = LogisticRegression(base_rate=population["y"].mean())
    term = model.fit(sample[["a", "b"]], sample["y"]).summary().terms[0]
    assert term.coefficient == pytest.approx(model.intercept_[0], rel=1e-14)
    assert abs(term.coefficient + 4.5) < 3 * term.standard_error


def test_pos_weight_is_undone(population):
    y, weight = population["y"].to_numpy(), 49.0
    rate = y.mean()
    balanced = np.where(y == 1, weight, 1.0)
    X = population[["a", "b"]]
    model = LogisticRegression().fit(X, y, sample_weight=balanced)
    correct = PriorCorrection.after_pos_weight(rate, weight)
    by_hand = logloss.sigmoid(correct(model.decision_function(X)))
    by_option = LogisticRegression(base_rate=rate).fit(X, y, sample_weight=balanced)
    assert by_hand.mean() == pytest.approx(rate, rel=0.05)
    np.testing.assert_allclose(by_hand, by_option.predict_proba(X)[:, 1], rtol=1e-9)


def test_a_model_of_a_table_stores_the_correction_and_applies_it(population, sample, tmp_path):
    rate = float(population["y"].mean())
    model = logloss.fit(sample, "y", base_rate=rate)
    model.save(tmp_path / "m.json")
    again = logloss.load(tmp_path / "m.json")
    few = sample[:1000]
    plain = logloss.fit(sample, "y").predict(few)["logit"].to_numpy()
    shift = PriorCorrection(rate, 0.5).shift
    np.testing.assert_allclose(again.predict(few)["logit"].to_numpy(), plain + shift, rtol=1e-12)
    assert again.recalibration == model.recalibration
    assert again.base_rate == rate
    assert model.summary().base_rate == 0.5
    assert f"corrected for a population of {100 * rate:.3g} % positive" in str(model)
    assert f"intercept corrected by {shift:+.4g} for the base rate" in str(model.summary())


def test_a_score_test_is_made_at_the_fit_not_at_the_corrected_intercept(sample):
    X, y = sample[["a"]], sample["y"]
    plain = LogisticRegression(tol=1e-8).fit(X, y).score_test(X, y, sample[["b"]])
    model = LogisticRegression(tol=1e-8, base_rate=0.02).fit(X, y)
    corrected = model.score_test(X, y, sample[["b"]])
    assert corrected.statistic == pytest.approx(plain.statistic, rel=1e-8)


@pytest.mark.parametrize("rate", [0.0, 1.0, 2.0, float("nan")])
def test_a_rate_outside_0_and_1_is_refused(rate):
    with pytest.raises(ArgumentError, match="base_rate must be between 0 and 1"):
        LogisticRegression(base_rate=rate).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])


@pytest.mark.parametrize("weight", [0.0, float("inf")])
def test_a_pos_weight_out_of_range_is_refused(weight):
    with pytest.raises(ArgumentError, match="pos_weight must be finite and above 0"):
        PriorCorrection.after_pos_weight(0.1, weight)


def test_a_base_rate_needs_an_intercept():
    model = LogisticRegression(base_rate=0.1, fit_intercept=False)
    with pytest.raises(ArgumentError, match="fit_intercept=False leaves none"):
        model.fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])


@pytest.mark.parametrize("record", [{}, {"kind": "magic"}, {"kind": "prior", "base_rate": 2}, 7])
def test_a_damaged_record_is_refused(record):
    with pytest.raises(ModelError, match="recalibration cannot be read"):
        PriorCorrection.from_dict(record)
