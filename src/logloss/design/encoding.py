"""From a table's rows to encoded blocks that many scans can read: in memory, or in a cache.

Either way blocks begin at the same row numbers, whatever the table's files and row groups,
so that sums which depend on the cut are the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logloss.design.block import ArrayShard, Block
from logloss.design.design import Design
from logloss.design.target import Target
from logloss.errors import ArgumentError
from logloss.rows.budget import threads_within
from logloss.rows.cache import Cache, Field, Window, make_cache
from logloss.rows.draws import bits, mix
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch, Engine, Progress
from logloss.rows.source import Source
from logloss.rows.tables import block_rows

#: Blocks that a thread works with at a time: as decoded, as encoded, and what a scan makes of it.
_AT_HAND = 4


@dataclass(frozen=True)
class Encoded:
    """Blocks held in memory, in the order of their rows; a partial.

    Attributes
    ----------
    step : int
        Rows between the beginnings of two blocks.
    blocks : tuple of Block
        None reaches over a multiple of `step`; neighbours between two multiples are one.
    """

    step: int
    blocks: tuple[Block, ...]

    def __add__(self, other: Self, /) -> Self:
        blocks = sorted(self.blocks + other.blocks, key=lambda block: block.first_row)
        return type(self)(self.step, tuple(_joined(blocks, self.step)))

    def source(self, name: str) -> Source[Block]:
        """Return the blocks as a source, a shard each."""
        shards = tuple(ArrayShard(block.first_row, block, name) for block in self.blocks)
        return Source(shards=shards, schema=None, name=name)


@dataclass(frozen=True)
class EncodePass:
    """Batches → `Encoded`: decoding happens once, the optimiser's scans read the result."""

    design: Design
    target: Target

    def __call__(self, batches: Iterable[Batch], /) -> Encoded:
        """Encode these batches."""
        step = _step(self.design)
        blocks = (self.design.encode(batch, self.target) for batch in batches)
        pieces = (piece for block in blocks for piece in cut(block, step))
        return Encoded(step, tuple(_joined(pieces, step)))


@dataclass(frozen=True)
class Written:
    """Number of rows that a cache holds; a partial."""

    n_rows: int

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.n_rows + other.n_rows)


@dataclass(frozen=True)
class CachePass:
    """Batches → `Written`, and the rows themselves, encoded, to their places in a cache."""

    design: Design
    target: Target
    cache: Cache

    def __call__(self, batches: Iterable[Batch], /) -> Written:
        """Encode these batches and write them."""
        n_rows = 0
        for batch in batches:
            block = self.design.encode(batch, self.target)
            self.cache.write(block.first_row, block.arrays())
            n_rows += len(block)
        return Written(n_rows)


@dataclass(frozen=True)
class Digest:
    """What tells these rows from others, however they were cut; a partial.

    A sum over rows of what each row's values are hashed to, in two lanes: rows that differ
    anywhere agree in one lane with a chance of about 2⁻⁶⁴.
    """

    lanes: tuple[int, int] = (0, 0)

    def __add__(self, other: Self, /) -> Self:
        first, second = ((a + b) % 2**64 for a, b in zip(self.lanes, other.lanes, strict=True))
        return type(self)((first, second))

    def __str__(self) -> str:
        return "".join(f"{lane:016x}" for lane in self.lanes)


@dataclass(frozen=True)
class DigestPass:
    """Blocks → `Digest`."""

    def __call__(self, blocks: Iterable[Block], /) -> Digest:
        """Hash the rows of these blocks."""
        return sum(map(self._of, blocks), Digest())

    def _of(self, block: Block) -> Digest:
        rows = np.arange(block.first_row, block.first_row + len(block))
        lanes = [bits(seed, rows) for seed in (1, 2)]
        total = np.zeros(len(rows), np.uint64)
        for name, array in block.arrays().items():
            for k, column in enumerate(array.T if array.ndim == 2 else [array]):
                total += mix(_words(column) ^ _key(name, k))
        first, second = (int(np.sum(mix(total) * lane, dtype=np.uint64)) for lane in lanes)
        return Digest((first, second))


def _words(column: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the bits of numbers of any width."""
    same = np.ascontiguousarray(column).view(f"u{column.dtype.itemsize}")
    return same.astype(np.uint64)


def _key(name: str, k: int) -> np.uint64:
    """Return what sets one column's values apart from those of others."""
    return np.uint64(int.from_bytes(blake2b(f"{k} {name}".encode(), digest_size=8).digest()))


@dataclass(frozen=True)
class Plan:
    """Where the encoded rows of a table will be.

    Attributes
    ----------
    rows : Source of Batch
        The table, with the columns that are needed.
    design, target
        How it is encoded.
    fields : tuple of Field
        The arrays of a block.
    memory : int
        Bytes that encoding, and scanning what was encoded, may take.
    """

    rows: Source[Batch]
    design: Design
    target: Target
    fields: tuple[Field, ...]
    memory: int

    @property
    def size(self) -> int:
        """Bytes of all encoded rows."""
        return self.rows.n_rows * sum(field.row_bytes for field in self.fields)

    @property
    def in_memory(self) -> bool:
        """Whether the encoded rows stay in memory: if they leave a quarter of it."""
        return self.size <= self.memory - self.memory // 4

    @property
    def step(self) -> int:
        """Rows between the beginnings of two blocks."""
        return _step(self.design)

    @property
    def each_thread(self) -> int:
        """Bytes that a thread needs to work on one block."""
        n_rows = min(self.step, self.rows.n_rows)
        return _AT_HAND * n_rows * sum(field.row_bytes for field in self.fields)

    @contextmanager
    def encoded(
        self, engine: Engine | None = None, progress: Progress | None = None
    ) -> Iterator[Source[Block]]:
        """Read the table once, and yield its rows encoded; a cache goes when the block ends.

        Parameters
        ----------
        engine : Engine, optional
            What runs the pass; by default as many threads as `memory` allows.
        progress : callable, optional
            Called by these threads with the number of rows just finished, and in all.

        Raises
        ------
        OutputError
            If the rows fit neither in memory nor in the folder for temporary files.
        """
        settle()
        left = self.memory - self.size if self.in_memory else self.memory
        engine = engine or self.encoder(left, progress)
        if self.in_memory:
            blocks = engine.reduce(EncodePass(self.design, self.target), self.rows)
            settle()
            yield blocks.source(self.rows.name)
            return
        cache, scratch = make_cache(self.rows.n_rows, self.step, self.fields)
        try:
            engine.reduce(CachePass(self.design, self.target, cache), self.rows)
            settle()
            yield cache.source(self.rows.name).map(block_of)
        finally:
            scratch.close()

    def encoder(self, left: int, progress: Progress | None = None) -> LocalEngine:
        """Return an engine that encodes rows in so many bytes of memory."""
        return LocalEngine(threads_within(left, self.each_thread), progress)

    def engine(self) -> LocalEngine:
        """Return an engine for scans of the encoded rows."""
        return LocalEngine(
            None if self.in_memory else threads_within(self.memory, self.each_thread)
        )


def plan_encoding(source: Source[Batch], design: Design, target: Target, memory: int) -> Plan:
    """Decide where the encoded rows of a table will be.

    Parameters
    ----------
    source : Source of Batch
    design, target
        Which columns are read, and how they are encoded.
    memory : int
        Bytes that encoding, and scanning what was encoded, may take.

    Raises
    ------
    ArgumentError
        If not even a few blocks fit in `memory`.
    """
    names = [*design.columns, target.name, *([design.weight] if design.weight else [])]
    rows = source.select(list(dict.fromkeys([*names, *design.cluster])))
    assert rows.schema is not None, "a table has a schema"
    none = [pa.array([], field.type) for field in rows.schema]
    block = design.encode(Batch(0, pa.record_batch(none, schema=rows.schema)), target)
    fields = tuple(Field.like(name, array) for name, array in block.arrays().items())
    plan = Plan(rows, design, target, fields, memory)
    if plan.each_thread > memory:
        raise ArgumentError(
            f"memory is {memory:,} bytes, but this table's blocks take {plan.each_thread:,} at a "
            "time: allow more, or leave columns out."
        )
    return plan


def block_of(window: Window) -> Block:
    """Return a window of a cache as the block that was written there."""
    return Block(window.first_row, **window.arrays)


def settle() -> None:
    """Let Arrow give back what it keeps of the memory that a pass over a file took."""
    pa.default_memory_pool().release_unused()


def _step(design: Design) -> int:
    """Rows between the beginnings of two blocks: as for arrays of as many columns."""
    return block_rows(len(design.layout.numbers) + len(design.layout.levels))


def cut(block: Block, step: int) -> Iterator[Block]:
    """Cut a block at the multiples of `step`, as views."""
    start, end = block.first_row, block.first_row + len(block)
    while start < end:
        stop = min(end, (start // step + 1) * step)
        rows = slice(start - block.first_row, stop - block.first_row)
        arrays: dict[str, Any] = {name: array[rows] for name, array in block.arrays().items()}
        yield replace(block, first_row=start, **arrays)
        start = stop


def _joined(pieces: Iterable[Block], step: int) -> Iterator[Block]:
    """Join neighbours that lie between two multiples of `step`, one group at a time."""
    group: list[Block] = []
    for piece in pieces:
        if group:
            end = group[-1].first_row + len(group[-1])
            if piece.first_row != end or end % step == 0:
                yield _join(group)
                group = []
        group.append(piece)
    if group:
        yield _join(group)


def _join(group: Sequence[Block]) -> Block:
    """Put blocks together into one of arrays that are column-major, and its own."""
    first = group[0]
    if len(group) == 1 and first.numbers.flags.f_contiguous:
        return first
    arrays: dict[str, Any] = {}
    for name, array in first.arrays().items():
        parts = [block.arrays()[name] for block in group]
        shape = (sum(map(len, parts)), *array.shape[1:])
        arrays[name] = np.concatenate(parts, out=np.empty(shape, array.dtype, order="F"))
    return replace(first, **arrays)
