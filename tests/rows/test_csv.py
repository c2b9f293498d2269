from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as pv

from logloss.errors import SourceError
from logloss.rows import csv
from logloss.rows.source import Source, open_source


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let types be inferred from 64 bytes at a time, so that small files contradict them."""
    monkeypatch.setattr(csv, "_PIECE", 64)
    monkeypatch.setattr(csv, "_BLOCK", 64)


def opened(tmp_path: Path, text: str, name: str = "t.csv", **types: pa.DataType) -> Source:
    with pa.output_stream(str(tmp_path / name), compression="detect") as file:
        file.write(text.encode())
    return open_source(tmp_path / name, types=types)


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
@pytest.mark.parametrize("file", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(("first", "later", "kind"), LATER)
def test_a_later_value_that_contradicts_the_first_rows_widens_the_type(
    tmp_path: Path, first: list[str], later: str, kind: pa.DataType, file: str
) -> None:
    rows = "".join(f'0,"{value}"\n' for value in [*first, later])
    source = opened(tmp_path, f"i,a\n{rows}", file)
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


def test_a_file_that_changed_since_it_was_opened_is_noticed(tmp_path: Path) -> None:
    source = opened(tmp_path, "a\n1\n")
    (tmp_path / "t.csv").write_text("a\n1\n2\n")
    with pytest.raises(SourceError, match="changed while it was read: 6 bytes where 4 were"):
        column(source)


def whole(path: Path) -> pa.Table:
    """Read a file as Arrow alone reads it, in one block."""
    options = pv.ConvertOptions(null_values=csv.MISSING, strings_can_be_null=True)
    parse = pv.ParseOptions(newlines_in_values=True)
    return pv.read_csv(path, pv.ReadOptions(block_size=1 << 20), parse, options)


#: Fields as programs write them, and as they should not: with marks inside, or line ends.
FIELDS = ["", "7", "-1.5", "x", '"x, y"', '"a\nb"', '""""', '"say ""no""\r\n"', '"\n\n"', "é"]
STRAY = ['5" disk', 'a"b"', '"a"b', '"a" ,', ' "a']


@settings(max_examples=200)
@given(
    st.lists(st.tuples(*[st.sampled_from([*FIELDS, *STRAY])] * 2), min_size=1, max_size=30),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.sampled_from([1, 16, 64]),
    st.booleans(),
)
def test_pieces_hold_the_rows_that_one_block_holds(
    rows: list[tuple[str, str]], line_end: str, piece: int, ends: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(csv, "_PIECE", piece):
        path = Path(folder) / "t.csv"
        text = line_end.join(["a,b", *map(",".join, rows)]) + line_end * ends
        path.write_bytes(text.encode())
        try:
            wanted = whole(path)
        except pa.ArrowInvalid:
            with pytest.raises(SourceError):
                open_source(path)
            return
        if not len(wanted):
            return
        source = open_source(path)
        for name in wanted.column_names:
            assert column(source, name) == wanted[name].to_pylist()


def test_a_file_without_stray_marks_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "_PIECE", 64)
    rows = "".join(f'{k},"{k}\n"\n' for k in range(100))
    assert len(opened(tmp_path, "a,b\n" + rows).shards) > 10
    stray = opened(tmp_path, 'a,b\n5" disk,x\n' + rows)
    assert len(stray.shards) == 1
    assert column(stray)[0] == '5" disk'


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b\r1,2\r3,4\r", [1, 3]),
        ('a,b\n1,"' + "\n" * 999 + '"\n3,x\n', [1, 3]),
        ('"a' + "\n" * 99 + '",b\n1,2\n3,4\n', None),
    ],
)
def test_a_file_whose_rows_do_not_end_for_long_is_read_as_a_stream(
    tmp_path: Path, text: str, values: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PIECE", "_LONGEST", "_LONGEST_HEADER"):
        monkeypatch.setattr(csv, name, 64)
    source = opened(tmp_path, text)
    assert len(source.shards) == 1
    assert values is None or column(source) == values


def test_a_header_alone_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there are no rows"):
        opened(tmp_path, "a,b")


def test_a_piece_that_is_empty_has_no_rows(tmp_path: Path, small_pieces: None) -> None:
    assert column(opened(tmp_path, "\n\na\n1\n" + "\n" * 200 + "2\n")) == [1, 2]


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


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_whole_numbers_stay_whole_where_fractions_are_expected(
    tmp_path: Path, small_pieces: None, name: str
) -> None:
    text = "whole,part,none,word\n" + "1,1,,1\n" * 20 + "2,2.5,,x\n"
    hints = dict.fromkeys(("whole", "part", "none", "word"), pa.float64())
    source = opened(tmp_path, text, name, **hints)
    assert source.schema is not None
    assert source.schema.types == [pa.int64(), pa.float64(), pa.float64(), pa.string()]
    assert column(source, "part") == [1.0] * 20 + [2.5]


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


def test_a_quotation_mark_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    rows = "1,a\n" * 40
    with pytest.raises(SourceError, match=r"t\.csv: the quotation mark at byte 166 opens"):
        opened(tmp_path, f'a,b\n{rows}2,"c\n{rows}')


def test_a_single_mark_within_a_field_is_text(tmp_path: Path) -> None:
    assert column(opened(tmp_path, 'a,b\n5" pipe,1\nc,2\n')) == ['5" pipe', "c"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_names_that_are_not_utf8_are_a_source_error(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("größe,b\n1,2\n".encode(encoding))
    with pytest.raises(SourceError, match="not UTF-8"):
        open_source(tmp_path / "t.csv")


def test_an_empty_path_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="an empty path"):
        open_source("")
