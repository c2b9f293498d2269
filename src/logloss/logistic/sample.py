"""A sample of the rows, drawn in the first scan, that stands for all of them at a start.

A row is drawn by a hash of its number, so the sample belongs to the rows and not to their
order in a file; one over the chance of being drawn multiplies its weight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from logloss.design.block import ArrayShard, Block, Layout
from logloss.logistic.columns import Moments, MomentsPass
from logloss.logistic.objective import Objective
from logloss.rows.draws import uniform
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Engine
from logloss.rows.source import Source
from logloss.rows.tables import block_rows

#: A share of the rows beyond which a larger sample takes more time than it saves.
_SHARE = 0.1
#: Rows a coefficient: with fewer a sample's Hessian is far from that of all rows, and with
#: more the scans are few anyway.
_FEWEST, _MOST = 20, 1000
#: Of rows of the rarer class, those a coefficient that a sample must hold.
_RARE = 10
#: A table of so many numbers is scanned in a few milliseconds, whatever is scanned.
_SMALL = 1_000_000
#: Below this share of the rarer class, its rows are drawn with a chance of their own.
_BALANCED = 0.05
_SEED = 0


@dataclass(frozen=True)
class Sample:
    """Rows drawn, in pieces; a partial.

    Attributes
    ----------
    pieces : tuple of Block
        In the order of their rows, with weights that stand for the rows not drawn.
    """

    pieces: tuple[Block, ...]

    def __add__(self, other: Self, /) -> Self:
        pieces = sorted(self.pieces + other.pieces, key=lambda block: block.first_row)
        return type(self)(tuple(pieces))

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def block(self) -> Block:
        """Return the rows as one block, its numbers column-major."""
        arrays: dict[str, Any] = {}
        for name, array in self.pieces[0].arrays().items():
            parts = [piece.arrays()[name] for piece in self.pieces]
            out = np.empty((len(self), *array.shape[1:]), array.dtype, order="F")
            arrays[name] = np.concatenate(parts, out=out)
        return Block(0, **arrays)


@dataclass(frozen=True)
class SamplePass:
    """Blocks → `Sample`; rows of positive weight only.

    Attributes
    ----------
    low_chance, high_chance : float
        Chance that a row is drawn whose label is below ½, or not.
    """

    low_chance: float
    high_chance: float

    def __call__(self, blocks: Iterable[Block], /) -> Sample:
        """Draw from these blocks."""
        pieces = (self._of(block) for block in blocks)
        return Sample(tuple(piece for piece in pieces if len(piece)))

    def _of(self, block: Block) -> Block:
        assert block.y is not None, "a fit needs a target"
        rows = np.arange(block.first_row, block.first_row + len(block))
        chance = np.where(block.y < 0.5, self.low_chance, self.high_chance)
        drawn = uniform(_SEED, rows) < chance
        if block.weight is not None:
            drawn &= block.weight > 0
        at = np.flatnonzero(drawn)
        arrays: dict[str, Any] = {name: array[at] for name, array in block.arrays().items()}
        arrays["weight"] = (1.0 if block.weight is None else block.weight[at]) / chance[at]
        return Block(int(rows[at[0]]) if len(at) else block.first_row, **arrays)


@dataclass(frozen=True)
class First:
    """What the first scan tells; a partial."""

    moments: Moments
    sample: Sample

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.moments + other.moments, self.sample + other.sample)


@dataclass(frozen=True)
class FirstPass:
    """Blocks → `First`: weights and offsets checked, moments, and a sample, from one read."""

    moments: MomentsPass
    sample: SamplePass

    def __call__(self, blocks: Iterable[Block], /) -> First:
        """Ask both of each block."""
        total = First(self.moments(()), self.sample(()))
        for block in blocks:
            total = total + First(self.moments([block]), self.sample([block]))
        return total


def sample_size(n_rows: int, size: int) -> int:
    """Return how many rows to draw for `size` coefficients; 0 where all rows do as well."""
    wanted = int(max(_FEWEST * size, min(_SHARE * n_rows, _MOST * size)))
    return wanted if n_rows * size >= _SMALL and 4 * wanted <= n_rows else 0


def first_scan(
    source: Source[Block], layout: Layout, engine: Engine
) -> tuple[Moments | None, Sample | None]:
    """Learn moments and draw a sample in one scan, where a sample is worth it.

    A class that is rare among the rows is drawn with a chance of its own, in one scan more.
    """
    wanted = sample_size(source.n_rows, layout.size)
    if not wanted:
        return None, None
    about_zero = MomentsPass(layout, (0.0,) * len(layout.numbers))
    chance = wanted / source.n_rows
    first = engine.reduce(FirstPass(about_zero, SamplePass(chance, chance)), source)
    moments, sample = first.moments, first.sample
    rarer = min(moments.n_high, moments.n - moments.n_high)
    if 0 < rarer < _BALANCED * moments.n:
        rare, common = (min(1.0, wanted / (2 * n)) for n in (rarer, moments.n - rarer))
        chances = (rare, common) if moments.n_high > rarer else (common, rare)
        sample = engine.reduce(SamplePass(*chances), source)
    if len(sample) < wanted / 2 or min(rarer, wanted // 2) < _RARE * layout.size:
        return moments, None
    return moments, sample


def sampled(objective: Objective, sample: Block) -> Objective:
    """Return the objective of a sample's rows, which is about that of all."""
    assert sample.weight is not None, "a sample's rows are weighted"
    step, shards = block_rows(objective.columns.layout.size), []
    for start in range(0, len(sample), step):
        rows = slice(start, start + step)
        arrays: dict[str, Any] = {name: array[rows] for name, array in sample.arrays().items()}
        shards.append(ArrayShard(start, Block(start, **arrays)))
    columns = replace(
        objective.columns,
        n=len(sample),
        weight=float(sample.weight.sum()),
        heaviest=float(sample.weight.max()),
    )
    source = Source(shards=tuple(shards), schema=None, name="sample")
    return replace(objective, source=source, engine=LocalEngine(), columns=columns)


def every(sample: Block, stride: int) -> Block:
    """Return each `stride`-th row of a sample, as views."""
    arrays: dict[str, Any] = {name: array[::stride] for name, array in sample.arrays().items()}
    return Block(sample.first_row, **arrays)
