"""Expressions of a closed set of operations on columns: data, evaluated batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logloss.design.columns import coded, column_of, kind_of, numbers_of, text_of
from logloss.errors import ColumnError
from logloss.rows.protocols import Batch

FloatArray = npt.NDArray[np.float64]
#: ("column", name), ("number", value), or (operation, *operands).
Expression = tuple[Any, ...]

#: Every operation there is, by name: what it does, and on how many operands.
OPERATIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "log": (np.log, 1),
    "log2": (np.log2, 1),
    "log10": (np.log10, 1),
    "log1p": (np.log1p, 1),
    "exp": (np.exp, 1),
    "expm1": (np.expm1, 1),
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "negative": (np.negative, 1),
    "add": (np.add, 2),
    "subtract": (np.subtract, 2),
    "multiply": (np.multiply, 2),
    "divide": (np.divide, 2),
    "power": (np.power, 2),
}
#: Operations within operations; more than anyone writes.
DEEPEST = 50


def columns_in(expression: Expression) -> list[str]:
    """Columns of an expression, in order."""
    if expression[0] == "column":
        return [expression[1]]
    if expression[0] == "number":
        return []
    return [name for operand in expression[1:] for name in columns_in(operand)]


def expression_of(record: Any, depth: int = 0) -> Expression:
    """Read an expression from a model's file; ValueError where it is damaged."""
    operation, *operands = record
    if operation == "column" and len(operands) == 1 and isinstance(operands[0], str):
        return ("column", operands[0])
    if operation == "number" and len(operands) == 1:
        return ("number", float(operands[0]))
    if (
        depth > DEEPEST + 1
        or operation not in OPERATIONS
        or len(operands) != OPERATIONS[operation][1]
    ):
        raise ValueError(f"operation {operation!r} of {len(operands)} operands")
    return (operation, *(expression_of(operand, depth + 1) for operand in operands))


def evaluate(expression: Expression, batch: Batch) -> Any:
    """Value of an expression in each row; one number where it reads no column."""
    if expression[0] == "column":
        return column_numbers(batch, expression[1])
    if expression[0] == "number":
        return np.float64(expression[1])
    operation, _ = OPERATIONS[expression[0]]
    return operation(*(evaluate(operand, batch) for operand in expression[1:]))


def column_numbers(batch: Batch, name: str) -> FloatArray:
    """Return a column's numbers, NaN where one is missing; ColumnError if it holds none."""
    column = column_of(batch, name)
    if kind_of(name, column.type) == "category":
        raise ColumnError(
            f"column {name!r} is a {column.type} now, and was a number at the fit; give it the "
            "type that it had"
        )
    return numbers_of(column)[0]


def column_categories(batch: Batch, name: str) -> pa.Array:
    """Return a column as categories: text and dictionaries as they are, numbers by their text."""
    column = column_of(batch, name)
    kind = kind_of(name, column.type)
    if kind in ("category", None):
        return column
    values = numbers_of(column)[0]
    found, codes = np.unique(values, return_inverse=True)
    texts = [str(value == 1) if kind == "bool" else _number_text(value) for value in found.tolist()]
    return _dictionary(texts, np.where(np.isnan(values), -1, codes))


def _number_text(value: float) -> str:
    """Return the text of a level that is a number: 7 for 7.0, whatever its type in the file."""
    return str(int(value)) if value.is_integer() else repr(value)


def side_by_side(columns: list[pa.Array]) -> pa.Array:
    """Join columns of categories, value by value; missing where one of them is."""
    if len(columns) == 1:
        return columns[0]
    levels, codes = coded(columns[0])
    texts = [text_of(level) for level in levels]
    for column in columns[1:]:
        more, others = coded(column)
        missing = (codes < 0) | (others < 0)
        width = max(len(more), 1)
        pairs, joint = np.unique(np.where(missing, -1, codes * width + others), return_inverse=True)
        places = (divmod(pair, width) for pair in pairs.tolist() if pair >= 0)
        texts = [f"{texts[a]}:{text_of(more[b])}" for a, b in places]
        codes = joint - int(missing.any())  # the pair of missing values comes first
    return _dictionary(texts, codes)


def _dictionary(texts: list[str], codes: npt.NDArray[Any]) -> pa.Array:
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))
