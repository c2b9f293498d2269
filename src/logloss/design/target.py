"""What the model predicts: which two values the target takes, or that it is a proportion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types as pt

from logloss.design.columns import coded, column_of, no_such_column, numbers_of
from logloss.errors import LabelError, ModelError, TargetError
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch, Engine
from logloss.rows.schema import cast, is_text
from logloss.rows.source import Source

#: As many distinct values as it takes to know that there are more than two, and to show it.
_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """The target column, and what its values mean.

    Attributes
    ----------
    name : str
        The column.
    classes : tuple of two values, or None
        Negative and positive class; None where the target is a proportion in [0, 1].
    """

    name: str
    classes: tuple[Any, Any] | None

    @property
    def kind(self) -> Literal["classes", "proportion"]:
        """Whether the target is one of two values or a proportion."""
        return "proportion" if self.classes is None else "classes"

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Type hint for CSV: text where the classes are text."""
        is_text = self.classes is not None and isinstance(self.classes[0], str)
        return {self.name: pa.string()} if is_text else {}

    def encode(self, batch: Batch) -> npt.NDArray[np.float64]:
        """Return the target of each row: 0 or 1 for classes, else the proportion.

        Raises
        ------
        TargetError
            If a value is missing, or neither class; the row is named.
        LabelError
            If a proportion is missing or outside [0, 1]; likewise.
        ColumnError
            If the column is not there.
        """
        column = column_of(batch, self.name)
        if self.classes is None:
            return self._proportions(column, batch.first_row)
        if pt.is_decimal(column.type):  # the classes were learned as doubles
            column = cast(column, pa.float64())
        values, codes = coded(column)
        worth = [_worth(value, self.classes) for value in values]
        y = np.array([*worth, np.nan])[codes]
        if np.isnan(y).any():
            index = int(np.isnan(y).argmax())
            found = None if codes[index] < 0 else values[codes[index]]
            negative, positive = self.classes
            raise self._refused(
                f"{batch.first_row + index} has {_shown(found)}; it must be "
                f"{negative!r} or {positive!r}"
            )
        return y

    def _proportions(self, column: pa.Array, first_row: int) -> npt.NDArray[np.float64]:
        if not _is_numeric(column.type):
            raise TargetError(f"target {self.name!r} is a {column.type}; it must be a proportion")
        y, _ = numbers_of(column)
        good = (y >= 0) & (y <= 1)
        if not good.all():
            index = int((~good).argmax())
            found = None if np.isnan(y[index]) else float(y[index])
            raise LabelError(
                f"target {self.name!r}: row {first_row + index} has {_shown(found)}; "
                "it must be in [0, 1]",
                index=first_row + index,
                value=found,
            )
        return y

    def _refused(self, rest: str) -> TargetError:
        return TargetError(f"target {self.name!r}: row {rest}")

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        classes = None if self.classes is None else list(self.classes)
        return {"name": self.name, "kind": self.kind, "classes": classes}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Target:
        """Read what `to_dict` wrote.

        Raises
        ------
        ModelError
            If the record is damaged.
        """
        try:
            name, classes = record["name"], record["classes"]
            if not isinstance(name, str):
                raise TypeError("the name is not text")
            if classes is not None:
                negative, positive = classes
                if not isinstance(negative, _SCALARS) or type(negative) is not type(positive):
                    raise TypeError("the classes are not two plain values of one type")
                classes = (negative, positive)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"damaged model: target: {error}") from error
        return cls(name, classes)


_SCALARS = (str, bool, int, float)


def _worth(value: Any, classes: tuple[Any, Any]) -> float:
    """1 for the positive class, 0 for the negative, NaN for neither."""
    return 1.0 if value == classes[1] else 0.0 if value == classes[0] else np.nan


def _shown(value: object) -> str:
    is_nan = isinstance(value, float) and math.isnan(value)
    return "no value" if value is None or is_nan else repr(value)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


@dataclass(frozen=True)
class TargetValues:
    """What some rows tell about the target; a partial.

    Attributes
    ----------
    smallest : tuple
        The three smallest distinct values, sorted.
    high : float
        The largest number; -inf where there is none.
    first_null : int or None
        Number of the first row without a value.
    """

    smallest: tuple[Any, ...] = ()
    high: float = -np.inf
    first_null: int | None = None

    def __add__(self, other: Self, /) -> Self:
        nulls = [row for row in (self.first_null, other.first_null) if row is not None]
        return type(self)(
            tuple(sorted({*self.smallest, *other.smallest})[:_SHOWN]),
            max(self.high, other.high),
            min(nulls, default=None),
        )


@dataclass(frozen=True)
class TargetPass:
    """Batches → `TargetValues` of one column."""

    name: str

    def __call__(self, blocks: Iterable[Batch], /) -> TargetValues:
        """Look at the target in these batches."""
        total = TargetValues()
        for batch in blocks:
            total = total + self._of(batch)
        return total

    def _of(self, batch: Batch) -> TargetValues:
        column = column_of(batch, self.name)
        if pt.is_floating(column.type) or pt.is_decimal(column.type):
            numbers, missing = numbers_of(column)
            present = numbers if missing is None else numbers[~missing]
            values: list[Any] = np.unique(present).tolist()
        else:
            values, codes = coded(column)
            missing = codes < 0
        first_null = None
        if missing is not None and missing.any():
            first_null = batch.first_row + int(missing.argmax())
        numeric = _is_numeric(column.type) and len(values) > 0
        return TargetValues(
            tuple(sorted(values)[:_SHOWN]),
            float(max(values)) if numeric else -np.inf,
            first_null,
        )


def learn_target(
    source: Source[Batch],
    column: str,
    *,
    positive: object = None,
    engine: Engine | None = None,
) -> Target:
    """Learn what the values of a target column mean, in one pass.

    Parameters
    ----------
    source : Source of Batch
        The rows.
    column : str
        The target.
    positive : object, optional
        The positive class, or its text; needed where the two values are text.
    engine : Engine, optional
        What runs the pass; by default a `LocalEngine`.

    Returns
    -------
    Target
        Two values of any type are classes, of which the second in sorted order is
        positive unless `positive` says otherwise.  Other numbers in [0, 1] are
        proportions.

    Raises
    ------
    TargetError
        If a row has no value, there is one value only, or more than two; if the values
        are text and `positive` is not given, or `positive` is neither value.
    ColumnError
        If there is no such column.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from logloss.rows.source import open_source
    >>> flights = open_source(pa.table({"late": ["yes", "no", "no"]}))
    >>> learn_target(flights, "late", positive="yes").classes
    ('no', 'yes')
    """
    assert source.schema is not None, "a target is learned from a table"
    if column not in source.schema.names:
        raise no_such_column(column, source.schema.names, f"{source.name}: target")
    kind = source.schema.field(column).type
    value_kind = kind.value_type if pt.is_dictionary(kind) else kind
    if not (
        pt.is_boolean(value_kind)
        or pt.is_null(value_kind)
        or is_text(value_kind)
        or _is_numeric(value_kind)
    ):
        raise TargetError(
            f"target {column!r} is a {kind}; it must be two values, or proportions in [0, 1]"
        )
    engine = engine or LocalEngine()
    seen = engine.reduce(TargetPass(column), source.select([column]))
    if seen.first_null is not None:
        raise TargetError(
            f"target {column!r}: row {seen.first_null} has no value; remove such rows or fill them"
        )
    if seen.high == np.inf or any(isinstance(v, float) and math.isinf(v) for v in seen.smallest):
        raise TargetError(
            f"target {column!r} holds infinite values; it must be two finite values, or "
            "proportions in [0, 1]"
        )
    proportions = pt.is_floating(kind) or pt.is_decimal(kind)
    return Target(column, _classes(column, seen, proportions, positive))


def _classes(
    column: str, seen: TargetValues, may_be_proportion: bool, positive: object
) -> tuple[Any, Any] | None:
    values = seen.smallest
    if len(values) == 1:
        raise TargetError(
            f"target {column!r} is {values[0]!r} in every row; there must be two values"
        )
    if len(values) > 2:
        if may_be_proportion and values[0] >= 0 and seen.high <= 1:
            if positive is not None:
                raise TargetError(f"target {column!r} is a proportion; it has no positive class")
            return None
        listed = ", ".join(map(repr, values))
        raise TargetError(
            f"target {column!r} has more than two values ({listed}, …); it must be two values, "
            "or proportions in [0, 1]"
        )
    first, second = values
    if positive is None:
        if isinstance(first, str):
            raise TargetError(
                f"target {column!r} is {first!r} or {second!r}; say which is positive, as in "
                f"--positive {second}"
            )
        return first, second
    for value, other in ((second, first), (first, second)):
        if is_positive(positive, value):
            return other, value
    raise TargetError(
        f"target {column!r} is {first!r} or {second!r}, so {positive!r} cannot be positive"
    )


def is_positive(positive: object, value: object) -> bool:
    """Whether what a person names as the positive class, maybe as text, is this value."""
    if positive == value:
        return True
    if not isinstance(positive, str) or isinstance(value, str):
        return False
    if isinstance(value, bool):
        return positive.casefold() == str(value).casefold()
    try:
        return float(positive) == value
    except ValueError:
        return False
