"""NetworkClassifier: what it learns, what it refuses, and how it keeps house."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_moons
from sklearn.utils.estimator_checks import parametrize_with_checks

from logloss import LogisticRegression, NetworkClassifier, binary_cross_entropy, entropy, sigmoid
from logloss.errors import ArgumentError, ConvergenceWarning, WeightError

XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def moons():
    return make_moons(200, noise=0.3, random_state=0)


@parametrize_with_checks([NetworkClassifier(random_state=0)])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    # Some checks hand in random labels on wide data and ask only for manners.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


@pytest.mark.parametrize("seed", range(10))
def test_learns_xor_from_any_seed(seed):
    network = NetworkClassifier(random_state=seed).fit(XOR_X, XOR_Y)
    assert network.predict(XOR_X).tolist() == XOR_Y.tolist()
    assert network.training_loss_[-1] < 0.05


def test_logistic_regression_cannot_learn_xor():
    line = LogisticRegression().fit(XOR_X, XOR_Y)
    np.testing.assert_allclose(line.predict_proba(XOR_X), 0.5, atol=1e-6)


def test_beats_logistic_regression_on_digits_held_out():
    # Is a handwritten digit odd?  No line in pixel space answers that.
    X, digit = load_digits(return_X_y=True)
    odd = digit % 2
    train, test = slice(None, 1200), slice(1200, None)
    losses = [
        binary_cross_entropy(
            odd[test], model.fit(X[train], odd[train]).predict_proba(X[test])[:, 1]
        )
        for model in (LogisticRegression(alpha=0.01), NetworkClassifier(random_state=0))
    ]
    assert losses[1] < 0.5 * losses[0]


def test_first_loss_is_the_entropy_of_the_base_rate():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3)) * [1, 1e4, 1e-4] + [0, 1e6, 0]
    y = rng.random(500) < 0.1
    weight = rng.uniform(0, 3, size=500)
    network = NetworkClassifier(random_state=0, tol=1e-3).fit(X, y, sample_weight=weight)
    base_rate = np.average(y, weights=weight)
    assert network.training_loss_[0] == pytest.approx(entropy(base_rate), rel=1e-12)


def test_same_seed_gives_the_same_bits(moons):
    first, second = (NetworkClassifier(random_state=7).fit(*moons) for _ in range(2))
    np.testing.assert_array_equal(
        first.decision_function(moons[0]), second.decision_function(moons[0])
    )


def test_global_state_of_torch_and_numpy_is_untouched(moons):
    before = (
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )
    NetworkClassifier(random_state=0).fit(*moons).predict_proba(moons[0])
    after = (
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )
    assert after == before


def test_proportions_train_as_weighted_pairs(moons):
    X, y = moons
    proportion = 0.1 + 0.8 * y
    soft = NetworkClassifier(random_state=0, alpha=1e-2, tol=1e-7).fit(X, proportion)
    pairs = NetworkClassifier(random_state=0, alpha=1e-2, tol=1e-7).fit(
        np.vstack([X, X]),
        np.repeat([1, 0], len(X)),
        sample_weight=np.concatenate([proportion, 1 - proportion]),
    )
    np.testing.assert_allclose(soft.predict_proba(X), pairs.predict_proba(X), atol=1e-6)


def test_second_class_is_the_positive_one(moons):
    X, y = moons
    names = np.where(y == 1, "late", "on time")
    network = NetworkClassifier(random_state=0).fit(X, names)
    assert network.classes_.tolist() == ["late", "on time"]
    np.testing.assert_array_equal(
        network.predict(X) == "on time", network.predict_proba(X)[:, 1] > 0.5
    )


def test_probabilities_are_the_sigmoid_of_the_logits(moons):
    network = NetworkClassifier(random_state=0).fit(*moons)
    np.testing.assert_array_equal(
        network.predict_proba(moons[0])[:, 1], sigmoid(network.decision_function(moons[0]))
    )


def test_units_of_the_features_do_not_matter(moons):
    X, y = moons
    scaled = X * [1e-3, 1e5] + [10.0, -1e4]
    one = NetworkClassifier(random_state=0, alpha=1e-2, tol=1e-7).fit(X, y)
    other = NetworkClassifier(random_state=0, alpha=1e-2, tol=1e-7).fit(scaled, y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(scaled), atol=1e-6)


def test_trained_network_survives_pickling(moons):
    network = NetworkClassifier(random_state=0).fit(*moons)
    copy = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(
        copy.decision_function(moons[0]), network.decision_function(moons[0])
    )


def test_a_stop_before_tol_is_said_aloud(moons):
    network = NetworkClassifier(random_state=0, max_scans=3)
    with pytest.warns(ConvergenceWarning, match="raise max_scans or tol"):
        network.fit(*moons)
    assert network.status_ == "max_scans"


@pytest.mark.parametrize(
    "option", [{"hidden": 0}, {"hidden": 2.5}, {"max_scans": 0}, {"alpha": -1}, {"tol": np.nan}]
)
def test_an_option_out_of_its_domain_is_named(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        NetworkClassifier(**option).fit(XOR_X, XOR_Y)


def test_a_negative_weight_is_named_with_its_row():
    with pytest.raises(WeightError, match="row 2 has -1"):
        NetworkClassifier().fit(XOR_X, XOR_Y, sample_weight=[1, 1, -1, 1])


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(WeightError, match="positive sum"):
        NetworkClassifier().fit(XOR_X, XOR_Y, sample_weight=np.zeros(4))


def test_one_class_is_refused():
    with pytest.raises(ArgumentError, match="two classes"):
        NetworkClassifier().fit(XOR_X, np.ones(4, dtype=int))


def test_one_class_with_weight_is_refused():
    with pytest.raises(ArgumentError, match="two classes"):
        NetworkClassifier().fit(XOR_X, XOR_Y, sample_weight=[1, 0, 0, 1])
