"""Formulas such as ``late ~ hour + C(carrier) + log(distance)``, as data.

How a text becomes one stands in `formula_text`.  A formula is stored, streamed over batches,
and never evaluated as code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logloss.design.columns import Kind, coded, kind_of, text_of
from logloss.design.expression import (
    Expression,
    FloatArray,
    column_categories,
    column_numbers,
    columns_in,
    evaluate,
    expression_of,
    side_by_side,
)
from logloss.design.features import CategoryColumn
from logloss.errors import ColumnError, ModelError
from logloss.rows.protocols import Batch


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
        return tuple(columns_in(self.expression))


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
        return side_by_side([column_categories(batch, name) for name in columns])

    def _numbers(self, batch: Batch) -> FloatArray:
        """Return the product of its numbers; NaN where a column that it reads is missing."""
        values, missing = np.ones(len(batch)), np.zeros(len(batch), bool)
        with np.errstate(all="ignore"):
            for factor in (factor for factor in self.factors if not factor.categorical):
                for name in factor.columns:
                    missing |= np.isnan(column_numbers(batch, name))
                values = values * evaluate(factor.expression, batch)
        values = np.where(missing, np.nan, values)
        self._check(batch, values, missing)
        return values

    def _check(self, batch: Batch, values: FloatArray, missing: npt.NDArray[np.bool_]) -> None:
        wrong = ~np.isfinite(values) & ~missing
        if wrong.any():
            row = int(wrong.argmax())
            numbers = (factor for factor in self.factors if not factor.categorical)
            names = dict.fromkeys(name for factor in numbers for name in factor.columns)
            where = ", ".join(f"{name} is {column_numbers(batch, name)[row]:g}" for name in names)
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
            Factor(expression_of(item["of"]), bool(item["categorical"]), bool(item["textual"]))
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
