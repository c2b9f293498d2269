"""What is usually said about binary cross-entropy, each statement shown once by public names.

The page `docs/statements.md` lists them; the rooms' own tests go deeper.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

import logloss

Y = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
P = np.array([0.1, 0.8, 0.3, 0.45, 0.999])
Z = np.log(P) - np.log1p(-P)


def test_measures_probabilities_between_0_and_1():
    assert logloss.binary_cross_entropy([1, 0], [0.8, 0.4]) > 0
    with pytest.raises(logloss.errors.ProbabilityError):
        logloss.binary_cross_entropy([1, 0], [1.1, 0.4])


def test_cross_entropy_is_entropy_plus_divergence():
    truth = np.array([0.0, 0.1, 0.5, 0.8, 1.0])
    np.testing.assert_allclose(
        logloss.binary_cross_entropy(truth, P, reduction="none"),
        logloss.entropy(truth) + logloss.kl_divergence(truth, P),
        rtol=1e-14,
    )


def test_loss_of_one_instance_is_its_definition():
    expected = [-(y * math.log(p) + (1 - y) * math.log1p(-p)) for y, p in zip(Y, P, strict=True)]
    np.testing.assert_allclose(
        logloss.binary_cross_entropy(Y, P, reduction="none"), expected, rtol=1e-15
    )


def test_nothing_expected_and_nothing_happened_costs_nothing():
    assert logloss.binary_cross_entropy([0, 1], [0.0, 1.0], reduction="none").tolist() == [0, 0]


@pytest.mark.parametrize("label", [0, 1])
def test_loss_rises_as_the_probability_leaves_the_label(label):
    distance = np.linspace(0, 1, 101)
    losses = logloss.binary_cross_entropy(
        np.full(101, label), np.abs(label - distance), reduction="none"
    )
    assert (np.diff(losses) > 0).all()


def test_total_is_the_mean_of_the_instances():
    losses = logloss.binary_cross_entropy(Y, P, reduction="none")
    assert logloss.binary_cross_entropy(Y, P) == pytest.approx(math.fsum(losses) / 5, rel=1e-15)


def test_penalty_for_a_forecast_depends_on_the_label():
    at_one, at_zero = logloss.binary_cross_entropy([1, 0], [0.9, 0.9], reduction="none")
    assert at_zero > 20 * at_one


def test_relabelling_mirrors_the_loss():
    np.testing.assert_array_equal(
        logloss.binary_cross_entropy_with_logits(Y, Z, reduction="none"),
        logloss.binary_cross_entropy_with_logits(1 - Y, -Z, reduction="none"),
    )


def test_loss_reaches_0_and_infinity():
    losses = logloss.binary_cross_entropy([1, 1], [1.0, 0.0], reduction="none")
    assert losses.tolist() == [0.0, math.inf]


def test_gradient_and_hessian_are_finite_differences():
    _, gradient, hessian = logloss.loss_gradient_hessian(Y, Z)
    step = 1e-4

    def shifted(by):
        return logloss.binary_cross_entropy_with_logits(Y, Z + by, reduction="none")

    np.testing.assert_allclose(gradient, (shifted(step) - shifted(-step)) / (2 * step), atol=1e-8)
    curvature = (shifted(step) - 2 * shifted(0) + shifted(-step)) / step**2
    np.testing.assert_allclose(hessian, curvature, atol=1e-6)


def test_loss_of_logits_is_the_loss_of_their_sigmoid():
    np.testing.assert_allclose(
        logloss.binary_cross_entropy_with_logits(Y, Z, reduction="none"),
        logloss.binary_cross_entropy(Y, logloss.sigmoid(Z), reduction="none"),
        rtol=1e-12,
    )


def test_hidden_sigmoid_units_learn_what_no_line_can():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    line = logloss.LogisticRegression().fit(X, y).predict_proba(X)[:, 1]
    network = logloss.NetworkClassifier(random_state=0).fit(X, y).predict_proba(X)[:, 1]
    assert logloss.binary_cross_entropy(y, line) == pytest.approx(math.log(2), abs=1e-6)
    assert logloss.binary_cross_entropy(y, network) < 0.05


def test_logistic_regression_says_the_sigmoid_of_a_linear_predictor():
    X, y = np.arange(8.0)[:, np.newaxis], [0, 0, 1, 0, 1, 0, 1, 1]
    model = logloss.LogisticRegression().fit(X, y)
    linear = X @ model.coef_[0] + model.intercept_[0]
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], logloss.sigmoid(linear), rtol=1e-15)


def test_sigmoid_is_an_s_curve_between_its_limits():
    curve = logloss.sigmoid(np.linspace(-10, 10, 401))
    assert logloss.sigmoid([-np.inf, 0, np.inf]).tolist() == [0.0, 0.5, 1.0]
    assert (np.diff(curve) > 0).all()
    assert (np.diff(curve, 2)[:199] > 0).all()
    assert (np.diff(curve, 2)[200:] < 0).all()


def test_picture_of_the_sigmoid_is_the_usual_one():
    axes = logloss.plot_sigmoid()
    (x, y) = next(line.get_data() for line in axes.lines if len(line.get_xdata()) >= 400)
    np.testing.assert_array_equal(x, np.linspace(-10, 10, 400))
    np.testing.assert_array_equal(y, logloss.sigmoid(x))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "σ(x)")
    plt.close(axes.figure)
