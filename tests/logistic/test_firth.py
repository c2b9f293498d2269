"""Firth's penalised likelihood against certified optima, and against searches made elsewhere."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from logloss import LogisticRegression
from logloss.errors import ArgumentError, ConvergenceWarning

REFERENCE = Path(__file__).parents[1] / "reference"
CERTIFIED = json.loads((REFERENCE / "logistic_certified.json").read_text())
FIRTH = CERTIFIED["FIRTH endometrial: Intercept,NV,PI,EH"]


def firth(X, y, weight=None, tol=1e-8, **options):
    model = LogisticRegression(method="firth", tol=tol, **options)
    return model.fit(X, y, sample_weight=weight)


def penalised(X, y, beta):
    """Return l + ½ log|I|, written out."""
    design = np.c_[np.ones(len(y)), X]
    z = design @ beta
    p = 1 / (1 + np.exp(-z))
    information = design.T @ (design * (p * (1 - p))[:, None])
    return y @ z - np.logaddexp(0, z).sum() + np.linalg.slogdet(information)[1] / 2


@pytest.fixture(scope="module")
def endometrial():
    table = pd.read_csv(REFERENCE / "endometrial.csv")
    return table[["NV", "PI", "EH"]], table["y"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(90, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = (rng.random(90) < 1 / (1 + np.exp(-(X @ [0.5, 0.05, 2] - 2.2)))).astype(int)
    return X, y


def test_endometrial_is_the_certified_optimum(endometrial):
    model = firth(*endometrial)
    found = [*model.intercept_, *model.coef_[0]]
    np.testing.assert_allclose(found, np.array(FIRTH["coef"], float), rtol=1e-9)
    summary = model.summary()
    errors = [term.standard_error for term in summary.terms]
    np.testing.assert_allclose(errors, np.array(FIRTH["se"], float), rtol=1e-9)
    assert summary.log_likelihood == pytest.approx(float(FIRTH["ll"]), rel=1e-9)
    assert summary.penalised_log_likelihood == pytest.approx(float(FIRTH["pen_ll"]), rel=1e-12)
    assert (model.status_, model.separated_) == ("converged", ())


@pytest.mark.parametrize("data", ["rows", "endometrial"])
def test_a_profile_is_the_likelihood_maximised_over_the_rest(data, request):
    X, y = map(np.asarray, request.getfixturevalue(data))
    summary = firth(X, y, intervals="profile").summary()
    beta = np.array([term.coefficient for term in summary.terms])

    def rest(j, value):
        def loss(others):
            return -penalised(X, y, np.insert(others, j, value))

        options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 5000, "maxfev": 5000}
        start = np.delete(beta, j)
        return -optimize.minimize(loss, start, method="Nelder-Mead", options=options).fun

    wanted = summary.penalised_log_likelihood - stats.chi2.ppf(0.95, 1) / 2
    for j, term in enumerate(summary.terms):
        assert rest(j, term.low) == pytest.approx(wanted, abs=1e-6)
        assert rest(j, term.high) == pytest.approx(wanted, abs=1e-6)
        statistic = 2 * (summary.penalised_log_likelihood - rest(j, 0.0))
        assert term.p_value == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-5)


def test_the_optimum_is_one(rows):
    X, y = rows
    model = firth(X, y)
    best = np.r_[model.intercept_, model.coef_[0]]
    top = penalised(X, y, best)
    assert model.summary().penalised_log_likelihood == pytest.approx(top, rel=1e-12)
    for j in range(4):
        for sign in (-1, 1):
            near = best.copy()
            near[j] += sign * 1e-3 * model.summary().terms[j].standard_error
            assert penalised(X, y, near) < top


def test_weights_are_rows_written_out(rows):
    X, y = rows
    times = np.arange(len(y)) % 3
    one = firth(X, y, times, intervals="profile").summary()
    other = firth(np.repeat(X, times, 0), np.repeat(y, times), intervals="profile").summary()
    for mine, theirs in zip(one.terms, other.terms, strict=True):
        assert mine.coefficient == pytest.approx(theirs.coefficient, rel=1e-7)
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), rel=1e-7)
    assert one.penalised_log_likelihood == pytest.approx(other.penalised_log_likelihood, rel=1e-12)


def test_a_summary_says_that_it_is_firth_s(endometrial):
    text = str(firth(*endometrial, intervals="profile").summary())
    assert "Firth's penalised likelihood: -24.0373" in text
    assert "intervals and p-values: of the profile likelihood" in text


def test_units_do_not_matter(rows):
    X, y = rows
    scale = 10.0 ** np.array([-6, 0, 6])
    np.testing.assert_allclose(firth(X * scale, y).coef_ * scale, firth(X, y).coef_, rtol=1e-7)


def test_complete_separation_has_an_optimum(rows):
    X, _ = rows
    model = firth(X, (X[:, 0] > 0).astype(int))
    assert model.status_ == "converged"
    assert model.score(X, X[:, 0] > 0) > 0.9


def test_dependent_columns_get_zero(rows):
    X, y = rows
    model = firth(np.c_[X, X[:, 0] + X[:, 1]], y, intervals="profile")
    assert model.aliased_ == ("x3",)
    np.testing.assert_allclose(model.coef_[0, :3], firth(X, y).coef_[0], rtol=1e-7)
    summary = model.summary()
    assert np.isnan(summary.terms[4].low)
    expected = firth(X, y).summary().penalised_log_likelihood
    assert summary.penalised_log_likelihood == pytest.approx(expected, rel=1e-9)


def test_offsets_and_no_intercept(rows):
    X, y = rows
    full = firth(X, y)
    offset = np.full(len(y), 0.7)
    model = LogisticRegression(method="firth", tol=1e-8).fit(X, y, offset=offset)
    np.testing.assert_allclose(model.coef_, full.coef_, rtol=1e-7)
    assert model.intercept_ == pytest.approx(full.intercept_ - 0.7, rel=1e-7)
    design = np.c_[np.ones(len(y)), X]
    bare = firth(design, y, fit_intercept=False)
    np.testing.assert_allclose(bare.coef_[0, 1:], full.coef_[0], rtol=1e-7)


def test_the_bias_of_maximum_likelihood_is_less():
    rng = np.random.default_rng(9)
    plain, reduced = [], []
    for _ in range(60):
        X = rng.normal(size=(60, 2))
        y = (rng.random(60) < 1 / (1 + np.exp(-(X @ [1.0, -1.0])))).astype(int)
        plain.append(LogisticRegression().fit(X, y).coef_[0, 0])
        reduced.append(firth(X, y, tol=1e-3).coef_[0, 0])
    assert abs(np.mean(reduced) - 1) < abs(np.mean(plain) - 1)


def test_a_hundred_thousand_rows_take_no_more_than_twenty_scans():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 20)) @ rng.normal(size=(20, 20))
    y = (rng.random(len(X)) < 1 / (1 + np.exp(-(X @ rng.normal(size=20) * 0.3 - 6)))).astype(int)
    model = firth(X, y, tol=1e-3)
    assert model.status_ == "converged"
    assert model.n_iter_[0] <= 20


def test_the_steps_are_watched(endometrial):
    path = firth(*endometrial).summary().path
    assert path[0].scan == 1
    assert path[-1].bound <= 1e-8
    assert all(a.scan < b.scan for a, b in pairwise(path))


def test_too_few_scans_are_said(endometrial):
    with pytest.warns(ConvergenceWarning, match="max_scans was reached"):
        model = firth(*endometrial, max_scans=3)
    assert model.status_ == "max_scans"


def test_ends_far_out_are_found():
    X = np.c_[np.ones(20), np.arange(20) % 7]  # with all but one of one class, hardly an end
    y = (np.arange(20) != 3).astype(int)
    summary = firth(X[:, 1:], y, intervals="profile", tol=1e-5).summary()
    for term in summary.terms:
        assert term.low < term.coefficient < term.high
        assert 0 <= term.p_value <= 1


def test_an_end_that_was_not_found_is_said(endometrial, monkeypatch):
    monkeypatch.setattr("logloss.logistic.fit._PROFILE_SHARE", 0)
    with pytest.warns(ConvergenceWarning, match="profile likelihood of .*NV.* not followed"):
        summary = firth(*endometrial, intervals="profile").summary()
    assert np.isnan(summary.terms[1].high)


def test_profile_intervals_of_maximum_likelihood_follow_the_likelihood(rows):
    X, y = rows
    summary = LogisticRegression(intervals="profile", tol=1e-8).fit(X, y).summary()
    term = summary.terms[1]
    assert (summary.method, summary.intervals) == ("mle", "profile")
    for value in (term.low, term.high, 0.0):
        offset = value * X[:, 0]
        rest = LogisticRegression(tol=1e-8).fit(X[:, 1:], y, offset=offset).summary()
        ratio = 2 * (summary.log_likelihood - rest.log_likelihood)
        if value:
            assert ratio == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-7)
        else:
            assert term.p_value == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-7)


def test_separated_fits_keep_wald_s_intervals(endometrial):
    with pytest.warns(UserWarning, match="separated by NV"):
        summary = LogisticRegression(intervals="profile").fit(*endometrial).summary()
    assert summary.intervals == "wald"


def test_the_profile_moves_with_the_base_rate(rows):
    X, y = rows
    plain = firth(X, y, intervals="profile").summary()
    moved = firth(X, y, intervals="profile", base_rate=0.01).summary()
    shift = moved.prior_shift
    low, high = plain.terms[0].low + shift, plain.terms[0].high + shift
    assert (moved.terms[0].low, moved.terms[0].high) == pytest.approx((low, high), rel=1e-9)
    assert moved.terms[0].p_value < plain.terms[0].p_value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "jeffreys"}, "method must be 'mle' or 'firth'; got 'jeffreys'"),
        ({"method": "firth", "prior": "weak"}, "a penalty of its own"),
        ({"method": "firth", "alpha": 0.1}, "a penalty of its own"),
        ({"intervals": "bootstrap"}, "intervals must be 'wald' or 'profile'"),
        ({"intervals": "profile", "prior": "weak"}, "Firth's or the plain one"),
        ({"intervals": "profile", "covariance": "HC1"}, "give one of the two"),
    ],
)
def test_options_that_clash_are_named(rows, options, message):
    with pytest.raises(ArgumentError, match=message):
        LogisticRegression(**options).fit(*rows)
