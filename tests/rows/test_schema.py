from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from logloss.errors import ColumnError
from logloss.rows.schema import common_type
from logloss.rows.source import open_source

DICTIONARY = pa.dictionary(pa.int8(), pa.string())


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.uint8(), pa.int16(), pa.int16()),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.uint64(), pa.int8(), pa.float64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.decimal128(5, 2), pa.int8(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (DICTIONARY, pa.string(), pa.string()),
        (
            DICTIONARY,
            pa.dictionary(pa.int16(), pa.string()),
            pa.dictionary(pa.int32(), pa.string()),
        ),
        (pa.null(), DICTIONARY, DICTIONARY),
        (pa.date32(), pa.timestamp("s"), pa.timestamp("s")),
        (pa.time32("s"), pa.date32(), None),
        (pa.bool_(), pa.int8(), None),
        (pa.string(), pa.int8(), None),
        (DICTIONARY, pa.int8(), None),
        (DICTIONARY, pa.dictionary(pa.int8(), pa.int8()), None),
    ],
)
def test_common_type_holds_the_values_of_both_in_either_order(
    a: pa.DataType, b: pa.DataType, common: pa.DataType | None
) -> None:
    assert common_type(a, b) == common
    assert common_type(b, a) == common


def write_both(tmp_path: Path, first: dict, second: dict) -> Path:
    for name, columns in (("1.parquet", first), ("2.parquet", second)):
        pq.write_table(pa.table(columns), tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        (pa.array([1, 2]), pa.array([0.5]), [1.0, 2.0, 0.5]),
        (pa.array([1], pa.int8()), pa.array([1000], pa.int16()), [1, 1000]),
        (pa.array(["u"]).dictionary_encode(), pa.array(["v", None]), ["u", "v", None]),
        (pa.array(["u"]).dictionary_encode(), pa.array(["v", "w"], DICTIONARY), ["u", "v", "w"]),
        (pa.nulls(1), pa.array([True]), [None, True]),
        (pa.array([2**60 + 1]), pa.array([0.5]), [float(2**60), 0.5]),
    ],
)
def test_files_of_different_but_compatible_types_are_one_table(
    tmp_path: Path, first: pa.Array, second: pa.Array, values: list[object]
) -> None:
    source = open_source(write_both(tmp_path, {"a": first}, {"a": second}))
    assert [v for block in source.blocks() for v in block.table["a"].to_pylist()] == values


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    source = open_source(write_both(tmp_path, {"a": [1], "b": [2]}, {"b": [4], "a": [3]}))
    assert source.take([0, 1]).to_pydict() == {"a": [1, 3], "b": [2, 4]}


def test_incompatible_types_name_file_and_column(tmp_path: Path) -> None:
    folder = write_both(tmp_path, {"a": [1], "b": [1]}, {"a": [1], "b": ["x"]})
    with pytest.raises(ColumnError, match=r"column 'b' is string in .*2\.parquet and int64 in .*1"):
        open_source(folder)


@pytest.mark.parametrize("swap", [False, True])
def test_a_column_that_a_file_lacks_is_named(tmp_path: Path, swap: bool) -> None:
    tables = [{"a": [1], "b": [1]}, {"a": [1]}]
    folder = write_both(tmp_path, *(tables[::-1] if swap else tables))
    has, lacks = (2, 1) if swap else (1, 2)
    with pytest.raises(ColumnError, match=rf"'b' is in .*{has}\.parquet and not in .*{lacks}\.par"):
        open_source(folder)
