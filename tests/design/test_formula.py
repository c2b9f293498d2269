"""Formulas: compiled to a closed set of operations, the same for every batch, kept as data."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formulaic import model_matrix

import logloss
from logloss.design.design import Design, learn_design
from logloss.design.formula import Formula
from logloss.design.formula_text import parse_formula
from logloss.errors import ArgumentError, ColumnError, MissingExtraError, ModelError
from logloss.files import dump_record
from logloss.rows.protocols import Batch
from logloss.rows.source import open_source


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 1_200
    frame = pd.DataFrame(
        {
            "hour": rng.integers(0, 24, n),
            "carrier": rng.choice(["EV", "UA", "B6"], n),
            "origin": rng.choice(["JFK", "LGA"], n),
            "distance": rng.gamma(2.0, 500.0, n) + 50,
            "temp": rng.normal(50, 15, n),
            "night flight": rng.random(n) < 0.3,
        }
    )
    z = 0.1 * frame["hour"] - np.log(frame["distance"]) / 2 + (frame["carrier"] == "EV") + 1
    frame["late"] = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return frame


def parse(text: str, table: pd.DataFrame, others: tuple[str, ...] = ()) -> Formula:
    return parse_formula(text, pa.Schema.from_pandas(table), others)


def names(text: str, table: pd.DataFrame) -> list[str]:
    return [term.name for term in parse(text, table).terms]


@pytest.mark.parametrize(
    "term",
    [
        "log(distance)",
        "np.log(distance)",
        "log2(distance)",
        "log10(distance)",
        "log1p(distance)",
        "exp(temp / 100)",
        "expm1(-temp / 100)",
        "sqrt(distance)",
        "abs(temp - 50)",
        "I(temp**2)",
        "I(+distance / (hour + 1) - 2.5 * temp)",
        "{temp + 1}",
        "hour:temp",
        "hour:log(distance):temp",
        "2:temp",
        "`night flight`",
        "I(`night flight` * temp)",
    ],
)
def test_a_number_is_what_formulaic_evaluates(term: str, table: pd.DataFrame) -> None:
    formula = parse(f"late ~ {term}", table)
    batch = Batch(0, pa.RecordBatch.from_pandas(table))
    (found,) = (formula.derive(batch).table.column(t.name) for t in formula.terms)
    functions = {name: getattr(np, name) for name in ("log1p", "expm1", "sqrt")}
    matrix = model_matrix(f"0 + {term.replace('np.', '')}", table, context=functions)
    expected = matrix.iloc[:, -1].astype(float)
    np.testing.assert_allclose(np.asarray(found).astype(float), expected, rtol=1e-14)


@pytest.mark.parametrize("prior", [None, "weak"])
def test_a_fit_by_a_formula_is_one_to_derived_columns(table: pd.DataFrame, prior: Any) -> None:
    derived = table[["late", "hour"]].assign(
        route=table["carrier"] + ":" + table["origin"], far=np.log(table["distance"])
    )
    text = "late ~ hour + carrier:origin + log(distance)"
    found = logloss.fit(table, formula=text, prior=prior, tol=1e-8)
    expected = logloss.fit(derived, "late", prior=prior, tol=1e-8)
    mine = {t.name.replace("carrier:origin", "route"): t for t in found.summary().terms}
    theirs = {t.name.replace("far", "log(distance)"): t for t in expected.summary().terms}
    assert mine.keys() == theirs.keys()
    for name, term in theirs.items():
        assert mine[name].coefficient == pytest.approx(term.coefficient, rel=1e-9)
    assert "route=EV:JFK" in mine


def test_predictions_need_the_raw_columns_alone(table: pd.DataFrame, tmp_path: Any) -> None:
    text = "late ~ hour + C(carrier) + log(distance)"
    pq.write_table(pa.Table.from_pandas(table), tmp_path / "flights.parquet", row_group_size=100)
    model = logloss.fit(tmp_path / "flights.parquet", formula=text, tol=1e-8)
    assert model.design.columns == ("hour", "carrier", "distance")
    model.save(tmp_path / "m.json")
    again = logloss.load(tmp_path / "m.json")
    assert again.design == model.design
    raw = table[["hour", "carrier", "distance"]]
    raw.to_csv(tmp_path / "raw.csv", index=False)
    wanted = model.predict(table)["logit"].to_numpy()
    np.testing.assert_array_equal(again.predict(raw)["logit"].to_numpy(), wanted)
    found = again.predict(tmp_path / "raw.csv")["logit"].to_numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_what_a_model_keeps_is_data(table: pd.DataFrame) -> None:
    formula = parse("late ~ log(distance) + C(hour)", table)
    record = json.loads(dump_record(formula.to_dict()))
    assert record["terms"][0]["factors"][0]["of"] == ["log", ["column", "distance"]]
    assert Formula.from_dict(record) == formula
    assert pickle.loads(pickle.dumps(formula)) == formula


@pytest.mark.parametrize(
    "broken",
    [
        ["__import__", ["column", "x"]],
        ["log", ["column", "x"], ["column", "x"]],
        ["column", 7],
        ["number", "seven"],
        [],
        7,
    ],
)
def test_an_operation_that_is_not_of_the_set_is_a_damaged_model(
    broken: Any, table: pd.DataFrame
) -> None:
    record = json.loads(dump_record(parse("late ~ log(distance)", table).to_dict()))
    record["terms"][0]["factors"][0]["of"] = broken
    with pytest.raises(ModelError, match="damaged model: formula"):
        Formula.from_dict(record)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("late ~ C(hour)", {"of": ["log", ["column", "hour"]]}),
        ("late ~ temp:carrier", {"categorical": True}),
        ("late ~ log(temp)", {"categorical": None, "of": None}),
    ],
)
def test_factors_that_do_not_go_together_are_a_damaged_model(
    text: str, change: dict[str, Any], table: pd.DataFrame
) -> None:
    formula = parse(text, table)
    design = learn_design(open_source(table), target="late", formula=formula)
    record = json.loads(dump_record(design.to_dict()))
    record["formula"]["terms"][0]["factors"][0].update(change)
    with pytest.raises(ModelError, match="damaged model: formula"):
        Design.from_dict(record)


def test_a_record_nested_too_deep_is_a_damaged_model(table: pd.DataFrame) -> None:
    record = parse("late ~ log(distance)", table).to_dict()
    nested: Any = ["column", "distance"]
    for _ in range(60):
        nested = ["negative", nested]
    record["terms"][0]["factors"][0]["of"] = nested
    with pytest.raises(ModelError, match="damaged model: formula"):
        Formula.from_dict(record)


def test_categories_that_are_numbers_are_named_by_their_values(table: pd.DataFrame) -> None:
    model = logloss.fit(table, formula="late ~ C(hour) + C(`night flight`)")
    found = {term.name for term in model.summary().terms}
    assert {"C(hour)=0", "C(hour)=23", "C(night flight)=True"} <= {
        name.replace("`", "") for name in found
    }
    floats = table.assign(hour=table["hour"].astype(float))
    np.testing.assert_array_equal(
        model.predict(floats)["logit"].to_numpy(), model.predict(table)["logit"].to_numpy()
    )


def test_missing_values_stay_missing(table: pd.DataFrame) -> None:
    some = table.head(40).copy()
    some["distance"] = some["distance"].where(some.index % 4 > 0)
    some["carrier"] = some["carrier"].where(some.index % 5 > 0, None)
    text = "late ~ log(distance) + carrier:origin + C(hour):carrier"
    design = learn_design(open_source(some), target="late", formula=parse(text, some))
    block = design.encode(Batch(0, pa.RecordBatch.from_pandas(some)))
    assert "log(distance)_missing" in design.layout.numbers
    number = design.layout.numbers.index("log(distance)_missing")
    np.testing.assert_array_equal(block.numbers[:, number], some["distance"].isna())
    (levels,) = (c.names for c in design.categories if c.name == "carrier:origin")
    assert levels[-1].endswith("(missing)") or len(levels) == 1


def test_products_and_parts_of_terms_are_expanded(table: pd.DataFrame) -> None:
    assert names("late ~ hour * temp", table) == ["hour", "temp", "hour:temp"]
    assert names("late ~ (hour + temp)**2 - temp", table) == ["hour", "hour:temp"]
    assert names("late ~ hour + hour + log(temp) + log(temp)", table) == ["hour", "log(temp)"]


def test_numbers_are_crossed_with_categories_level_by_level(table: pd.DataFrame) -> None:
    model = logloss.fit(table, formula="late ~ carrier + temp:carrier", prior=None, tol=1e-8)
    found = {term.name: term.coefficient for term in model.summary().terms}
    for carrier in ("EV", "UA", "B6"):  # all of it crossed: each level is a fit of its own
        rows = table[table["carrier"] == carrier]
        alone = logloss.LogisticRegression(tol=1e-8).fit(rows[["temp"]], rows["late"])
        assert found[f"temp:carrier={carrier}"] == pytest.approx(alone.coef_[0, 0], rel=1e-7)
    assert model.summary().wald_test("temp:carrier").df == 3
    again = Design.from_dict(json.loads(dump_record(model.design.to_dict())))
    assert again == model.design


def test_a_crossed_level_never_seen_takes_the_mean_slope(table: pd.DataFrame) -> None:
    model = logloss.fit(table, formula="late ~ temp:C(carrier)")
    rows = table[["temp", "carrier"]].head(1)
    slopes = {t.name: t.coefficient for t in model.summary().terms}
    shares = table["carrier"].value_counts(normalize=True)
    mean = sum(shares[level] * slopes[f"temp:C(carrier)={level}"] for level in shares.index)
    expected = slopes["intercept"] + mean * rows["temp"][0]
    logit = model.logits(Batch(0, pa.RecordBatch.from_pandas(rows.assign(carrier="new"))))
    assert logit[0] == pytest.approx(expected, rel=1e-12)


def test_a_crossed_missing_number_is_missing_in_its_own_level(table: pd.DataFrame) -> None:
    some = table.head(90).assign(temp=table["temp"].where(table.index % 4 > 0))
    formula = parse("late ~ temp:carrier", some)
    design = learn_design(open_source(some), target="late", formula=formula)
    block = design.encode(Batch(0, pa.RecordBatch.from_pandas(some)))
    for level in ("EV", "UA", "B6"):
        at = design.layout.numbers.index(f"temp:carrier={level}_missing")
        expected = some["temp"].isna() & (some["carrier"] == level)
        np.testing.assert_array_equal(block.numbers[:, at], expected)


def test_crossed_rows_may_carry_weights_and_come_in_any_cut(
    table: pd.DataFrame, tmp_path: Any
) -> None:
    rows = table.assign(w=table.index % 3)
    pq.write_table(pa.Table.from_pandas(rows), tmp_path / "a.parquet", row_group_size=70)
    options = {"formula": "late ~ hour * carrier", "weight": "w", "tol": 1e-8}
    one, other = (logloss.fit(source, **options) for source in (rows, tmp_path / "a.parquet"))
    assert one.design == other.design
    assert one.predictor.to_dict() == other.predictor.to_dict()


def test_a_dot_stands_for_all_other_columns(table: pd.DataFrame) -> None:
    found = parse("late ~ . - temp", table, others=("distance",))
    assert [t.name for t in found.terms] == ["hour", "carrier", "origin", "night flight"]
    model = logloss.fit(table, formula="late ~ .", drop=["distance", "temp"])
    assert model.design.columns == ("hour", "carrier", "origin", "night flight")


def test_the_target_stands_on_the_left_or_is_named(table: pd.DataFrame) -> None:
    one = logloss.fit(table, formula="late ~ hour", tol=1e-8)
    other = logloss.fit(table, "late", formula="hour", tol=1e-8)
    assert one.predictor.base == other.predictor.base
    assert logloss.fit(table, "late", formula="late ~ hour").target.name == "late"
    with pytest.raises(ArgumentError, match="target is 'temp', but the formula predicts 'late'"):
        logloss.fit(table, "temp", formula="late ~ hour")
    with pytest.raises(ArgumentError, match="target must be named"):
        logloss.fit(table, formula="~ hour")
    with pytest.raises(ArgumentError, match="target must be named"):
        logloss.fit(table)
    with pytest.raises(ArgumentError, match="and so does features"):
        logloss.fit(table, formula="late ~ hour", features=["hour"])


def test_a_formula_may_leave_the_intercept_out(table: pd.DataFrame) -> None:
    for text in ("late ~ 0 + hour + temp", "late ~ hour + temp - 1"):
        model = logloss.fit(table, formula=text, prior=None, tol=1e-8)
        estimator = logloss.LogisticRegression(fit_intercept=False, tol=1e-8)
        estimator.fit(table[["hour", "temp"]], table["late"])
        found = [term.coefficient for term in model.summary().terms]
        np.testing.assert_allclose(found, estimator.coef_[0], rtol=1e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("late ~ __import__(hour)", r"calls '__import__'"),
        ("late ~ I(hour.__class__)", r"I\(hour.__class__\) holds 'hour.__class__'"),
        ("late ~ I((lambda: 0)())", "not of the closed set"),
        ("late ~ I([hour][0])", "not of the closed set"),
        ("late ~ I(hour if temp else hour)", "not of the closed set"),
        ("late ~ I(hour > 3)", "not of the closed set"),
        ("late ~ poly(hour, 2)", "calls 'poly'"),
        ("late ~ os.system(hour)", "calls 'os.system'"),
        ("late ~ log(hour, 2)", "gives log other than one argument"),
        ("late ~ log(*hour)", "log"),
        ("late ~ C(carrier, contr.sum)", r"is not C\(column\)"),
        ("late ~ C(log(hour))", r"is not C\(column\)"),
        ("late ~ log(carrier)", "computes with 'carrier', which holds categories"),
        ("late ~ I(hour + True)", "not a finite number"),
        ("late ~ I(hour + 1e999)", "not a finite number"),
        (f"late ~ I(hour{'+ hour' * 60})", "nested too deep"),
        ("late ~ log(late) + hour", r"log\(late\) reads the target"),
        ("late + hour ~ temp", "left side is not one column"),
        ("late | hour ~ temp", "cannot be parsed"),
        ("log(late) ~ hour", "on the left side is not a column"),
        ("late ~ 1", "no term but the intercept"),
        ("late ~ hour ~ temp", "cannot be parsed"),
        ("late ~ log(hour", "cannot be parsed"),
        ("late ~ 'hour'", "cannot be parsed"),
        ("late ~ I(hour temp)", "cannot be parsed|is not an expression"),
        ("late ~ {hour if}", "cannot be parsed|is not an expression"),
        (7, "formula must be text"),
    ],
)
def test_anything_else_is_refused_by_name(text: Any, message: str, table: pd.DataFrame) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        parse(text, table)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["late ~ hours", "late ~ log(hours)", "lat ~ hour", "late ~ C(x)", "y ~ a.b"]
)
def test_a_column_that_is_not_there_is_named(text: str, table: pd.DataFrame) -> None:
    with pytest.raises(ColumnError, match="formula: there is no column"):
        parse(text, table)


def test_a_value_without_a_result_is_named_with_its_row(table: pd.DataFrame) -> None:
    broken = table.assign(distance=table["distance"].where(table.index != 17, 0.0))
    message = r"log\(distance\) is -inf in row 17, where distance is 0"
    with pytest.raises(ColumnError, match=message):
        logloss.fit(broken, formula="late ~ log(distance)")
    model = logloss.fit(table, formula="late ~ hour + log(distance)")
    with pytest.raises(ColumnError, match=message):
        model.predict(broken)


def test_a_column_that_changed_its_type_is_named(table: pd.DataFrame) -> None:
    model = logloss.fit(table, formula="late ~ hour + log(distance)")
    for name in ("hour", "distance"):
        with pytest.raises(ColumnError, match=f"'{name}' is a .*string now, and was a number"):
            model.predict(table.assign(**{name: "far"}))
    with pytest.raises(ColumnError, match="distance"):
        model.predict(table.drop(columns="distance"))


def test_formulas_need_their_extra(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "formulaic.parser", None)
    with pytest.raises(MissingExtraError, match="'formulas'"):
        parse("late ~ hour", table)


def test_a_design_without_a_formula_reads_as_before(table: pd.DataFrame) -> None:
    design = learn_design(open_source(table), target="late")
    record = design.to_dict()
    del record["formula"]
    assert Design.from_dict(record) == design
