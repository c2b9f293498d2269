"""Whole-or-nothing writing, scratch files, and the one codec for records.

No other module opens a file for writing; a library that writes by itself is
given the path that `whole` or `Scratch` hands out.  What a record means is
decided by the room that owns it.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from logloss.errors import ModelError, OutputError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # pragma: no cover  (Windows)
    fcntl = None

_REASONS = {
    errno.ENOENT: "the folder does not exist; create it first",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder; name a file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "no room is left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENAMETOOLONG: "the name is too long",
}


def _refused(path: object, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {reason}")


def _draft(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Make an empty file beside the one to be written, and return the paths of both."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise _refused(path, IsADirectoryError(errno.EISDIR, ""))
    if target.exists() and not target.is_file():
        raise OutputError(f"cannot write {path}: it is not a regular file")
    draft = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        # O_EXCL: no one else's file is ever taken; mode 0o666 leaves permissions to the umask.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise _refused(path, error) from error
    return target, draft


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out whether `whole` could write a file, before the work that is to fill it.

    Raises
    ------
    OutputError
        As `whole` does; nothing is left behind, and a file that stands there is not touched.
    """
    _, draft = _draft(path)
    draft.unlink()


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file that appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Where the file shall stand.  A link is followed.

    Yields
    ------
    pathlib.Path
        An empty file in the same folder, with the same suffix, to write to.  It takes
        the place of `path` when the block ends well, and is removed when it does not.

    Raises
    ------
    OutputError
        If the folder is missing, `path` is a folder or a device, permission is denied,
        or no room is left.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with whole(target) as path:
    ...     _ = path.write_text("done")
    >>> target.read_text()
    'done'
    """
    target, draft = _draft(path)
    try:
        yield draft
        os.replace(draft, target)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; see `whole`."""
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


#: Temporary files are named so: hidden, with the number of the process that made them.
_SCRATCH = re.compile(r"\.logloss-(\d+)-[^/]*")


class Scratch:
    """A temporary file that goes when its last owner goes, at the latest with the process.

    What a crash leaves behind is removed when the next temporary file is made: the
    operating system lets go of a file's lock when its process ends, however it ends.

    Parameters
    ----------
    suffix : str
        Ending of its name, such as ``".arrow"``.
    size : int, default=0
        Bytes that it holds from the start, zeros all; checked against the room that is left.

    Attributes
    ----------
    path : str
        Where it stands.

    Raises
    ------
    OutputError
        If there is no folder for temporary files, or no room for `size` bytes.
    """

    def __init__(self, suffix: str, size: int = 0) -> None:
        try:
            folder = tempfile.gettempdir()
            _remove_abandoned(folder)
            room = shutil.disk_usage(folder).free
            if size > room:
                raise OutputError(
                    f"a temporary file of {size:,} bytes does not fit in {folder}, which has "
                    f"{room:,} left; set the environment variable TMPDIR to a folder with room"
                )
            handle, self.path = _locked(suffix)
            os.truncate(self.path, size)
        except OSError as error:
            raise _refused("a temporary file", error) from error
        self._finalizer = weakref.finalize(self, _remove, self.path, handle, os.getpid())

    def close(self) -> None:
        """Remove the file now."""
        self._finalizer()

    def fill(self, stream: BinaryIO, start: bytes = b"") -> None:
        """Write `start` and then all bytes of `stream` into the file.

        Raises
        ------
        OutputError
            If no room is left.
        """
        with self.writing(), open(self.path, "wb") as file:
            file.write(start)
            while piece := stream.read(1 << 20):
                file.write(piece)

    @contextmanager
    def writing(self) -> Iterator[str]:
        """Yield the path; a failure of the file system within is an `OutputError`."""
        try:
            yield self.path
        except OSError as error:
            raise _refused(f"the temporary file {self.path}", error) from error

    def __getstate__(self) -> dict[str, str]:
        return {"path": self.path}  # a copy, perhaps in another process, does not own the file


def write_at(path: str, pieces: Iterable[tuple[int, memoryview]]) -> None:
    """Write pieces of bytes into a scratch file, each from a byte number on.

    By its path, so that any thread or process may write its own part of the file.

    Raises
    ------
    OutputError
        If no room is left, or the file is gone.
    """
    try:
        with open(path, "r+b") as file:
            for start, piece in pieces:
                file.seek(start)
                file.write(piece)
    except OSError as error:
        raise _refused(f"the temporary file {path}", error) from error


def _locked(suffix: str) -> tuple[int, str]:
    """Make a temporary file and lock it for as long as its handle is open."""
    while True:
        handle, path = tempfile.mkstemp(prefix=f".logloss-{os.getpid()}-", suffix=suffix)
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(path):  # no other process took it for abandoned in between
            return handle, path
        os.close(handle)


def _remove_abandoned(folder: str) -> None:
    """Remove the temporary files that processes left behind which are no more."""
    for name in os.listdir(folder):
        found = _SCRATCH.fullmatch(name)
        if found and int(found[1]) != os.getpid():
            with suppress(OSError):  # in use, another user's, or just gone
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(path: str) -> None:
    """Remove a file, or raise OSError where a process holds it."""
    if fcntl is None:  # Windows, where no one removes a file that is open
        os.unlink(path)
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(handle)


def _remove(path: str, handle: int, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the handle, not the file
        with suppress(OSError):
            os.close(handle)
        with suppress(OSError):
            os.unlink(path)


def printable(text: str) -> str:
    r"""Return text from data on one line, without what could steer a terminal.

    >>> print(printable("late\n"))
    late\n
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def counted(n: int, noun: str) -> str:
    """Return a number of things with their name, which is in the plural unless there is one.

    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def dump_record(record: Mapping[str, Any]) -> str:
    """Turn a record into JSON text.

    Parameters
    ----------
    record : mapping
        Of strings, numbers, booleans, None, sequences and mappings; NumPy scalars and
        arrays too.  A record that is kept in a file carries `format` and `version`.

    Returns
    -------
    str
        Floats have the shortest digits that read back the same; those that JSON cannot
        write are the strings ``"inf"``, ``"-inf"`` and ``"nan"``, which `float` reads.

    Examples
    --------
    >>> print(dump_record({"format": "example", "version": 1, "loss": float("inf")}))
    {
      "format": "example",
      "version": 1,
      "loss": "inf"
    }
    """
    return json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Replace what JSON does not know: arrays, NumPy scalars, tuples, non-finite floats."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def load_record(text: str, format: str, version: int) -> dict[str, Any]:
    """Read JSON text written by `dump_record`, and check what it claims to be.

    Parameters
    ----------
    text : str
        The JSON.
    format : str
        What the record's `format` must say.
    version : int
        The newest `version` that the caller understands.

    Returns
    -------
    dict
        As in the text; ``"inf"``, ``"-inf"`` and ``"nan"`` are left to `float`.

    Raises
    ------
    ModelError
        If the text is no JSON object, is of another format, or is too new.

    Examples
    --------
    >>> load_record('{"format": "example", "version": 1}', "example", 1)
    {'format': 'example', 'version': 1}
    """
    try:
        record = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"damaged {format}: it is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise ModelError(f"damaged {format}: it is not a JSON object")
    if record.get("format") != format:
        found = record.get("format")
        raise ModelError(f"not a {format}: its format is {found!r}, not {format!r}")
    found = record.get("version")
    if type(found) is not int or found < 1:
        raise ModelError(f"damaged {format}: its version is {found!r}, not a positive integer")
    if found > version:
        raise ModelError(
            f"this {format} has version {found}; this logloss reads up to {version}: update logloss"
        )
    return record


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
