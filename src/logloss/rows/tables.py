"""Shards of tables: what any reader of rows must offer, and rows that lie in memory.

Each file format has a module of its own; `source` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from logloss.errors import SourceError
from logloss.rows.locate import Place
from logloss.rows.protocols import Batch
from logloss.rows.schema import conform

#: Most rows that a block holds: few enough to stay in the second-level cache per column.
BLOCK_ROWS = 65_536
#: Most values that it holds, 32 MiB of doubles: wider tables have shorter blocks.
_BLOCK_VALUES = 1 << 22
#: But no shorter ones than this, for Python's cost per block.
_LEAST_ROWS = 256
#: Bytes for what a file's reader keeps, and for the work on one column.
_READING = 1 << 24


def block_rows(width: int) -> int:
    """Return the most rows that a block of `width` columns holds, a power of two.

    It depends on nothing else, so blocks begin at the same rows wherever they come from.
    """
    rows = BLOCK_ROWS
    while rows > _LEAST_ROWS and rows * width > _BLOCK_VALUES:
        rows //= 2
    return rows


def reading_bytes(schema: pa.Schema) -> int:
    """Bytes that a thread may need to read a table block by block, and to look at each."""
    return _READING + 2 * 8 * block_rows(len(schema)) * len(schema)


class Reader(Protocol):
    """How some rows of one file are read: frozen and picklable."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the named columns; others may come along."""


@dataclass(frozen=True)
class Part:
    """What opening a file told about some of its rows."""

    reader: Reader
    place: Place
    n_rows: int
    schema: pa.Schema


@contextmanager
def reading(origin: str) -> Iterator[None]:
    """Turn what Arrow and the file system raise into a `SourceError` that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SourceError(f"{origin}: cannot be read: {lines[0]}") from error


@dataclass(frozen=True)
class TableShard:
    """Consecutive rows of one table.

    Attributes
    ----------
    origin : str
        The file, for messages.
    first_row, n_rows : int
        Global number of the first row, and how many there are.
    schema : pyarrow.Schema
        What every block looks like, whatever the file looks like.
    reader : Reader
        Reads the file.
    constants : tuple of (str, pyarrow.Scalar)
        Columns that the names of folders give.
    """

    origin: str
    first_row: int
    n_rows: int
    schema: pa.Schema
    reader: Reader
    constants: tuple[tuple[str, pa.Scalar], ...] = ()

    def select(self, columns: Sequence[str]) -> TableShard:
        """Return the same rows with these columns only; the others are not read."""
        fields = [self.schema.field(name) for name in columns]
        return replace(self, schema=pa.schema(fields, self.schema.metadata))

    def blocks(self) -> Iterator[Batch]:
        """Read the rows in blocks of at most 65,536, fewer where the table is wide.

        Raises
        ------
        SourceError
            If the file cannot be read, or holds other than `n_rows` rows by now.
        """
        constants = dict(self.constants)
        row, step = 0, block_rows(len(self.schema))
        with reading(self.origin):
            for batch in self.reader.batches([n for n in self.schema.names if n not in constants]):
                for start in range(0, batch.num_rows, step):
                    piece = conform(batch.slice(start, step), self.schema, constants)
                    yield Batch(self.first_row + row, piece)
                    row += piece.num_rows
        if row != self.n_rows:
            raise SourceError(
                f"{self.origin}: it changed while it was read: {row} rows where {self.n_rows} were"
            )


@dataclass(frozen=True)
class MemoryReader:
    """Rows that lie in memory."""

    table: pa.Table

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Return the rows as one batch, without a copy where they lie in one piece."""
        table = self.table.select(list(columns))
        if table.num_columns == 0:
            yield from self.table.to_batches()
        else:
            yield from table.combine_chunks().to_batches()

    def __reduce__(self) -> tuple[Callable[[bytes], MemoryReader], tuple[bytes]]:
        """Pickle these rows alone: Arrow would take along all that a slice was cut from."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return _unpickle, (sink.getvalue().to_pybytes(),)


def _unpickle(stream: bytes) -> MemoryReader:
    return MemoryReader(pa.ipc.open_stream(stream).read_all())


def memory_shards(table: pa.Table, origin: str, schema: pa.Schema) -> tuple[TableShard, ...]:
    """Cut a table into shards of one block each."""
    table = table.unify_dictionaries()
    return tuple(
        TableShard(
            origin,
            start,
            min(BLOCK_ROWS, table.num_rows - start),
            schema,
            MemoryReader(table.slice(start, BLOCK_ROWS)),
        )
        for start in range(0, table.num_rows, BLOCK_ROWS)
    )
