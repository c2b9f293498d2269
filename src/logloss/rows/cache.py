"""Encoded rows in a temporary file: written once in any order, read window by window.

A window is a run of rows whose columns lie one after another, so that one read fills it.
Windows begin at fixed row numbers whatever the rows were decoded from.  The file is never
mapped: mapping would make resident memory grow to its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss import files
from logloss.errors import SourceError
from logloss.files import Scratch
from logloss.rows.source import Source

#: Every column of a window begins at a multiple of so many bytes.
_ALIGNMENT = 8

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Field:
    """One array of each window.

    Attributes
    ----------
    name : str
    dtype : str
        NumPy's name of it, such as ``"<f8"``.
    width : int or None
        Columns of a matrix, which lie one after another; None for a vector.
    """

    name: str
    dtype: str
    width: int | None = None

    @classmethod
    def like(cls, name: str, array: Array) -> Field:
        """Describe arrays such as this one."""
        return cls(name, array.dtype.str, array.shape[1] if array.ndim == 2 else None)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return np.dtype(self.dtype).itemsize * (1 if self.width is None else self.width)

    def view(self, window: Array, start: int, n_rows: int) -> Array:
        """Return this array of a window of `n_rows` rows, from byte `start` of it on."""
        values = window[start : start + n_rows * self.row_bytes].view(self.dtype)
        return values if self.width is None else values.reshape((n_rows, self.width), order="F")


@dataclass(frozen=True)
class Window:
    """The arrays of consecutive rows, by name."""

    first_row: int
    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True)
class Cache:
    """Where a table's encoded rows are, and how they lie there; picklable.

    Attributes
    ----------
    path : str
        The file.
    n_rows : int
        Rows in all.
    window_rows : int
        Rows of each window; the last may have fewer.
    fields : tuple of Field
        The arrays of each window.
    """

    path: str
    n_rows: int
    window_rows: int
    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        whole, rest = divmod(self.n_rows, self.window_rows)
        return whole * self._starts(self.window_rows)[-1] + self._starts(rest)[-1]

    def write(self, first_row: int, arrays: Mapping[str, Array]) -> None:
        """Write some rows, which may begin and end within windows.

        Parameters
        ----------
        first_row : int
            Global number of the first.
        arrays : mapping of str to ndarray
            One of as many rows for each field.
        """
        files.write_at(self.path, self._pieces(first_row, arrays))

    def _pieces(
        self, first_row: int, arrays: Mapping[str, Array]
    ) -> Iterator[tuple[int, memoryview]]:
        """Yield each run of values that lies together in the file, and where it begins."""
        end = first_row + len(arrays[self.fields[0].name])
        for number in range(first_row // self.window_rows, -(-end // self.window_rows)):
            start, stop = self._rows(number)
            low, high = max(first_row, start), min(end, stop)
            begin = number * self._starts(self.window_rows)[-1]
            for field, place in zip(self.fields, self._starts(stop - start), strict=False):
                part = arrays[field.name][low - first_row : high - first_row]
                item = part.dtype.itemsize
                for k, column in enumerate(part.T if part.ndim == 2 else [part]):
                    at = begin + place + item * (k * (stop - start) + low - start)
                    yield at, np.ascontiguousarray(column).data

    def window(self, number: int) -> Window:
        """Read one window.

        Raises
        ------
        SourceError
            If the file is gone, or shorter than it was.
        """
        start, stop = self._rows(number)
        places = self._starts(stop - start)
        buffer = np.empty(places[-1], np.uint8)
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(number * self._starts(self.window_rows)[-1])
                _fill(file, buffer)
        except OSError as error:
            raise SourceError(f"the cache {self.path} cannot be read: {error}") from error
        arrays = {
            field.name: field.view(buffer, place, stop - start)
            for field, place in zip(self.fields, places, strict=False)
        }
        return Window(start, arrays)

    def take(self, row_numbers: Sequence[int] | npt.NDArray[np.integer]) -> dict[str, Array]:
        """Read rows by their global numbers, in the order asked; one may stand twice.

        Each window that holds some of them is read once.
        """
        wanted = np.asarray(row_numbers, np.int64)
        numbers = wanted // self.window_rows
        taken: dict[str, Array] = {
            f.name: np.empty(
                (len(wanted),) if f.width is None else (len(wanted), f.width), f.dtype, order="F"
            )
            for f in self.fields
        }
        for number in np.unique(numbers).tolist():
            here, window = np.flatnonzero(numbers == number), self.window(number)
            for name, array in window.arrays.items():
                taken[name][here] = array[wanted[here] - window.first_row]
        return taken

    def source(self, name: str) -> Source[Window]:
        """Return the rows as a source, a shard for each window; `name` is for messages."""
        count = -(-self.n_rows // self.window_rows)
        return Source(tuple(WindowShard(self, number, name) for number in range(count)), name=name)

    def _rows(self, number: int) -> tuple[int, int]:
        start = number * self.window_rows
        return start, min(start + self.window_rows, self.n_rows)

    def _starts(self, n_rows: int) -> list[int]:
        """Where each field begins in a window of `n_rows` rows, and where the window ends."""
        starts = [0]
        for field in self.fields:
            size = n_rows * field.row_bytes
            starts.append(starts[-1] + size + -size % _ALIGNMENT)
        return starts


@dataclass(frozen=True)
class WindowShard:
    """One window of a cache."""

    cache: Cache
    number: int
    origin: str

    @property
    def first_row(self) -> int:
        """Global number of the first row."""
        return self.number * self.cache.window_rows

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return min(self.cache.window_rows, self.cache.n_rows - self.first_row)

    def blocks(self) -> Iterator[Window]:
        """Read the window."""
        yield self.cache.window(self.number)


def make_cache(
    n_rows: int, window_rows: int, fields: Sequence[Field], suffix: str = ".rows"
) -> tuple[Cache, Scratch]:
    """Make an empty cache in the folder for temporary files, once there is room for it.

    Returns
    -------
    cache : Cache
    scratch : Scratch
        What owns its file, which goes with it.

    Raises
    ------
    OutputError
        If there is no room.
    """
    cache = Cache("", n_rows, window_rows, tuple(fields))
    scratch = Scratch(suffix, cache.size)
    return Cache(scratch.path, n_rows, window_rows, tuple(fields)), scratch


def _fill(file: Any, buffer: Array) -> None:
    """Read until the buffer is full."""
    rest = buffer.data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise OSError("it ends too early")
        rest = rest[count:]
