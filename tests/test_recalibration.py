"""Prior correction: forecasts for a population of another base rate than the sample's."""

import numpy as np
import pandas as pd
import pytest

import logloss
from logloss import LogisticRegression, PriorCorrection
from logloss.errors import ArgumentError, ModelError
from logloss.recalibration import Chain, FocalCorrection, Temperature


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


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("pos_weight", [1.0, 3.0])
def test_the_focal_correction_finds_the_rate_that_the_focal_loss_hides(gamma, pos_weight):
    # where the mean loss of rows of one rate is least, its slope in the logit is 0
    for rate in (0.01, 0.3, 0.5, 0.9):
        low, high = -40.0, 40.0
        for _ in range(100):
            z = (low + high) / 2
            options = {"gamma": gamma, "pos_weight": pos_weight, "reduction": "none"}
            _, slope = logloss.loss_gradient([1.0, 0.0], [z, z], **options)
            low, high = (z, high) if rate * slope[0] + (1 - rate) * slope[1] < 0 else (low, z)
        said = FocalCorrection(gamma, pos_weight)(z)
        np.testing.assert_allclose(logloss.sigmoid(said), rate, rtol=1e-9)


def test_the_focal_correction_is_finite_and_rising_far_out():
    z = np.linspace(-1e4, 1e4, 20_001)
    said = FocalCorrection(2.0)(z)
    assert np.isfinite(said).all()
    assert (np.diff(said) > 0).all()


def test_a_temperature_is_learned_from_forecasts_that_are_too_sure():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    y = rng.random(len(truth)) < logloss.sigmoid(truth)
    weight = rng.uniform(0, 2, len(truth))
    learned = Temperature.learn(y, 3 * truth, weight)
    assert learned.temperature == pytest.approx(3, rel=0.02)
    losses = [
        logloss.binary_cross_entropy_with_logits(y, 3 * truth / t, sample_weight=weight)
        for t in (0.99 * learned.temperature, learned.temperature, 1.01 * learned.temperature)
    ]
    assert min(losses) == losses[1]


def test_a_chain_applies_its_maps_in_order_and_survives_the_trip():
    chain = Chain((FocalCorrection(1.0, 2.0), Temperature(3.0), PriorCorrection(0.1, 0.5)))
    z = np.array([-2.0, 0.0, 5.0])
    want = PriorCorrection(0.1, 0.5)(FocalCorrection(1.0, 2.0)(z) / 3)
    np.testing.assert_array_equal(chain(z), want)
    assert Chain.from_dict(chain.to_dict()) == chain


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "prior"},
        {"kind": "chain", "maps": 3},
        {"kind": "chain", "maps": [{"kind": "magic"}]},
        {"kind": "chain", "maps": [{"kind": "temperature"}]},
        {"kind": "chain", "maps": [{"kind": "focal", "gamma": -1, "pos_weight": 1}]},
    ],
)
def test_a_damaged_chain_is_refused(record):
    with pytest.raises(ModelError, match="cannot be read"):
        Chain.from_dict(record)


def test_a_map_is_not_read_as_another():
    with pytest.raises(ModelError, match="kind 'focal'"):
        Temperature.from_dict(FocalCorrection().to_dict())


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(ArgumentError, match="temperature"):
        Temperature(temperature)


@pytest.mark.parametrize("option", [{"gamma": -1.0}, {"pos_weight": 0.0}])
def test_a_focal_option_out_of_range_is_refused(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        FocalCorrection(**option)


def test_a_prior_holds_few_rows_that_are_told_apart():
    y, z = np.array([0.0, 1.0] * 6), np.array([-2.0, 2.0] * 6)
    assert Temperature.learn(y, z).temperature == pytest.approx(1 / 8)
    assert 0.4 < Temperature.learn(y, z, spread=0.5).temperature < 1
    draw = np.random.default_rng(5)
    logits = draw.normal(size=4000)
    many = draw.random(4000) < logloss.sigmoid(2 * logits)
    free, held = (Temperature.learn(many, logits, spread=s).temperature for s in (np.inf, 0.5))
    assert held == pytest.approx(free, rel=0.02)
