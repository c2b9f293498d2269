"""CSV files: cut into pieces of whole rows, which many threads read, with types that suit all.

Opening a file reads it once from start to end, for a bounded amount of memory: that
gives the rows of each piece, and types that hold for every one of them.  A file that cannot
be cut, because it is packed or its quotation marks do not pair, is read as one stream.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

import numpy as np
import pyarrow as pa
from pyarrow import csv as pv
from pyarrow import types as pt

from logloss.errors import SourceError
from logloss.rows.locate import Place
from logloss.rows.schema import common_type, is_text, plain_schema
from logloss.rows.tables import Part, reading
from logloss.threads import default_threads, map_ordered

#: What other programs write for a missing value, Arrow's own list and three more.
MISSING = (*pv.ConvertOptions().null_values, "<NA>", "None", "NONE")

#: Bytes of a piece, and of a stream those that are held at a time, and first give types.
_PIECE = _BLOCK = 1 << 22
#: Pieces as long as this without the end of a row are given up, and headers.
_LONGEST, _LONGEST_HEADER = 1 << 26, 1 << 20
#: Pieces for each thread that are in memory at a time while a file is opened.
_GROUP = 4

_CONTRADICTION = re.compile(r"In CSV column #(\d+): .*invalid value '(.*)'", re.DOTALL)

T = TypeVar("T")

Types = Mapping[str, pa.DataType]


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


@dataclass(frozen=True)
class PieceReader:
    """Some rows of one file of `size` bytes, which lie between two of them."""

    place: Place
    size: int
    start: int
    stop: int
    delimiter: str
    types: tuple[tuple[str, pa.DataType], ...] = field(repr=False)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the named columns."""
        types = dict(self.types)
        wanted = list(columns) or list(types)[:1]
        with self.place.open_unmapped() as file:
            if file.size() != self.size:
                raise SourceError(
                    f"{self.place.origin}: it changed while it was read: {file.size()} bytes "
                    f"where {self.size} were"
                )
            data = _read(file, self.start, self.stop)
        yield from _parse(data, self.delimiter, list(types), types, wanted).to_batches()


@dataclass(frozen=True)
class _Scan:
    """What reading a file from start to end told: types, and rows of its pieces or in all."""

    place: Place
    delimiter: str
    types: dict[str, pa.DataType]
    n_rows: tuple[int, ...]
    pieces: tuple[tuple[int, int], ...] = ()
    size: int = 0

    def parts(self, common: Types) -> list[Part]:
        """Return a part for each piece, or one for the stream."""
        types = tuple((name, common[name]) for name in self.types)
        schema = pa.schema(list(types))
        if not self.pieces:
            reader = CsvReader(self.place, self.delimiter, types)
            return [Part(reader, self.place, sum(self.n_rows), schema)]
        return [
            Part(
                PieceReader(self.place, self.size, start, stop, self.delimiter, types),
                self.place,
                n_rows,
                schema,
            )
            for (start, stop), n_rows in zip(self.pieces, self.n_rows, strict=True)
        ]


def csv_parts(places: Sequence[Place], hints: Types) -> list[Part]:
    """Return the parts of some files of one table, with types that suit all of them.

    Parameters
    ----------
    places : sequence of Place
        The files of one table.
    hints : mapping of str to pyarrow.DataType
        Types to try first, such as those that a model was fitted on.  Whole numbers stay
        whole where fractions are expected.
    """
    scans = [_scan(place, hints) for place in places]
    types = _common(scan.types for scan in scans)
    return [part for scan in scans for part in scan.parts(types)]


def _scan(place: Place, hints: Types) -> _Scan:
    """Count the rows of a file and find types that all of them satisfy."""
    with reading(place.origin):
        with place.stream() as stream:
            delimiter = _delimiter(stream.read(_BLOCK))
        try:
            scan = _scan_pieces(place, delimiter, hints)
        except _UncutError:
            scan = _scan_stream(place, delimiter, hints)
    return scan


def _check_text(place: Place, types: Types) -> None:
    for name, kind in types.items():
        if pt.is_binary(kind):
            raise SourceError(
                f"{place.origin}: column {name!r} is not UTF-8 text; convert the file to UTF-8"
            )


def _scan_stream(place: Place, delimiter: str, hints: Types) -> _Scan:
    """Read a file as one stream, again from its start whenever a value contradicts the types."""
    with place.stream() as stream, _open(stream, delimiter, {}) as reader:
        schema = plain_schema(reader.schema, place.origin)
    types = dict(zip(schema.names, schema.types, strict=True)) | _firm(hints, schema.names)
    types = _expecting(hints, types)

    def count(types: Types) -> int:
        with place.stream() as stream, _open(stream, delimiter, types) as reader:
            return sum(batch.num_rows for batch in reader)

    n_rows = _without_contradiction(count, schema.names, types)
    _check_text(place, types)
    return _Scan(place, delimiter, types, (n_rows,))


class _UncutError(Exception):
    """A file does not show where its rows end."""


@dataclass(frozen=True)
class _Piece:
    """Whole rows of a file, from one of its bytes on."""

    start: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class _Look:
    """Pieces → their numbers of rows and types: those to try, wider where a value asks for it."""

    names: tuple[str, ...]
    delimiter: str
    tried: dict[str, pa.DataType]

    def __call__(self, piece: _Piece) -> tuple[int, dict[str, pa.DataType]]:
        if not piece.data.strip():
            return 0, {}
        types = dict(self.tried)

        def parse(types: Types) -> pa.Table:
            return _parse(piece.data, self.delimiter, self.names, types)

        table = _without_contradiction(parse, self.names, types)
        return table.num_rows, dict(zip(self.names, table.schema.types, strict=True))


def _scan_pieces(place: Place, delimiter: str, hints: Types) -> _Scan:
    """Cut a file into pieces, and look at several at a time.

    Raises
    ------
    _UncutError
        If it cannot be cut.
    """
    if place.is_packed:
        raise _UncutError
    with place.open_unmapped() as file:
        header = _header(file, delimiter)
        titles = pv.read_csv(io.BytesIO(header + b"\n"), parse_options=_parse_options(delimiter))
        schema = plain_schema(titles.schema, place.origin)
        names = tuple(schema.names)
        look = _Look(names, delimiter, _firm(hints, names))
        pieces: list[tuple[int, int]] = []
        looks: list[tuple[int, dict[str, pa.DataType]]] = []
        rows = _cut(file, len(header), delimiter, place.origin)
        while group := list(islice(rows, _GROUP * default_threads())):
            looks += map_ordered(look, group)
            pieces += [(piece.start, piece.start + len(piece.data)) for piece in group]
        found = [types for _, types in looks]
        for types in found:
            _check_text(place, types)
        types = _expecting(hints, _common([dict.fromkeys(names, pa.null()), *found]))
        while doubtful := [k for k, kinds in enumerate(found) if not _certain(kinds, types)]:
            # Rarely: a date that is to be read as a time, say.
            again = [_Piece(pieces[k][0], _read(file, *pieces[k])) for k in doubtful]
            wider = [kinds for _, kinds in map_ordered(replace(look, tried=types), again)]
            for k, kinds in zip(doubtful, wider, strict=True):
                found[k] = kinds
            types = _common([types, *wider])
        n_rows = tuple(count for count, _ in looks)
        return _Scan(place, delimiter, types, n_rows, tuple(pieces), file.size())


def _certain(found: Types, wanted: Types) -> bool:
    """Whether values that were read as some types can surely be read as wider ones."""
    return all(
        kind.equals(wanted[name])
        or pt.is_null(kind)
        or is_text(wanted[name])
        or (pt.is_integer(kind) and pt.is_floating(wanted[name]))
        for name, kind in found.items()
    )


def _header(file: pa.NativeFile, delimiter: str) -> bytes:
    """Return the bytes of a file up to the end of its first row that is not empty."""
    data, end = _read(file, 0, _LONGEST_HEADER), 0
    while end < len(data) and not data[:end].strip():
        line_end = data.find(b"\n", end)
        while line_end >= 0 and data.count(b'"', 0, line_end) % 2:
            line_end = data.find(b"\n", line_end + 1)
        if line_end < 0 and len(data) < file.size():
            raise _UncutError
        end = len(data) if line_end < 0 else line_end + 1
    header = data[:end]
    if b"\r" in header.strip() or _whole_rows(header.rstrip() + b"\n", delimiter) <= 1:
        raise _UncutError
    return header


def _cut(file: pa.NativeFile, start: int, delimiter: str, origin: str) -> Iterator[_Piece]:
    """Cut a file into pieces of whole rows, from byte `start` on, where a row begins."""
    size, length = file.size(), _PIECE
    while start < size:
        data = _read(file, start, start + length)
        is_last = start + len(data) >= size
        end = len(data) if is_last else _whole_rows(data, delimiter)
        if is_last and data.count(b'"') % 2:
            _whole_rows(data, delimiter)  # marks within fields do not pair, and may be as they are
            at = start + data.rfind(b'"')
            raise SourceError(
                f"{origin}: the quotation mark at byte {at:,} opens a field that none closes, so "
                "all rows after it would be its text; close the field or take the mark out"
            )
        if end == 0 and length < _LONGEST:
            length *= 2
            continue
        if end == 0:
            raise _UncutError
        yield _Piece(start, data[:end])
        start, length = start + end, _PIECE


def _whole_rows(data: bytes, delimiter: str) -> int:
    """Return how many bytes the whole rows take at the start of `data`, where a row begins.

    Line ends count outside of quotation marks, which pair up if every first one opens a
    field.  Where one does not, `_UncutError` is raised.
    """
    if b'"' not in data:
        return data.rfind(b"\n") + 1
    values = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero(values == ord('"'))
    opening = marks[0::2]
    before = values[opening - 1]
    opens = (opening == 0) | np.isin(before, np.frombuffer(f"{delimiter}\n\r".encode(), np.uint8))
    opens[1:] |= marks[1::2][: len(opening) - 1] == opening[1:] - 1  # two marks stand for one
    if not opens.all():
        raise _UncutError
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        before_end = int(np.searchsorted(marks, end))
        if before_end % 2 == 0:
            return end + 1
        end = int(marks[before_end - 1])
    return 0


def _read(file: pa.NativeFile, start: int, stop: int) -> bytes:
    data: bytes = file.read_at(stop - start, start)
    return data


def _without_contradiction(
    read: Callable[[Types], T], names: Sequence[str], types: dict[str, pa.DataType]
) -> T:
    """Return what `read` gives for `types`, widened in place for as long as values contradict."""
    while True:
        try:
            return read(types)
        except pa.ArrowInvalid as error:
            match = _CONTRADICTION.search(str(error))
            if match is None:
                raise
            name = names[int(match[1])]
            types[name] = _widen(types[name], _type_of(match[2]))


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


def _common(found: Iterable[Types]) -> dict[str, pa.DataType]:
    """Return types that hold the values of all that were found: text where nothing else does."""
    types: dict[str, pa.DataType] = {}
    for kinds in found:
        for name, kind in kinds.items():
            types[name] = common_type(types.get(name, pa.null()), kind) or pa.string()
    return types


def _firm(hints: Types, names: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the hints that hold for whole numbers, too: all but fractions."""
    return {k: kind for k, kind in hints.items() if k in names and not pt.is_floating(kind)}


def _expecting(hints: Types, types: Types) -> dict[str, pa.DataType]:
    """Return types where a column that should hold fractions holds numbers, or text."""
    return {
        name: (common_type(hints[name], kind) or pa.string())
        if name in hints and pt.is_floating(hints[name]) and not pt.is_integer(kind)
        else kind
        for name, kind in types.items()
    }


def _delimiter(start: bytes) -> str:
    """Return the separator of the header line: a comma, else the most frequent other one."""
    header = re.sub(rb'"[^"]*"', b"", start).split(b"\n", 1)[0]
    counts = {mark: header.count(mark.encode()) for mark in (",", ";", "\t", "|")}
    return "," if counts[","] else max(counts, key=lambda mark: counts[mark])


def _parse(
    data: bytes, delimiter: str, names: Sequence[str], types: Types, columns: Sequence[str] = ()
) -> pa.Table:
    """Read whole rows, in the calling thread."""
    return pv.read_csv(
        pa.BufferReader(data),
        # in one block, so that nothing in it is taken for the end of one
        pv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(names)),
        _parse_options(delimiter),
        _convert_options(types, columns),
    )


def _open(
    stream: pa.NativeFile, delimiter: str, types: Types, columns: Sequence[str] = ()
) -> pv.CSVStreamingReader:
    return pv.open_csv(
        stream,
        pv.ReadOptions(block_size=_BLOCK),
        _parse_options(delimiter, newlines_in_values=True),
        _convert_options(types, columns),
    )


def _parse_options(delimiter: str, newlines_in_values: bool = False) -> pv.ParseOptions:
    return pv.ParseOptions(delimiter=delimiter, newlines_in_values=newlines_in_values)


def _convert_options(types: Types, columns: Sequence[str]) -> pv.ConvertOptions:
    return pv.ConvertOptions(
        column_types=dict(types),
        include_columns=list(columns),
        null_values=MISSING,
        strings_can_be_null=True,
    )
