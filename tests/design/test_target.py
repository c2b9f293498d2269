from __future__ import annotations

import decimal
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss.design.target import Target, learn_target
from logloss.errors import ColumnError, LabelError, ModelError, TargetError
from logloss.rows.protocols import Batch
from logloss.rows.source import open_source


def source(values: Any, kind: pa.DataType | None = None) -> Any:
    return open_source(pa.table({"y": pa.array(values, kind)}))


def encode(target: Target, values: Any, kind: pa.DataType | None = None) -> list[float]:
    batch = Batch(100, pa.record_batch({"y": pa.array(values, kind)}))
    return target.encode(batch).tolist()


DICTIONARY = pa.dictionary(pa.int8(), pa.string())

TWO = [
    ([1, 0, 1], pa.int8(), (0, 1)),
    ([1, -1], pa.int64(), (-1, 1)),
    ([2, 1], pa.uint8(), (1, 2)),
    ([True, False], pa.bool_(), (False, True)),
    ([1.0, 0.0], pa.float32(), (0.0, 1.0)),
    ([0.75, 0.25], pa.float64(), (0.25, 0.75)),
    ([7.0, -2.5], pa.float64(), (-2.5, 7.0)),
    ([decimal.Decimal("1.0"), decimal.Decimal("0.0")], pa.decimal128(2, 1), (0.0, 1.0)),
    ([2**60 + 1, 2**60], pa.int64(), (2**60, 2**60 + 1)),
]
EXACT = [decimal.Decimal("0.3"), decimal.Decimal("0.7")]


@pytest.mark.parametrize(("values", "kind", "classes"), TWO)
def test_two_values_of_any_type_are_classes_and_the_second_is_positive(
    values: list[Any], kind: pa.DataType, classes: tuple[Any, Any]
) -> None:
    target = learn_target(source(values, kind), "y")
    assert (target.kind, target.classes) == ("classes", classes)
    assert encode(target, values, kind) == [float(value == classes[1]) for value in values]


def test_classes_of_decimals_are_the_doubles_nearest_to_them() -> None:
    target = learn_target(source(EXACT), "y")
    assert target.classes == (0.3, 0.7)
    assert encode(target, EXACT) == [0, 1]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), DICTIONARY])
def test_text_needs_a_positive_class(kind: pa.DataType) -> None:
    rows = source(["spam", "ham"], kind)
    with pytest.raises(TargetError, match=r"is 'ham' or 'spam'; .* --positive spam"):
        learn_target(rows, "y")
    target = learn_target(rows, "y", positive="ham")
    assert target.classes == ("spam", "ham")
    assert encode(target, ["ham", "spam"], kind) == [1, 0]


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        ([0, 1], 0, (1, 0)),
        ([0, 1], "0", (1, 0)),
        ([0.0, 1.0], "0", (1.0, 0.0)),
        ([True, False], "false", (True, False)),
        ([1, 2], "2", (1, 2)),
    ],
)
def test_positive_may_be_given_as_text(
    values: list[Any], positive: object, classes: tuple[Any, Any]
) -> None:
    assert learn_target(source(values), "y", positive=positive).classes == classes


@pytest.mark.parametrize(
    ("values", "positive"), [(["a", "b"], "c"), ([0, 1], "x"), ([0, 1], 2), ([True, False], "1.5")]
)
def test_a_positive_class_that_does_not_occur_is_refused(values: Any, positive: Any) -> None:
    with pytest.raises(TargetError, match="cannot be positive"):
        learn_target(source(values), "y", positive=positive)


@pytest.mark.parametrize("values", [[0.0, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4]])
def test_other_numbers_between_0_and_1_are_proportions(values: list[float]) -> None:
    target = learn_target(source(values), "y")
    assert (target.kind, target.classes) == ("proportion", None)
    assert encode(target, values) == values


def test_a_proportion_has_no_positive_class() -> None:
    with pytest.raises(TargetError, match="it has no positive class"):
        learn_target(source([0.1, 0.2, 0.3]), "y", positive=1)


REFUSED = [
    ([0, 1, None], None, r"row 2 has no value"),
    ([0.5, float("nan")], None, r"row 1 has no value"),
    (["a", None], None, r"row 1 has no value"),
    ([None, None], pa.null(), r"row 0 has no value"),
    ([1, 1], None, r"is 1 in every row"),
    (["a", "a"], DICTIONARY, r"is 'a' in every row"),
    ([0.5, 0.5], None, r"is 0\.5 in every row"),
    ([3, 1, 2, 0], None, r"more than two values \(0, 1, 2, …\)"),
    (["c", "b", "a"], None, r"more than two values \('a', 'b', 'c', …\)"),
    ([0.5, 1.5, 0.0], None, r"more than two values"),
    ([-0.5, 0.5, 0.0], None, r"more than two values"),
    ([[1], [2]], None, r"is a list<.*it must be two values"),
    ([0, 1], pa.date32(), r"is a date32"),
    ([b"a", b"b"], None, r"is a binary"),
    ([0.0, float("inf")], None, r"holds infinite values"),
    ([-float("inf"), 0.0, 1.0], None, r"holds infinite values"),
    ([0.0, 0.5, 1.0, float("inf")], None, r"holds infinite values"),
]


@pytest.mark.parametrize(("values", "kind", "reason"), REFUSED)
def test_any_other_target_is_refused_in_one_clear_line(
    values: Any, kind: pa.DataType | None, reason: str
) -> None:
    with pytest.raises(TargetError, match=rf"^target 'y'.*{reason}") as info:
        learn_target(source(values, kind), "y")
    assert "\n" not in str(info.value)


def test_an_unknown_target_suggests_a_column() -> None:
    with pytest.raises(ColumnError, match="target: there is no column 'late'; did you mean 'Late'"):
        learn_target(open_source(pa.table({"Late": [0, 1]})), "late")


def test_values_that_a_dictionary_holds_but_no_row_has_do_not_count() -> None:
    column = pa.DictionaryArray.from_arrays([0, 2], ["no", "maybe", "yes"])
    rows = open_source(pa.table({"y": column}))
    assert learn_target(rows, "y", positive="yes").classes == ("no", "yes")


@pytest.mark.parametrize(
    ("classes", "values", "reason"),
    [
        ((0, 1), [1, 2], r"row 101 has 2; it must be 0 or 1"),
        ((0, 1), [None], r"row 100 has no value"),
        ((0, 1), [0.0, float("nan")], r"row 101 has no value"),
        (("a", "b"), ["a", "c"], r"row 101 has 'c'; it must be 'a' or 'b'"),
        (("a", "b"), [1], r"row 100 has 1"),
        (None, ["x"], r"is a string; it must be a proportion"),
    ],
)
def test_a_value_that_the_target_cannot_take_names_its_row(
    classes: Any, values: list[Any], reason: str
) -> None:
    with pytest.raises(TargetError, match=rf"target 'y'.*{reason}"):
        encode(Target("y", classes), values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.5, 1.5], r"row 101 has 1\.5; it must be in \[0, 1\]"),
        ([None, 0.5], r"row 100 has no value"),
    ],
)
def test_a_proportion_outside_its_range_is_a_label_error(values: list[Any], reason: str) -> None:
    with pytest.raises(LabelError, match=rf"target 'y'.*{reason}"):
        encode(Target("y", None), values)


def test_classes_are_recognised_in_another_type() -> None:
    target = Target("y", (0, 1))
    assert encode(target, [True, False]) == [1, 0]
    assert encode(target, [1.0, 0.0]) == [1, 0]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=2).filter(lambda v: len(set(v)) == 2))
def test_classes_do_not_depend_on_the_order_of_rows(values: list[str]) -> None:
    first, second = sorted(set(values))
    for order in (values, values[::-1]):
        assert learn_target(source(order), "y", positive=second).classes == (first, second)


@pytest.mark.parametrize("classes", [(0, 1), (False, True), ("a", "b"), (0.5, 1.5), None])
def test_a_target_reads_back_as_it_was_written(classes: Any) -> None:
    target = Target("y", classes)
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"name": 3, "classes": [0, 1]},
        {"name": "y", "classes": [0]},
        {"name": "y", "classes": 5},
        {"name": "y", "classes": [0, "1"]},
        {"name": "y", "classes": [[0], [1]]},
    ],
)
def test_a_damaged_record_is_a_model_error(record: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="damaged model: target"):
        Target.from_dict(record)


def test_text_classes_ask_csv_for_text() -> None:
    assert Target("y", ("no", "yes")).types == {"y": pa.string()}
    assert Target("y", (0, 1)).types == {}


def test_many_rows_are_encoded_at_once() -> None:
    y = np.random.default_rng(0).integers(0, 2, 200_000)
    target = learn_target(source(y), "y")
    blocks = source(y).map(target.encode).blocks()
    assert np.concatenate(list(blocks)).tolist() == y.tolist()
