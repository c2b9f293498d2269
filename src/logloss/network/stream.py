"""Rows on their way to a network: one part of a shuffled table after the other.

A part is encoded once and kept where there is room for all of them.  Where there is not, it is
read whenever its turn comes, and encoded batch by batch.  The bits are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from logloss.design.block import Block
from logloss.errors import ArgumentError
from logloss.network.module import TableNetwork
from logloss.network.numbers import tile_rows
from logloss.rows.source import Source

FloatArray = npt.NDArray[np.float64]

#: What a row is worth that no member holds out.
NOT_HELD_OUT = -1

#: Of so many members or multiples of them, several hold out the same fold: what is then judged is
#: their mean, which is nearer to the mean of all than one member is.
_MOST_FOLDS = 8

#: With fewer rows of a class nothing is held out: what is left would be another question.
_FEWEST_OF_A_CLASS = 4

#: Bytes beside its numbers and codes that a row that is kept takes: fold and row numbers.
_KEPT_BESIDE = 40


@dataclass(frozen=True)
class Survey:
    """What one look at all rows says.

    Attributes
    ----------
    sizes : tuple of int
        For each part, its rows of positive weight.
    weight, positive : float
        Sum of the weights, and of those times the target.
    rarer : int
        Rows of the rarer class.
    level_weights : ndarray of shape (sum of the numbers of levels,)
        Weight of each level, column after column.
    """

    sizes: tuple[int, ...]
    weight: float
    positive: float
    rarer: int
    level_weights: FloatArray

    @property
    def n_rows(self) -> int:
        """Rows of positive weight."""
        return sum(self.sizes)

    @property
    def base_rate(self) -> float:
        """Weighted mean of the target."""
        return self.positive / self.weight

    def n_folds(self, members: int, fraction: float) -> int:
        """Return into how many folds rows are cut; 0 where none is held out.

        One member holds out a share of all rows; several hold out a fold, so that every row
        trains nearly all members.  Each fold has a row of both classes, at least.
        """
        if not 0 <= fraction < 1:
            raise ArgumentError(f"validation_fraction must be in [0, 1); got {fraction!r}")
        if fraction == 0:
            return 0
        n_folds = folds_of(members) if members > 1 else max(2, round(1 / fraction))
        return min(n_folds, self.rarer) if self.rarer >= _FEWEST_OF_A_CLASS else 0


def survey(parts: Source[Block], levels: tuple[int, ...]) -> Survey:
    """Look at all rows once, part by part."""
    sizes, weight, positive, high = [], 0.0, 0.0, 0
    level_weights = np.zeros(sum(levels))
    for block in map(counted, parts.blocks()):
        w, y = _weight_of(block), _target_of(block)
        sizes.append(len(block))
        weight += float(w.sum())
        positive += float((w * y).sum())
        high += int((y >= 0.5).sum())
        if levels:
            level_weights += np.concatenate(
                [
                    np.bincount(codes[codes >= 0], w[codes >= 0], n_levels)
                    for codes, n_levels in zip(block.codes.T, levels, strict=True)
                ]
            )
    return Survey(tuple(sizes), weight, positive, min(high, sum(sizes) - high), level_weights)


def counted(block: Block) -> Block:
    """Return the rows of a block that count, each with a weight."""
    if block.offset is not None:
        raise ArgumentError("offset: a network is trained without one; leave it out")
    weight = _weight_of(block)
    counts = weight > 0
    if counts.all():
        return replace(block, weight=weight)
    arrays: dict[str, Any] = {name: array[counts] for name, array in block.arrays().items()}
    return replace(block, **arrays)


def folds_of(members: int) -> int:
    """Return the number of folds of so many members."""
    return _MOST_FOLDS if members % _MOST_FOLDS == 0 else members


def fold_of_members(members: int) -> Tensor:
    """Return the fold that each member holds out, shape (members, 1)."""
    return (torch.arange(members) % folds_of(members)).unsqueeze(-1)


def folds(y: FloatArray, n_folds: int, members: int, seed: int) -> npt.NDArray[np.int64]:
    """Say in which fold a row is held out, with both classes spread evenly; -1 for none."""
    if n_folds == 0:
        return np.full(len(y), NOT_HELD_OUT)
    positive = y >= 0.5
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(positive[shuffled], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % n_folds
    return fold if members > 1 else np.where(fold == 0, 0, NOT_HELD_OUT)


@dataclass(frozen=True)
class Rows:
    """Rows to train on.

    Attributes
    ----------
    numbers : Tensor of shape (..., p)
        In the user's units, or as the network sees them.
    codes : Tensor of shape (..., k), int32, or None
        Index of each level.
    y, weight : Tensor of shape (...)
        Targets in [0, 1], and weights of mean 1.
    fold : Tensor of shape (...), int64
        The row's fold, whose members do not train on it but are validated on it, or -1.
    """

    numbers: Tensor
    codes: Tensor | None
    y: Tensor
    weight: Tensor
    fold: Tensor

    def __len__(self) -> int:
        n: int = self.y.shape[0]
        return n

    def take(self, index: Tensor) -> Rows:
        """Return copies of rows, in the shape of `index`."""

        def taken(values: Tensor) -> Tensor:
            found = values.index_select(0, index.flatten())
            return found.view(*index.shape, *values.shape[1:])

        codes = None if self.codes is None else taken(self.codes)
        y, weight, fold = map(taken, (self.y, self.weight, self.fold))
        return Rows(taken(self.numbers), codes, y, weight, fold)


@dataclass(frozen=True)
class Part:
    """One part of the rows, and who trains on which of them.

    Attributes
    ----------
    rows : Rows
        On the device of the network.
    encoded : bool
        Whether their numbers are as the network sees them.
    trained_on : Tensor of shape (n,), int64
        Rows that some member trains on.
    held_out : Tensor of shape (members, m), int64
        Rows that each member holds out, filled up with any.
    real : Tensor of shape (members, m), bool
        Whether one is not only there to fill up.
    """

    rows: Rows
    encoded: bool
    trained_on: Tensor
    held_out: Tensor
    real: Tensor

    def batch(self, network: TableNetwork, index: Tensor) -> Rows:
        """Return rows as the network sees them."""
        rows = self.rows.take(index)
        return rows if self.encoded else replace(rows, numbers=network.encode(rows.numbers))

    def batches(
        self, network: TableNetwork, order: Tensor, cuts: Sequence[slice]
    ) -> Iterator[Rows]:
        """Return rows in an order, cut into batches, as the network sees them."""
        sizes = [cut.stop - cut.start for cut in cuts]
        if not sizes:
            return
        rows = self.rows
        codes: Iterable[Tensor | None] = repeat(None)
        if rows.codes is not None:
            codes = rows.codes.index_select(0, order).split(sizes)
        narrow = (v.index_select(0, order).split(sizes) for v in (rows.y, rows.weight, rows.fold))
        for index, *columns in zip(order.split(sizes), codes, *narrow, strict=False):
            # a batch's numbers are always its own, so that their bits do not depend on where
            # they lie
            numbers = rows.numbers.index_select(0, index)
            yield Rows(numbers if self.encoded else _encoded(network, numbers), *columns)

    def tiles(self, network: TableNetwork, *, held_out: bool) -> Iterator[tuple[Tensor, Rows]]:
        """Return all rows trained on, (n,), or held out, (members, n), some at a time.

        Before them come their places in the part.
        """
        index = self.held_out if held_out else self.trained_on
        step = max(1, tile_rows(network.numbers) // network.architecture.members)
        for first in range(0, index.shape[-1], step):
            tile = slice(first, first + step)
            rows = self.batch(network, index[..., tile])
            if held_out:
                rows = replace(rows, weight=rows.weight * self.real[:, tile])
            yield index[..., tile], rows


class Stream:
    """The parts of a table, as a network trains on them.

    Parameters
    ----------
    parts : Source of Block
        A block each; see `logloss.design.shuffled`.
    found : Survey
        What a look at them said.
    network : TableNetwork
        On its device, and in the dtype that it is trained in.
    n_folds : int
        See `Survey.n_folds`.
    seed : int
        Of folds, and of the order of parts.
    room : int
        Bytes of memory that parts may be kept in.
    """

    def __init__(
        self,
        parts: Source[Block],
        found: Survey,
        network: TableNetwork,
        *,
        n_folds: int,
        seed: int,
        room: int,
    ) -> None:
        self.parts, self.network, self.n_folds, self.seed = parts, network, n_folds, seed
        self.scale = found.weight / found.n_rows
        self.members = network.architecture.members
        # of n rows dealt to folds, the first fold has the most
        alone = self.members == 1 and n_folds > 0
        self.counts = [n - -(-n // n_folds) if alone else n for n in found.sizes]
        self.kept: dict[int, Part] = {}
        self.keeps = found.n_rows * kept_bytes(network) <= room

    @property
    def n_rows(self) -> int:
        """Rows that some member trains on."""
        return sum(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def order(self, epoch: int) -> list[int]:
        """Return the order of the parts in a pass."""
        if len(self) == 1:
            return [0]
        drawn: list[int] = np.random.default_rng([self.seed, epoch]).permutation(len(self)).tolist()
        return drawn

    @property
    def folds_held_out(self) -> range:
        """The folds that a member holds out."""
        return range(self.n_folds if self.members > 1 else min(self.n_folds, 1))

    def dealt(self, number: int) -> tuple[Block, npt.NDArray[np.int64]]:
        """Read the rows of a part that count, and say in which fold each is."""
        (read,) = self.parts.shards[number].blocks()
        block = counted(read)
        y = _target_of(block)
        return block, folds(y, self.n_folds, self.members, self.seed + number)

    def part(self, number: int) -> Part:
        """Return a part: from memory if it is there, or read."""
        if number in self.kept:
            return self.kept[number]
        block, fold = self.dealt(number)
        part = part_of(block, fold, self.network, scale=self.scale, encoded=self.keeps)
        if self.keeps:
            self.kept[number] = part
        return part


def part_of(
    block: Block,
    fold: npt.NDArray[np.int64],
    network: TableNetwork,
    *,
    scale: float,
    encoded: bool,
) -> Part:
    """Bring a block of rows that count to where a network is trained.

    Parameters
    ----------
    block : Block
    fold : ndarray of shape (n,)
        See `folds`.
    network : TableNetwork
    scale : float
        What weights are divided by.
    encoded : bool
        Whether numbers are encoded now.
    """
    dtype, device = network.output.weight.dtype, network.output.weight.device
    members = network.architecture.members
    numbers = _tensor(block.numbers)
    folded = torch.from_numpy(fold).to(device)
    rows = Rows(
        _encoded(network, numbers) if encoded else numbers.to(device),
        _tensor(block.codes).to(device) if network.architecture.levels else None,
        torch.tensor(_target_of(block), dtype=dtype).to(device),
        torch.tensor(_weight_of(block) / scale, dtype=dtype).to(device),
        folded,
    )
    alone = members == 1
    trained = folded == NOT_HELD_OUT if alone else torch.ones_like(folded, dtype=torch.bool)
    return Part(rows, encoded, torch.nonzero(trained).squeeze(-1), *_held_out(folded, members))


def kept_bytes(network: TableNetwork) -> int:
    """Return how many bytes a row takes that is kept encoded."""
    item: int = network.output.weight.element_size()
    numbers = (network.numbers.n_encoded + 2) * item
    return numbers + 4 * len(network.architecture.levels) + _KEPT_BESIDE


@torch.no_grad()  # type: ignore[untyped-decorator]
def _encoded(network: TableNetwork, numbers: Tensor) -> Tensor:
    """Encode numbers tile by tile: on the way they are many more."""
    like, n_encoded = network.output.weight, network.numbers.n_encoded
    encoded = torch.empty(len(numbers), n_encoded, dtype=like.dtype, device=like.device)
    step = tile_rows(network.numbers)
    for first in range(0, len(numbers), step):
        tile = slice(first, first + step)
        encoded[tile] = network.encode(numbers[tile].to(like.device))
    return encoded


def _held_out(fold: Tensor, members: int) -> tuple[Tensor, Tensor]:
    """Return the rows held out, one line for each member, and which do not only fill up."""
    held_out = [torch.nonzero(fold == k).squeeze(-1) for k in fold_of_members(members).to(fold)]
    longest = max(map(len, held_out))
    index = torch.zeros(members, longest, dtype=torch.int64, device=fold.device)
    real = torch.zeros(members, longest, dtype=torch.bool, device=fold.device)
    for member, found in enumerate(held_out):
        index[member, : len(found)] = found
        real[member, : len(found)] = True
    return index, real


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    """Return an array as a tensor, without a copy unless it must not be written."""
    return torch.from_numpy(np.require(array, requirements=["W"]))


def _weight_of(block: Block) -> FloatArray:
    return np.ones(len(block)) if block.weight is None else block.weight


def _target_of(block: Block) -> FloatArray:
    assert block.y is not None, "rows to train on have a target"
    return block.y
