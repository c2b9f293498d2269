"""From the text of a formula to data: formulaic takes it apart, a closed set is compiled.

Nothing is evaluated; what is not named here is refused, with the name of its term.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from logloss.design.columns import kind_of, no_such_column
from logloss.design.expression import DEEPEST, Expression
from logloss.design.formula import Factor, Formula, Term
from logloss.errors import ArgumentError, MissingExtraError

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
        if depth > DEEPEST:
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
