"""NetworkClassifier: what it learns, what it refuses, and how it keeps house."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_moons
from sklearn.utils.estimator_checks import parametrize_with_checks

from logloss import LogisticRegression, NetworkClassifier, binary_cross_entropy, entropy, sigmoid
from logloss.errors import ArgumentError, WeightError

XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def moons():
    return make_moons(200, noise=0.3, random_state=0)


@parametrize_with_checks([NetworkClassifier(random_state=0, members=2)])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("seed", range(4))
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
    network = NetworkClassifier(random_state=0, epochs=1).fit(X, y, sample_weight=weight)
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
    # all rows in one batch, so that only the rows can differ
    options = {"validation_fraction": 0.0, "batch_size": 400, "epochs": 50, "members": 2}
    options |= {"numbers": "robust"}
    soft = NetworkClassifier(random_state=0, **options).fit(X, proportion)
    pairs = NetworkClassifier(random_state=0, **options).fit(
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
    network = NetworkClassifier(random_state=0, epochs=5).fit(*moons)
    np.testing.assert_array_equal(
        network.predict_proba(moons[0])[:, 1], sigmoid(network.decision_function(moons[0]))
    )


def test_units_of_the_features_do_not_matter(moons):
    X, y = moons
    scaled = X * [2.0**-10, 2.0**17]
    one = NetworkClassifier(random_state=0, epochs=5).fit(X, y)
    other = NetworkClassifier(random_state=0, epochs=5).fit(scaled, y)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(scaled))


def test_trained_network_survives_pickling(moons):
    network = NetworkClassifier(random_state=0).fit(*moons)
    copy = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(
        copy.decision_function(moons[0]), network.decision_function(moons[0])
    )


def test_a_checkerboard_is_learned():
    draw = np.random.default_rng(0)
    X = draw.uniform(0, 4, size=(1200, 2))
    y = (np.floor(X).sum(axis=1) % 2).astype(int)
    network = NetworkClassifier(random_state=0).fit(X[:800], y[:800])
    loss = binary_cross_entropy(y[800:], network.predict_proba(X[800:])[:, 1])
    assert loss < 0.35


def test_two_moons_are_learned_better_than_by_a_line():
    train, (X, y) = (make_moons(400, noise=0.2, random_state=seed) for seed in (0, 1))
    network, line = NetworkClassifier(random_state=0).fit(*train), LogisticRegression().fit(*train)
    losses = [binary_cross_entropy(y, m.predict_proba(X)[:, 1]) for m in (network, line)]
    assert losses[0] < 0.5 * losses[1]


def test_history_is_told_as_arrays_too(moons):
    network = NetworkClassifier(random_state=0, epochs=5).fit(*moons)
    assert len(network.history_) == len(network.training_loss_) == network.n_iter_ + 1
    assert network.validation_loss_.argmin() == network.best_epoch_
    assert network.status_ in ("early stopping", "all epochs")


def test_warm_start_goes_on_from_the_last_weights(moons):
    network = NetworkClassifier(random_state=0, warm_start=True, epochs=20, calibrate=False)
    first = network.fit(*moons).validation_loss_[network.best_epoch_]
    assert network.fit(*moons).validation_loss_[0] == pytest.approx(first, rel=1e-6)


def test_warm_start_with_another_architecture_is_refused(moons):
    network = NetworkClassifier(random_state=0, warm_start=True, epochs=1).fit(*moons)
    with pytest.raises(ArgumentError, match="warm_start"):
        network.set_params(hidden=(3,)).fit(*moons)


def test_partial_fits_learn_what_a_fit_does(moons):
    X, y = moons
    network = NetworkClassifier(random_state=0, members=2, batch_size=50)
    for _ in range(60):
        for part in (slice(0, 100), slice(100, 200)):
            network.partial_fit(X[part], y[part], classes=[0, 1])
    assert network.n_iter_ == 120
    assert network.training_loss_[-1] < 0.6 * network.training_loss_[0]
    assert binary_cross_entropy(y, network.predict_proba(X)[:, 1]) < 0.25


def test_a_partial_fit_goes_on_after_a_fit(moons):
    network = NetworkClassifier(random_state=0, epochs=20, members=2).fit(*moons)
    n_iter = network.n_iter_
    assert network.partial_fit(*moons).n_iter_ == n_iter + 1


def test_a_partial_fit_with_a_third_label_is_refused(moons):
    X, y = moons
    network = NetworkClassifier(random_state=0, members=1).partial_fit(X, y)
    with pytest.raises(ArgumentError, match="row 1 is 7"):
        network.partial_fit(X[:2], [1, 7])


@pytest.mark.parametrize("option", [{"pos_weight": 5.0}, {"gamma": 1.0}])
def test_a_note_says_what_was_corrected(moons, option):
    network = NetworkClassifier(random_state=0, epochs=2, **option).fit(*moons)
    assert next(iter(option)) in network.notes_[0]


def test_qualities_differ_in_what_they_are_made_of(moons):
    made = {
        quality: NetworkClassifier(quality=quality, epochs=1, random_state=0)
        .fit(*moons)
        .network_.architecture
        for quality in ("fast", "default", "best")
    }
    assert made["fast"].members < made["default"].members <= made["best"].members


def test_the_module_can_be_taken_out(moons):
    network = NetworkClassifier(random_state=0, epochs=3, calibrate=False).fit(*moons)
    with torch.inference_mode():
        logits = network.network_(torch.tensor(moons[0])).numpy()
    np.testing.assert_allclose(logits, network.decision_function(moons[0]), rtol=1e-12)


@pytest.mark.parametrize(
    "option",
    [
        {"hidden": 0},
        {"hidden": (4, 2.5)},
        {"epochs": 0},
        {"members": 2.5},
        {"learning_rate": -1},
        {"weight_decay": np.nan},
        {"quality": "superb"},
    ],
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
