"""The protocols that every room above stands on: Shard, Partial, Pass, Engine.

A pass over rows is a frozen, picklable function from blocks to a partial; an
engine applies it to every shard of a source and adds the partials up.  Nothing
here reads a file or starts a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from logloss.rows.source import Source

B_co = TypeVar("B_co", covariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
P = TypeVar("P", bound="Partial")
P_co = TypeVar("P_co", bound="Partial", covariant=True)

#: Called with the number of rows just finished and the number in the whole pass.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Batch:
    """One piece of a table.

    Attributes
    ----------
    first_row : int
        Global number of its first row, counted from 0.
    table : pyarrow.RecordBatch
        The columns.
    """

    first_row: int
    table: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.table.num_rows)


class Shard(Protocol[B_co]):
    """Where some rows are, never the rows: frozen and picklable."""

    @property
    def origin(self) -> str:
        """Name of the file or object that holds the rows, for messages."""

    @property
    def first_row(self) -> int:
        """Global number of the first row."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    def blocks(self) -> Iterator[B_co]:
        """Read the rows, in order, piece by piece."""


class Partial(Protocol):
    """What a pass knows after some rows: sums, counts, maxima, histograms, top-k."""

    def __add__(self, other: Self, /) -> Self:
        """Return what is known after the rows of both."""


class Pass(Protocol[B_contra, P_co]):
    """One question asked of all rows: frozen and picklable."""

    def __call__(self, blocks: Iterable[B_contra], /) -> P_co:
        """Answer it for these blocks."""


class Engine(Protocol):
    """Runs a pass over every shard of a source."""

    def reduce(self, task: Pass[B_contra, P], source: Source[B_contra]) -> P:
        """Return the sum, in shard order, of the answers for the shards."""
