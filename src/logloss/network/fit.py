"""From encoded arrays to a trained network: folds, first weights, training, recalibration."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from logloss.errors import ArgumentError, ConvergenceWarning
from logloss.network.checkpoint import Keeper
from logloss.network.module import Architecture, TableNetwork
from logloss.network.numbers import NUMBERS, TILE
from logloss.network.recipe import Recipe
from logloss.network.training import (
    NOT_HELD_OUT,
    Epoch,
    Rows,
    Training,
    correction,
    one_thread,
    train,
)
from logloss.recalibration import Chain, Temperature

FloatArray = npt.NDArray[np.float64]

#: With fewer rows of the rarer class than these in a fold, nothing is held out: so few rows
#: would choose the epoch by chance.
_FEWEST_IN_FOLD = 2

#: Up to so many rows, training is in float64: it takes no longer, where products are small.
SMALL = 512


@dataclass(frozen=True)
class Table:
    """Checked arrays to train on.

    Attributes
    ----------
    numbers : ndarray of shape (n, p), float64
        In the user's units, finite.
    codes : ndarray of shape (n, k), int32
        Index of each level; -1 for one never seen.
    y, weight : ndarray of shape (n,), float64
        Targets in [0, 1]; weights that are not negative and not all zero.
    levels : tuple of int
        For each code column, its number of levels.
    """

    numbers: FloatArray
    codes: npt.NDArray[np.int32]
    y: FloatArray
    weight: FloatArray
    levels: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def of_weight(self) -> Table:
        """Return the rows that count."""
        counts = self.weight > 0
        if counts.all():
            return self
        return replace(
            self,
            numbers=self.numbers[counts],
            codes=self.codes[counts],
            y=self.y[counts],
            weight=self.weight[counts],
        )


@dataclass(frozen=True)
class NetworkFit:
    """A trained network.

    Attributes
    ----------
    network : TableNetwork
        In evaluation mode, on the processor.
    recalibration : Chain
        What its logits go through last.
    training : Training
        What happened.
    base_rate : float
        Weighted mean of the target.
    """

    network: TableNetwork
    recalibration: Chain
    training: Training
    base_rate: float


def fit_network(
    table: Table,
    architecture: Architecture,
    recipe: Recipe,
    *,
    seed: int,
    validation_fraction: float = 0.15,
    calibrate: bool = True,
    start: TableNetwork | None = None,
    device: str = "cpu",
    watch: Callable[[Epoch, int], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> NetworkFit:
    """Train a network on a table.

    Parameters
    ----------
    table : Table
        What to train on.
    architecture, recipe
        What is trained, and how.
    seed : int
        Of first weights, folds and batches.  torch's own generator is given back as it was.
    validation_fraction : float, default=0.15
        Share of rows that one network holds out; of several, each holds out a fold of its own.
    calibrate : bool, default=True
        Whether a temperature is learned from the rows held out.
    start : TableNetwork, optional
        Weights to go on from.
    device : str, default="cpu"
        Where to train.
    watch : callable, optional
        See `train`.
    checkpoint : path, optional
        A file that keeps the training after every pass.  Where it was killed, the same call
        goes on after its last whole pass and ends with the same bits; the file is removed at
        the end.

    Raises
    ------
    ArgumentError
        If rows with weight are of one class.
    CheckpointError
        If `checkpoint` is damaged, or of other rows or options.

    Warns
    -----
    ConvergenceWarning
        If the loss was not finite.
    """
    table = table.of_weight()
    base_rate = float(np.average(table.y, weights=table.weight))
    if not 0.0 < base_rate < 1.0:
        raise ArgumentError("y: all rows with weight are of one class; training needs two classes")
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        network = start if start is not None else first_network(table, architecture, base_rate)
        fold = folds(table.y, architecture.members, validation_fraction, seed)
        # what is small is also right to more digits
        network.to(device).cast(torch.float64 if len(table) <= SMALL else torch.float32)
        rows = rows_of(network, table, fold, device)
        keeper = None
        if checkpoint is not None:
            keeper = Keeper(checkpoint, rows, repr((network.architecture, recipe, seed)))
        training = train(network, rows, recipe, watch=watch, keeper=keeper)
        network.to("cpu").cast(torch.float64)
    if keeper is not None:
        keeper.remove()
    settle(network, table)
    if training.trouble:
        warnings.warn(
            f"training stopped: {training.trouble}. The weights of epoch "
            f"{training.best_epoch} were kept; lower learning_rate, or look for extreme values",
            ConvergenceWarning,
            stacklevel=3,
        )
    return NetworkFit(network, _recalibration(training, recipe, calibrate), training, base_rate)


def first_network(table: Table, architecture: Architecture, base_rate: float) -> TableNetwork:
    """Return a network that says the base rate of every row, drawn from torch's generator."""
    numbers = NUMBERS[architecture.numbers].learn(table.numbers, table.weight)
    logit = math.log(base_rate) - math.log1p(-base_rate)
    return TableNetwork(replace(architecture, levels=table.levels), numbers, logit)


def settle(network: TableNetwork, table: Table) -> None:
    """Give levels never seen the average of those that were."""
    shares = [
        np.bincount(codes[codes >= 0], table.weight[codes >= 0], n_levels)
        for codes, n_levels in zip(table.codes.T, table.levels, strict=True)
    ]
    if shares:
        network.settle_unseen(torch.from_numpy(np.concatenate(shares)))


def rows_of(
    network: TableNetwork,
    table: Table,
    fold: npt.NDArray[np.int64] | None = None,
    device: str = "cpu",
) -> Rows:
    """Encode a table once, for all epochs, tile by tile."""
    dtype = network.output.weight.dtype
    encoded = torch.empty(len(table), network.numbers.n_encoded, dtype=dtype)
    with torch.no_grad():
        for first in range(0, len(table), TILE):
            tile = torch.tensor(table.numbers[first : first + TILE]).to(device)
            encoded[first : first + TILE] = network.encode(tile).cpu()
    weight = table.weight / table.weight.mean()
    fold = np.full(len(table), NOT_HELD_OUT) if fold is None else fold
    codes = torch.tensor(table.codes, dtype=torch.int64).to(device) if table.levels else None
    return Rows(
        encoded.to(device),
        codes,
        torch.tensor(table.y, dtype=dtype).to(device),
        torch.tensor(weight, dtype=dtype).to(device),
        torch.from_numpy(fold).to(device),
    )


def folds(y: FloatArray, members: int, fraction: float, seed: int) -> npt.NDArray[np.int64]:
    """Say which member holds out which row, with both classes spread evenly; -1 for none.

    One member holds out a share of all rows; several hold out a fold each, so that every row
    trains all members but one.
    """
    if not 0 <= fraction < 1:
        raise ArgumentError(f"validation_fraction must be in [0, 1); got {fraction!r}")
    nowhere = np.full(len(y), NOT_HELD_OUT)
    if fraction == 0:
        return nowhere
    n_folds = members if members > 1 else max(2, round(1 / fraction))
    positive = y >= 0.5
    if min(positive.sum(), (~positive).sum()) < _FEWEST_IN_FOLD * n_folds:
        return nowhere
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(positive[shuffled], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % n_folds
    return fold if members > 1 else np.where(fold == 0, 0, NOT_HELD_OUT)


def logits_of(
    network: TableNetwork,
    numbers: npt.NDArray[np.floating],
    codes: npt.NDArray[np.int32] | None = None,
) -> FloatArray:
    """Return the network's logits, shape (n,), tile by tile.

    Every tile has the same number of rows, the last one filled up, so that the bits of a row
    do not depend on how many stand beside it.
    """
    n_rows = len(numbers)
    logits = np.empty(n_rows)
    with torch.inference_mode():
        for first in range(0, n_rows, TILE):
            part = slice(first, min(first + TILE, n_rows))
            some = _filled(np.asarray(numbers[part], np.float64))
            coded = None
            if network.architecture.levels:
                assert codes is not None, "the network has code columns"
                coded = torch.from_numpy(_filled(codes[part].astype(np.int64)))
            logits[part] = network(torch.from_numpy(some), coded)[: part.stop - first].numpy()
    return logits


def _filled(rows: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return a copy with rows of zeros up to the next power of two, at least 16."""
    n_rows = max(16, 1 << (len(rows) - 1).bit_length())
    filled = np.zeros((n_rows, rows.shape[1]), rows.dtype)
    filled[: len(rows)] = rows
    return filled


def corrections(recipe: Recipe) -> Chain:
    """Return what undoes, in the logits, that the loss was not the log loss."""
    plain = recipe.pos_weight == 1 and recipe.gamma == 0
    return Chain() if plain else Chain((correction(recipe),))


def _recalibration(training: Training, recipe: Recipe, calibrate: bool) -> Chain:
    maps = corrections(recipe).maps
    logits, y, weight = training.held_out
    if calibrate and len(y):
        maps = (*maps, Temperature.learn(y, logits, weight))
    return Chain(maps)
