"""Tensors and a record in one file, in the safetensors format: nothing in it is executed.

The file is eight bytes with the header's length, the header as JSON, and the numbers [1]_.  The
record stands in the header, as text, with a checksum of all that the file says.

.. [1] https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss import files
from logloss.errors import ModelError

#: Names of the dtypes that are written, as the format spells them.
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
}
_DTYPES |= {"U8": np.dtype("u1")}
_SPELLED = {dtype: name for name, dtype in _DTYPES.items()}

#: Longest header that is read, so that a damaged length does not ask for all memory.
_LONGEST_HEADER = 100_000_000

Arrays = dict[str, npt.NDArray[Any]]


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, npt.NDArray[Any]], record: Mapping[str, Any]
) -> None:
    """Write tensors and a record; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Where to write.
    tensors : mapping of str to ndarray
        Of float64, float32, int64 or uint8.
    record : mapping
        Plain names and numbers.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    entries: dict[str, Any] = {}
    pieces, at = [], 0
    for name, tensor in sorted(tensors.items()):
        piece = np.ascontiguousarray(tensor).tobytes()
        entries[name] = {
            "dtype": _SPELLED[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(piece)],
        }
        pieces.append(piece)
        at += len(piece)
    text, data = files.dump_record(record), b"".join(pieces)
    metadata = {"record": text, "checksum": _checksum(text, entries, data)}
    header = json.dumps({"__metadata__": metadata, **entries}, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)  # numbers begin at a multiple of eight bytes
    with files.whole(path) as draft:
        draft.write_bytes(len(header).to_bytes(8, "little") + header + data)


def read_tensors(
    path: str | os.PathLike[str], format: str, version: int
) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Parameters
    ----------
    path : path
        Where it is.
    format, version : str, int
        What the record must be; see `files.load_record`.

    Returns
    -------
    tensors : dict of str to ndarray
    record : dict

    Raises
    ------
    ModelError
        If the file cannot be read, is truncated, altered, or something else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {os.fspath(path)}: {error.strerror}") from error
    try:
        tensors, text = _parsed(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{os.fspath(path)}: the file is damaged, or no safetensors file with a record of "
            f"logloss: {error}"
        ) from error
    try:
        return tensors, files.load_record(text, format, version)
    except ModelError as error:
        raise ModelError(f"{os.fspath(path)}: {error}") from error


def _parsed(content: bytes) -> tuple[Arrays, str]:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, _LONGEST_HEADER):
        raise ValueError("it is truncated within its header")
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    data = content[8 + length :]
    ends = [int(entry["data_offsets"][1]) for entry in header.values()]
    if len(data) != max(ends, default=0):
        raise ValueError(f"it holds {len(data):,} bytes of numbers, and {max(ends):,} were written")
    text = metadata["record"]
    if metadata["checksum"] != _checksum(text, header, data):
        raise ValueError("its checksum does not hold; it was altered")
    tensors: Arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[begin:end], _DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"]).copy()
    return tensors, text


def _checksum(text: str, entries: Mapping[str, Any], data: bytes) -> str:
    said = json.dumps([text, entries], sort_keys=True, ensure_ascii=False)
    return blake2b(data, digest_size=16, key=blake2b(said.encode()).digest()).hexdigest()
