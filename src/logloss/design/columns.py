"""From an Arrow column to NumPy: numbers with a mask, or values with codes.

One place decides what kind of column a type is; nothing here learns anything.
"""

from __future__ import annotations

from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types as pt

from logloss.errors import ColumnError, WeightError
from logloss.rows.draws import mix
from logloss.rows.protocols import Batch
from logloss.rows.schema import cast, is_text

Kind = Literal["number", "bool", "category"]

#: Weights beyond it, and below its inverse, are refused: their squares would leave the doubles.
MOST_WEIGHT = 1e100

_PLAIN = "numbers, booleans, text and dictionaries"


def kind_of(name: str, type_: pa.DataType) -> Kind | None:
    """Return what a column of this type is to a model; None where all values are null.

    Raises
    ------
    ColumnError
        If a model cannot use such a column.
    """
    if pt.is_null(type_):
        return None
    if pt.is_boolean(type_):
        return "bool"
    if pt.is_integer(type_) or pt.is_floating(type_) or pt.is_decimal(type_):
        return "number"
    if is_text(type_):
        return "category"
    if pt.is_dictionary(type_):
        kind_of(name, type_.value_type)  # a dictionary of dates is no better than dates
        return "category"
    if pt.is_temporal(type_):
        raise ColumnError(
            f"column {name!r} is a {type_}; derive numbers or categories from it (hour, weekday, "
            f"days since an event), or leave it out with --drop {name}"
        )
    raise ColumnError(
        f"column {name!r} is a {type_}; a model uses {_PLAIN}: leave it out with --drop {name}"
    )


def no_such_column(name: str, known: list[str], where: str) -> ColumnError:
    """Return an error for a name that is not there, with the closest one that is."""
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known[:20])}"
    return ColumnError(f"{where}: there is no column {name!r}; {hint}")


def column_of(batch: Batch, name: str) -> pa.Array:
    """Return one column of a batch.

    Raises
    ------
    ColumnError
        If it is not there.
    """
    names = batch.table.schema.names
    if name not in names:
        raise no_such_column(name, names, "the data")
    return batch.table.column(name)


def numbers_of(
    column: pa.Array,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_] | None]:
    """Return a column's values as float64, and which are missing (None where none is).

    Null and NaN are missing; their values are NaN.
    """
    if pt.is_decimal(column.type) or pt.is_null(column.type):
        column = cast(column, pa.float64())
    missing = None
    if column.null_count:
        missing = raw_values(column.is_null()).astype(bool)
    values = raw_values(column).astype(np.float64)
    if missing is not None:
        values[missing] = np.nan
    if pt.is_floating(column.type):
        nan = np.isnan(values)
        missing = nan if nan.any() else missing
    return values, missing


def raw_values(column: pa.Array) -> npt.NDArray[Any]:
    """Return the values of a column of fixed width, and whatever lies where one is null.

    By way of DLPack: pyarrow's `to_numpy` and `fill_null` import pandas, for 0.3 seconds.
    """
    if len(column) == 0:
        return np.empty(0)
    if pt.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if column.null_count:
        values = [None, column.buffers()[1]]
        column = pa.Array.from_buffers(column.type, len(column), values, offset=column.offset)
    array: npt.NDArray[Any] = np.from_dlpack(column)
    return array


def coded(column: pa.Array) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return the distinct values that occur in a column, and each row's index into them.

    A missing value has index -1 and does not occur among the values.
    """
    if pt.is_dictionary(column.type) and len(column.dictionary) > len(column):
        column = cast(column, column.type.value_type)
    if not pt.is_dictionary(column.type):
        column = cast(column, pa.large_string() if is_text(column.type) else column.type)
        column = column.dictionary_encode()
    indices = raw_values(column.indices).astype(np.int64)
    if column.indices.null_count:
        indices[raw_values(column.indices.is_null()).astype(bool)] = -1
    # A dictionary may hold null, the same value twice, and values that no row has.
    found: dict[Any, int] = {None: 0}
    values = column.dictionary.to_pylist()
    codes = np.array([*(found.setdefault(value, len(found)) for value in values), 0])
    codes = codes[indices]
    occurs = np.bincount(codes, minlength=len(found)) > 0
    occurs[0] = False
    renumber = np.where(occurs, np.cumsum(occurs) - 1, -1)
    return [value for value, here in zip(found, occurs, strict=True) if here], renumber[codes]


def text_of(value: object) -> str:
    """Return the text by which a level is named."""
    return value if isinstance(value, str) else str(value)


def check_finite(name: str, values: npt.NDArray[np.float64], first_row: int) -> None:
    """Raise for an infinite number; a missing one is fine.

    Raises
    ------
    ColumnError
        Naming the column, the row and the value.
    """
    infinite = np.isinf(values)
    if infinite.any():
        index = int(infinite.argmax())
        raise ColumnError(
            f"column {name!r} must be finite or missing; row {first_row + index} has "
            f"{values[index]}"
        )


def weights_of(batch: Batch, name: str) -> npt.NDArray[np.float64]:
    """Return the weight column of a batch.

    Raises
    ------
    WeightError
        If a weight is missing, negative, infinite, or beyond what can be squared.
    """
    values = _amounts(batch, name)
    check_weights(name, values, batch.first_row)
    return values


def check_weights(name: str, values: npt.NDArray[np.float64], first_row: int) -> None:
    """Raise for a weight that cannot be one.

    Raises
    ------
    WeightError
        If a weight is missing, negative, infinite, or too large or small to be squared.
    """
    for good, rule in (
        ((values >= 0) & (values < np.inf), "must be finite and at least 0"),
        (
            (values == 0) | ((values >= 1 / MOST_WEIGHT) & (values <= MOST_WEIGHT)),
            f"must be 0 or between {1 / MOST_WEIGHT:g} and {MOST_WEIGHT:g}, for squares of "
            "weights are summed (divide all by one number)",
        ),
    ):
        if not good.all():
            index = int((~good).argmax())
            row, value = first_row + index, float(values[index])
            found = "no value" if np.isnan(value) else value
            message = f"weight column {name!r} {rule}; row {row} has {found}"
            raise WeightError(message, index=row, value=value)


def offsets_of(batch: Batch, name: str) -> npt.NDArray[np.float64]:
    """Return the offset column of a batch.

    Raises
    ------
    ColumnError
        If an offset is missing or infinite.
    """
    values = _amounts(batch, name)
    if not np.isfinite(values).all():
        index = int((~np.isfinite(values)).argmax())
        found = "no value" if np.isnan(values[index]) else values[index]
        raise ColumnError(
            f"offset column {name!r} must be finite; row {batch.first_row + index} has {found}"
        )
    return values


def clusters_of(batch: Batch, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Return a number for each row that names its cluster, from the values of some columns.

    The number is a hash of 64 bits, the same wherever the row is read: among a million
    clusters, two share one with a chance of 3e-8.  A missing value names a cluster, too.
    """
    total = np.zeros(len(batch), np.uint64)
    for name in names:
        values, codes = coded(column_of(batch, name))
        hashes = [_hash(text_of(value)) for value in values]
        # mixed in between: (a, b) and (b, a) are two clusters
        total = mix(total) ^ np.array([*hashes, 0], np.uint64)[codes]
    return total.view(np.int64)


def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _amounts(batch: Batch, name: str) -> npt.NDArray[np.float64]:
    column = column_of(batch, name)
    if kind_of(name, column.type) == "category":
        raise ColumnError(f"column {name!r} is a {column.type}; weights and offsets are numbers")
    return numbers_of(column)[0]
