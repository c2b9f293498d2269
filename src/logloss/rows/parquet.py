"""Parquet files, read by row group.

`ParquetFile.iter_batches`, not a dataset scanner: the latter's memory grows with
the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import parquet as pq

from logloss.rows.locate import Place
from logloss.rows.tables import BLOCK_ROWS, Part, block_rows, reading

#: Bytes read at a time of each column; without them a row group's packed columns would be
#: in memory as a whole, however long they are.  Far away every reading has to wait.
_LOCAL_PIECE, _REMOTE_PIECE = 1 << 16, 1 << 23


@dataclass(frozen=True)
class ParquetReader:
    """Some row groups of one file."""

    place: Place
    row_groups: tuple[int, ...]

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the named columns."""
        piece = _LOCAL_PIECE if self.place.is_local else _REMOTE_PIECE
        with (
            self.place.open_unmapped() as source,
            pq.ParquetFile(source, buffer_size=piece, pre_buffer=False) as file,
        ):
            rows = block_rows(len(columns))
            yield from file.iter_batches(rows, self.row_groups, list(columns))


def parquet_parts(place: Place) -> list[Part]:
    """Return the parts of one file: consecutive row groups, of at least a block of rows."""
    with reading(place.origin), place.open() as source, pq.ParquetFile(source) as file:
        schema = file.schema_arrow
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    parts, groups, n_rows = [], [], 0
    for index, size in enumerate(sizes):
        groups.append(index)
        n_rows += size
        if n_rows >= BLOCK_ROWS or index == len(sizes) - 1:
            parts.append(Part(ParquetReader(place, tuple(groups)), place, n_rows, schema))
            groups, n_rows = [], 0
    return parts or [Part(ParquetReader(place, ()), place, 0, schema)]
