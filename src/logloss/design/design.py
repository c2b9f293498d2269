"""The design: which columns a model reads, and how their values become numbers and codes.

It is learned in one pass (`summary`), kept in the model, and never changes again.
Coefficients do not concern anything here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logloss.design.block import Block, Layout
from logloss.design.columns import (
    check_finite,
    clusters_of,
    coded,
    column_of,
    kind_of,
    no_such_column,
    numbers_of,
    offsets_of,
    text_of,
    weights_of,
)
from logloss.design.drift import Drift
from logloss.design.features import CategoryColumn, NumberColumn
from logloss.design.formula import Formula
from logloss.design.selection import select
from logloss.design.summary import LevelCounts, SummaryPass, levels_within
from logloss.design.target import Target
from logloss.errors import ColumnError, ModelError, WeightError
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch, Engine
from logloss.rows.source import Source


@dataclass(frozen=True)
class Design:
    """How a table's columns become numbers and codes.

    Attributes
    ----------
    numbers : tuple of NumberColumn
        Columns of numbers and booleans, in input order.
    categories : tuple of CategoryColumn
        Columns of text and dictionaries, in input order.
    left_out : tuple of (str, str)
        What the model does not use, and why: ``"asked for"``, ``"constant"``,
        ``"copy of temp"``.
    weight, offset : str or None
        Columns of sample weights, and of fixed additions to the logit.
    n_rows : int
        Rows that it was learned from.
    cluster : tuple of str
        Columns whose values together name rows that depend on each other.
    formula : Formula or None
        What columns are made of, where they are not those of the table.
    """

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    weight: str | None = None
    offset: str | None = None
    n_rows: int = 0
    cluster: tuple[str, ...] = ()
    formula: Formula | None = None

    @cached_property
    def layout(self) -> Layout:
        """Names of the coefficients, and their order."""
        return Layout(
            tuple(name for column in self.numbers for name in column.outputs),
            tuple(column.names for column in self.categories),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a prediction needs."""
        names = [column.name for column in self.numbers]
        names += [column.name for column in self.categories]
        if self.formula is not None:
            names = list(self.formula.columns)
        return (*names, self.offset) if self.offset else tuple(names)

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Types that the columns of a CSV should be read as."""
        types = {c.name: pa.bool_() if c.kind == "bool" else pa.float64() for c in self.numbers}
        types |= {column.name: pa.string() for column in self.categories}
        if self.formula is not None:
            plain = {term.name for term in self.formula.terms if term.plain}
            kept = {name: type_ for name, type_ in types.items() if name in plain}
            types = self.formula.types | kept
        return types | {name: pa.float64() for name in (self.weight, self.offset) if name}

    @property
    def filled(self) -> tuple[tuple[str, float], ...]:
        """Number columns with missing values and their share of rows, the largest first."""
        shares = [(c.name, c.missing_share) for c in self.numbers if c.missing_share > 0]
        return tuple(sorted(shares, key=lambda pair: -pair[1]))

    def encode(self, batch: Batch, target: Target | None = None) -> Block:
        """Turn a batch of the table into a block of numbers and codes.

        Parameters
        ----------
        batch : Batch
            With at least `columns`.
        target : Target, optional
            What gives the block its `y`; by default it has none.

        Returns
        -------
        Block
            With `weight`, `offset` and `cluster` where the design has such columns; weights
            and clusters are only read where there is a target.

        Raises
        ------
        ColumnError
            If a column is missing, is of another type than at the fit, or holds an
            infinite number.
        TargetError, WeightError
            If a target or a weight cannot be used.
        """
        batch = self._derived(batch)
        n_rows, layout = len(batch), self.layout
        numbers = np.empty((n_rows, len(layout.numbers)), order="F")
        at = 0
        for column in self.numbers:
            values, missing = self._numbers(batch, column)
            at = column.fill(numbers, at, values, missing)
        codes = np.empty((n_rows, len(self.categories)), np.int32, order="F")
        for k, category in enumerate(self.categories):
            codes[:, k] = self._codes(batch, category)
        return Block(
            batch.first_row,
            numbers,
            codes,
            None if target is None else target.encode(batch),
            weights_of(batch, self.weight) if self.weight and target is not None else None,
            offsets_of(batch, self.offset) if self.offset else None,
            clusters_of(batch, self.cluster) if self.cluster and target is not None else None,
        )

    def dense(self, batch: Batch) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
        """Return the explicit design matrix, to check a model with other software.

        Parameters
        ----------
        batch : Batch
            With at least `columns`; a small one, as every level becomes a column.

        Returns
        -------
        matrix : ndarray of shape (n, p)
            Numbers, then one column of 0 and 1 per level; no intercept.
        names : tuple of str
            Of its columns.
        """
        block = self.encode(batch)
        parts = [block.numbers.astype(np.float64)]
        for k, category in enumerate(self.categories):
            levels = np.arange(len(category.names))
            parts.append((block.codes[:, [k]] == levels).astype(np.float64))
        return np.hstack(parts), self.layout.names

    def drift(self, batch: Batch) -> Drift:
        """Count numbers outside the range, and levels outside the set, that training saw.

        Raises
        ------
        ColumnError
            As `encode`.
        """
        batch = self._derived(batch)
        outside = {
            c.name: int(((values < c.low) | (values > c.high)).sum())
            for c in self.numbers
            if c.uses_value
            for values, _ in [self._numbers(batch, c)]
        }
        unseen = {c.name: int((self._codes(batch, c) < 0).sum()) for c in self.categories}
        return Drift(len(batch), _strayed(outside), _strayed(unseen))

    def _derived(self, batch: Batch) -> Batch:
        return batch if self.formula is None else self.formula.derive(batch)

    def _numbers(
        self, batch: Batch, column: NumberColumn
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_] | None]:
        values, missing = numbers_of(_as_fitted(batch, column.name, column.kind))
        check_finite(column.name, values, batch.first_row)
        return values, missing

    def _codes(self, batch: Batch, category: CategoryColumn) -> npt.NDArray[np.int32]:
        values, codes = coded(_as_fitted(batch, category.name, "category"))
        lookup = category.lookup
        found = [lookup.get(text_of(value), -1) for value in values]
        return np.array([*found, lookup.get(None, -1)], np.int32)[codes]

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return {
            "numbers": [column.to_dict() for column in self.numbers],
            "categories": [column.to_dict() for column in self.categories],
            "left_out": [list(pair) for pair in self.left_out],
            "weight": self.weight,
            "offset": self.offset,
            "n_rows": self.n_rows,
            "cluster": list(self.cluster),
            "formula": None if self.formula is None else self.formula.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Design:
        """Read what `to_dict` wrote.

        Raises
        ------
        ModelError
            If the record is damaged.
        """
        try:
            formula = record.get("formula")
            design = cls(
                tuple(NumberColumn.from_dict(item) for item in record["numbers"]),
                tuple(CategoryColumn.from_dict(item) for item in record["categories"]),
                tuple((str(name), str(reason)) for name, reason in record["left_out"]),
                record["weight"],
                record["offset"],
                int(record["n_rows"]),
                tuple(map(str, record.get("cluster", ()))),
                None if formula is None else Formula.from_dict(formula),
            )
            if not all(isinstance(n, str | None) for n in (design.weight, design.offset)):
                raise TypeError("weight and offset must be names")
            for names in (design.columns, design.layout.names):
                if len(set(names)) < len(names):
                    raise ValueError("a column stands twice")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"damaged model: design: {_reason(error)}") from error
        return design


def _strayed(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _as_fitted(batch: Batch, name: str, kind: str) -> pa.Array:
    """Return a column, if it is still of the kind that it was at the fit."""
    column = column_of(batch, name)
    found = kind_of(name, column.type)
    if found not in (kind, None):
        raise ColumnError(
            f"column {name!r} is a {column.type} now, and was a {kind} at the fit; "
            "give it the type that it had"
        )
    return column


@dataclass(frozen=True)
class DriftPass:
    """Batches → `Drift` from what `design` was learned on."""

    design: Design

    def __call__(self, blocks: Iterable[Batch], /) -> Drift:
        """Count over these batches."""
        return sum(map(self.design.drift, blocks), Drift())


def learn_design(
    source: Source[Batch],
    *,
    target: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    weight: str | None = None,
    offset: str | None = None,
    cluster: Sequence[str] = (),
    formula: Formula | None = None,
    engine: Engine | None = None,
    memory: int | None = None,
) -> Design:
    """Learn how the columns of a table become numbers and codes, in one pass.

    Parameters
    ----------
    source : Source of Batch
        The rows.
    target : str, optional
        A column that is not a feature.
    features : sequence of str, optional
        The columns to use, in this order; by default all but those named otherwise.
    drop : sequence of str, default=()
        Columns not to use.
    weight, offset : str, optional
        Columns of sample weights, and of fixed additions to the logit.  A row of weight
        0 does not count anywhere.
    cluster : sequence of str, default=()
        Columns that name rows which depend on each other; features only where `features`
        names them.
    formula : Formula, optional
        What the columns are made of; then no `features` are given.
    engine : Engine, optional
        What runs the pass; by default a `LocalEngine`.
    memory : int, optional
        Bytes that the levels of all columns may take; by default each may have a million.

    Returns
    -------
    Design
        The same for any cut and order of the rows.

    Raises
    ------
    ColumnError
        If a name is unknown, a type is of no use, a number or an offset is infinite, or
        two coefficients would bear one name.
    WeightError
        If a weight is missing, negative or infinite, or all are zero.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from logloss.rows.source import open_source
    >>> table = pa.table({"late": [0, 1, 0], "temp": [39.0, None, 41.5], "year": [2013] * 3})
    >>> design = learn_design(open_source(table), target="late")
    >>> design.layout.names, design.left_out
    (('temp', 'temp_missing'), (('year', 'constant'),))
    """
    assert source.schema is not None, "a design is learned from a table"
    schema = source.schema
    others = tuple(name for name in (target, weight, offset) if name is not None)
    for name in (*others, *cluster, *(features or ()), *drop):
        if name not in schema.names:
            raise no_such_column(name, schema.names, source.name)
    engine = engine or LocalEngine()
    if formula is None:
        chosen = _chosen(schema.names, others, features, drop if features else (*drop, *cluster))
        kinds = {name: kind_of(name, schema.field(name).type) for name in chosen}
    else:
        formula = _with_learned_levels(formula, source, weight, engine)
        kinds = formula.kinds(schema)
    columns = tuple((name, kind) for name, kind in kinds.items() if kind is not None)
    n_categories = sum(kind == "category" for _, kind in columns)
    max_levels = None if memory is None else levels_within(memory, n_categories)
    task = SummaryPass(columns, weight, offset, max_levels)
    read = [name for name, _ in task.columns] if formula is None else list(formula.columns)
    read += [name for name in (weight, offset) if name is not None]
    rows = source.select(list(dict.fromkeys(read)))
    summary = engine.reduce(task, rows if formula is None else rows.map(formula.derive))
    if not summary.n_rows:
        raise WeightError(f"weight column {weight!r}: no row has a positive weight")
    selection = select(list(kinds.items()), summary, schema.names)
    asked = [(name, "asked for") for name in schema.names if name in drop]
    design = Design(
        tuple(selection.numbers),
        tuple(selection.categories),
        (*asked, *selection.left_out),
        weight,
        offset,
        summary.n_rows,
        tuple(cluster),
        formula,
    )
    names = design.layout.names
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ColumnError(f"two coefficients would be named {name!r}; rename a column")
    return design


def _with_learned_levels(
    formula: Formula, source: Source[Batch], weight: str | None, engine: Engine
) -> Formula:
    """Learn the levels that numbers are crossed with, in a pass of their own."""
    if not formula.crossings:
        return formula
    task = SummaryPass(tuple((term.name, "category") for term in formula.crossings), weight)
    read = dict.fromkeys((*formula.columns, *((weight,) if weight else ())))
    summary = engine.reduce(task, source.select(list(read)).map(formula.crossed_categories))
    levels = {}
    for term, found in zip(formula.crossings, summary.columns, strict=True):
        assert isinstance(found, LevelCounts)
        levels[term.name] = CategoryColumn.learn(term.name, found, max(summary.n_rows, 1))
    return formula.with_levels(levels)


def _chosen(
    names: Sequence[str],
    others: Sequence[str],
    features: Sequence[str] | None,
    drop: Sequence[str],
) -> list[str]:
    """Return the columns that may become features, in order."""
    if features is None:
        return [name for name in names if name not in others and name not in drop]
    for at, name in enumerate(features):
        if name in others:
            raise ColumnError(f"features: {name!r} is the target, the weight or the offset")
        if name in features[:at]:
            raise ColumnError(f"features: {name!r} stands twice")
    return [name for name in features if name not in drop]
