"""Encoded rows in parts that are samples of the whole table: what a network trains on.

In memory or in a cache, the parts are the same, and so are the rows' places in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss.design.block import ArrayShard, Block, array_source
from logloss.design.design import Design
from logloss.design.encoding import EncodePass, Plan, Written, block_of, settle
from logloss.design.target import Target
from logloss.rows.cache import Cache, WindowShard, make_cache
from logloss.rows.protocols import Batch, Engine, Progress
from logloss.rows.shuffle import Shuffle
from logloss.rows.source import Source
from logloss.rows.tables import block_rows


@dataclass(frozen=True)
class ShufflePass:
    """Batches → `Written`, and the rows themselves, encoded, to their parts in a cache."""

    design: Design
    target: Target
    shuffle: Shuffle
    cache: Cache

    def __call__(self, batches: Iterable[Batch], /) -> Written:
        """Encode these batches and write them."""
        n_rows = 0
        for batch in batches:
            block = self.design.encode(batch, self.target)
            arrays = block.arrays()
            for part, place, rows in self.shuffle.runs(block.first_row, len(block)):
                first = part * self.cache.window_rows + place
                self.cache.write(first, {name: array[rows] for name, array in arrays.items()})
            n_rows += len(block)
        return Written(n_rows)


@dataclass(frozen=True)
class PartShard:
    """One part of a shuffled table, in a window of a cache that is as long as the longest."""

    window: WindowShard
    n_rows: int

    @property
    def origin(self) -> str:
        """Name of the table."""
        return self.window.origin

    @property
    def first_row(self) -> int:
        """Number of the first row, as the parts lie one after the other."""
        return self.window.first_row

    def blocks(self) -> Iterator[Block]:
        """Read the part, as one block."""
        for window in self.window.blocks():
            yield _rows_of(block_of(window), slice(0, self.n_rows))


@contextmanager
def shuffled(
    plan: Plan, seed: int, engine: Engine | None = None, progress: Progress | None = None
) -> Iterator[tuple[Source[Block], int]]:
    """Read a table once, and yield its rows encoded, in shuffled parts, a block each.

    Parameters
    ----------
    plan : Plan
        How it is encoded, and the memory that it may take.
    seed : int
        Of the shuffle.
    engine, progress
        See `Plan.encoded`.

    Yields
    ------
    parts : Source of Block
    left : int
        Bytes of memory that are left beside them, and beside the work on one part.

    Raises
    ------
    OutputError
        If the rows fit neither in memory nor in the folder for temporary files.
    """
    shuffle = Shuffle(seed, plan.rows.n_rows, plan.step)
    # to be shuffled in memory, rows lie there twice for a moment
    copies = 1 if shuffle.n_parts == 1 else 2
    left = plan.memory - copies * plan.size
    settle()
    if left >= plan.memory // 4:
        engine = engine or plan.encoder(left, progress)
        encoded = engine.reduce(EncodePass(plan.design, plan.target), plan.rows)
        parts = gathered(shuffle, encoded.blocks, plan.rows.name)
        del encoded
        settle()
        yield parts, plan.memory - plan.size
        return
    engine = engine or plan.encoder(plan.memory, progress)
    n_rows = shuffle.n_parts * shuffle.part_rows
    cache, scratch = make_cache(n_rows, shuffle.part_rows, plan.fields)
    try:
        engine.reduce(ShufflePass(plan.design, plan.target, shuffle, cache), plan.rows)
        settle()
        windows = [WindowShard(cache, k, plan.rows.name) for k in range(shuffle.n_parts)]
        shards = tuple(PartShard(window, shuffle.size(window.number)) for window in windows)
        yield Source(shards, name=plan.rows.name), plan.memory
    finally:
        scratch.close()


def shuffled_arrays(
    numbers: npt.NDArray[np.floating],
    y: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    seed: int,
) -> Source[Block]:
    """Return rows of arrays in shuffled parts: as views where there is but one part."""
    shuffle = Shuffle(seed, len(y), block_rows(numbers.shape[1]))
    return gathered(shuffle, list(array_source(numbers, y, weight).blocks()))


def gathered(shuffle: Shuffle, blocks: Sequence[Block], name: str = "array") -> Source[Block]:
    """Deal blocks of rows, which together are the whole table, to parts in memory."""
    if shuffle.n_parts == 1:
        (block,) = blocks
        return Source((ArrayShard(0, block, name),), name=name)
    sizes = [shuffle.size(part) for part in range(shuffle.n_parts)]
    parts = [
        {field: _room_like(array, n_rows) for field, array in blocks[0].arrays().items()}
        for n_rows in sizes
    ]
    for block in blocks:
        arrays = block.arrays()
        for part, place, rows in shuffle.runs(block.first_row, len(block)):
            for field, array in arrays.items():
                there = parts[part][field][place : place + len(rows)]
                np.take(array, rows, axis=0, out=there, mode="clip")  # straight to its place
    shards = (
        ArrayShard(part * shuffle.part_rows, Block(part * shuffle.part_rows, **arrays), name)
        for part, arrays in enumerate(parts)
    )
    return Source(tuple(shards), name=name)


def _room_like(array: npt.NDArray[Any], n_rows: int) -> npt.NDArray[Any]:
    """Return room for so many rows, laid out as they are."""
    order: Any = "F" if array.flags.f_contiguous else "C"
    return np.empty((n_rows, *array.shape[1:]), array.dtype, order=order)


def _rows_of(block: Block, rows: slice) -> Block:
    """Return some of a block's rows, as views."""
    arrays: dict[str, Any] = {name: array[rows] for name, array in block.arrays().items()}
    return replace(block, **arrays)
