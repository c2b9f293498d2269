"""Covariances of the coefficients against statsmodels, and against rows written out."""

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.sandwich_covariance import cov_white_simple

from logloss import LogisticRegression
from logloss.errors import ArgumentError, SeparationWarning

N_ROWS = 600


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N_ROWS, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = (rng.random(N_ROWS) < 1 / (1 + np.exp(-(X @ [0.5, 0.05, 2] - 2.2)))).astype(int)
    return X, y, rng.integers(0, 40, N_ROWS), rng.integers(1, 4, N_ROWS).astype(float)


def fit(X, y, sample_weight=None, clusters=None, **options):
    model = LogisticRegression(tol=1e-10, **options)
    return model.fit(X, y, sample_weight=sample_weight, clusters=clusters).summary()


def peer(X, y, **options):
    keys = {"cov_type", "cov_kwds"} & options.keys()
    fitting = {key: options.pop(key) for key in keys}
    model = sm.GLM(y, sm.add_constant(X), family=sm.families.Binomial(), **options)
    return model.fit(tol=1e-14, maxiter=50, **fitting)


def test_model_covariance_is_statsmodels(rows):
    X, y, _, _ = rows
    expected = peer(X, y).cov_params()
    np.testing.assert_allclose(fit(X, y).covariance_matrix, expected, rtol=1e-8)


def test_hc0_is_statsmodels(rows):
    X, y, _, _ = rows
    found = fit(X, y, covariance="HC0").covariance_matrix
    np.testing.assert_allclose(found, peer(X, y, cov_type="HC0").cov_params(), rtol=1e-8)


def test_hc1_is_statsmodels_with_its_small_sample_correction(rows):
    X, y, _, _ = rows  # for a GLM, statsmodels' cov_type="HC1" is HC0; the correction is a choice
    expected = cov_white_simple(peer(X, y), use_correction=True)
    found = fit(X, y, covariance="HC1").covariance_matrix
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_cluster_covariance_is_statsmodels(rows):
    X, y, groups, _ = rows
    expected = peer(X, y, cov_type="cluster", cov_kwds={"groups": groups}).cov_params()
    summary = fit(X, y, clusters=groups)
    np.testing.assert_allclose(summary.covariance_matrix, expected, rtol=1e-8)
    assert (summary.covariance, summary.n_clusters) == ("cluster", 40)


@pytest.mark.filterwarnings("ignore:cov_type not fully supported")
def test_sampling_weights_are_statsmodels_var_weights(rows):
    X, y, groups, weight = rows
    options = {"weighting": "sampling"}
    robust = fit(X, y, weight, covariance="HC0", **options).covariance_matrix
    expected = peer(X, y, var_weights=weight, cov_type="HC0").cov_params()
    np.testing.assert_allclose(robust, expected, rtol=1e-8)
    clustered = fit(X, y, weight, groups, **options).covariance_matrix
    clusters = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    expected = peer(X, y, var_weights=weight, **clusters).cov_params()
    np.testing.assert_allclose(clustered, expected, rtol=1e-8)


@pytest.mark.parametrize("covariance", ["model", "HC0", "HC1"])
def test_frequency_weights_are_rows_written_out(rows, covariance):
    X, y, _, weight = rows
    times = weight.astype(int)
    found = fit(X, y, weight, covariance=covariance)
    expected = fit(np.repeat(X, times, axis=0), np.repeat(y, times), covariance=covariance)
    np.testing.assert_allclose(found.covariance_matrix, expected.covariance_matrix, rtol=1e-8)


def test_scale_of_sampling_weights_does_not_matter(rows):
    X, y, _, weight = rows
    options = {"covariance": "HC1", "weighting": "sampling"}
    one, other = fit(X, y, weight, **options), fit(X, y, 1e-6 * weight, **options)
    np.testing.assert_allclose(one.covariance_matrix, other.covariance_matrix, rtol=1e-8)


def test_robust_covariance_of_a_penalised_fit_has_the_penalty_in_its_bread(rows):
    X, y, _, _ = rows
    alpha = 0.05
    model = LogisticRegression(alpha=alpha, tol=1e-10, covariance="HC0").fit(X, y)
    design, p = np.c_[np.ones(N_ROWS), X], model.predict_proba(X)[:, 1]
    penalty = N_ROWS * alpha * np.diag([0, 1, 1, 1])
    bread = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]) + penalty)
    expected = bread @ (design.T @ (design * np.square(y - p)[:, None])) @ bread
    np.testing.assert_allclose(model.summary().covariance_matrix, expected, rtol=1e-8)


def test_each_row_its_own_cluster_is_hc0_with_another_correction(rows):
    X, y, _, _ = rows
    single = fit(X, y, clusters=[f"row {k}" for k in range(N_ROWS)]).covariance_matrix
    correction = N_ROWS / (N_ROWS - 1) * (N_ROWS - 1) / (N_ROWS - 4)
    expected = fit(X, y, covariance="HC0").covariance_matrix * correction
    np.testing.assert_allclose(single, expected, rtol=1e-9)


def test_rows_of_weight_zero_make_no_cluster(rows):
    X, y, groups, weight = rows
    weight = np.where(groups < 10, 0.0, weight)
    used, options = groups >= 10, {"weighting": "sampling"}
    some = fit(X, y, weight, groups, **options)
    expected = fit(X[used], y[used], weight[used], groups[used], **options)
    assert some.n_clusters == expected.n_clusters == 30
    np.testing.assert_allclose(some.covariance_matrix, expected.covariance_matrix, rtol=1e-8)


def test_standard_errors_are_those_of_the_covariance(rows):
    X, y, _, _ = rows
    summary = fit(X, y, covariance="HC1")
    errors = [term.standard_error for term in summary.terms]
    np.testing.assert_array_equal(errors, np.sqrt(np.diag(summary.covariance_matrix)))
    assert "standard errors: robust (HC1)" in str(summary)


def test_aliased_and_separated_columns_have_none(rows):
    X, y, _, _ = rows
    rare = np.zeros(N_ROWS)
    rare[np.flatnonzero(y)[:9]] = 1
    with pytest.warns(SeparationWarning):
        summary = fit(np.c_[X, X[:, 0], rare], y, covariance="HC1")
    errors = {term.name: term.standard_error for term in summary.terms}
    assert np.isnan(errors["x3"])
    assert np.isinf(errors["x4"])
    assert all(0 < errors[name] < np.inf for name in ("intercept", "x0", "x1", "x2"))


@pytest.mark.parametrize(
    ("options", "clusters", "message"),
    [
        ({"covariance": "HC3"}, None, "covariance must be 'model', 'HC0' or 'HC1'; got 'HC3'"),
        ({"weighting": "w"}, None, "weighting must be 'frequency' or 'sampling'; got 'w'"),
        ({"weighting": "sampling"}, None, "ask for covariance='HC1'"),
        ({"covariance": "HC0"}, np.arange(N_ROWS), "give one of the two"),
        ({}, np.zeros(N_ROWS), "clusters must be at least two; there is 1"),
    ],
)
def test_options_that_clash_are_named(rows, options, clusters, message):
    X, y, _, _ = rows
    with pytest.raises(ArgumentError, match=message):
        fit(X, y, clusters=clusters, **options)


def test_more_clusters_than_memory_are_refused(rows, monkeypatch):
    X, y, _, _ = rows
    monkeypatch.setattr("logloss.logistic.covariance._MOST_SCORES", 1_000)
    with pytest.raises(ArgumentError, match="600 clusters of 4 coefficients each"):
        fit(X, y, clusters=np.arange(N_ROWS))
