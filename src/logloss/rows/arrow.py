"""Arrow IPC and Feather: files with an index of batches, and streams without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from logloss.errors import SourceError
from logloss.files import Scratch
from logloss.rows.locate import Place
from logloss.rows.tables import BLOCK_ROWS, Part, reading

FILE_MAGIC = b"ARROW1"
_OLD_FEATHER = b"FEA1"


@dataclass(frozen=True)
class IpcReader:
    """Some batches of one file in the file format."""

    place: Place
    start: int
    stop: int

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the named columns; a local file is mapped only while it is read."""
        with self.place.open() as source:
            names = pa.ipc.open_file(source).schema.names
            source.seek(0)
            file = pa.ipc.open_file(source, options=_only(columns, names))
            for index in range(self.start, self.stop):
                yield file.get_batch(index)


@dataclass(frozen=True)
class StreamReader:
    """One file in the streaming format, read from its start."""

    place: Place

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the named columns."""
        with self.place.stream() as source:
            names = pa.ipc.open_stream(source).schema.names
        with self.place.stream() as source:
            yield from pa.ipc.open_stream(source, options=_only(columns, names))


def _only(columns: Sequence[str], names: Sequence[str]) -> pa.ipc.IpcReadOptions:
    """Ask for the named columns; no list of fields at all means every field to Arrow."""
    return pa.ipc.IpcReadOptions(included_fields=sorted(names.index(name) for name in columns))


def arrow_parts(place: Place) -> list[Part]:
    """Return the parts of one file: consecutive batches, or all of a stream."""
    with reading(place.origin), place.open() as source:
        magic = source.read(len(FILE_MAGIC))
        if magic.startswith(_OLD_FEATHER):
            raise SourceError(
                f"{place.origin}: Feather version 1 is no longer read; write it again as version 2"
            )
        if magic != FILE_MAGIC:
            with place.stream() as start, pa.ipc.open_stream(start) as stream:
                n_rows = sum(batch.num_rows for batch in stream)
                return [Part(StreamReader(place), place, n_rows, stream.schema)]
        source.seek(0)
        file = pa.ipc.open_file(source)
        schema = file.schema
        source.seek(0)
        # One column tells the number of rows; the others are not decompressed.
        narrow = pa.ipc.open_file(source, options=_only(schema.names[:1], schema.names))
        sizes = [narrow.get_batch(i).num_rows for i in range(narrow.num_record_batches)]
    parts, start, n_rows = [], 0, 0
    for index, size in enumerate(sizes):
        n_rows += size
        if n_rows >= BLOCK_ROWS or index == len(sizes) - 1:
            parts.append(Part(IpcReader(place, start, index + 1), place, n_rows, schema))
            start, n_rows = index + 1, 0
    return parts or [Part(IpcReader(place, 0, 0), place, 0, schema)]


def spool(reader: pa.RecordBatchReader) -> Scratch:
    """Write a stream that can be read only once to a temporary Arrow file."""
    scratch = Scratch(".arrow")
    with scratch.writing() as path, pa.ipc.new_stream(path, reader.schema) as sink:
        for batch in reader:
            sink.write_batch(batch)
    return scratch
