"""From what a person wrote - a path, a folder, a glob, a URL - to the files that it means.

Names only: nothing here reads a file.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from logloss.errors import SourceError

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_PACKED = (".gz", ".bz2", ".zst", ".lz4")
KNOWN = "Parquet (.parquet), CSV (.csv, .csv.gz, .tsv), Arrow (.arrow) or Feather (.feather)"
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Place:
    """Where one file is.

    Attributes
    ----------
    filesystem : pyarrow.fs.FileSystem
        What opens it.
    path : str
        Its path there.
    origin : str
        Its name in messages.
    partitions : tuple of (str, str or None)
        Columns that its folders' names give, as in ``year=2013/part.parquet``.
    """

    filesystem: fs.FileSystem
    path: str
    origin: str
    partitions: tuple[tuple[str, str | None], ...] = ()

    def open(self) -> pa.NativeFile:
        """Open for reading anywhere in the file; one on this machine is mapped."""
        return self.filesystem.open_input_file(self.path)

    def open_unmapped(self) -> pa.NativeFile:
        """Open for reading anywhere in the file, without its pages counting as memory in use."""
        return self._unmapped.open_input_file(self.path)

    def stream(self) -> pa.NativeFile:
        """Open for reading from start to end, unpacked if its name says that it is packed.

        It is not mapped: that would make resident memory grow to the size of the file.
        """
        return self._unmapped.open_input_stream(self.path, compression="detect")

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def is_packed(self) -> bool:
        """Whether its name says that it is packed."""
        return self.path.lower().endswith(_PACKED)

    @property
    def _unmapped(self) -> fs.FileSystem:
        return fs.LocalFileSystem() if self.is_local else self.filesystem


def format_of(path: str) -> str | None:
    """Return ``"parquet"``, ``"csv"`` or ``"arrow"`` as the name ends, or None."""
    stem, ending = os.path.splitext(path.lower())
    if ending in _PACKED:
        ending = os.path.splitext(stem)[1]
        return "csv" if _FORMATS.get(ending) == "csv" else None
    return _FORMATS.get(ending)


def locate(name: str) -> list[Place]:
    """Return the files that a path, folder, glob or URL means, in natural order.

    Raises
    ------
    SourceError
        If nothing is there, a folder holds no data, or a file's ending is unknown.
    """
    if not name:
        raise SourceError("an empty path; name a file, a folder or a glob")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        filesystem, path = _remote(name)
        return _below(Place(filesystem, path, name))
    local = fs.LocalFileSystem(use_mmap=True)
    path = os.path.expanduser(name)
    if os.path.exists(path) or not glob.has_magic(path):
        return _below(Place(local, os.path.abspath(path), name))
    found = sorted(glob.glob(path, recursive=True), key=natural)
    if not found:
        raise SourceError(f"{name}: no file matches")
    base = os.path.dirname(re.split(r"[*?\[]", path)[0]) or "."
    places = []
    for match in found:
        # A folder that matches may be a partition itself; a file's own name never is.
        inside = os.path.relpath(match, base) + ("/" if os.path.isdir(match) else "")
        above = _partitions(inside)
        for place in _below(Place(local, os.path.abspath(match), match)):
            places.append(replace(place, partitions=above + place.partitions))
    return list({place.path: place for place in places}.values())


def natural(path: str) -> list[tuple[int, int | str]]:
    """Sort key under which ``part-2`` comes before ``part-10``."""
    pieces = re.split(r"(\d+)", path)
    return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces if piece]


def _remote(url: str) -> tuple[fs.FileSystem, str]:
    """Open a URL's file system by pyarrow, else by fsspec."""
    try:
        filesystem, path = fs.FileSystem.from_uri(url)
        return filesystem, path
    except (pa.ArrowException, OSError, ValueError):
        pass
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise SourceError(
            f"{url}: pyarrow does not know this kind of URL; install fsspec to open it"
        ) from error
    try:
        spec, path = url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise SourceError(f"{url}: cannot be opened: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(spec)), path


def _below(place: Place) -> list[Place]:
    """Return the place itself if it is a file, the data files below it if it is a folder."""
    try:
        info = place.filesystem.get_file_info(place.path)
    except OSError as error:
        raise SourceError(f"{place.origin}: cannot be opened: {error}") from error
    if info.type == fs.FileType.NotFound:
        raise SourceError(f"{place.origin}: there is no such file or folder")
    if info.type != fs.FileType.Directory:
        if format_of(place.path) is None:
            raise SourceError(f"{place.origin}: unknown kind of file; it should be {KNOWN}")
        return [place]
    return _in_folder(place)


def _in_folder(folder: Place) -> list[Place]:
    root = folder.path.rstrip("/")
    selector = fs.FileSelector(folder.path, recursive=True)
    inside = []
    for info in folder.filesystem.get_file_info(selector):
        relative = info.path[len(root) :].lstrip("/")
        hidden = any(part.startswith((".", "_")) for part in relative.split("/"))
        if info.type == fs.FileType.File and not hidden and format_of(info.path):
            inside.append(relative)
    if not inside:
        raise SourceError(f"{folder.origin}: the folder holds no data; it should hold {KNOWN}")
    return [
        Place(
            folder.filesystem,
            f"{root}/{relative}",
            f"{folder.origin.rstrip('/')}/{relative}",
            _partitions(relative),
        )
        for relative in sorted(inside, key=natural)
    ]


def _partitions(relative: str) -> tuple[tuple[str, str | None], ...]:
    """Read ``month=1/day=2/part.parquet`` as (("month", "1"), ("day", "2"))."""
    pairs = [part.split("=", 1) for part in relative.split("/")[:-1] if "=" in part]
    return tuple((unquote(k), None if v == _HIVE_NULL else unquote(v)) for k, v in pairs)


def partition_types(places: Sequence[Place]) -> dict[str, pa.DataType]:
    """Return the partition columns of all `places`: integers where all values are, else text.

    Raises
    ------
    SourceError
        If some files lie under a partition folder that others do not lie under.
    """
    values: dict[str, list[str | None]] = {}
    for place in places:
        for key, value in place.partitions:
            values.setdefault(key, []).append(value)
    for key, found in values.items():
        if len(found) != len(places):
            lacking = next(p for p in places if key not in dict(p.partitions))
            raise SourceError(f"{lacking.origin}: it lies in no folder {key}=…, as others do")
    return {
        key: pa.int64()
        if all(v is None or re.fullmatch(r"-?\d{1,18}", v) for v in found) and any(found)
        else pa.string()
        for key, found in values.items()
    }
