"""Hard data against an independent Newton iteration in long double, far beyond the fit's digits."""

import warnings

import numpy as np
import pytest
from scipy import linalg

from logloss import LogisticRegression
from logloss.errors import ArgumentError, ColumnError, ConvergenceWarning, WeightError
from logloss.logistic import sample

N = 3_000
LONG = np.longdouble


@pytest.fixture(autouse=True, params=["all rows", "a sample first"])
def way(request, monkeypatch):
    """Each holds on both ways to the optimum."""
    if request.param == "a sample first":
        monkeypatch.setattr(sample, "_SMALL", 0)
    return request.param


@pytest.fixture(scope="module")
def plain():
    rng = np.random.default_rng(12)
    X = rng.normal(size=(N, 4))
    y = (rng.random(N) < 1 / (1 + np.exp(-(X @ [1.0, -1.0, 0.5, 2.0] - 0.5)))).astype(int)
    return X, y


def solve(matrix, right):
    """Solve a positive definite system: in double, then refined in long double."""
    unit = np.sqrt(np.diag(matrix))
    scaled = matrix / np.outer(unit, unit)
    factor = linalg.cho_factor(scaled.astype(float))
    found = np.zeros_like(right)
    for _ in range(8):
        rest = (right / unit - scaled @ found).astype(float)
        found = found + linalg.cho_solve(factor, rest)
    return found / unit


def optimum(X, y, weight=None, offset=0.0, alpha=0.0):
    """Intercept and coefficients at the optimum, in the user's units, to 17 digits or so."""
    X = np.asarray(X, LONG)
    weight = np.ones(len(X), LONG) if weight is None else np.asarray(weight, LONG)
    weight = weight / weight.sum()
    center = weight @ X
    scale = np.sqrt(weight @ np.square(X - center))
    design = np.c_[np.ones(len(X), LONG), (X - center) / scale]
    penalty = np.r_[LONG(0), LONG(alpha) / np.square(scale)]

    def value(beta):
        z = design @ beta + offset
        loss = np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
        return weight @ loss + penalty @ np.square(beta) / 2

    beta = np.zeros(design.shape[1], LONG)
    beta[0] = -np.mean(offset)
    for _ in range(200):
        e = np.exp(-np.abs(design @ beta + offset))
        p = np.where(design @ beta + offset >= 0, 1 / (1 + e), e / (1 + e))
        gradient = design.T @ (weight * (p - y)) + penalty * beta
        hessian = (design * (weight * e / np.square(1 + e))[:, None]).T @ design + np.diag(penalty)
        step, length = solve(hessian, gradient), LONG(1)
        while value(beta - length * step) > value(beta) + 1e-17 and length > 1e-20:
            length /= 2
        beta = beta - length * step
        if gradient @ step < 1e-34:
            break
    slopes = beta[1:] / scale
    return np.r_[beta[0] - center @ slopes, slopes].astype(float)


def fit(X, y, weight=None, offset=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LogisticRegression(**{"tol": 1e-8} | options)
        return model.fit(X, y, sample_weight=weight, offset=offset)


def coefficients(model):
    return np.r_[model.intercept_, model.coef_[0]]


def with_one_far_row(X):
    far = X.copy()
    far[7, 0] = 1e3
    return far


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda X, y, r: (X, y, {}), id="plain"),
        pytest.param(lambda X, y, r: (X[np.argsort(y)], np.sort(y), {}), id="sorted by target"),
        pytest.param(lambda X, y, r: (np.c_[X, np.arange(N)], y, {}), id="sorted by time"),
        pytest.param(lambda X, y, r: (X * 10.0 ** np.array([-8, -3, 3, 8]), y, {}), id="scales"),
        pytest.param(lambda X, y, r: (X * [1, 1, 1, 1e-90], y, {}), id="tiny numbers"),
        pytest.param(lambda X, y, r: (X * [1, 1, 1, 1e90], y, {}), id="vast numbers"),
        pytest.param(lambda X, y, r: (X + 1e10, y, {}), id="far from zero"),
        pytest.param(lambda X, y, r: (X.astype(np.float32), y, {}), id="float32"),
        pytest.param(lambda X, y, r: (with_one_far_row(X), y, {}), id="one far row"),
        pytest.param(lambda X, y, r: (X, y, {"offset": np.full(N, 1e5)}), id="a huge offset"),
        pytest.param(
            lambda X, y, r: (X, y, {"offset": r.choice([-30.0, 30.0], N)}), id="offsets that clash"
        ),
        pytest.param(
            lambda X, y, r: (X, y, {"weight": 10.0 ** r.uniform(-6, 0, N)}), id="uneven weights"
        ),
        pytest.param(
            lambda X, y, r: (X, y, {"weight": np.full(N, 1 / N)}), id="weights of 1 in all"
        ),
        pytest.param(lambda X, y, r: (X, y, {"weight": np.arange(N) % 3}), id="weights of 0"),
        pytest.param(lambda X, y, r: (X, (np.arange(N) < 5).astype(int), {}), id="five positives"),
        pytest.param(lambda X, y, r: (X, r.random(N), {}), id="proportions"),
        pytest.param(
            lambda X, y, r: (r.normal(size=(30, 60)), np.arange(30) % 2, {"alpha": 1e-3}),
            id="fewer rows than columns",
        ),
    ],
)
def test_certified_optima_are_right_to_ten_digits(plain, change):
    X, y, options = change(*plain, np.random.default_rng(3))
    model = fit(X, y, **options)
    assert model.status_ == "converged"
    expected = optimum(X, y, **{"offset": 0.0} | options)
    spread = [term.standard_error for term in model.summary().terms]
    # ten digits, but where a coefficient is next to nothing beside its own uncertainty
    np.testing.assert_array_less(
        np.abs(coefficients(model) - expected), 1e-10 * np.maximum(np.abs(expected), spread)
    )


def test_weights_of_a_billion_end_at_the_optimum_of_the_rows(plain):
    model = fit(*plain, weight=np.full(N, 1e9 / N), tol=1e-7)  # of an error of 1e-4 or so
    np.testing.assert_allclose(coefficients(model), optimum(*plain), rtol=1e-10)


@pytest.mark.parametrize("width", [1e-3, 1e-4, 1e-5, 1e-6])
def test_no_certificate_claims_more_than_rounding_leaves(plain, width):
    X, y = plain
    twin = X[:, 0] + width * np.random.default_rng(5).normal(size=N)
    X = np.c_[X, twin]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(tol=1e-8).fit(X, y)
    spread = np.array([term.standard_error for term in model.summary().terms])
    away = np.abs(coefficients(model) - optimum(X, y)) / spread  # at most √(2N(F − F*))
    assert away.max() <= max(model.summary().bound, 1e-9)
    assert (model.status_ == "converged") == (model.summary().bound <= 1e-8)


def test_a_descent_that_rounding_stops_says_so_long_before_its_last_scan(plain):
    X, y = plain
    X = np.c_[X, X[:, 0] + 1e-6 * np.random.default_rng(5).normal(size=N)]
    with pytest.warns(ConvergenceWarning, match="rounding stops the descent"):
        model = LogisticRegression(tol=1e-8).fit(X, y)
    assert model.status_ == "stalled"
    assert model.n_iter_[0] < 50
    assert model.summary().bound < 1e-3


@pytest.mark.parametrize("alpha", [1e-4, 1e-7, 1e-10])
def test_a_penalty_shares_a_coefficient_among_copies_of_a_column(plain, alpha):
    X, y = plain
    model = fit(np.c_[X, X[:, 0]], y, alpha=alpha, tol=1e-5)
    assert model.aliased_ == ()
    assert model.coef_[0, 0] == pytest.approx(model.coef_[0, 4], rel=1e-5)


@pytest.mark.parametrize("weight", [1e-300, 1e-60, 1e60, 1e300])
def test_weights_whose_squares_cannot_be_summed_are_refused(plain, weight):
    with pytest.raises(WeightError, match="largest value between 1e-50 and 1e"):
        fit(*plain, weight=np.full(N, weight))


@pytest.mark.parametrize("scale", [1e-300, 1e-110, 1e110, 1e160, 1e300])
def test_numbers_whose_squares_cannot_be_summed_are_refused_by_the_name_of_their_column(
    plain, scale
):
    X, y = plain
    with pytest.raises(ColumnError, match=r"column 'x3' has values .*ultiply|column 'x3' .*Divide"):
        fit(X * [1, 1, 1, scale], y)


def test_an_offset_too_large_to_be_squared_is_refused_with_its_row(plain):
    offset = np.zeros(N)
    offset[3] = -1e200
    with pytest.raises(ArgumentError, match=r"at most 1e\+100 in size; row 3 has -1e\+200"):
        fit(*plain, offset=offset)


@pytest.mark.parametrize("y", [np.ones(N), np.full(N, 0.25)])
def test_a_constant_target_is_refused(plain, y):
    with pytest.raises(ArgumentError, match="one class"):
        fit(plain[0], y)
