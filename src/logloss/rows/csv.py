"""CSV files: types inferred as the rows stream by, and inferred again where they turn out wrong.

Opening a file reads it once from start to end, for a bounded amount of memory: that
gives the number of rows, and types that hold for every one of them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import csv as pv
from pyarrow import types as pt

from logloss.errors import SourceError
from logloss.rows.locate import Place
from logloss.rows.schema import common_type, plain_schema
from logloss.rows.tables import Part, reading

#: What other programs write for a missing value, Arrow's own list and three more.
MISSING = (*pv.ConvertOptions().null_values, "<NA>", "None", "NONE")

#: Bytes that types are inferred from, and that are held at a time.
_PIECE = 1 << 22

_CONTRADICTION = re.compile(r"In CSV column #(\d+): .*invalid value '(.*)'", re.DOTALL)


@dataclass(frozen=True)
class CsvReader:
    """One file, read from its start with known types."""

    place: Place
    delimiter: str
    types: tuple[tuple[str, pa.DataType], ...] = field(repr=False)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the named columns."""
        types = dict(self.types)
        # Without a column there would be no rows to count.
        wanted = list(columns) or list(types)[:1]
        with self.place.stream() as stream:
            yield from _open(stream, self.delimiter, types, wanted)


def csv_parts(places: Sequence[Place], hints: Mapping[str, pa.DataType]) -> list[Part]:
    """Return one part for each file, with types that suit all of them.

    Parameters
    ----------
    places : sequence of Place
        The files of one table.
    hints : mapping of str to pyarrow.DataType
        Types to try first, such as those that a model was fitted on.
    """
    scans = [_scan(place, hints) for place in places]
    types = dict(scans[0].types)
    for scan in scans[1:]:
        for name, kind in scan.types.items():
            types[name] = _widen(types.get(name, pa.null()), kind)
    parts = []
    for place, scan in zip(places, scans, strict=True):
        mine = {name: types[name] for name in scan.types}
        reader = CsvReader(place, scan.delimiter, tuple(mine.items()))
        parts.append(Part(reader, place, scan.n_rows, pa.schema(list(mine.items()))))
    return parts


@dataclass(frozen=True)
class _Scan:
    """What reading a file from start to end told."""

    n_rows: int
    delimiter: str
    types: dict[str, pa.DataType]


def _scan(place: Place, hints: Mapping[str, pa.DataType]) -> _Scan:
    """Count the rows of a file and find types that all of them satisfy."""
    with reading(place.origin):
        with place.stream() as stream:
            delimiter = _delimiter(stream.read(_PIECE))
        with place.stream() as stream, _open(stream, delimiter, {}) as reader:
            schema = plain_schema(reader.schema, place.origin)
        types = dict(zip(schema.names, schema.types, strict=True))
        types |= {name: kind for name, kind in hints.items() if name in types}
        while True:
            try:
                with place.stream() as stream, _open(stream, delimiter, types) as reader:
                    n_rows = sum(batch.num_rows for batch in reader)
                break
            except pa.ArrowInvalid as error:
                match = _CONTRADICTION.search(str(error))
                if match is None:
                    raise
                name = schema.names[int(match[1])]
                types[name] = _widen(types[name], _type_of(match[2]))
    for name, kind in types.items():
        if pt.is_binary(kind):
            raise SourceError(
                f"{place.origin}: column {name!r} is not UTF-8 text; convert the file to UTF-8"
            )
    return _Scan(n_rows, delimiter, types)


def _type_of(value: str) -> pa.DataType:
    """Return the type that Arrow infers for one value."""
    quoted = '"' + value.replace('"', '""') + '"'
    return pv.read_csv(io.BytesIO(f"value\n{quoted}\n".encode())).schema.field(0).type


def _widen(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    """Return a type for a column that holds values of two: text where nothing else fits both.

    `known` did not hold a value of type `found`, so the result is never `known` again
    unless it is text.
    """
    common = common_type(known, found)
    if common is None or (common.equals(known) and not found.equals(known)):
        return pa.string()
    return common


def _delimiter(start: bytes) -> str:
    """Return the separator of the header line: a comma, else the most frequent other one."""
    header = re.sub(rb'"[^"]*"', b"", start).split(b"\n", 1)[0]
    counts = {mark: header.count(mark.encode()) for mark in (",", ";", "\t", "|")}
    return "," if counts[","] else max(counts, key=lambda mark: counts[mark])


def _open(
    stream: pa.NativeFile,
    delimiter: str,
    types: Mapping[str, pa.DataType],
    columns: Sequence[str] = (),
) -> pv.CSVStreamingReader:
    return pv.open_csv(
        stream,
        read_options=pv.ReadOptions(block_size=_PIECE),
        parse_options=pv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(columns),
            null_values=MISSING,
            strings_can_be_null=True,
        ),
    )
