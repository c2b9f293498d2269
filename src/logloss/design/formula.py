"""Formulas such as ``late ~ hour + C(carrier) + log(distance)``, compiled to data.

formulaic takes a formula apart into terms; each is compiled here to a tree of a closed set of
operations, which is stored, streamed over batches, and never evaluated as code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logloss.design.columns import (
    Kind,
    coded,
    column_of,
    kind_of,
    no_such_column,
    numbers_of,
    text_of,
)
from logloss.design.features import CategoryColumn
from logloss.errors import ArgumentError, ColumnError, MissingExtraError, ModelError
from logloss.rows.protocols import Batch

FloatArray = npt.NDArray[np.float64]
#: ("column", name), ("number", value), or (operation, *operands).
Expression = tuple[Any, ...]

#: Every operation there is, by name: what it does, and on how many operands.
_OPERATIONS: dict[str, tuple[Callable[..., Any], int]] = {
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
_CALLED = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs")
_BETWEEN = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_ALLOWED = (
    "names of columns, numbers, + - * / ** within I() or a function, C(column), "
    f"{', '.join(_CALLED)}, and : and * between terms"
)
#: Operations within operations; more than anyone writes.
_DEEPEST = 50


@dataclass(frozen=True)
class Factor:
    """One factor of a term: a number made of columns, or a column taken as categories.

    Attributes
    ----------
    expression : tuple
        ``("column", name)`` for categories.
    categorical : bool
    textual : bool
        Whether its column held categories at the fit already.
    """

    expression: Expression
    categorical: bool
    textual: bool = False

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return tuple(_columns(self.expression))


@dataclass(frozen=True)
class Term:
    """One term: the product of its factors, or their values side by side if categorical.

    Attributes
    ----------
    name : str
        As it stands in the formula; the name of its column, or the beginning of its levels'.
    factors : tuple of Factor
    levels : CategoryColumn or None
        Where numbers are crossed with categories: the levels, each of which gives a column,
        the number for rows of the level and 0 for others.  Learned from the rows.
    """

    name: str
    factors: tuple[Factor, ...]
    levels: CategoryColumn | None = None

    @property
    def categorical(self) -> bool:
        """Whether its values are categories."""
        return all(factor.categorical for factor in self.factors)

    @property
    def crossed(self) -> bool:
        """Whether it crosses numbers with categories."""
        return not self.categorical and any(factor.categorical for factor in self.factors)

    @property
    def plain(self) -> bool:
        """Whether it is a column as it is."""
        return len(self.factors) == 1 and self.factors[0].expression == ("column", self.name)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of its columns."""
        return (self.name,) if self.levels is None else self.levels.names

    def values(self, batch: Batch) -> dict[str, pa.Array]:
        """Return its columns for one batch, by name.

        Raises
        ------
        ColumnError
            If a column is missing, or an operation has no result where its columns have values.
        """
        if self.categorical:
            return {self.name: self.categories(batch)}
        numbers = self._numbers(batch)
        if self.levels is None:
            return {self.name: pa.array(numbers)}
        levels, codes = coded(self.categories(batch))
        lookup = self.levels.lookup
        found = [lookup.get(text_of(level), -1) for level in levels]
        rows = np.array([*found, lookup.get(None, -1)])[codes]
        unseen = np.where(rows < 0, numbers, 0.0)  # takes the mean slope, weighted by rows
        return {
            name: pa.array(np.where(rows == level, numbers, share * unseen))
            for level, (name, share) in enumerate(
                zip(self.outputs, self.levels.shares, strict=True)
            )
        }

    def categories(self, batch: Batch) -> pa.Array:
        """Return the values of its categorical factors, side by side."""
        columns = [f.expression[1] for f in self.factors if f.categorical]
        return _side_by_side([_categories(batch, name) for name in columns])

    def _numbers(self, batch: Batch) -> FloatArray:
        """Return the product of its numbers; NaN where a column that it reads is missing."""
        values, missing = np.ones(len(batch)), np.zeros(len(batch), bool)
        with np.errstate(all="ignore"):
            for factor in (factor for factor in self.factors if not factor.categorical):
                for name in factor.columns:
                    missing |= np.isnan(_numbers(batch, name))
                values = values * _evaluate(factor.expression, batch)
        values = np.where(missing, np.nan, values)
        self._check(batch, values, missing)
        return values

    def _check(self, batch: Batch, values: FloatArray, missing: npt.NDArray[np.bool_]) -> None:
        wrong = ~np.isfinite(values) & ~missing
        if wrong.any():
            row = int(wrong.argmax())
            numbers = (factor for factor in self.factors if not factor.categorical)
            names = dict.fromkeys(name for factor in numbers for name in factor.columns)
            where = ", ".join(f"{name} is {_numbers(batch, name)[row]:g}" for name in names)
            raise ColumnError(
                f"formula: {self.name} is {values[row]} in row {batch.first_row + row}, where "
                f"{where}: remove the row, or change the term"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        factors = [
            {"of": f.expression, "categorical": f.categorical, "textual": f.textual}
            for f in self.factors
        ]
        levels = None if self.levels is None else self.levels.to_dict()
        return {"name": self.name, "factors": factors, "levels": levels}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Term:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is damaged."""
        factors = tuple(
            Factor(_expression(item["of"]), bool(item["categorical"]), bool(item["textual"]))
            for item in record["factors"]
        )
        if any(factor.categorical and factor.expression[0] != "column" for factor in factors):
            raise ValueError(f"categories of {record['name']!r}")
        levels = record["levels"]
        term = cls(
            str(record["name"]),
            factors,
            None if levels is None else CategoryColumn.from_dict(levels),
        )
        if not factors or term.crossed != (levels is not None):
            raise ValueError(f"factors of {record['name']!r}")
        return term


@dataclass(frozen=True)
class Formula:
    """What a formula says, as data.

    Attributes
    ----------
    text : str
        As it was written.
    target : str or None
        The column on its left side, if it has one.
    intercept : bool
    terms : tuple of Term
    """

    text: str
    target: str | None
    intercept: bool
    terms: tuple[Term, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the terms read."""
        names = (name for term in self.terms for factor in term.factors for name in factor.columns)
        return tuple(dict.fromkeys(names))

    @property
    def crossings(self) -> tuple[Term, ...]:
        """Terms that cross numbers with categories."""
        return tuple(term for term in self.terms if term.crossed)

    def with_levels(self, levels: Mapping[str, CategoryColumn]) -> Formula:
        """Return the formula with the levels of its crossings, by their names."""
        terms = tuple(replace(t, levels=levels[t.name]) if t.crossed else t for t in self.terms)
        return replace(self, terms=terms)

    def kinds(self, schema: pa.Schema) -> dict[str, Kind | None]:
        """Return what each column of each term is to a design, in order."""
        kinds: dict[str, Kind | None] = {}
        for term in self.terms:
            kind: Kind | None = "category" if term.categorical else "number"
            if term.plain:
                kind = kind_of(term.name, schema.field(term.name).type)
            kinds |= dict.fromkeys(term.outputs, kind)
        return kinds

    def crossed_categories(self, batch: Batch) -> Batch:
        """Return the batch with the categories of each crossing, under its name."""
        columns = {term.name: term.categories(batch) for term in self.crossings}
        return _with_columns(batch, columns)

    def derive(self, batch: Batch) -> Batch:
        """Return the batch with the columns of each term besides its own.

        Raises
        ------
        ColumnError
            If a column is missing, is of another type, or a term has no value in some row.
        """
        columns: dict[str, pa.Array] = {}
        for term in self.terms:
            if not term.plain:
                columns |= term.values(batch)
        return _with_columns(batch, columns)

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Types that a CSV's columns should be read as."""
        types: dict[str, pa.DataType] = {}
        for factor in (factor for term in self.terms for factor in term.factors):
            if factor.textual:
                types |= dict.fromkeys(factor.columns, pa.string())
            elif not factor.categorical:
                types |= dict.fromkeys(factor.columns, pa.float64())
        return types

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return {
            "text": self.text,
            "target": self.target,
            "intercept": self.intercept,
            "terms": [term.to_dict() for term in self.terms],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Formula:
        """Read what `to_dict` wrote; ModelError where it is damaged."""
        try:
            target = record["target"]
            return cls(
                str(record["text"]),
                None if target is None else str(target),
                bool(record["intercept"]),
                tuple(Term.from_dict(item) for item in record["terms"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(f"damaged model: formula: {error!r}") from error


def _with_columns(batch: Batch, more: Mapping[str, pa.Array]) -> Batch:
    columns = dict(zip(batch.table.schema.names, batch.table.columns, strict=True)) | dict(more)
    if not more:
        return batch
    table = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    return Batch(batch.first_row, table)


def parse_formula(text: str, schema: pa.Schema, others: Sequence[str] = ()) -> Formula:
    """Compile a formula for a table with this schema.

    Parameters
    ----------
    text : str
        Such as ``"late ~ hour + C(carrier) + log(distance)"``.
    schema : pyarrow.Schema
        Decides which columns are numbers and which are categories.
    others : sequence of str, default=()
        Columns that ``.`` leaves out, besides the target.

    Raises
    ------
    ArgumentError
        If it cannot be parsed, or has a term that is not of the closed set; names the term.
    ColumnError
        If there is no such column.
    MissingExtraError
        If formulaic is not installed.

    Examples
    --------
    >>> import pyarrow as pa
    >>> schema = pa.schema({"late": pa.int8(), "hour": pa.int8(), "distance": pa.float64()})
    >>> formula = parse_formula("late ~ hour + log(distance)", schema)
    >>> formula.target, [term.name for term in formula.terms]
    ('late', ['hour', 'log(distance)'])
    """
    if not isinstance(text, str):
        raise ArgumentError(f"formula must be text such as 'late ~ hour'; got {text!r}.")
    left, right = _sides(text, [name for name in schema.names if name not in others])
    target = None
    if left is not None:
        if len(left) != 1 or len(left[0].factors) != 1:
            raise _refused(text, "its left side", "is not one column")
        target = _only_column(text, left[0].factors[0])
        if target not in schema.names:
            raise no_such_column(target, schema.names, "formula")
    terms, intercept = [], False
    for term in right:
        if [factor.expr for factor in term.factors] == ["1"]:
            intercept = True
            continue
        factors = tuple(_factor(text, factor, schema) for factor in term.factors)
        factors = tuple(factor for factor in factors if factor.expression != ("number", 1.0))
        if target is not None and target in {name for f in factors for name in f.columns}:
            raise _refused(text, str(term), "reads the target")
        terms.append(Term(str(term), factors))
    if not terms:
        raise _refused(text, "its right side", "has no term but the intercept")
    return Formula(text, target, intercept, tuple(terms))


def _sides(text: str, available: list[str]) -> tuple[list[Any] | None, list[Any]]:
    """Let formulaic take a formula apart; `.` stands for all available columns but the target."""
    try:
        from formulaic.parser import DefaultFormulaParser
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"a formula needs {error.name}, which is not installed. Install the extra 'formulas': "
            "pip install '.[formulas]' in a clone of logloss.",
            name=error.name,
        ) from error
    target = text.partition("~")[0].strip().strip("`")
    context = {"__formulaic_variables_available__": [n for n in available if n != target]}
    try:
        parsed = DefaultFormulaParser().get_terms(text, context=context)
        if hasattr(parsed, "rhs"):
            left, right = list(parsed.lhs), list(parsed.rhs)
        else:
            left, right = None, list(parsed.root if hasattr(parsed, "root") else parsed)
        for term in [*(left or ()), *right]:
            assert term.factors, "several formulas in one"
    except Exception as error:  # whatever another's parser raises, the formula is what is wrong
        reason = re.sub("\x1b\\[[\\d;]*m|[⧛⧚]", "", str(error)).split("\n")[0]
        raise ArgumentError(f"formula {text!r} cannot be parsed: {reason}") from error
    return left, right


def _refused(text: str, what: str, why: str) -> ArgumentError:
    return ArgumentError(f"formula {text!r}: {what} {why}. A formula may hold {_ALLOWED}.")


def _only_column(text: str, factor: Any) -> str:
    if factor.eval_method.value != "lookup":
        raise _refused(text, factor.expr, "on the left side is not a column")
    return str(factor.expr)


def _factor(text: str, factor: Any, schema: pa.Schema) -> Factor:
    """Compile one factor that formulaic found."""
    if factor.eval_method.value == "lookup":
        name = str(factor.expr)
        if name not in schema.names:
            raise no_such_column(name, schema.names, "formula")
        textual = kind_of(name, schema.field(name).type) == "category"
        return Factor(("column", name), textual, textual)
    quoted = re.findall("`([^`]*)`", factor.expr)
    names = {f"_quoted_{place}": name for place, name in enumerate(quoted)}
    plain = str(factor.expr)
    for placeholder in names:
        plain = re.sub("`[^`]*`", placeholder, plain, count=1)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise _refused(text, factor.expr, "is not an expression") from error
    compiler = _Compiler(text, str(factor.expr), names, schema)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "C":
        if len(tree.args) != 1 or tree.keywords or not isinstance(tree.args[0], ast.Name):
            raise _refused(text, factor.expr, "is not C(column): levels are coded in one way only")
        column = compiler.column(tree.args[0], categorical=True)
        textual = kind_of(column[1], schema.field(column[1]).type) == "category"
        return Factor(column, True, textual)
    return Factor(compiler.compiled(tree), categorical=False)


@dataclass(frozen=True)
class _Compiler:
    """Compiles the syntax tree of one factor; everything that is not named here is refused."""

    text: str
    written: str
    quoted: Mapping[str, str]
    schema: pa.Schema

    def compiled(self, node: ast.expr, depth: int = 0) -> Expression:
        """Return the expression of a node."""
        if depth > _DEEPEST:
            raise self._refused("is nested too deep")
        if isinstance(node, ast.Name):
            return self.column(node, categorical=False)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            if isinstance(node.value, bool) or not abs(node.value) < 1e300:
                raise self._refused("holds a constant that is not a finite number")
            return ("number", float(node.value))
        if isinstance(node, ast.BinOp) and type(node.op) in _BETWEEN:
            left, right = (self.compiled(side, depth + 1) for side in (node.left, node.right))
            return (_BETWEEN[type(node.op)], left, right)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self.compiled(node.operand, depth + 1)
            return inner if isinstance(node.op, ast.UAdd) else ("negative", inner)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        raise self._refused(f"holds {ast.unparse(node)!r}, which is not of the closed set")

    def _call(self, node: ast.Call, depth: int) -> Expression:
        name = ast.unparse(node.func).removeprefix("np.")
        if name not in (*_CALLED, "I"):
            raise self._refused(f"calls {name!r}, which is not of the closed set")
        if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
            raise self._refused(f"gives {name} other than one argument")
        inner = self.compiled(node.args[0], depth + 1)
        return inner if name == "I" else (name, inner)

    def column(self, node: ast.Name, *, categorical: bool) -> Expression:
        """Return the expression of a column, if it is of the right kind."""
        name = self.quoted.get(node.id, node.id)
        if name not in self.schema.names:
            raise no_such_column(name, self.schema.names, "formula")
        kind = kind_of(name, self.schema.field(name).type)
        if kind == "category" and not categorical:
            raise self._refused(f"computes with {name!r}, which holds categories")
        return ("column", name)

    def _refused(self, why: str) -> ArgumentError:
        return _refused(self.text, self.written, why)


def _columns(expression: Expression) -> list[str]:
    """Columns of an expression, in order."""
    if expression[0] == "column":
        return [expression[1]]
    if expression[0] == "number":
        return []
    return [name for operand in expression[1:] for name in _columns(operand)]


def _expression(record: Any, depth: int = 0) -> Expression:
    """Read an expression from a model's file; ValueError where it is damaged."""
    operation, *operands = record
    if operation == "column" and len(operands) == 1 and isinstance(operands[0], str):
        return ("column", operands[0])
    if operation == "number" and len(operands) == 1:
        return ("number", float(operands[0]))
    if (
        depth > _DEEPEST + 1
        or operation not in _OPERATIONS
        or len(operands) != _OPERATIONS[operation][1]
    ):
        raise ValueError(f"operation {operation!r} of {len(operands)} operands")
    return (operation, *(_expression(operand, depth + 1) for operand in operands))


def _evaluate(expression: Expression, batch: Batch) -> Any:
    """Value of an expression in each row; one number where it reads no column."""
    if expression[0] == "column":
        return _numbers(batch, expression[1])
    if expression[0] == "number":
        return np.float64(expression[1])
    operation, _ = _OPERATIONS[expression[0]]
    return operation(*(_evaluate(operand, batch) for operand in expression[1:]))


def _numbers(batch: Batch, name: str) -> FloatArray:
    column = column_of(batch, name)
    if kind_of(name, column.type) == "category":
        raise ColumnError(
            f"column {name!r} is a {column.type} now, and was a number at the fit; give it the "
            "type that it had"
        )
    return numbers_of(column)[0]


def _categories(batch: Batch, name: str) -> pa.Array:
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


def _side_by_side(columns: list[pa.Array]) -> pa.Array:
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
