"""Tests of hypotheses against statsmodels, and against each other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from logloss import LogisticRegression
from logloss.errors import ArgumentError, SeparationWarning
from logloss.logistic.inference import LogisticSummary

N_ROWS = 800


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(N_ROWS, 4)) * [1, 10, 0.1, 1] + [0, 5, 1, 0]
    y = (rng.random(N_ROWS) < 1 / (1 + np.exp(-(X[:, :3] @ [0.2, 0.02, 2] - 2)))).astype(int)
    return X, y


def fit(X, y, **options):
    return LogisticRegression(tol=1e-10, **options).fit(X, y)


def peer(X, y, **options):
    model = sm.GLM(y, sm.add_constant(X), family=sm.families.Binomial())
    return model.fit(tol=1e-14, maxiter=50, **options)


@pytest.mark.parametrize("covariance", ["model", "HC0"])
def test_wald_is_statsmodels(rows, covariance):
    X, y = rows
    found = fit(X, y, covariance=covariance).summary().wald_test(["x0", "x3"])
    kind = "nonrobust" if covariance == "model" else covariance
    expected = peer(X, y, cov_type=kind).wald_test(np.eye(5)[[1, 4]], scalar=True)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8)
    assert (found.df, found.hypothesis) == (2, ("x0 = 0", "x3 = 0"))


def test_wald_takes_any_combination_and_value(rows):
    X, y = rows
    matrix = [[0, 1, -2, 0, 0], [0, 0, 0, 1, 0]]
    found = fit(X, y).summary().wald_test(matrix, value=[0.1, 2])
    expected = peer(X, y).wald_test((np.array(matrix), [0.1, 2]), scalar=True)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)
    assert found.hypothesis == ("x0 + -2·x1 = 0.1", "x2 = 2")


def test_wald_of_one_term_is_its_z_squared(rows):
    summary = fit(*rows).summary()
    found, term = summary.wald_test("x1"), summary.terms[2]
    assert found.statistic == pytest.approx(term.z**2, rel=1e-10)
    assert found.p_value == pytest.approx(term.p_value, rel=1e-9)


def test_likelihood_ratio_is_twice_the_difference(rows):
    X, y = rows
    found = fit(X, y).summary().likelihood_ratio_test(fit(X[:, :2], y).summary())
    expected = 2 * (peer(X, y).llf - peer(X[:, :2], y).llf)
    assert found.statistic == pytest.approx(expected, rel=1e-8)
    assert (found.df, found.hypothesis) == (2, ("x2 = 0", "x3 = 0"))


def test_score_is_statsmodels(rows):
    X, y = rows
    found = fit(X[:, :2], y).score_test(X[:, :2], y, X[:, 2:])
    statistic, p_value = peer(X[:, :2], y).score_test(exog_extra=X[:, 2:])[:2]
    assert found.statistic == pytest.approx(statistic.item(), rel=1e-8)
    assert found.p_value == pytest.approx(np.asarray(p_value).item(), rel=1e-8)
    assert found.df == 2


def test_score_takes_weights_and_offsets_as_rows_written_out(rows):
    X, y = rows
    times, offset = np.arange(N_ROWS) % 3, np.linspace(-1, 1, N_ROWS)
    model = LogisticRegression(tol=1e-10).fit(X[:, :2], y, sample_weight=times, offset=offset)
    found = model.score_test(X[:, :2], y, X[:, 2:], sample_weight=times, offset=offset)
    X, y, offset = np.repeat(X, times, 0), np.repeat(y, times), np.repeat(offset, times)
    model = LogisticRegression(tol=1e-10).fit(X[:, :2], y, offset=offset)
    expected = model.score_test(X[:, :2], y, X[:, 2:], offset=offset)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)


def test_score_counts_only_columns_that_tell_something_new(rows):
    X, y = rows
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = fit(frame[["a", "b"]], y)
    more = frame[["c"]].assign(twice=2 * frame["c"], known=frame["a"])
    found = model.score_test(frame[["a", "b"]], y, more)
    alone = model.score_test(frame[["a", "b"]], y, frame[["c"]])
    assert (found.df, alone.df) == (1, 1)
    assert found.statistic == pytest.approx(alone.statistic, rel=1e-6)
    assert found.hypothesis == ("c = 0", "twice = 0", "known = 0")
    with pytest.raises(ArgumentError, match="nothing to test"):
        model.score_test(frame[["a", "b"]], y, frame[["a"]])


def test_score_of_a_fit_without_intercept_and_with_aliased_columns(rows):
    X, y = rows
    model = fit(np.c_[X[:, :2], X[:, 0]], y, fit_intercept=False)
    found = model.score_test(np.c_[X[:, :2], X[:, 0]], y, X[:, 2:])
    glm = sm.GLM(y, X[:, :2], family=sm.families.Binomial()).fit(tol=1e-14)
    statistic = glm.score_test(exog_extra=X[:, 2:])[0]
    assert found.statistic == pytest.approx(statistic.item(), rel=1e-6)


def test_the_three_agree_on_many_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50_000, 2))
    y = (rng.random(50_000) < 1 / (1 + np.exp(-(X @ [0.5, 0.02])))).astype(int)
    full, part = fit(X, y), fit(X[:, :1], y)
    wald = full.summary().wald_test("x1").statistic
    ratio = full.summary().likelihood_ratio_test(part.summary()).statistic
    assert wald == pytest.approx(ratio, rel=1e-3)
    assert part.score_test(X[:, :1], y, X[:, 1:]).statistic == pytest.approx(ratio, rel=1e-3)


def test_a_test_says_itself(rows):
    found = fit(*rows).summary().wald_test(["x0", "x1", "x2", "x3", "intercept"])
    assert str(found).startswith(
        "Wald test of x0 = 0, x1 = 0, x2 = 0, x3 = 0, intercept = 0: χ²(5)"
    )
    assert str(found) in found._repr_html_()
    assert found.to_dict()["df"] == 5


@pytest.mark.parametrize(
    ("hypothesis", "value", "message"),
    [
        ("x9", 0, "there is no term 'x9'; there are intercept, x0, x1"),
        (np.eye(3), 0, r"a column for each of the 5 terms.*its shape is \(3, 3\)"),
        (["x0"], [1, 2], r"one for each of the 1 restrictions; its shape is \(2,\)"),
        (["x0", "x0"], 0, "depend on each other"),
    ],
)
def test_wald_says_what_is_wrong_with_a_hypothesis(rows, hypothesis, value, message):
    with pytest.raises(ArgumentError, match=message):
        fit(*rows).summary().wald_test(hypothesis, value)


def test_wald_refuses_terms_without_an_estimate(rows):
    X, y = rows
    aliased = fit(np.c_[X, X[:, 0]], y).summary()
    with pytest.raises(ArgumentError, match="'x4' has no finite estimate"):
        aliased.wald_test(["x1", "x4"])
    rare = np.zeros(N_ROWS)
    rare[np.flatnonzero(y)[:9]] = 1
    with pytest.warns(SeparationWarning):
        separated = fit(np.c_[X, rare], y).summary()
    with pytest.raises(ArgumentError, match="'x4' has no finite estimate"):
        separated.wald_test("x4")
    assert separated.wald_test("x2").df == 1


def test_wald_needs_the_covariance(rows):
    summary = fit(*rows).summary()
    forgotten = LogisticSummary.from_dict(summary.to_dict())
    with pytest.raises(ArgumentError, match="too large to be kept"):
        forgotten.wald_test("x0")
    kept = LogisticSummary.from_dict(summary.to_dict(matrix=True))
    assert kept.wald_test("x0") == summary.wald_test("x0")


def test_likelihood_ratios_need_nested_fits_of_the_same_rows_without_penalty(rows):
    X, y = rows
    full = fit(X, y).summary()
    with pytest.raises(ArgumentError, match="same rows: it saw 700"):
        full.likelihood_ratio_test(fit(X[:700, :2], y[:700]).summary())
    frame = pd.DataFrame(X[:, :1], columns=["other"])
    with pytest.raises(ArgumentError, match="it has 'other', which this has not"):
        full.likelihood_ratio_test(fit(frame, y).summary())
    with pytest.raises(ArgumentError, match="restricted is of a penalised fit"):
        full.likelihood_ratio_test(fit(X[:, :2], y, alpha=0.1).summary())
    with pytest.raises(ArgumentError, match="fewer coefficients"):
        full.likelihood_ratio_test(full)


def test_a_score_test_of_a_penalised_fit_is_refused(rows):
    X, y = rows
    with pytest.raises(ArgumentError, match="this one is penalised"):
        fit(X, y, prior="weak").score_test(X, y, X)


def test_a_summary_shows_itself_as_a_table_and_names_what_has_no_estimate(rows):
    X, y = rows
    summary = fit(np.c_[X, X[:, 0]], y, covariance="HC1").summary()
    page = summary._repr_html_()
    assert page.count("<tr>") == 1 + len(summary.terms)
    assert "robust (HC1)" in page
    assert "aliased (coefficient 0): x4" in str(summary)
    unknown = replace(summary, bound=float("inf"))
    assert "distance to the optimum unknown" in str(unknown)
