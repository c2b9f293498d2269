from __future__ import annotations

import gc
import io
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv as pv
from pyarrow import feather
from pyarrow import parquet as pq

from logloss.errors import ColumnError, SourceError
from logloss.rows.source import Source, open_source
from logloss.rows.tables import block_rows


def frame(n: int = 10, start: int = 0) -> pa.Table:
    numbers = range(start, start + n)
    return pa.table({"a": list(numbers), "s": [f"x{i % 3}" for i in numbers]})


def read(source: Source[Any]) -> pa.Table:
    return pa.Table.from_batches([block.table for block in source.blocks()], source.schema)


def write(table: pa.Table, path: Path) -> Path:
    """Write in the format that the name tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=4)
    elif path.suffix == ".csv":
        pv.write_csv(table, path)
    elif path.suffix == ".gz":
        with pa.CompressedOutputStream(str(path), "gzip") as sink:
            pv.write_csv(table, sink)
    elif path.suffix == ".feather":
        feather.write_feather(table, str(path), chunksize=4)
    elif path.suffix == ".arrows":
        with pa.ipc.new_stream(str(path), table.schema) as sink:
            sink.write_table(table, max_chunksize=4)
    else:
        with pa.ipc.new_file(str(path), table.schema) as sink:
            sink.write_table(table, max_chunksize=4)
    return path


FORMATS = [".parquet", ".csv", ".csv.gz", ".arrow", ".arrows", ".feather"]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_of_any_format_reads_as_it_was_written(tmp_path: Path, ending: str) -> None:
    path = write(frame(), tmp_path / f"t{ending}")
    assert read(open_source(path)).equals(frame())


@pytest.mark.parametrize("ending", FORMATS)
def test_a_folder_is_one_table(tmp_path: Path, ending: str) -> None:
    write(frame(5, 0), tmp_path / "d" / f"part-1{ending}")
    write(frame(5, 5), tmp_path / "d" / "deeper" / f"part-2{ending}")
    assert sorted(read(open_source(tmp_path / "d"))["a"].to_pylist()) == list(range(10))


@pytest.mark.parametrize("ending", FORMATS)
def test_projection_reads_the_named_columns_in_the_order_asked(tmp_path: Path, ending: str) -> None:
    source = open_source(write(frame(), tmp_path / f"t{ending}"))
    assert read(source.select(["s", "a"])).equals(frame().select(["s", "a"]))
    assert read(source.select(["s"])).equals(frame().select(["s"]))
    assert sum(len(block) for block in source.select([]).blocks()) == 10


@pytest.mark.parametrize("ending", FORMATS)
def test_shards_travel(tmp_path: Path, ending: str) -> None:
    source = open_source(write(frame(), tmp_path / f"t{ending}"))
    shards = pickle.loads(pickle.dumps(source.shards))
    assert read(Source(shards, source.schema)).equals(frame())


def test_files_come_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 9, 1):
        write(frame(1, i), tmp_path / f"part-{i}.parquet")
    assert read(open_source(tmp_path))["a"].to_pylist() == [1, 9, 10]
    assert read(open_source(str(tmp_path / "part-*.parquet")))["a"].to_pylist() == [1, 9, 10]


def test_a_sequence_of_paths_keeps_its_order(tmp_path: Path) -> None:
    paths = [write(frame(1, i), tmp_path / f"{i}.parquet") for i in range(3)]
    assert read(open_source(paths[::-1]))["a"].to_pylist() == [2, 1, 0]


def test_hidden_files_and_other_kinds_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    write(frame(), tmp_path / "t.parquet")
    for name in ("_SUCCESS", ".t.parquet.crc", "README.md", "_metadata.parquet"):
        (tmp_path / name).write_text("x")
    assert open_source(tmp_path).n_rows == 10


def test_row_numbers_run_through_all_files_and_row_groups(tmp_path: Path) -> None:
    for i in range(3):
        write(frame(10, 10 * i), tmp_path / f"{i}.parquet")
    for block in open_source(tmp_path).blocks():
        expected = np.arange(block.first_row, block.first_row + len(block))
        assert block.table["a"].to_numpy().tolist() == expected.tolist()


def test_folders_of_a_hive_tree_become_columns(tmp_path: Path) -> None:
    for month in (2, 10):
        for carrier in ("B6", "U A"):
            folder = tmp_path / f"month={month}" / f"carrier={carrier.replace(' ', '%20')}"
            write(frame(1, month), folder / "p.parquet")
    table = read(open_source(tmp_path))
    assert table.schema.field("month").type == pa.int64()
    assert table["month"].to_pylist() == table["a"].to_pylist() == [2, 2, 10, 10]
    assert table["carrier"].to_pylist() == ["B6", "U A"] * 2


def test_a_glob_over_a_hive_tree_keeps_the_columns(tmp_path: Path) -> None:
    for month in (1, 2, 11):
        write(frame(1, month), tmp_path / f"month={month}" / "p.csv")
    for pattern in ("month=1*", "month=1*/p.csv", "*/*.csv", "**/*.csv"):
        table = read(open_source(f"{tmp_path}/{pattern}"))
        assert table["month"].to_pylist() == table["a"].to_pylist()


def test_the_hive_null_partition_is_missing(tmp_path: Path) -> None:
    write(frame(1), tmp_path / "k=1" / "p.parquet")
    write(frame(1), tmp_path / "k=__HIVE_DEFAULT_PARTITION__" / "p.parquet")
    assert sorted(read(open_source(tmp_path))["k"].to_pylist(), key=str) == [1, None]


def test_a_column_of_the_file_wins_over_the_folder_of_its_name(tmp_path: Path) -> None:
    write(frame(2), tmp_path / "a=7" / "p.parquet")
    assert read(open_source(tmp_path))["a"].to_pylist() == [0, 1]


def test_a_file_outside_the_partitions_is_named(tmp_path: Path) -> None:
    write(frame(1), tmp_path / "k=1" / "p.parquet")
    write(frame(1), tmp_path / "stray.parquet")
    with pytest.raises(SourceError, match=r"stray\.parquet: it lies in no folder k=…"):
        open_source(tmp_path)


@pytest.mark.parametrize("url", ["file://{}", "memory://logloss/t.csv"])
def test_a_url_is_opened_by_pyarrow_or_fsspec(tmp_path: Path, url: str) -> None:
    import fsspec

    path = write(frame(), tmp_path / "t.csv")
    fsspec.filesystem("memory").pipe("/logloss/t.csv", path.read_bytes())
    assert read(open_source(url.format(path))).equals(frame())


@pytest.mark.parametrize("url", ["nothing://a/b.csv", "memory://no/such.csv"])
def test_a_url_that_cannot_be_opened_is_named(url: str) -> None:
    with pytest.raises(SourceError, match=re.escape(url)):
        open_source(url)


def test_a_url_without_permission_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError("no access")

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    with pytest.raises(SourceError, match=r"memory://a/b\.csv: cannot be opened: no access"):
        open_source("memory://a/b.csv")


def test_a_url_without_fsspec_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SourceError, match="install fsspec"):
        open_source("memory://a/b.csv")


MEMORY = {
    "pyarrow table": frame,
    "pyarrow batch": lambda: frame().to_batches()[0],
    "pyarrow reader": lambda: frame().to_reader(),
    "pandas": lambda: frame().to_pandas().set_index(pd.Index(range(5, 15))),
    "polars": lambda: pl.from_arrow(frame()),
    "duckdb": lambda: duckdb.sql("select range a, 'x' || range % 3 s from range(10) order by a"),
}


@pytest.mark.parametrize("kind", MEMORY)
def test_a_table_of_any_library_is_a_source(kind: str) -> None:
    source = open_source(MEMORY[kind]())
    assert read(source).to_pylist() == frame().to_pylist()
    assert read(source).to_pylist() == frame().to_pylist(), "twice"


def test_a_source_passes_through() -> None:
    source = open_source(frame())
    assert open_source(source) is source


def test_a_spooled_stream_is_removed_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    derived = open_source(frame().to_reader()).select(["a"]).map(len)
    assert len(list(tmp_path.iterdir())) == 1
    assert sum(derived.blocks()) == 10
    del derived
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_standard_input_is_told_by_its_first_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    content = write(frame(), tmp_path / f"t{ending}").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    source = open_source("-")
    assert read(source).equals(frame())
    assert read(source).equals(frame()), "twice"


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"\x00\x01", "unknown kind")])
def test_standard_input_of_no_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(SourceError, match=f"standard input: .*{reason}"):
        open_source("-")


def test_no_block_has_more_than_65536_rows(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(150_000)})
    pq.write_table(table, tmp_path / "t.parquet")
    feather.write_feather(table, str(tmp_path / "t.feather"), chunksize=150_000)
    pv.write_csv(table, tmp_path / "t.csv")
    for data in (table, *(tmp_path / f"t.{end}" for end in ("parquet", "feather", "csv"))):
        sizes = [len(block) for block in open_source(data).blocks()]
        assert sum(sizes) == 150_000
        assert max(sizes) <= 65_536


def test_small_row_groups_share_a_shard(tmp_path: Path) -> None:
    pq.write_table(frame(100), tmp_path / "t.parquet", row_group_size=1)
    assert len(open_source(tmp_path / "t.parquet").shards) == 1


@given(st.lists(st.integers(0, 99)))
def test_take_returns_rows_by_number_in_the_order_asked(rows: list[int]) -> None:
    table = frame(100).append_column("d", frame(100)["s"].dictionary_encode())
    shards = open_source(table).shards
    split = open_source(pa.concat_tables([table.slice(0, 30), table.slice(30)]))
    assert split.take(rows).to_pylist() == table.take(pa.array(rows, pa.int64())).to_pylist()
    assert len(shards) == 1


def test_take_reads_across_files_with_dictionaries_of_their_own(tmp_path: Path) -> None:
    for i, word in enumerate(["u", "v", "w"]):
        column = pa.array([word] * 3).dictionary_encode()
        pq.write_table(pa.table({"d": column}), tmp_path / f"{i}.parquet")
    taken = open_source(tmp_path).take([8, 0, 4, 0])
    assert taken["d"].to_pylist() == ["w", "u", "v", "u"]


def test_take_refuses_rows_that_are_not_there() -> None:
    with pytest.raises(IndexError, match=r"in \[0, 10\)"):
        open_source(frame()).take([10])


def test_views_of_text_are_read_as_text() -> None:
    categories = pl.Series(["u", "v"], dtype=pl.Categorical)
    source = open_source(pl.DataFrame({"s": ["a", None], "c": categories}))
    assert source.schema is not None
    assert source.schema.types[0] == pa.large_string()
    assert source.schema.types[1].value_type == pa.large_string()
    assert read(source).to_pylist() == [{"s": "a", "c": "u"}, {"s": None, "c": "v"}]


def test_a_pickled_shard_in_memory_carries_its_own_rows_only() -> None:
    source = open_source(pa.table({"a": np.arange(1_000_000.0)}))
    content = pickle.dumps(source.shards[1])
    assert len(content) < 1_000_000
    (block,) = pickle.loads(content).blocks()
    assert block.table["a"].to_pylist() == list(range(65_536, 131_072))


def test_rows_in_memory_count_without_columns() -> None:
    blocks = open_source(frame()).select([]).blocks()
    assert [(len(block), block.table.num_columns) for block in blocks] == [(10, 0)]


def test_schema_metadata_is_kept(tmp_path: Path) -> None:
    table = frame().replace_schema_metadata({b"logloss": b"{}"})
    pq.write_table(table, tmp_path / "1.parquet")
    assert open_source(tmp_path).schema.metadata[b"logloss"] == b"{}"
    pq.write_table(table.replace_schema_metadata({b"logloss": b"[]"}), tmp_path / "2.parquet")
    assert b"logloss" not in (open_source(tmp_path).schema.metadata or {})


def test_map_keeps_rows_and_numbers() -> None:
    source = open_source(frame()).map(len)
    assert list(source.blocks()) == [10]
    shard = source.shards[0]
    assert (shard.origin, shard.first_row, shard.n_rows) == ("pyarrow Table", 0, 10)


# What cannot be opened


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.parquet", b"", "cannot be read"),
        ("t.parquet", b"PAR1 and then nonsense", "cannot be read"),
        ("t.arrow", b"", "cannot be read"),
        ("t.arrow", b"ARROW1 and then nonsense", "cannot be read"),
        ("t.feather", b"FEA1....", "Feather version 1 is no longer read"),
        ("t.csv", b"", "cannot be read: Empty CSV file"),
        ("t.csv", b"a,b\n", "there are no rows"),
        ("t.csv", b"a,a\n1,2\n", "two columns are named 'a'"),
        ("t.csv", b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("t.csv", b"a\ncaf\xe9\n", "column 'a' is not UTF-8 text"),
        ("t.csv.gz", b"not packed", "cannot be read"),
        ("t.xlsx", b"PK", "unknown kind of file; it should be Parquet"),
        ("t.parquet.gz", b"x", "unknown kind of file"),
    ],
)
def test_a_file_of_no_use_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"{re.escape(str(path))}: .*{re.escape(reason)}") as info:
        open_source(path)
    assert "\n" not in str(info.value)


def test_a_page_damaged_inside_a_parquet_file_is_a_source_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.random.default_rng(0).random(10_000)}), path)
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    source = open_source(path)
    with pytest.raises(SourceError, match=r"t\.parquet: cannot be read"):
        read(source)


def test_a_file_that_changed_since_it_was_opened_is_noticed(tmp_path: Path) -> None:
    path = write(frame(), tmp_path / "t.csv.gz")
    source = open_source(path)
    write(frame(11), path)
    with pytest.raises(SourceError, match="changed while it was read: 11 rows where 10 were"):
        read(source)


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write(frame(0), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="there are no rows"):
        open_source(path)


def test_an_arrow_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write(frame(0), tmp_path / "t.arrow")
    with pytest.raises(SourceError, match="there are no rows"):
        open_source(path)


def test_an_empty_file_among_others_adds_nothing(tmp_path: Path) -> None:
    write(frame(0), tmp_path / "0.parquet")
    write(frame(3), tmp_path / "1.parquet")
    assert read(open_source(tmp_path))["a"].to_pylist() == [0, 1, 2]


def test_a_table_without_columns_is_refused() -> None:
    with pytest.raises(SourceError, match="there are no columns"):
        open_source(pa.table({}))


@pytest.mark.parametrize("name", ["missing.parquet", "missing", "missing/*.csv"])
def test_a_path_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"missing.*: (there is no such file|no file matches)"):
        open_source(str(tmp_path / name))


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(SourceError, match="the folder holds no data"):
        open_source(tmp_path)


def test_files_of_two_formats_are_no_table(tmp_path: Path) -> None:
    write(frame(), tmp_path / "t.csv")
    write(frame(), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="kinds csv and parquet"):
        open_source(tmp_path)


def test_an_empty_list_of_files_is_refused() -> None:
    with pytest.raises(SourceError, match="name at least one"):
        open_source([])


@pytest.mark.parametrize("data", [3, None, {"a": [1]}, [1, 2], np.zeros(3)])
def test_what_is_no_table_is_refused(data: object) -> None:
    with pytest.raises(SourceError, match=f"a {type(data).__name__} is not a table"):
        open_source(data)


def test_a_pandas_frame_with_repeated_names_is_refused() -> None:
    with pytest.raises(SourceError, match="Duplicate column names"):
        open_source(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_pandas_column_of_mixed_objects_is_named() -> None:
    with pytest.raises(SourceError, match="column mixed"):
        open_source(pd.DataFrame({"mixed": [1, "x"]}))


def test_a_stream_without_rows_is_refused_in_one_plain_line() -> None:
    with pytest.raises(SourceError, match=r"^pyarrow RecordBatchReader: there are no rows$"):
        open_source(frame(0).to_reader())


def test_select_refuses_a_column_that_is_not_there() -> None:
    with pytest.raises(ColumnError, match="there is no column 'b'"):
        open_source(frame()).select(["b"])


@pytest.mark.parametrize(
    ("width", "rows"), [(0, 65_536), (64, 65_536), (65, 32_768), (1000, 4096), (10**7, 256)]
)
def test_wide_tables_have_shorter_blocks(width: int, rows: int) -> None:
    assert block_rows(width) == rows
