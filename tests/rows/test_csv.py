from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from logloss.errors import SourceError
from logloss.rows import csv
from logloss.rows.source import Source, open_source


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let types be inferred from the first 64 bytes, so that small files contradict them."""
    monkeypatch.setattr(csv, "_PIECE", 64)


def opened(tmp_path: Path, text: str, **types: pa.DataType) -> Source:
    (tmp_path / "t.csv").write_text(text)
    return open_source(tmp_path / "t.csv", types=types)


def column(source: Source, name: str = "a") -> list[object]:
    return [value for block in source.blocks() for value in block.table[name].to_pylist()]


LATER = [
    (["1"] * 60, "1.5", pa.float64()),
    (["1"] * 60, "x", pa.string()),
    (["1.5"] * 60, "x", pa.string()),
    (["true"] * 60, "2", pa.string()),
    (["2013-01-01"] * 60, "2013-01-01 10:00:00", pa.timestamp("s")),
    (["2013-01-01"] * 60, "tomorrow", pa.string()),
    ([""] * 60, "7", pa.int64()),
    ([""] * 60, "7.5", pa.float64()),
    ([""] * 60, "x", pa.string()),
    ([""] * 60, 'say ""x""', pa.string()),
    (["1"] * 60, "99999999999999999999", pa.float64()),
    (["1"] * 60 + ["1.5"] * 60, "x", pa.string()),
]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("first", "later", "kind"), LATER)
def test_a_later_value_that_contradicts_the_first_rows_widens_the_type(
    tmp_path: Path, first: list[str], later: str, kind: pa.DataType
) -> None:
    rows = "".join(f'0,"{value}"\n' for value in [*first, later])
    source = opened(tmp_path, f"i,a\n{rows}")
    assert source.schema is not None
    assert source.schema.field("a").type == kind
    assert source.n_rows == len(column(source)) == len(first) + 1


@pytest.mark.usefixtures("small_pieces")
def test_numbers_before_the_contradiction_keep_their_text(tmp_path: Path) -> None:
    source = opened(tmp_path, "a\n" + "007\n" * 60 + "x\n")
    assert set(column(source)) == {"007", "x"}


@pytest.mark.usefixtures("small_pieces")
def test_several_columns_may_contradict(tmp_path: Path) -> None:
    source = opened(tmp_path, "a,b,c\n" + "1,1,\n" * 40 + "1.5,1,\n" + "1,x,2\n")
    assert source.schema is not None
    assert source.schema.types == [pa.float64(), pa.string(), pa.int64()]


@pytest.mark.parametrize(
    "spelling", ["", "NA", "N/A", "null", "NaN", "nan", "NULL", "<NA>", "None"]
)
def test_usual_spellings_of_missing_are_null_in_numbers_and_text(
    tmp_path: Path, spelling: str
) -> None:
    source = opened(tmp_path, f"i,a,s\n0,1,x\n0,{spelling},{spelling}\n")
    assert column(source, "a") == [1, None]
    assert column(source, "s") == ["x", None]


@pytest.mark.usefixtures("small_pieces")
def test_a_ragged_row_far_down_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Expected 2 columns, got 1"):
        opened(tmp_path, "a,b\n" + "1,2\n" * 60 + "3\n")


def test_quoted_fields_may_hold_delimiters_quotes_and_newlines(tmp_path: Path) -> None:
    source = opened(tmp_path, 'a,b\n"x, ""y""\nz",1\n')
    assert column(source) == ['x, "y"\nz']


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_header(tmp_path: Path, delimiter: str) -> None:
    source = opened(tmp_path, f'a{delimiter}"b;|"\n1{delimiter}2\n')
    assert source.schema is not None
    assert source.schema.names == ["a", "b;|"]


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path: Path) -> None:
    source = opened(tmp_path, "\ufeffa,b\n1,2\n")
    assert column(source) == [1]


def test_hints_decide_where_values_allow_it(tmp_path: Path) -> None:
    source = opened(tmp_path, "a,b\n007,x\n", a=pa.string(), b=pa.float64(), c=pa.string())
    assert source.schema is not None
    assert source.schema.types == [pa.string(), pa.string()]
    assert column(source) == ["007"]


def test_files_of_one_folder_agree_on_types(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b,c\n007,1,\n")
    (tmp_path / "2.csv").write_text("c,a,b\n5,x,1.5\n")
    source = open_source(tmp_path)
    assert column(source, "a") == ["007", "x"]
    assert column(source, "b") == [1.0, 1.5]
    assert column(source, "c") == [None, 5]


def test_tab_separated_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\n1\tx, y\n")
    assert column(open_source(tmp_path / "t.tsv"), "b") == ["x, y"]
