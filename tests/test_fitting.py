"""`fit`: the main job on real flights, and what a table may ask of it."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression as Peer

import logloss
from logloss.errors import ColumnError, SeparationWarning, TargetError
from logloss.rows.source import open_source


def coefficients(model):
    return {term.name: term.coefficient for term in model.summary().terms}


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(11)
    n = 2_000
    size, day = rng.normal(size=n), rng.choice(["mon", "tue", "wed"], n)
    z = size + np.where(day == "mon", 1.0, np.where(day == "tue", 0.0, -0.5))
    return pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.1, np.nan, size),
            "day": day,
            "bought": (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int),
            "w": rng.integers(0, 4, n).astype(float),
        }
    )


def test_flights_without_a_prior_give_scikit_learn_s_coefficients(flights):
    path = flights / "flights_train.parquet"
    model = logloss.fit(path, "late", drop=["month", "day"], prior=None, tol=1e-8)
    summary = model.summary()
    assert summary.status == "converged"
    batches = list(open_source(path).blocks())
    y = np.concatenate([model.target.encode(batch) for batch in batches])
    matrices, names = zip(*(model.design.dense(batch) for batch in batches), strict=True)
    kept = [j for j, name in enumerate(names[0]) if name not in summary.aliased]
    X = np.concatenate([matrix[:, kept] for matrix in matrices])
    scale = X.std(axis=0)
    X -= X.mean(axis=0)
    X /= scale
    peer = Peer(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, y)
    found = coefficients(model)
    ours = [found[names[0][j]] for j in kept]
    np.testing.assert_allclose(ours, peer.coef_[0] / scale, rtol=1e-6)


def test_one_source_of_rows_is_as_good_as_another(shop, tmp_path):
    table = pa.Table.from_pandas(shop)
    pq.write_table(table, tmp_path / "shop.parquet", row_group_size=300)
    pa.csv.write_csv(table, tmp_path / "shop.csv")
    sources = [shop, pl.from_pandas(shop), table, tmp_path / "shop.parquet", tmp_path / "shop.csv"]
    models = [logloss.fit(source, "bought", drop=["w"], tol=1e-8) for source in sources]
    for model in models[1:]:
        assert coefficients(model) == pytest.approx(coefficients(models[0]), rel=1e-9)


def test_a_weight_column_counts_rows(shop):
    weighted = logloss.fit(shop, "bought", weight="w", tol=1e-8)
    repeated = shop.loc[shop.index.repeat(shop["w"].astype(int))].drop(columns="w")
    model = logloss.fit(repeated, "bought", tol=1e-8)
    assert coefficients(weighted) == pytest.approx(coefficients(model), rel=1e-9)


def test_text_needs_to_be_told_which_value_is_positive(shop):
    said = shop.assign(bought=np.where(shop["bought"] == 1, "yes", "no"))
    with pytest.raises(TargetError, match=r"'no'.*'yes'"):
        logloss.fit(said, "bought", drop=["w"])
    flipped = logloss.fit(said, "bought", drop=["w"], positive="no", tol=1e-8)
    straight = logloss.fit(said, "bought", drop=["w"], positive="yes", tol=1e-8)
    found, wanted = coefficients(flipped), coefficients(straight)
    assert found["size"] == pytest.approx(-wanted["size"], rel=1e-9)


def test_proportions_are_a_target(shop):
    rate = shop.groupby("day", as_index=False)["bought"].mean()
    counts = shop.groupby("day").size().to_numpy(float)
    few = pd.concat([rate.assign(n=counts)] * 20)
    model = logloss.fit(few, "bought", weight="n", tol=1e-8)
    whole = logloss.fit(shop, "bought", features=["day"], tol=1e-8)
    assert model.target.kind == "proportion"
    assert model.base_rate == pytest.approx(whole.base_rate, rel=1e-12)


def test_an_offset_column_shifts_the_logit(shop):
    shifted = shop.drop(columns="w").assign(known=1.5)
    model = logloss.fit(shifted, "bought", offset="known", tol=1e-8)
    plain = logloss.fit(shop.drop(columns="w"), "bought", tol=1e-8)
    assert coefficients(model)["size"] == pytest.approx(coefficients(plain)["size"], rel=1e-8)
    assert coefficients(model)["intercept"] == pytest.approx(
        coefficients(plain)["intercept"] - 1.5, rel=1e-8
    )


def test_a_separating_level_is_named_and_the_weak_prior_copes(shop):
    split = shop.drop(columns="w").assign(
        day=np.where(shop.index < 30, "holiday", shop["day"]),
        bought=np.where(shop.index < 30, 1, shop["bought"]),
    )
    with pytest.warns(SeparationWarning, match="day=holiday"):
        model = logloss.fit(split, "bought", prior=None)
    assert model.summary().separated == ("day=holiday",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert logloss.fit(split, "bought").summary().status == "converged"


def test_the_weak_prior_is_the_maximum_of_the_posterior(shop):
    model = logloss.fit(shop, "bought", features=["day"], tol=1e-8)
    found = coefficients(model)
    table = shop.groupby("day")["bought"].agg(["sum", "count"])

    def gradient(day):
        z = found["intercept"] + found[f"day={day}"]
        k, n = table.loc[day]
        return k - n / (1 + np.exp(-z)) - found[f"day={day}"] / 2.5**2

    assert [gradient(day) for day in table.index] == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_misspelt_column_is_named_with_the_nearest(shop):
    with pytest.raises(ColumnError, match=r"bougth.*bought"):
        logloss.fit(shop, "bougth")


def test_watching_a_fit_sees_every_step(shop):
    seen = []
    model = logloss.fit(shop, "bought", drop=["w"], watch=seen.append)
    assert tuple(seen) == model.summary().path


def test_clusters_of_a_table_are_those_of_the_estimator(shop, tmp_path):
    rows = shop.assign(size=shop["size"].fillna(0), who=shop.index % 150)
    pq.write_table(pa.Table.from_pandas(rows), tmp_path / "shop.parquet", row_group_size=300)
    options = {"weight": "w", "weighting": "sampling", "prior": None, "tol": 1e-8}
    model = logloss.fit(
        tmp_path / "shop.parquet", "bought", features=["size"], cluster="who", **options
    )
    estimator = logloss.LogisticRegression(tol=1e-8, weighting="sampling")
    estimator.fit(rows[["size"]], rows["bought"], sample_weight=rows["w"], clusters=rows["who"])
    found, wanted = model.summary(), estimator.summary()
    assert (found.covariance, found.n_clusters) == ("cluster", 150)
    np.testing.assert_allclose(found.covariance_matrix, wanted.covariance_matrix, rtol=1e-9)


def test_a_cluster_column_is_no_feature_unless_asked_for(shop):
    plain = logloss.fit(shop.drop(columns="w"), "bought", cluster="day")
    asked = logloss.fit(shop, "bought", cluster=["day"], features=["size", "day"])
    assert "day=mon" not in coefficients(plain)
    assert "day=mon" in coefficients(asked)


def test_firth_s_likelihood_copes_with_a_separating_level(shop):
    split = shop.drop(columns="w").assign(
        day=np.where(shop.index < 30, "holiday", shop["day"]),
        bought=np.where(shop.index < 30, 1, shop["bought"]),
    )
    summary = logloss.fit(split, "bought", method="firth").summary()
    assert (summary.status, summary.separated) == ("converged", ())
    holiday = next(term for term in summary.terms if term.name == "day=holiday")
    assert 0 < holiday.standard_error < np.inf
    assert np.isfinite(summary.wald_test("day").statistic)
