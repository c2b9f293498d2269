"""`Model`: predicting, saving, loading; what is damaged is an error that says so."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import logloss
from logloss import LogisticRegression
from logloss.errors import (
    ArgumentError,
    ColumnError,
    ModelError,
    OutputError,
    RangeWarning,
    UnseenWarning,
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    n = 1_500
    x, kind = rng.normal(size=n), rng.choice(["a", "b"], n)
    y = rng.random(n) < 1 / (1 + np.exp(-(x + (kind == "b"))))
    return pd.DataFrame({"x": x, "kind": kind, "y": y.astype(int)})


@pytest.fixture(scope="module")
def model(table):
    return logloss.fit(table, "y")


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.json"
    model.save(path)
    return path


def test_a_loaded_model_is_the_saved_one(model, saved):
    assert json.dumps(logloss.load(saved).describe()) == json.dumps(model.describe())


def test_a_loaded_model_predicts_the_same_bits(model, saved, table):
    again = logloss.load(saved)
    assert again.predict(table).equals(model.predict(table))


def test_a_separated_model_survives_the_trip_with_its_infinite_errors(tmp_path):
    rows = pd.DataFrame({"x": [0.0, 1, 2, 3] * 5, "y": [0, 0, 1, 1] * 5})
    with pytest.warns(logloss.errors.SeparationWarning):
        model = logloss.fit(rows, "y", prior=None)
    model.save(tmp_path / "m.json")
    again = logloss.load(tmp_path / "m.json").summary()
    assert again.terms[1].standard_error == np.inf
    assert str(again) == str(model.summary())


def test_predictions_keep_the_columns_and_add_two(model, table):
    out = model.predict(table)
    assert out.column_names == ["x", "kind", "y", "probability", "logit"]


def test_a_probability_is_the_sigmoid_of_its_logit(model, table):
    out = model.predict(table)
    np.testing.assert_array_equal(
        out["probability"].to_numpy(), logloss.sigmoid(out["logit"].to_numpy())
    )


def test_logits_do_not_depend_on_how_rows_are_cut(model, table):
    whole = model.predict(table)["logit"].to_pylist()
    for k in range(0, 70, 7):
        assert model.predict(table[k : k + 7])["logit"].to_pylist() == whole[k : k + 7]


def test_predicting_to_a_file_writes_the_same_table(model, table, tmp_path):
    path = tmp_path / "out.parquet"
    assert model.predict(table, path) == len(table)
    assert pq.read_table(path).equals(model.predict(table))


def test_the_target_need_not_be_there(model, table):
    assert model.predict(table.drop(columns="y")).num_rows == len(table)


@pytest.mark.parametrize("name", ["probability", "logit"])
def test_a_clash_of_names_is_refused(model, table, name):
    with pytest.raises(ColumnError, match=f"already has a column '{name}'"):
        model.predict(table.assign(**{name: 0.5}))


def test_a_missing_column_is_refused_by_name(model, table):
    with pytest.raises(ColumnError, match="kind"):
        model.predict(table.drop(columns="kind"))


def test_nothing_is_written_where_there_is_no_folder(model, table, tmp_path):
    with pytest.raises(OutputError, match="folder does not exist"):
        model.predict(table, tmp_path / "no" / "out.parquet")


def test_an_output_that_cannot_be_written_is_told_before_the_data_is_looked_for(model, tmp_path):
    with pytest.raises(OutputError, match="folder does not exist"):
        model.predict(tmp_path / "missing.parquet", tmp_path / "no" / "out.parquet")


def test_one_column_is_in_the_singular():
    table = pa.table({"x": [0.0, 1, 2, 3], "y": [0, 1, 0, 1]})
    assert "· 1 column → 2 coefficients\n" in str(logloss.fit(table, "y"))


def test_a_failed_prediction_leaves_no_file(model, table, tmp_path):
    with pytest.raises(ColumnError):
        model.predict(table.assign(x="text"), tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_numbers_outside_the_range_seen_are_warned_of(model, table):
    with pytest.warns(RangeWarning, match="x"):
        model.predict(table.assign(x=99.0))


def test_a_level_never_seen_takes_the_mean_effect_and_is_counted(model, table):
    with pytest.warns(UnseenWarning, match="kind"):
        out = model.predict(table[:1].assign(kind="new"))
    effects = {t.name: t.coefficient for t in model.summary().terms}
    share = (table["kind"] == "a").mean()
    mean = share * effects["kind=a"] + (1 - share) * effects["kind=b"]
    expected = effects["intercept"] + effects["x"] * table["x"][0] + mean
    assert out["logit"][0].as_py() == pytest.approx(expected, rel=1e-12)


def test_a_table_and_an_array_give_the_same_fit(table):
    numbers = pd.DataFrame({"x": table["x"], "b": (table["kind"] == "b").astype(int)})
    model = logloss.fit(numbers.assign(y=table["y"]), "y", prior=None, tol=1e-8)
    array = LogisticRegression(tol=1e-8).fit(numbers, table["y"])
    found = [term.coefficient for term in model.summary().terms]
    np.testing.assert_allclose(found, [*array.intercept_, *array.coef_[0]], rtol=1e-10)


def damaged(record, *keys):
    here = record
    for key in keys[:-1]:
        here = here[key]
    del here[keys[-1]]
    return record


@pytest.mark.parametrize(
    "keys",
    [
        ("format",),
        ("version",),
        ("target",),
        ("target", "name"),
        ("design",),
        ("predictor", "base"),
        ("predictor", "coefficients"),
        ("summary", "terms"),
        ("summary", "status"),
        ("summary", "bound"),
    ],
)
def test_a_record_with_a_part_missing_is_refused(saved, keys):
    record = json.loads(saved.read_text())
    saved.write_text(json.dumps(damaged(record, *keys)))
    with pytest.raises(ModelError, match=str(saved)):
        logloss.load(saved)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predictor", "coefficients"), [1.0]),
        (("predictor", "base"), "nan"),
        (("predictor", "center"), "text"),
        (("summary", "status"), "fine"),
        (("version",), 99),
        (("design", "numbers"), 3),
    ],
)
def test_a_record_with_a_wrong_part_is_refused(saved, path, value):
    record = json.loads(saved.read_text())
    here = record
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    saved.write_text(json.dumps(record))
    with pytest.raises(ModelError):
        logloss.load(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"format": "other"}'])
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.json"):
        logloss.load(path)


def test_a_truncated_model_is_refused(saved):
    text = saved.read_text()
    saved.write_text(text[: len(text) // 2])
    with pytest.raises(ModelError):
        logloss.load(saved)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        logloss.load(tmp_path / "none.json")


def test_a_score_test_of_a_table_is_that_of_the_estimator(table):
    rows = table.assign(more=np.sin(table["x"] * 9), w=table.index % 3, known=0.3)
    options = {"features": ["x"], "weight": "w", "offset": "known", "prior": None, "tol": 1e-8}
    model = logloss.fit(rows, "y", **options)
    weights = {"sample_weight": rows["w"], "offset": rows["known"]}
    plain = LogisticRegression(tol=1e-8).fit(rows[["x"]], rows["y"], **weights)
    one = model.score_test(rows, "more")
    other = plain.score_test(rows[["x"]], rows["y"], rows[["more"]], **weights)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-8)
    both = model.score_test(rows, ["more", "kind"])
    assert both.df == 2
    dummies = rows[["more"]].assign(a=(rows["kind"] == "a").astype(float))
    wanted = plain.score_test(rows[["x"]], rows["y"], dummies, **weights)
    assert both.statistic == pytest.approx(wanted.statistic, rel=1e-8)


def test_a_score_test_works_beside_a_formula(table):
    formula = "y ~ 0 + kind + I(x**2)"
    model = logloss.fit(table, formula=formula, prior=None, tol=1e-8, base_rate=None)
    full = logloss.fit(table, formula=f"{formula} + x", prior=None, tol=1e-8)
    ratio = full.summary().likelihood_ratio_test(model.summary())
    found = model.score_test(table, "x")
    assert (found.df, found.hypothesis) == (1, ("x = 0",))
    assert found.statistic == pytest.approx(ratio.statistic, rel=0.1)


def test_a_score_test_says_what_it_cannot_test(model, table):
    with pytest.raises(ArgumentError, match="this one is penalised"):
        model.score_test(table, "x")
    plain = logloss.fit(table, "y", prior=None)
    with pytest.raises(ArgumentError, match="x: one is in the model already"):
        plain.score_test(table, "x")
    with pytest.raises(ArgumentError, match="all are constant"):
        plain.score_test(table.assign(c=1.0), "c")
    with pytest.raises(ColumnError, match="no column 'other'"):
        plain.score_test(table, "other")


def test_a_model_keeps_its_covariance(model, saved):
    kept = logloss.load(saved).summary().covariance_matrix
    np.testing.assert_array_equal(kept, model.summary().covariance_matrix)


def test_a_damaged_covariance_is_said(saved):
    record = json.loads(saved.read_text())
    record["summary"]["covariance_matrix"].pop()
    saved.write_text(json.dumps(record))
    with pytest.raises(ModelError, match="lower triangle"):
        logloss.load(saved)


def test_a_model_of_the_first_version_is_still_read(model, saved, table):
    record = json.loads(saved.read_text())
    record["version"] = 1
    del record["recalibration"], record["design"]["formula"], record["design"]["cluster"]
    newer = "covariance_matrix covariance n_clusters method intervals prior_shift"
    for name in [*newer.split(), "penalised_log_likelihood"]:
        del record["summary"][name]
    saved.write_text(json.dumps(record))
    again = logloss.load(saved)
    assert again.predict(table).equals(model.predict(table))
    assert str(again.summary()) == str(model.summary())


@pytest.mark.parametrize("name", ["out.csv", "out.arrow", "out.csv.gz"])
def test_predictions_are_not_written_under_another_formats_name(tmp_path, name):
    table = pa.table({"x": [0.0, 1, 2, 3], "y": [0, 1, 0, 1]})
    with pytest.raises(OutputError, match="written as Parquet"):
        logloss.fit(table, "y").predict(table, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_predictions_do_not_look_at_weights():
    table = pa.table({"x": [0.0, 1, 2, 3], "y": [0, 1, 0, 1], "w": [1.0, 2, 1, 2]})
    model = logloss.fit(table, "y", weight="w")
    spoiled = table.set_column(2, "w", pa.array([None, -1.0, 0.0, 1.0]))
    assert model.predict(spoiled)["logit"].equals(model.predict(table)["logit"])


def test_names_from_the_data_stay_on_one_line_and_steer_no_terminal():
    name = "hour\n\x1b[2J"
    table = pa.table({name: [0.0, 1, 2, 3, None], "same\n": [1] * 5, "y": [0, 1, 0, 1, 0]})
    model = logloss.fit(table, "y")
    for shown in (str(model), str(model.summary())):
        assert "\x1b" not in shown
        assert r"hour\n\x1b[2J_missing" in shown or "filled: hour\\n" in shown
    assert len(str(model).splitlines()) == 4
