from __future__ import annotations

import datetime as dt
import decimal
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss.design.block import Block
from logloss.design.design import Design, DriftPass, learn_design
from logloss.design.drift import Drift
from logloss.design.target import Target
from logloss.errors import ColumnError, ModelError, RangeWarning, UnseenWarning, WeightError
from logloss.files import dump_record, load_record
from logloss.rows.protocols import Batch
from logloss.rows.source import open_source


def learn(columns: Any, **options: Any) -> Design:
    return learn_design(open_source(pa.table(columns)), **options)


def encode(design: Design, columns: dict[str, Any], target: Target | None = None) -> Block:
    return design.encode(Batch(50, pa.record_batch(columns)), target)


def many(*levels: str | None, times: int = 20) -> list[str | None]:
    """Repeat levels, so that each has rows enough to be kept."""
    return [level for level in levels for _ in range(times)]


# Numbers


def test_a_missing_number_takes_the_mean_and_has_an_indicator() -> None:
    x = [1.0, None, float("nan"), 4.0]
    design = learn({"x": x})
    assert design.layout.names == ("x", "x_missing")
    assert encode(design, {"x": x}).numbers.tolist() == [[1, 0], [2.5, 1], [2.5, 1], [4, 0]]
    assert design.numbers[0].missing_share == 0.5
    assert design.filled == (("x", 0.5),)


def test_a_number_never_missing_in_training_has_no_indicator_and_takes_the_mean() -> None:
    design = learn({"x": [1.0, 3.0]})
    assert design.layout.names == ("x",)
    assert encode(design, {"x": [None, 7.0]}).numbers.tolist() == [[2], [7]]


def test_the_mean_that_fills_is_weighted() -> None:
    design = learn({"x": [1.0, 5.0, None], "w": [3, 1, 1]}, weight="w")
    assert (design.numbers[0].mean, design.numbers[0].scale) == (2.0, pytest.approx(3**0.5))


NUMERIC = [
    *(getattr(pa, name)() for name in ("int8", "int16", "int32", "int64")),
    *(getattr(pa, name)() for name in ("uint8", "uint16", "uint32", "uint64")),
    *(getattr(pa, name)() for name in ("float16", "float32", "float64")),
    pa.decimal128(5, 2),
]


@pytest.mark.parametrize("kind", NUMERIC, ids=str)
def test_numbers_of_any_width_are_float64(kind: pa.DataType) -> None:
    convert: Callable[[int], Any] = {
        "halffloat": np.float16,
        "decimal128(5, 2)": decimal.Decimal,
    }.get(str(kind), int)
    column = pa.array([convert(1), convert(2), None], kind)
    numbers = encode(learn({"x": column}), {"x": column}).numbers
    assert numbers.dtype == np.float64
    assert numbers[:, 0].tolist() == [1.0, 2.0, 1.5]


def test_booleans_are_0_and_1() -> None:
    x = [True, False, None, False]
    design = learn({"x": x})
    assert encode(design, {"x": x}).numbers.tolist() == [[1, 0], [0, 0], [1 / 3, 1], [0, 0]]
    assert design.numbers[0].kind == "bool"


def test_two_valued_numbers_are_known() -> None:
    design = learn({"a": [3, 3, 5], "b": [1, 2, 3], "c": [True, False, None]})
    assert [column.two_valued for column in design.numbers] == [True, False, True]


def test_numbers_are_column_major() -> None:
    numbers = encode(learn({"a": [1, 2], "b": [5, 3]}), {"a": [1, 2], "b": [5, 3]}).numbers
    assert numbers.flags.f_contiguous


# Categories

TEXT = {
    "string": lambda v: pa.array(v, pa.string()),
    "large_string": lambda v: pa.array(v, pa.large_string()),
    "string_view": lambda v: pa.array(v, pa.string_view()),
    "dictionary": lambda v: pa.array(v, pa.string()).dictionary_encode(),
    "pandas": lambda v: pa.array(pd.Series(v).astype("category")),
    "polars": lambda v: pl.Series(v, dtype=pl.Categorical).to_arrow(),
}


@pytest.mark.parametrize("make", TEXT.values(), ids=TEXT)
def test_levels_of_text_of_any_type_are_codes(make: Callable[[list[Any]], pa.Array]) -> None:
    values = many("UA", "EV", None)
    design = learn({"carrier": make(values)})
    assert design.layout.levels == (("carrier=EV", "carrier=UA", "carrier=(missing)"),)
    codes = encode(design, {"carrier": make([None, "UA", "EV", "ZZ"])}).codes
    assert codes.dtype == np.int32
    assert codes[:, 0].tolist() == [2, 1, 0, -1]


def test_levels_of_a_dictionary_of_numbers_are_named_by_their_text() -> None:
    values = pa.array([1, 2] * 20).dictionary_encode()
    assert learn({"c": values}).layout.names == ("c=1", "c=2")


def test_levels_with_fewer_than_20_rows_are_pooled() -> None:
    design = learn({"c": [*many("a", "b"), *many("d", "e", times=19)]})
    assert design.layout.names == ("c=a", "c=b", "c=(other)")
    assert encode(design, {"c": ["d", "e", "a", "f"]}).codes[:, 0].tolist() == [2, 2, 0, -1]
    assert design.categories[0].shares == pytest.approx((20 / 78, 20 / 78, 38 / 78))


def test_all_levels_beyond_the_64_most_frequent_are_pooled() -> None:
    levels = [f"{i:03d}" for i in range(70)]
    values = [level for i, level in enumerate(levels) for _ in range(20 + i)]
    design = learn({"c": values})
    assert design.categories[0].levels == tuple(levels[6:])
    assert design.categories[0].pooled == tuple(levels[:6])


def test_the_first_of_equally_frequent_levels_is_kept_whatever_the_order_of_rows() -> None:
    values = [f"{i:03d}" for i in range(70) for _ in range(20)]
    forward, backward = learn({"c": values}), learn({"c": values[::-1]})
    assert forward == backward
    assert forward.categories[0].pooled == tuple(f"{i:03d}" for i in range(64, 70))


def test_a_few_missing_values_are_a_level_of_their_own() -> None:
    design = learn({"c": [*many("a", "b"), None]})
    assert design.layout.names == ("c=a", "c=b", "c=(missing)")


def test_a_value_missing_for_the_first_time_counts_as_unseen() -> None:
    design = learn({"c": many("a", "b")})
    assert encode(design, {"c": pa.array([None, "a"])}).codes[:, 0].tolist() == [-1, 0]


def test_levels_that_are_named_like_special_ones_stay_apart() -> None:
    design = learn({"c": [*many("(missing)", "(other)"), "rare", None]})
    assert design.layout.names == ("c=(missing)", "c=(other)", "c=(other)_", "c=(missing)_")


def test_an_indicator_never_takes_the_name_of_a_column() -> None:
    design = learn({"x": [1.0, None, 2.0], "x_missing": [5, 6, 8]})
    assert design.layout.names == ("x", "x_missing_", "x_missing")


def test_two_coefficients_of_one_name_are_refused() -> None:
    with pytest.raises(ColumnError, match="two coefficients would be named 'c=a'"):
        learn({"c=a": [*range(40)], "c": many("a", "b")})


# Left out


@pytest.mark.parametrize(
    "column",
    [
        [7, 7, 7],
        [None, None, None],
        pa.array([None, None, None], pa.float64()),
        [True, True, True],
        ["a", "a", "a"],
        pa.array([None, None, None], pa.string()),
        [float("nan")] * 3,
    ],
)
def test_constant_columns_are_left_out_and_named(column: Any) -> None:
    design = learn({"x": [1, 2, 3], "k": column})
    assert design.left_out == (("k", "constant"),)
    assert design.layout.names == ("x",)


def test_a_constant_with_gaps_leaves_its_indicator() -> None:
    design = learn({"k": [7, None, 7]})
    assert design.left_out == (("k", "constant"),)
    assert design.layout.names == ("k_missing",)
    assert encode(design, {"k": [None, 7]}).numbers.tolist() == [[1], [0]]


def test_exact_copies_are_left_out_and_named() -> None:
    x, c = [1.0, None, 3.0] * 20, many("a", "b", None)
    design = learn({"x": x, "y": x, "c": c, "d": pa.array(c).dictionary_encode()})
    assert design.left_out == (
        ("y", "copy of x"),
        ("y_missing", "copy of x_missing"),
        ("d", "copy of c"),
    )


def test_copies_of_indicators_are_found_among_indicators_and_columns() -> None:
    design = learn({"x": [1.0, None, 3.0], "y": [4.0, None, 4.5], "gap": [False, True, False]})
    assert design.left_out == (("y_missing", "copy of x_missing"), ("gap", "copy of x_missing"))
    assert design.layout.names == ("x", "x_missing", "y")


def test_a_column_that_differs_in_one_row_is_no_copy() -> None:
    x = list(range(100_000))
    assert learn({"x": x, "y": [*x[:-1], 7]}).layout.names == ("x", "y")


def test_a_column_constant_where_weights_are_positive_is_left_out() -> None:
    design = learn({"x": [1, 1, 9], "y": [1, 2, 3], "w": [1, 1, 0]}, weight="w")
    assert design.left_out == (("x", "constant"),)


def test_identifiers_have_no_level_to_keep() -> None:
    design = learn({"x": [*range(30)], "id": [f"id-{i}" for i in range(30)]})
    assert design.left_out == (("id", "no level has 20 rows"),)


def test_dropped_columns_are_left_out_as_asked() -> None:
    design = learn({"x": [1, 2], "day": pa.array([1, 2], pa.date32())}, drop=["day"])
    assert design.left_out == (("day", "asked for"),)


# Which columns


def test_features_are_in_input_order_without_target_weight_and_offset() -> None:
    columns = {"b": [1, 2], "y": [0, 1], "w": [1, 2], "a": [2, 5], "o": [0.0, 0.5]}
    design = learn(columns, target="y", weight="w", offset="o")
    assert design.layout.names == ("b", "a")
    assert design.columns == ("b", "a", "o")


def test_features_are_in_the_order_asked() -> None:
    assert learn({"a": [1, 2], "b": [5, 2]}, features=["b", "a"]).layout.names == ("b", "a")


UNUSABLE = [
    (pa.array([dt.date(2013, 1, 1)]), r"is a date32.*derive numbers or categories.*--drop t"),
    (pa.array([dt.datetime(2013, 1, 1)]), r"is a timestamp.*--drop t"),
    (pa.array([dt.time(1)]), r"is a time64.*--drop t"),
    (pa.array([dt.timedelta(1)]), r"is a duration.*--drop t"),
    (pa.array([dt.date(2013, 1, 1)]).dictionary_encode(), r"is a date32.*--drop t"),
    (pa.array([[1]]), r"is a list.*a model uses numbers, booleans, text"),
    (pa.array([{"a": 1}]), r"is a struct.*--drop t"),
    (pa.array([b"x"]), r"is a binary.*--drop t"),
]


@pytest.mark.parametrize(("column", "reason"), UNUSABLE)
def test_columns_of_no_use_are_refused_with_a_hint(column: pa.Array, reason: str) -> None:
    with pytest.raises(ColumnError, match=f"column 't' {reason}"):
        learn({"t": column})


@pytest.mark.parametrize("option", ["features", "drop", "weight", "offset", "target"])
def test_an_unknown_name_suggests_the_closest(option: str) -> None:
    value = ["carier"] if option in ("features", "drop") else "carier"
    with pytest.raises(ColumnError, match="there is no column 'carier'; did you mean 'carrier'"):
        learn({"carrier": [1, 2], "dest": [1, 2]}, **{option: value})


def test_an_unknown_name_unlike_any_lists_the_columns() -> None:
    with pytest.raises(ColumnError, match="there is no column 'zzz'; there are a, b"):
        learn({"a": [1], "b": [1]}, drop=["zzz"])


def test_the_target_cannot_be_a_feature() -> None:
    with pytest.raises(ColumnError, match="'y' is the target"):
        learn({"x": [1, 2], "y": [0, 1]}, target="y", features=["x", "y"])


def test_a_feature_cannot_stand_twice() -> None:
    with pytest.raises(ColumnError, match="'x' stands twice"):
        learn({"x": [1, 2]}, features=["x", "x"])


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(WeightError, match="no row has a positive weight"):
        learn({"x": [1, 2], "w": [0, 0]}, weight="w")


# Encoding


def test_blocks_carry_row_number_target_weight_and_offset() -> None:
    columns = {"x": [1, 2], "y": [1, 0], "w": [2, 3], "o": [0.5, 1.0]}
    design = learn(columns, target="y", weight="w", offset="o")
    block = encode(design, columns, Target("y", (0, 1)))
    assert block.first_row == 50
    assert (block.y.tolist(), block.weight.tolist()) == ([1, 0], [2, 3])
    assert block.offset.tolist() == [0.5, 1.0]


def test_a_prediction_needs_no_weights_but_the_offset() -> None:
    design = learn({"x": [1, 2], "w": [2, 3], "o": [0.5, 1.0]}, weight="w", offset="o")
    block = encode(design, {"x": [1], "o": [0.0]})
    assert (block.y, block.weight) == (None, None)
    with pytest.raises(ColumnError, match="there is no column 'o'"):
        encode(design, {"x": [1]})


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ColumnError, match="the data: there is no column 'temp'; did you mean 'tmp"):
        encode(learn({"temp": [1, 2]}), {"tmp": [1]})


CHANGED = [
    ([1, 2], ["a"], "is a string now, and was a number"),
    ([True, False], [1], "is a int64 now, and was a bool"),
    (many("a", "b"), [1], "is a int64 now, and was a category"),
    ([1, 2], pa.array([1], pa.date32()), "is a date32"),
]


@pytest.mark.parametrize(("then", "now", "reason"), CHANGED)
def test_a_column_whose_type_changed_since_the_fit_is_refused(
    then: Any, now: Any, reason: str
) -> None:
    with pytest.raises(ColumnError, match=f"column 'x' {reason}"):
        encode(learn({"x": then}), {"x": now})


def test_another_width_of_number_is_no_change() -> None:
    design = learn({"x": [1.5, 2.5]})
    assert encode(design, {"x": pa.array([3], pa.int8())}).numbers.tolist() == [[3.0]]


def test_a_column_of_nulls_is_missing_values_whatever_it_was() -> None:
    design = learn({"x": [1.0, 3.0] * 20, "c": many("a", "b")})
    block = encode(design, {"x": pa.nulls(1), "c": pa.nulls(1)})
    assert (block.numbers.tolist(), block.codes.tolist()) == ([[2.0]], [[-1]])


def test_an_infinite_number_at_prediction_is_named() -> None:
    with pytest.raises(ColumnError, match="column 'x' must be finite or missing; row 51 has inf"):
        encode(learn({"x": [1.0, 2.0]}), {"x": [1.0, float("inf")]})


def test_no_rows_are_an_empty_block() -> None:
    design = learn({"x": [1.0, 2.0] * 20, "c": many("a", "b")})
    block = encode(design, {"x": pa.array([], pa.float64()), "c": pa.array([], pa.string())})
    assert (block.numbers.shape, block.codes.shape) == ((0, 1), (0, 1))


def test_the_dense_matrix_spells_out_the_levels() -> None:
    design = learn({"c": many("a", "b"), "x": [*range(40)]})
    matrix, names = design.dense(Batch(0, pa.record_batch({"x": [7, 8, 9], "c": ["b", "a", "z"]})))
    assert names == ("x", "c=a", "c=b")
    assert matrix.tolist() == [[7, 0, 1], [8, 1, 0], [9, 0, 0]]


def test_types_are_hints_for_csv() -> None:
    columns = {"x": [1, 2] * 20, "b": [True, False] * 20, "c": many("a", "b"), "w": [1] * 40}
    assert learn(columns, weight="w").types == {
        "x": pa.float64(),
        "b": pa.bool_(),
        "c": pa.string(),
        "w": pa.float64(),
    }


# Laws

cells = {
    "x": st.none() | st.floats(-5, 5) | st.just(float("nan")),
    "n": st.none() | st.integers(0, 2),
    "c": st.none() | st.sampled_from("abc"),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    n_rows = draw(st.integers(1, 30))
    types = {"x": pa.float64(), "n": pa.int8(), "c": pa.string()}
    return pa.table(
        {
            name: pa.array(draw(st.lists(cell, min_size=n_rows, max_size=n_rows)), types[name])
            for name, cell in cells.items()
        }
    )


@given(tables(), st.randoms(use_true_random=False))
def test_a_design_does_not_depend_on_the_order_of_rows(table: pa.Table, random: Any) -> None:
    order = list(range(table.num_rows))
    random.shuffle(order)
    assert learn(table) == learn(table.take(order))


@given(tables())
def test_a_design_reads_back_as_it_was_written(table: pa.Table) -> None:
    design = learn(pa.concat_tables([table] * 20))
    text = dump_record({"format": "t", "version": 1, "design": design.to_dict()})
    assert Design.from_dict(load_record(text, "t", 1)["design"]) == design


@given(tables())
def test_encoding_what_was_learned_meets_nothing_unseen(table: pa.Table) -> None:
    table = pa.concat_tables([table] * 20)
    design = learn(table)
    (block,) = open_source(table).map(design.encode).blocks()
    assert np.isfinite(block.numbers).all()
    for k, category in enumerate(design.categories):
        shares = np.bincount(block.codes[:, k], minlength=len(category.names)) / len(block)
        assert shares.tolist() == pytest.approx(category.shares)
    for column, name in enumerate(design.layout.numbers):
        assert np.ptp(block.numbers[:, column]) > 0, f"{name} is constant"


def damaged(key: str, value: Any, column: str | None = None) -> dict[str, Any]:
    record = json.loads(
        json.dumps(learn({"x": [1.0, None, 2.0] * 20, "c": many(*"abd")}).to_dict())
    )
    part = record if column is None else record[column][0]
    if value is KeyError:
        del part[key]
    else:
        part[key] = value
    return record


DAMAGE = [
    ("numbers", KeyError, None),
    ("numbers", 3, None),
    ("numbers", [None], None),
    ("left_out", [["x"]], None),
    ("weight", 3, None),
    ("n_rows", "many", None),
    ("name", 5, "numbers"),
    ("name", "c", "numbers"),
    ("kind", "date", "numbers"),
    ("mean", "x", "numbers"),
    ("mean", "nan", "numbers"),
    ("mean", 99, "numbers"),
    ("scale", -1, "numbers"),
    ("scale", "inf", "numbers"),
    ("uses_value", 1, "numbers"),
    ("indicator", "x", "numbers"),
    ("levels", ["a"], "categories"),
    ("levels", [1, 2, 3], "categories"),
    ("levels", ["a", "a", "b"], "categories"),
    ("other", "(other)", "categories"),
    ("shares", [], "categories"),
]


@pytest.mark.parametrize(("key", "value", "column"), DAMAGE)
def test_a_damaged_record_is_a_model_error(key: str, value: Any, column: str | None) -> None:
    with pytest.raises(ModelError, match="damaged model: design"):
        Design.from_dict(damaged(key, value, column))


def test_an_undamaged_record_reads() -> None:
    assert Design.from_dict(damaged("offset", None)).layout.numbers == ("x", "x_missing")


# Drift


def test_numbers_outside_the_range_and_levels_never_seen_are_counted() -> None:
    design = learn({"x": [0.0, 10.0] * 20, "c": many("a", "b")})
    batch = pa.record_batch({"x": [-1.0, 0.0, 11.0, None], "c": ["a", "z", None, "b"]})
    drift = DriftPass(design)([Batch(0, batch), Batch(4, batch)])
    assert drift == Drift(8, {"x": 4}, {"c": 4})


def test_drift_warns_of_shares_and_counts() -> None:
    drift = Drift(1000, {"x": 5, "y": 200}, {"c": 3})
    with (
        pytest.warns(RangeWarning, match=r"range seen in training.*y 20 %, x 0.5 % of rows"),
        pytest.warns(UnseenWarning, match=r"mean effect: c 3 of 1,000 rows"),
    ):
        drift.warn()


def test_drift_names_five_columns_and_counts_the_others() -> None:
    with pytest.warns(RangeWarning, match=r"x4 .* and 2 more columns"):
        Drift(100, {f"x{i}": 50 for i in range(7)}).warn()


def test_no_drift_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Drift(5).warn()


def test_clusters_are_named_by_all_their_columns_alike_wherever_a_row_is_read() -> None:
    columns = {"y": [0, 1, 0, 1], "a": ["p", "p", "q", None], "b": ["q", "p", "p", None]}
    design, target = learn(columns, target="y", cluster=("a", "b")), Target("y", (0, 1))
    assert design.columns == ()
    whole = encode(design, columns, target).cluster
    assert whole is not None
    assert len(set(whole.tolist())) == 4
    for row, number in enumerate(whole):
        alone = {name: values[row : row + 1] for name, values in columns.items()}
        assert encode(design, alone, target).cluster == [number]
    assert encode(design, columns).cluster is None
    assert Design.from_dict(design.to_dict()) == design
