"""`LogisticRegression` as scikit-learn's users expect it."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression as Peer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from logloss import LogisticRegression
from logloss.errors import (
    ArgumentError,
    ConvergenceWarning,
    SeparationWarning,
    WeightError,
)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(2_000, 4)) @ rng.normal(size=(4, 4))
    y = (rng.random(2_000) < 1 / (1 + np.exp(-(X @ [1.0, -0.5, 0.25, 0.0] - 1)))).astype(int)
    return X, y


@pytest.mark.filterwarnings("ignore::logloss.errors.SeparationWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        LogisticRegression(),
        LogisticRegression(prior="weak"),
        LogisticRegression(alpha=0.1, fit_intercept=False),
        LogisticRegression(method="firth", covariance="HC1"),
    ]
)
def test_scikit_learn_s_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_ridge_coefficients_are_those_of_newton_cholesky(sample, fit_intercept):
    X, y = sample
    alpha = 0.01
    peer = Peer(C=1 / (alpha * len(y)), solver="newton-cholesky", tol=1e-12, max_iter=1000)
    peer.set_params(fit_intercept=fit_intercept).fit(X, y)
    model = LogisticRegression(alpha=alpha, fit_intercept=fit_intercept, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.intercept_, peer.intercept_, rtol=1e-8)


def test_weights_are_repeated_rows(sample):
    X, y = sample
    weight = np.arange(len(y)) % 3
    weighted = LogisticRegression(tol=1e-8).fit(X, y, sample_weight=weight)
    repeated = LogisticRegression(tol=1e-8).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-10)
    assert weighted.summary().log_likelihood == pytest.approx(
        repeated.summary().log_likelihood, rel=1e-12
    )


@pytest.mark.parametrize("total", [1.0, 1e9])
def test_scale_of_the_weights_does_not_move_the_coefficients(sample, total):
    X, y = sample
    weight = np.full(len(y), total / len(y))
    scaled = LogisticRegression(tol=1e-7).fit(X, y, sample_weight=weight)
    plain = LogisticRegression(tol=1e-8).fit(X, y)
    np.testing.assert_allclose(scaled.coef_, plain.coef_, rtol=1e-9)


def test_proportions_are_weighted_pairs_of_rows(sample):
    X, _ = sample
    share = np.random.default_rng(3).random(len(X))
    soft = LogisticRegression(tol=1e-8).fit(X, share)
    X2, y2 = np.r_[X, X], np.r_[np.ones(len(X)), np.zeros(len(X))]
    pairs = LogisticRegression(tol=1e-8).fit(X2, y2, sample_weight=np.r_[share, 1 - share])
    np.testing.assert_allclose(soft.coef_, pairs.coef_, rtol=1e-9)


def test_an_offset_is_a_column_with_coefficient_one(sample):
    X, y = sample
    full = LogisticRegression(tol=1e-8).fit(X, y)
    offset = full.coef_[0, 0] * X[:, 0]
    rest = LogisticRegression(tol=1e-8).fit(X[:, 1:], y, offset=offset)
    np.testing.assert_allclose(rest.coef_[0], full.coef_[0, 1:], rtol=1e-7, atol=1e-9)


def test_null_log_likelihood_holds_the_offset(sample):
    X, y = sample
    offset = X[:, 0]
    summary = LogisticRegression(tol=1e-8).fit(X, y, offset=offset).summary()
    alone = LogisticRegression(tol=1e-8).fit(np.zeros((len(y), 1)), y, offset=offset).summary()
    assert summary.null_log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-12)


def test_text_classes_come_back(sample):
    X, y = sample
    names = np.array(["ham", "spam"])[y]
    model = LogisticRegression().fit(X, names)
    assert model.classes_.tolist() == ["ham", "spam"]
    assert set(model.predict(X)) == {"ham", "spam"}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_feature_names_are_kept(sample, frame):
    X, y = sample
    table = frame({f"column {j}": X[:, j] for j in range(4)})
    model = LogisticRegression().fit(table, y)
    assert model.feature_names_in_.tolist() == [f"column {j}" for j in range(4)]
    assert [term.name for term in model.summary().terms[1:]] == model.feature_names_in_.tolist()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_give_the_arrays_that_they_hold(sample, frame):
    X, y = sample
    whole, weight = (np.arange(len(y)) % 7).astype(np.int64), np.arange(len(y)) % 3 + 1.0
    groups = np.where(whole > 3, "late", "early")
    columns = {"a": X[:, 0], "b": X[:, 1].astype(np.float32), "c": whole, "d": whole > 2}
    table = frame({**columns, "y": y, "w": weight, "g": groups})
    options = {"sample_weight": table["w"], "clusters": table["g"]}
    select = list(columns)
    features = table.select(select) if hasattr(table, "select") else table[select]
    model = LogisticRegression(tol=1e-8).fit(features, table["y"], **options)
    matrix = np.column_stack(list(columns.values()))
    plain = LogisticRegression(tol=1e-8).fit(matrix, y, sample_weight=weight, clusters=groups)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-10)
    assert model.feature_names_in_.tolist() == select
    np.testing.assert_allclose(
        model.predict_proba(features), plain.predict_proba(matrix), rtol=1e-10
    )


@pytest.mark.parametrize(
    "options", [{}, {"alpha": 0.1, "fit_intercept": False}, {"prior": "weak", "base_rate": 0.01}]
)
def test_the_twin_in_scikit_learn_says_the_same(sample, options):
    X, y = sample
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = LogisticRegression(**options).fit(frame, np.array(["ham", "spam"])[y])
    twin = model.to_sklearn()
    assert type(twin) is Peer
    assert (twin.predict(frame) == model.predict(frame)).all()
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        mine, theirs = getattr(model, method)(frame), getattr(twin, method)(frame)
        np.testing.assert_allclose(theirs, mine, rtol=1e-12, atol=1e-14)
    assert twin.feature_names_in_.tolist() == list("abcd")
    assert pickle.loads(pickle.dumps(twin)).score(frame, model.predict(frame)) == 1.0
    with pytest.raises(ValueError, match="feature names"):
        twin.predict(frame.rename(columns={"a": "z"}))


def test_the_twin_has_the_same_penalty(sample):
    X, y = sample
    twin = LogisticRegression(alpha=0.1).fit(X, y).to_sklearn()
    again = Peer(**{**twin.get_params(), "tol": 1e-10, "solver": "newton-cholesky"}).fit(X, y)
    np.testing.assert_allclose(again.coef_, twin.coef_, rtol=1e-3)


def test_it_works_in_a_pipeline_a_grid_search_and_a_calibrated_classifier(sample):
    X, y = sample
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    grid = GridSearchCV(pipeline, {"logisticregression__alpha": [0.0, 0.1]}, scoring="neg_log_loss")
    calibrated = CalibratedClassifierCV(grid.fit(X, y).best_estimator_).fit(X, y)
    assert calibrated.predict_proba(X).shape == (len(y), 2)


def test_float32_columns_give_float64_coefficients_to_float32_accuracy(sample):
    X, y = sample
    half = LogisticRegression(tol=1e-8).fit(X.astype(np.float32), y)
    full = LogisticRegression(tol=1e-8).fit(X.astype(np.float32).astype(np.float64), y)
    np.testing.assert_allclose(half.coef_, full.coef_, rtol=1e-9)


def test_log_probabilities_are_right_in_the_tails():
    model = LogisticRegression(alpha=1e-9).fit([[-1.0], [1.0]], [0, 1])
    far = model.predict_log_proba([[1e3]])
    assert np.isfinite(far).all()
    assert far[0, 0] == pytest.approx(-model.decision_function([[1e3]])[0])


def test_prediction_before_the_fit_is_scikit_learn_s_error():
    with pytest.raises(NotFittedError):
        LogisticRegression().predict([[0.0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "alpha must be finite and at least 0; got -1.0"),
        ({"alpha": float("nan")}, "alpha must be finite"),
        ({"prior": "strong"}, "prior must be None or 'weak'; got 'strong'"),
        ({"tol": 0.0}, "tol must be above 0"),
        ({"max_scans": 0}, "max_scans must be at least 1"),
    ],
)
def test_an_option_out_of_range_is_named(sample, options, message):
    with pytest.raises(ArgumentError, match=message):
        LogisticRegression(**options).fit(*sample)


@pytest.mark.parametrize("bad", [-1.0, np.inf])
def test_a_bad_weight_is_named_with_its_row(sample, bad):
    X, y = sample
    weight = np.ones(len(y))
    weight[17] = bad
    with pytest.raises((WeightError, ValueError), match=r"row 17|sample_weight"):
        LogisticRegression().fit(X, y, sample_weight=weight)


def test_weights_of_zero_everywhere_are_refused(sample):
    X, y = sample
    with pytest.raises(ValueError, match="zero"):
        LogisticRegression().fit(X, y, sample_weight=np.zeros(len(y)))


def test_one_class_is_refused():
    with pytest.raises(ArgumentError, match="one class"):
        LogisticRegression().fit([[0.0], [1.0]], [1, 1])


def test_too_few_scans_warn_and_say_so(sample):
    with pytest.warns(ConvergenceWarning, match="max_scans was reached"):
        model = LogisticRegression(max_scans=2, tol=1e-10).fit(*sample)
    assert model.status_ == "max_scans"


def test_complete_separation_is_proved(sample):
    X, _ = sample
    with pytest.warns(SeparationWarning):
        model = LogisticRegression().fit(X, (X[:, 0] > 0).astype(int))
    assert model.status_ == "separated"
    assert model.score(X, X[:, 0] > 0) == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [60, 60_000])
def test_a_number_that_is_not_finite_is_refused_in_scikit_learn_s_words(n, dtype, bad):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 20)).astype(dtype), rng.integers(0, 2, n)
    X[n - 3, 7] = bad
    weight = np.ones(n)
    weight[n - 3] = 0
    words = "Input X contains NaN" if np.isnan(bad) else "Input X contains infinity"
    with pytest.raises(ValueError, match=words):
        LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=words):
        LogisticRegression().fit(X, y, sample_weight=weight)
