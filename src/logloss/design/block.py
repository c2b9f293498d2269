"""One batch of rows as a model sees it: numbers, codes, target, weight, offset, cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from logloss.rows.source import Source
from logloss.rows.tables import block_rows

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Layout:
    """How the coefficients of a linear predictor are laid out.

    The vector is: intercept, one coefficient per number, then one per level of
    each code column, column after column.

    Attributes
    ----------
    numbers : tuple of str
        Names of the number columns.
    levels : tuple of tuple of str
        For each code column, the names of its levels, such as ``"carrier=EV"``.
    """

    numbers: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all coefficients but the intercept, in order."""
        return self.numbers + tuple(name for column in self.levels for name in column)

    @property
    def size(self) -> int:
        """Number of coefficients, the intercept included."""
        return 1 + len(self.numbers) + sum(map(len, self.levels))

    @property
    def level_slices(self) -> tuple[slice, ...]:
        """Where the levels of each code column stand in the coefficient vector."""
        slices, start = [], 1 + len(self.numbers)
        for column in self.levels:
            slices.append(slice(start, start + len(column)))
            start += len(column)
        return tuple(slices)


@dataclass(frozen=True)
class Block:
    """One batch, encoded.

    Attributes
    ----------
    first_row : int
        Global number of the first row.
    numbers : ndarray of shape (n, p), float32 or float64, column-major
        In the user's units; missing values are already filled.
    codes : ndarray of shape (n, k), int32, column-major
        Index of each row's level; -1 for a level never seen in training.
    y : ndarray of shape (n,), float64, or None
        Target in [0, 1]; None when only predictions are wanted.
    weight, offset : ndarray of shape (n,), float64, or None
        Sample weights and fixed additions to the logit; None means 1 and 0.
    cluster : ndarray of shape (n,), int64, or None
        Rows with the same number depend on each other; None: every row stands alone.
    """

    first_row: int
    numbers: npt.NDArray[np.floating]
    codes: npt.NDArray[np.int32]
    y: npt.NDArray[np.float64] | None = None
    weight: npt.NDArray[np.float64] | None = None
    offset: npt.NDArray[np.float64] | None = None
    cluster: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that it has, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if isinstance(value, np.ndarray)}


@dataclass(frozen=True)
class ArrayShard:
    """A run of rows of arrays in memory."""

    first_row: int
    block: Block
    origin: str = "array"

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.block)

    def blocks(self) -> Iterator[Block]:
        """Yield the rows as one block, without a copy."""
        yield self.block


def array_source(
    numbers: npt.NDArray[np.floating],
    y: npt.NDArray[np.float64] | None = None,
    weight: npt.NDArray[np.float64] | None = None,
    offset: npt.NDArray[np.float64] | None = None,
    cluster: npt.NDArray[np.int64] | None = None,
) -> Source[Block]:
    """Cut arrays in memory into blocks, as views.

    Parameters
    ----------
    numbers : ndarray of shape (n, p)
        Already validated, as are the others.
    y, weight, offset, cluster : ndarray of shape (n,), optional

    Returns
    -------
    Source of Block
    """

    def cut(values: npt.NDArray[T] | None, rows: slice) -> npt.NDArray[T] | None:
        return None if values is None else values[rows]

    shards = []
    step = block_rows(numbers.shape[1])
    for first in range(0, len(numbers), step):
        rows = slice(first, first + step)
        codes = np.empty((len(numbers[rows]), 0), np.int32)
        block = Block(
            first,
            numbers[rows],
            codes,
            cut(y, rows),
            cut(weight, rows),
            cut(offset, rows),
            cut(cluster, rows),
        )
        shards.append(ArrayShard(first, block))
    return Source(shards=tuple(shards), schema=None, name="array")
