"""Arrow types across files: what two columns have in common, and casting a batch to it.

Nothing here reads a file, or knows what a model does with a column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
from pyarrow import types as pt

from logloss.errors import ColumnError, SourceError


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that a column is read as: no views, which few kernels take."""
    if pt.is_string_view(kind):
        return pa.large_string()
    if pt.is_dictionary(kind):
        return pa.dictionary(kind.index_type, plain_type(kind.value_type), kind.ordered)
    return kind


def plain_schema(schema: pa.Schema, origin: str) -> pa.Schema:
    """Return `schema` with plain types, or raise where names repeat.

    Raises
    ------
    SourceError
        If two columns share a name, a name is not UTF-8, or there is no column at all.
    """
    try:
        schema.names  # noqa: B018  decoded when it is asked for
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{origin}: names of columns are not UTF-8 text; convert the file to UTF-8"
        ) from error
    repeated = [name for name, count in Counter(schema.names).items() if count > 1]
    if repeated:
        raise SourceError(
            f"{origin}: two columns are named {repeated[0]!r}; rename one, so that each has "
            "a name of its own"
        )
    if not schema.names:
        raise SourceError(f"{origin}: there are no columns")
    fields = [pa.field(field.name, plain_type(field.type)) for field in schema]
    return pa.schema(fields, schema.metadata)


def common_type(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Return the narrowest type that holds the values of both, or None.

    Numbers go with numbers, text with text and with dictionaries of text; a column of
    nulls goes with anything.
    """
    if a.equals(b) or pt.is_null(b):
        return a
    if pt.is_null(a):
        return b
    if pt.is_dictionary(a) or pt.is_dictionary(b):
        values = (t.value_type if pt.is_dictionary(t) else t for t in (a, b))
        value = common_type(*values)
        both = pt.is_dictionary(a) and pt.is_dictionary(b)
        return pa.dictionary(pa.int32(), value) if both and value is not None else value
    for is_kind, common in (
        (is_text, lambda a, b: pa.large_string()),
        (_is_number, _common_number),
        (pt.is_temporal, _common_time),
    ):
        if is_kind(a) and is_kind(b):
            found: pa.DataType | None = common(a, b)
            return found
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def _common_number(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if not (pt.is_integer(a) and pt.is_integer(b)):
        return pa.float64()
    if pt.is_signed_integer(a) == pt.is_signed_integer(b):
        return a if a.bit_width >= b.bit_width else b
    signed, unsigned = (a, b) if pt.is_signed_integer(a) else (b, a)
    if signed.bit_width > unsigned.bit_width:
        return signed
    return pa.float64() if unsigned.bit_width == 64 else pa.int64()


def _common_time(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    for day, time in ((a, b), (b, a)):
        if pt.is_date(day) and pt.is_timestamp(time):
            return time
    schemas = [pa.schema([("column", kind)]) for kind in (a, b)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None


def unify(parts: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the schema that all files of one table can be read as.

    Parameters
    ----------
    parts : iterable of (str, pyarrow.Schema)
        Name and schema of each file; the order of columns is that of the first.

    Raises
    ------
    ColumnError
        If a file lacks a column that another has, or two types have nothing in common.
    """
    parts = list(parts)
    first_origin, first = parts[0]
    types = {field.name: field.type for field in first}
    metadata = dict(first.metadata or {})
    for origin, schema in parts[1:]:
        if schema.equals(first, check_metadata=True):
            continue
        theirs = schema.metadata or {}
        metadata = {key: v for key, v in metadata.items() if theirs.get(key) == v}
        for name in types.keys() ^ set(schema.names):
            has, lacks = (first_origin, origin) if name in types else (origin, first_origin)
            raise ColumnError(
                f"column {name!r} is in {has} and not in {lacks}; files of one table have "
                "the same columns"
            )
        for name, known in types.items():
            found = schema.field(name).type
            common = common_type(known, found)
            if common is None:
                raise ColumnError(
                    f"column {name!r} is {found} in {origin} and {known} in {first_origin}; "
                    "give it one type in all files"
                )
            types[name] = common
    return pa.schema(list(types.items()), metadata or None)


def cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return `column` as `kind`, which `common_type` found or `plain_type` named."""
    if column.type.equals(kind):
        return column
    if pt.is_dictionary(column.type):
        indices, values = column.indices, column.dictionary
        if pt.is_dictionary(kind):
            return pa.DictionaryArray.from_arrays(
                indices.cast(kind.index_type), cast(values, kind.value_type), ordered=kind.ordered
            )
        return cast(values, kind).take(indices)
    if pt.is_decimal(column.type) and pt.is_floating(kind):
        # By way of text, which is read as the nearest double: Arrow's own cast of 0.3 is not.
        column = column.cast(pa.string())
    # Unsafe: an integer beyond 2⁵³ is rounded to the nearest double rather than refused.
    return column.cast(kind, safe=False)


def conform(
    batch: pa.RecordBatch, schema: pa.Schema, constants: Mapping[str, pa.Scalar]
) -> pa.RecordBatch:
    """Return `batch` with the columns of `schema`, cast; `constants` fill what it lacks."""
    columns: Sequence[pa.Array] = [
        cast(
            batch.column(field.name)
            if field.name in batch.schema.names
            else pa.repeat(constants[field.name], batch.num_rows),
            field.type,
        )
        for field in schema
    ]
    if not columns:  # rows without columns still count
        return batch.select([])
    return pa.RecordBatch.from_arrays(columns, schema=schema)
