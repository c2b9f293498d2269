"""Passes and partials as plain records and back: what is kept of them tells all that they are.

Reading such a record runs no code but the constructors of this package's frozen classes.
"""

from __future__ import annotations

import base64
import dataclasses
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from logloss.errors import CheckpointError

_PACKAGE = __name__.partition(".")[0]

Record = dict[str, Any]


def thaw(value: Any) -> Any:
    """Turn a frozen value into lists, mappings, texts and numbers that JSON can hold.

    Parameters
    ----------
    value : object
        A dataclass, an enumeration, or what has `to_bytes` and `from_bytes`, of this
        package; arrays, numbers, texts, None; tuples, lists and mappings of such.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> thaw((1, None))
    {'kind': 'tuple', 'items': [1, None]}
    >>> freeze(thaw((1, None)))
    (1, None)
    """
    for types, function in _THAWING:
        if isinstance(value, types):
            return function(value)
    name = f"{type(value).__module__}:{type(value).__qualname__}"
    if hasattr(value, "from_bytes"):
        return {"kind": "state", "class": name, "bytes": _text(value.to_bytes())}
    if dataclasses.is_dataclass(value):
        fields = {f.name: thaw(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": "fields", "class": name, "fields": fields}
    raise TypeError(f"a {type(value).__name__} cannot be kept in a checkpoint")


def freeze(record: Any) -> Any:
    """Rebuild what `thaw` took apart, the same to the last bit.

    Raises
    ------
    CheckpointError
        If the record is damaged, or of a class that this version does not know.
    """
    try:
        return _freeze(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"damaged checkpoint, or of another version: {error}") from error


def _freeze(record: Any) -> Any:
    if isinstance(record, list):
        return [_freeze(item) for item in record]
    return _FREEZING[record["kind"]](record) if isinstance(record, dict) else record


def _as_it_is(value: Any) -> Any:
    return value


def _thaw_enum(value: Enum) -> Record:
    name = f"{type(value).__module__}:{type(value).__qualname__}"
    return {"kind": "enum", "class": name, "value": thaw(value.value)}


def _thaw_array(array: Any) -> Record:
    """Keep bits, shape and order: what is computed from an array may depend on all three."""
    if array.dtype.hasobject:
        raise TypeError("an array of objects cannot be kept in a checkpoint")
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return {
        "kind": "scalar" if isinstance(array, np.generic) else "array",
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "order": order,
        "bytes": _text(array.tobytes(order)),
    }


def _freeze_array(record: Record) -> Any:
    values = np.frombuffer(_bytes(record), record["dtype"])
    return values.reshape(record["shape"], order=record["order"]).copy(record["order"])


def _freeze_fields(record: Record) -> Any:
    fields = {name: _freeze(item) for name, item in record["fields"].items()}
    return _class(record, dataclasses.is_dataclass)(**fields)


def _class(record: Record, suits: Callable[[Any], bool]) -> Any:
    """Look a class up among those of this package; nothing is imported for it."""
    module, _, name = record["class"].partition(":")
    found = getattr(sys.modules.get(module), name, None)
    if module.partition(".")[0] != _PACKAGE or not isinstance(found, type) or not suits(found):
        raise ValueError(f"there is no frozen class {record['class']}")
    return found


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(record: Record) -> bytes:
    return base64.b64decode(record["bytes"], validate=True)


#: The first that fits counts: an enumeration of texts is a text, too, and a double of NumPy
#: a float of Python.
_THAWING: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, _thaw_enum),
    (np.ndarray | np.generic, _thaw_array),
    (bool | int | str | None, _as_it_is),
    (float, lambda value: {"kind": "float", "hex": value.hex()}),
    (list, lambda value: [thaw(item) for item in value]),
    (tuple, lambda value: {"kind": "tuple", "items": [thaw(item) for item in value]}),
    (dict, lambda value: {"kind": "dict", "items": [[thaw(k), thaw(v)] for k, v in value.items()]}),
)

_FREEZING: dict[str, Callable[[Record], Any]] = {
    "enum": lambda record: _class(record, lambda c: issubclass(c, Enum))(_freeze(record["value"])),
    "array": _freeze_array,
    "scalar": lambda record: _freeze_array(record)[()],
    "float": lambda record: float.fromhex(record["hex"]),
    "tuple": lambda record: tuple(_freeze(item) for item in record["items"]),
    "dict": lambda record: {_freeze(key): _freeze(item) for key, item in record["items"]},
    "state": lambda record: _class(record, lambda c: hasattr(c, "from_bytes")).from_bytes(
        _bytes(record)
    ),
    "fields": _freeze_fields,
}
