"""Sources of rows, and the one door through which tables of every kind become one.

How each format is read stands in its own module; what the columns mean does not
concern anything here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa
from pyarrow import fs

from logloss.errors import ColumnError, SourceError
from logloss.files import Scratch
from logloss.rows.arrow import FILE_MAGIC, arrow_parts, spool
from logloss.rows.csv import csv_parts
from logloss.rows.locate import KNOWN, Place, format_of, locate, partition_types
from logloss.rows.parquet import parquet_parts
from logloss.rows.protocols import Batch, Shard
from logloss.rows.schema import conform, plain_schema, unify
from logloss.rows.tables import Part, TableShard, memory_shards, reading

B = TypeVar("B")
C = TypeVar("C")


@dataclass(frozen=True)
class Source(Generic[B]):
    """Rows, as a tuple of shards; each row has a global number, counted from 0.

    Attributes
    ----------
    shards : tuple of Shard
        In row order.
    schema : pyarrow.Schema or None
        Columns and types where the rows are a table's.
    name : str
        What messages call it.
    """

    shards: tuple[Shard[B], ...]
    schema: pa.Schema | None = None
    name: str = "table"
    _scratch: Scratch | None = field(default=None, repr=False, compare=False)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(shard.n_rows for shard in self.shards)

    def map(self, function: Callable[[B], C]) -> Source[C]:
        """Return a source whose blocks are `function` of the blocks of this one.

        Parameters
        ----------
        function : callable
            Keeps the number and the order of rows; picklable if shards are to travel.
        """
        shards = tuple(MappedShard(shard, function) for shard in self.shards)
        return Source(shards, None, self.name, self._scratch)

    def blocks(self) -> Iterator[B]:
        """Read all rows, in order, piece by piece."""
        for shard in self.shards:
            yield from shard.blocks()

    def select(self, columns: Sequence[str]) -> Source[B]:
        """Return the same rows with these columns only; the others are not even read.

        Raises
        ------
        ColumnError
            If there is no such column.
        """
        assert self.schema is not None, "only tables have columns"
        for name in columns:
            if name not in self.schema.names:
                raise ColumnError(f"{self.name}: there is no column {name!r}")
        shards = cast(tuple[TableShard, ...], self.shards)
        schema = pa.schema([self.schema.field(name) for name in columns], self.schema.metadata)
        chosen = tuple(shard.select(columns) for shard in shards)
        return replace(self, shards=cast(Any, chosen), schema=schema)

    def take(self, row_numbers: Sequence[int]) -> pa.Table:
        """Return rows by their global numbers, in the order asked.

        Parameters
        ----------
        row_numbers : sequence of int
            Each at least 0 and below `n_rows`; one may stand twice.
        """
        assert self.schema is not None, "only tables have rows to take"
        wanted = np.asarray(row_numbers, np.int64)
        rows = np.unique(wanted)
        if len(rows) and not 0 <= rows[0] <= rows[-1] < self.n_rows:
            raise IndexError(f"row numbers must be in [0, {self.n_rows})")
        pieces = [
            piece
            for shard in cast(tuple[TableShard, ...], self.shards)
            for piece in _rows_of(shard, rows)
        ]
        table = pa.Table.from_batches(pieces, self.schema).unify_dictionaries().combine_chunks()
        return table.take(pa.array(np.searchsorted(rows, wanted)))


def _rows_of(shard: TableShard, rows: np.ndarray) -> Iterator[pa.RecordBatch]:
    """Read the rows of one shard that are among the sorted `rows`, and no further."""
    low, high = np.searchsorted(rows, [shard.first_row, shard.first_row + shard.n_rows])
    rows = rows[low:high]
    if not len(rows):
        return
    for block in shard.blocks():
        here = rows[(rows >= block.first_row) & (rows < block.first_row + block.table.num_rows)]
        if len(here):
            yield block.table.take(pa.array(here - block.first_row))
        if rows[-1] < block.first_row + block.table.num_rows:
            return


@dataclass(frozen=True)
class MappedShard(Generic[B, C]):
    """A shard whose blocks are a function of another's."""

    shard: Shard[B]
    function: Callable[[B], C]

    @property
    def origin(self) -> str:
        """Name of the file or object that holds the rows."""
        return self.shard.origin

    @property
    def first_row(self) -> int:
        """Global number of the first row."""
        return self.shard.first_row

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.shard.n_rows

    def blocks(self) -> Iterator[C]:
        """Read the rows, in order, piece by piece."""
        return map(self.function, self.shard.blocks())


def open_source(data: object, *, types: Mapping[str, pa.DataType] | None = None) -> Source[Batch]:
    """Open a table of any kind as a source of rows.

    Parameters
    ----------
    data : path, URL, sequence of paths, table, or Source
        A Parquet, CSV, Arrow IPC or Feather file, a folder or Hive tree of them, a glob,
        a URL that pyarrow or fsspec opens, or ``"-"`` for standard input; anything with
        ``__arrow_c_stream__`` (pandas, Polars, DuckDB, pyarrow).  A `Source` passes
        through.  What can be read only once is kept in a temporary file.
    types : mapping of str to pyarrow.DataType, optional
        Types that columns of CSV should be read as if their values allow it.

    Returns
    -------
    Source of Batch
        Blocks of at most 65,536 rows; row numbers are known up front.

    Raises
    ------
    SourceError
        If the data cannot be found, opened or read, or there are no rows.
    ColumnError
        If files of one table do not go together.

    Examples
    --------
    >>> import pyarrow as pa
    >>> source = open_source(pa.table({"late": [0, 1, 0]}))
    >>> source.n_rows
    3
    >>> source.take([1])["late"].to_pylist()
    [1]
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, str) and data == "-":
        return _from_stdin(types or {})
    if isinstance(data, str | os.PathLike):
        return _from_places(locate(os.fspath(data)), os.fspath(data), types or {})
    if isinstance(data, list | tuple) and all(isinstance(d, str | os.PathLike) for d in data):
        places = [place for name in data for place in locate(os.fspath(name))]
        if not places:
            raise SourceError("an empty list of files: name at least one")
        return _from_places(places, f"{len(data)} files", types or {})
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return _from_arrow(data)
    raise SourceError(
        f"a {type(data).__name__} is not a table: give a path, or a table of pyarrow, pandas, "
        "Polars or DuckDB"
    )


def _from_places(
    places: Sequence[Place],
    name: str,
    types: Mapping[str, pa.DataType],
    scratch: Scratch | None = None,
) -> Source[Batch]:
    """Put the parts of all files together, as one table."""
    kinds = sorted({str(format_of(place.path)) for place in places})
    if len(kinds) > 1:
        raise SourceError(f"{name}: there are files of kinds {' and '.join(kinds)}; name one kind")
    constants = partition_types(places)
    parts: list[Part] = []
    if kinds == ["csv"]:
        parts = csv_parts(places, types)
    else:
        opened = parquet_parts if kinds == ["parquet"] else arrow_parts
        for place in places:
            parts += opened(place)
    schema = unify(
        (part.place.origin, plain_schema(part.schema, part.place.origin)) for part in parts
    )
    constants = {key: kind for key, kind in constants.items() if key not in schema.names}
    for key, kind in constants.items():
        schema = schema.append(pa.field(key, kind))
    shards, first_row = [], 0
    for part in parts:
        values = dict(part.place.partitions)
        scalars = tuple((k, pa.scalar(values[k]).cast(kind)) for k, kind in constants.items())
        if part.n_rows:
            shards.append(
                TableShard(part.place.origin, first_row, part.n_rows, schema, part.reader, scalars)
            )
        first_row += part.n_rows
    return _with_rows(Source(tuple(shards), schema, name, scratch))


def _with_rows(source: Source[Batch]) -> Source[Batch]:
    if not source.n_rows:
        raise SourceError(f"{source.name}: there are no rows")
    return source


def _from_arrow(data: Any) -> Source[Batch]:
    """Read a table that lies in memory in place; spool what may come only once."""
    module = type(data).__module__.split(".")[0]
    name = f"{module} {type(data).__name__}"
    try:
        if module not in ("pyarrow", "pandas", "polars") or isinstance(data, pa.RecordBatchReader):
            reader = pa.RecordBatchReader.from_stream(data)
            plain_schema(reader.schema, name)
            scratch = spool(reader)
            place = Place(fs.LocalFileSystem(use_mmap=True), scratch.path, name)
            return _from_places([place], name, {}, scratch)
        # The index of a pandas frame is no column, as everywhere else in modelling.
        as_table = partial(pa.Table.from_pandas, preserve_index=False)
        table = as_table(data) if module == "pandas" else pa.table(data)
    except SourceError:
        raise
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SourceError(f"{name}: cannot be read: {', '.join(map(str, error.args))}") from error
    schema = plain_schema(table.schema, name)
    if schema.types != table.schema.types:  # views become plain text once, not at every scan
        table = pa.Table.from_batches(
            [conform(batch, schema, {}) for batch in table.to_batches()], schema
        )
    return _with_rows(Source(memory_shards(table, name, schema), schema, name))


def _from_stdin(types: Mapping[str, pa.DataType]) -> Source[Batch]:
    """Keep standard input in a temporary file, and tell its format by its first bytes."""
    stream: BinaryIO = sys.stdin.buffer
    start = stream.read(8)
    if not start:
        raise SourceError("standard input: it is empty")
    scratch = Scratch(_suffix(start))
    scratch.fill(stream, start)
    place = Place(fs.LocalFileSystem(use_mmap=True), scratch.path, "standard input")
    with reading(place.origin):
        return _from_places([place], place.origin, types, scratch)


def _suffix(start: bytes) -> str:
    """Return the ending for a file that begins with these bytes; text is taken as CSV."""
    if start.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith((FILE_MAGIC, b"\xff\xff\xff\xff")):
        return ".arrow"
    if start.startswith(b"\x1f\x8b"):
        return ".csv.gz"
    if b"\x00" in start:
        raise SourceError(f"standard input: unknown kind of data; it should be {KNOWN}")
    return ".csv"
