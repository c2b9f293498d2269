"""From a batch of a table to checked rows to score: target, forecast, weight, groups."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logloss.design.columns import check_weights
from logloss.design.target import Target
from logloss.errors import ColumnError, LogitError, ProbabilityError, RowError
from logloss.models import Model
from logloss.rows.protocols import Batch
from logloss.rows.schema import cast
from logloss.scoring.state import Groups, ScoredRows
from logloss.scoring.sums import FloatArray

#: A column split by has no more distinct values than this.
MAX_LEVELS = 1_000


@dataclass(frozen=True)
class RowReader:
    """Batches of a table → rows to score; raises at the first value that breaks a rule.

    Attributes
    ----------
    target : Target
        Reads y.
    prob, logit, model : str, str, Model or None
        Where forecasts come from; exactly one is given.
    weight : str or None
        Column of sample weights.
    cluster, by : tuple of str
        Columns whose values together name a cluster; columns to split by, each by itself.
    """

    target: Target
    prob: str | None = None
    logit: str | None = None
    model: Model | None = None
    weight: str | None = None
    cluster: tuple[str, ...] = ()
    by: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that are read."""
        given = (self.target.name, self.prob, self.logit, self.weight, *self.cluster, *self.by)
        learned = () if self.model is None else self.model.design.columns
        return tuple(dict.fromkeys(name for name in (*given, *learned) if name is not None))

    def __call__(self, batch: Batch) -> ScoredRows:
        """Read one batch."""
        clusters = None
        for name in self.cluster:
            groups = _groups(batch, name)
            clusters = groups if clusters is None else clusters.crossed(groups)
        return ScoredRows(
            first_row=batch.first_row,
            y=self.target.encode(batch),
            forecasts=self._forecasts(batch),
            on_logits=self.prob is None,
            weight=None if self.weight is None else _weights(batch, self.weight),
            clusters=clusters,
            by=tuple(_levels(batch, name) for name in self.by),
        )

    def _forecasts(self, batch: Batch) -> npt.NDArray[np.floating]:
        if self.model is not None:
            return self.model.logits(batch)
        if self.logit is not None:
            values = _numbers(batch, self.logit)
            rule = "is not a logit: any number, or infinite"
            _refuse(batch, self.logit, values, LogitError(rule), np.isnan(values))
            return values
        assert self.prob is not None
        values = _numbers(batch, self.prob)
        rule = "is not a probability in [0, 1]; logits are given as `logit`"
        outside = ~((values >= 0) & (values <= 1))
        _refuse(batch, self.prob, values, ProbabilityError(rule), outside)
        return values


def check_columns(schema: pa.Schema, roles: Sequence[tuple[str, str]], where: str) -> None:
    """Raise ColumnError unless every (role, column) names a column of the table."""
    for role, name in roles:
        if name not in schema.names:
            near = difflib.get_close_matches(name, schema.names, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"it has {_listed(schema.names)}"
            raise ColumnError(f"{where} has no column {name!r} (asked for as {role}); {known}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (" …" if len(names) > 10 else "")


def _numbers(batch: Batch, name: str) -> npt.NDArray[np.floating]:
    """Return a column as float32 where it is one, else as float64; missing is NaN."""
    column = batch.table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not pa.types.is_float32(column.type):
        try:
            column = cast(column, pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ColumnError(
                f"column {name!r} holds {column.type}, where numbers are needed"
            ) from error
    values: npt.NDArray[np.floating] = column.to_numpy(zero_copy_only=False)
    return values


def _weights(batch: Batch, name: str) -> FloatArray:
    values = _numbers(batch, name).astype(np.float64)
    check_weights(name, values, batch.first_row)
    return values


def _refuse(
    batch: Batch,
    name: str,
    values: npt.NDArray[Any],
    error: RowError,
    wrong: npt.NDArray[np.bool_],
) -> None:
    """Raise `error`, with the place and the value put before it, if `wrong` is true anywhere."""
    if wrong.any():
        first = int(np.argmax(wrong))
        row, value = batch.first_row + first, float(values[first])
        shown = "an empty value" if np.isnan(value) else repr(value)
        message = f"column {name!r}, row {row}: {shown} {error}"
        raise type(error)(message, index=row, value=value)


def _groups(batch: Batch, name: str) -> Groups:
    """Return the distinct values of a column; null and NaN are one group, None."""
    column = batch.table.column(name)
    if pa.types.is_nested(column.type):
        raise ColumnError(f"column {name!r} holds {column.type}, whose values cannot be grouped")
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    values = [*values_of(column.dictionary), None]
    codes = (
        column.indices.cast(pa.int64()).fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
    )
    used = np.bincount(codes, minlength=len(values)) > 0
    # NaN is not equal to itself, so it would be a new key in every block
    keys = [None if isinstance(v, float) and math.isnan(v) else v for v in values]
    return Groups(
        tuple(keys[place] for place in np.flatnonzero(used)), (np.cumsum(used) - 1)[codes]
    )


def values_of(column: pa.Array) -> list[Any]:
    """Return the values of a column; nanoseconds, which Python has no type for, as text."""
    if getattr(column.type, "unit", None) != "ns":
        return list(column.to_pylist())
    if pa.types.is_duration(column.type):
        counts = column.cast(pa.int64()).to_pylist()
        return [None if count is None else f"{count} ns" for count in counts]
    texts = column.cast(pa.string()).to_pylist()
    zeros = re.compile(r"(?:(\.\d*[1-9])|\.)0+(?!\d)")
    return [None if text is None else zeros.sub(r"\1", text) for text in texts]


def _levels(batch: Batch, name: str) -> Groups:
    groups = _groups(batch, name)
    refuse_many(name, len(groups.keys))
    return groups


def refuse_many(name: str, n_levels: int) -> None:
    """Raise ColumnError if a column to split by has too many levels."""
    if n_levels > MAX_LEVELS:
        raise ColumnError(
            f"`by` column {name!r} has more than {MAX_LEVELS:,} distinct values: "
            "group it into ranges or kinds first, or name another column"
        )
