"""Data that break other solvers: each ends at the optimum, or says why not."""

import warnings

import numpy as np
import pytest

from logloss import LogisticRegression
from logloss.errors import SeparationWarning
from logloss.logistic import sample

COEFFICIENTS = np.array([1.0, -1.0, 0.5, 0.0, 2.0])


@pytest.fixture(autouse=True, params=["all rows", "a sample first"])
def way(request, monkeypatch):
    """Every safeguard holds on both ways to the optimum."""
    if request.param == "a sample first":
        monkeypatch.setattr(sample, "_SMALL", 0)
    return request.param


@pytest.fixture(scope="module")
def plain():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5_000, 5))
    y = (rng.random(5_000) < 1 / (1 + np.exp(-(X @ COEFFICIENTS - 1)))).astype(float)
    return X, y


def gap(model, X, y):
    """2N(F − F*) from an independent Newton iteration in long double, from the fitted point."""
    A = np.c_[np.ones(len(X)), (X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1)]
    A = A.astype(np.longdouble)
    raw = model.coef_[0] * X.std(0)
    beta = np.r_[model.intercept_[0] + model.coef_[0] @ X.mean(0), raw].astype(np.longdouble)

    def value(b):
        z = A @ b
        return np.sum(np.logaddexp(np.longdouble(0), z) - y * z)

    first = value(beta)
    for _ in range(6):
        p = 1 / (1 + np.exp(-(A @ beta)))
        gradient, hessian = A.T @ (p - y), (A * (p * (1 - p))[:, None]).T @ A
        step = np.linalg.lstsq(hessian.astype(float), gradient.astype(float), rcond=1e-12)[0]
        beta = beta - step
    return float(2 * (first - value(beta)))


def fit(X, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return LogisticRegression(**options).fit(X, y)


def fit_weighted(X, y, weight):
    return LogisticRegression(tol=1e-8).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda X: X, id="plain"),
        pytest.param(lambda X: X + 1e7, id="huge offset"),
        pytest.param(lambda X: X * 10.0 ** np.array([-8, -4, 0, 4, 8]), id="scales"),
        pytest.param(lambda X: np.c_[X, X[:, 0] + 1e-4 * X[:, 1] ** 2], id="nearly collinear"),
        pytest.param(lambda X: np.c_[X, np.tan(X[:, 0] * 1.5)], id="heavy tails"),
    ],
)
def test_the_certificate_bounds_the_true_gap(plain, change):
    X, y = plain
    X = change(X)
    model = fit(X, y)
    assert model.status_ == "converged"
    assert gap(model, X, y) <= model.summary().bound ** 2 + 1e-9


def test_an_early_certificate_bounds_the_true_gap(plain):
    X, y = plain
    model = fit(X, y, tol=1.0)
    assert 1e-6 < model.summary().bound ** 2 <= 1.0
    assert gap(model, X, y) <= model.summary().bound ** 2 + 1e-9


def test_rows_of_a_class_that_no_sample_draws_are_fitted(plain, monkeypatch):
    X, _ = plain
    monkeypatch.setattr(sample, "_RARE", 0)
    rare = np.zeros(len(X))
    rare[np.flatnonzero(X[:, 0] > 1)[:3]] = 1
    model = fit(X, rare, alpha=1e-4, tol=1e-8)
    assert model.status_ == "converged"
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("total", [1.0, 1e9])
def test_weights_of_any_total_end_at_the_same_optimum(plain, total):
    X, y = plain
    scaled = fit_weighted(X, y, np.full(len(y), total / len(y)))
    np.testing.assert_allclose(scaled.coef_, fit(X, y, tol=1e-8).coef_, rtol=1e-9)


def test_optima_certified_at_a_tight_tolerance_agree_to_ten_digits(plain):
    X, y = plain
    scales = 10.0 ** np.array([-8, -4, 0, 4, 8])
    one, other = fit(X, y, tol=1e-8), fit(X * scales, y, tol=1e-8)
    np.testing.assert_allclose(other.coef_ * scales, one.coef_, rtol=1e-10)
    shifted = fit(np.asfortranarray(X[::-1]), y[::-1], tol=1e-8)
    np.testing.assert_allclose(shifted.coef_, one.coef_, rtol=1e-10)


@pytest.mark.parametrize("order", ["target", "reversed", "first column"])
def test_the_order_of_rows_does_not_matter(plain, order):
    X, y = plain
    rows = {
        "target": np.argsort(y, kind="stable"),
        "reversed": np.arange(len(y))[::-1],
        "first column": np.argsort(X[:, 0]),
    }[order]
    one, other = fit(X, y, tol=1e-8), fit(X[rows], y[rows], tol=1e-8)
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-10)


def test_dependent_columns_get_zero_and_are_named_in_order(plain):
    X, y = plain
    wide = np.c_[X, X[:, 0], X[:, 1] + X[:, 2], np.ones(len(X))]
    model = fit(wide, y, tol=1e-8)
    assert model.aliased_ == ("x5", "x6", "x7")
    np.testing.assert_allclose(model.coef_[0, :5], fit(X, y, tol=1e-8).coef_[0], rtol=1e-9)
    assert not model.coef_[0, 5:].any()


def test_rows_of_weight_zero_do_not_count(plain):
    X, y = plain
    weight = np.ones(len(y))
    weight[::2] = 0
    X = X.copy()
    X[::2] *= 1e6
    model = LogisticRegression(tol=1e-8).fit(X, y, sample_weight=weight)
    half = fit(X[1::2], y[1::2], tol=1e-8)
    np.testing.assert_allclose(model.coef_, half.coef_, rtol=1e-9)
    assert model.summary().n == len(y) // 2


def test_a_rare_class_is_fitted(plain):
    X, _ = plain
    y = np.zeros(len(X))
    y[:6] = 1
    model = fit(X, y)
    assert gap(model, X, y) <= model.summary().bound ** 2 + 1e-9


@pytest.mark.parametrize("where", [slice(0, 13), slice(-13, None)])
def test_quasi_separation_is_proved_wherever_its_rows_lie(plain, where):
    X, y = plain
    y, rare = y.copy(), np.zeros(len(y))
    rare[where], y[where] = 1, 1
    with pytest.warns(SeparationWarning, match="separated by x5:"):
        model = LogisticRegression().fit(np.c_[X, rare], y)
    assert model.separated_ == ("x5",)


def test_separation_by_a_combination_of_columns_names_them(plain):
    X, _ = plain
    rng = np.random.default_rng(5)
    steps = rng.integers(-1, 2, size=(len(X), 2))
    total = steps.sum(axis=1)
    y = np.where(total == 0, rng.random(len(X)) < 0.5, total > 0).astype(int)
    with pytest.warns(SeparationWarning):
        model = LogisticRegression().fit(np.c_[X, steps], y)
    assert model.separated_ == ("x5", "x6")


def test_two_separating_columns_are_both_named(plain):
    X, y = plain
    rng = np.random.default_rng(6)
    rare = (rng.random((len(y), 2)) < 0.003).astype(float)
    rare[rare.all(axis=1)] = 0
    y = np.where(rare[:, 0] > 0, 1, np.where(rare[:, 1] > 0, 0, y))
    with pytest.warns(SeparationWarning):
        model = LogisticRegression().fit(np.c_[X, rare], y)
    assert model.separated_ == ("x5", "x6")


def test_separation_leaves_the_other_coefficients_at_their_limit(plain):
    X, y = plain
    y, rare = y.copy(), np.zeros(len(y))
    rare[-13:], y[-13:] = 1, 1
    with pytest.warns(SeparationWarning):
        separated = LogisticRegression(tol=1e-8).fit(np.c_[X, rare], y)
    rest = fit(X[:-13], y[:-13], tol=1e-8)
    np.testing.assert_allclose(separated.coef_[0, :5], rest.coef_[0], rtol=1e-8)


def test_the_weak_prior_makes_a_separated_fit_converge(plain):
    X, _ = plain
    model = fit(X, (X[:, 0] > 0).astype(int), prior="weak")
    assert model.status_ == "converged"


def test_fewer_rows_than_columns_end_with_a_proof():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(20, 50)), np.arange(20) % 2
    with pytest.warns(SeparationWarning):
        model = LogisticRegression().fit(X, y)
    assert model.score(X, y) == 1.0
