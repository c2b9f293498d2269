"""From parts of encoded rows to a trained network: first weights, training, recalibration."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from logloss.design.block import Block, Layout
from logloss.errors import ArgumentError, ConvergenceWarning
from logloss.network.checkpoint import Keeper
from logloss.network.line import SPREAD, Line, learn_line
from logloss.network.module import Architecture, TableNetwork
from logloss.network.numbers import NUMBERS
from logloss.network.predictor import NetworkPredictor
from logloss.network.recipe import Recipe
from logloss.network.stream import Stream, counted, survey
from logloss.network.training import Epoch, Judged, Training, correction, one_thread, train
from logloss.recalibration import Chain, Temperature
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

#: Up to so many rows, training is in float64: it takes no longer, where products are small.
SMALL = 512


@dataclass(frozen=True)
class NetworkFit:
    """A trained network.

    Attributes
    ----------
    predictor : NetworkPredictor
        The network, in evaluation mode, on the processor, and the line beside it.
    recalibration : Chain
        What its logits go through last.
    training : Training
        What happened.
    base_rate : float
        Weighted mean of the target.
    n_rows, weight : int, float
        Rows of positive weight, and the sum of their weights.
    """

    predictor: NetworkPredictor
    recalibration: Chain
    training: Training
    base_rate: float
    n_rows: int
    weight: float


def fit_network(
    parts: Source[Block],
    layout: Layout,
    architecture: Architecture,
    recipe: Recipe,
    *,
    seed: int,
    room: int,
    validation_fraction: float = 0.15,
    calibrate: bool = True,
    start: TableNetwork | None = None,
    device: str = "cpu",
    watch: Callable[[Epoch, int], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
) -> NetworkFit:
    """Train a network on a table.

    Parameters
    ----------
    parts : Source of Block
        The rows, in parts that are samples of all of them, a block each; see
        `logloss.design.shuffled`.
    layout : Layout
        Names of the columns.
    architecture, recipe
        What is trained, and how.
    seed : int
        Of first weights, folds and batches.  torch's own generator is given back as it was.
    room : int
        Bytes of memory in which encoded rows are kept, if all fit.  It changes no bit.
    validation_fraction : float, default=0.15
        Share of rows that one network holds out; of several, each holds out a fold of its own.
    calibrate : bool, default=True
        Whether a line's share and a temperature are learned from the rows held out.  There is no
        line beside a network whose loss is not the log loss.
    start : TableNetwork, optional
        Weights to go on from.
    device : str, default="cpu"
        Where to train.
    watch : callable, optional
        See `train`.
    checkpoint : path, optional
        A file that keeps the training after every part of a pass.  Where it was killed, the
        same call goes on after the last one and ends with the same bits; the file is removed
        at the end.
    engine : Engine, optional
        What reads the rows to tell them from others, for the checkpoint.

    Raises
    ------
    ArgumentError
        If rows with weight are of one class, or have an offset.
    CheckpointError
        If `checkpoint` is damaged, or of other rows or options.

    Warns
    -----
    ConvergenceWarning
        If the loss was not finite.
    """
    found = survey(parts, architecture.levels)
    n_folds = found.n_folds(architecture.members, validation_fraction)
    if not 0.0 < found.base_rate < 1.0:
        raise ArgumentError("y: all rows with weight are of one class; training needs two classes")
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        network = start
        if network is None:
            sample = next(block for block in map(counted, parts.blocks()) if len(block))
            network = first_network(sample, architecture, found.base_rate)
        keeper = None
        if checkpoint is not None:
            options = repr((architecture, recipe, seed, validation_fraction, device))
            keeper = Keeper.of(checkpoint, parts, network, options, engine)
        # what is small is also right to more digits
        network.to(device).cast(torch.float64 if found.n_rows <= SMALL else torch.float32)
        stream = Stream(parts, found, network, n_folds=n_folds, seed=seed, room=room)
        training = train(network, stream, recipe, watch=watch, keeper=keeper)
        network.to("cpu").cast(torch.float64)
    if architecture.levels:
        network.settle_unseen(torch.from_numpy(found.level_weights))
    if training.trouble:
        warnings.warn(
            f"training stopped: {training.trouble}. The weights of epoch "
            f"{training.best_epoch} were kept; lower learning_rate, or look for extreme values",
            ConvergenceWarning,
            stacklevel=3,
        )
    line, recalibration = None, corrections(recipe)
    if calibrate and len(training.held_out):
        line, recalibration = _settled(stream, training.held_out, recipe, layout)
    if keeper is not None:
        keeper.remove()
    return NetworkFit(
        NetworkPredictor(network, line),
        recalibration,
        training,
        found.base_rate,
        found.n_rows,
        found.weight,
    )


def _settled(
    stream: Stream, held_out: Judged, recipe: Recipe, layout: Layout
) -> tuple[Line | None, Chain]:
    """Learn from rows held out what share a line has, and the temperature of the whole."""
    line, maps = None, corrections(recipe).maps
    if not maps:
        line, held_out = learn_line(stream, held_out, layout)
    rows = (held_out.y, held_out.logits, held_out.weight)
    return line, Chain((*maps, Temperature.learn(*rows, spread=SPREAD)))


def first_network(block: Block, architecture: Architecture, base_rate: float) -> TableNetwork:
    """Return a network that says the base rate of every row, drawn from torch's generator.

    How it sees numbers is learned from the rows of a block, all of which have a weight.
    """
    assert block.weight is not None, "rows that count have a weight"
    X = np.ascontiguousarray(block.numbers, np.float64)
    numbers = NUMBERS[architecture.numbers].learn(X, block.weight)
    return TableNetwork(architecture, numbers, math.log(base_rate) - math.log1p(-base_rate))


def corrections(recipe: Recipe) -> Chain:
    """Return what undoes, in the logits, that the loss was not the log loss."""
    plain = recipe.pos_weight == 1 and recipe.gamma == 0
    return Chain() if plain else Chain((correction(recipe),))
