"""From a table's encoded rows to a trained network: what `fit(model="network")` calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from logloss.design.block import Block, Layout
from logloss.errors import ArgumentError
from logloss.network.fit import Table, fit_network
from logloss.network.module import Architecture, TableNetwork
from logloss.network.predictor import NetworkPredictor
from logloss.network.quality import options_of
from logloss.network.recipe import Recipe
from logloss.network.summary import NetworkSummary
from logloss.network.training import Epoch
from logloss.recalibration import Chain, PriorCorrection
from logloss.rows.source import Source


@dataclass(frozen=True)
class TableFit:
    """What was found: a predictor, what its logits go through, and the figures."""

    predictor: NetworkPredictor
    recalibration: Chain
    summary: NetworkSummary


def fit_encoded(
    encoded: Source[Block],
    layout: Layout,
    *,
    hidden: Sequence[int] = (64, 64),
    quality: str = "default",
    seed: int = 0,
    base_rate: float | None = None,
    watch: Callable[[Epoch, int], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> TableFit:
    """Train a network on encoded rows.

    Parameters
    ----------
    encoded : Source of Block
        The rows, with targets.
    layout : Layout
        Their columns.
    hidden : sequence of int, default=(64, 64)
        Units of each hidden layer.
    quality : {"fast", "default", "best"}, default="default"
        How much work it may be.
    seed : int, default=0
        Of first weights, folds and batches.
    base_rate : float, optional
        Share of positives in the population.
    watch : callable, optional
        Called after every pass with its `Epoch`, and the most passes there will be.
    checkpoint : path, optional
        A file that keeps the training; see `fit_network`.

    Raises
    ------
    ArgumentError
        If rows are of one class, have an offset, or an option is out of its domain.
    """
    table = _table(encoded, layout)
    chosen = options_of(quality)
    architecture = Architecture(hidden=tuple(hidden), members=chosen["members"])
    recipe = Recipe(epochs=chosen["epochs"])
    found = fit_network(table, architecture, recipe, seed=seed, watch=watch, checkpoint=checkpoint)
    recalibration = found.recalibration
    if base_rate is not None:
        correction = PriorCorrection(base_rate, found.base_rate)
        recalibration = Chain((*recalibration.maps, correction))
    history = found.training.history
    summary = NetworkSummary(
        n=int((table.weight > 0).sum()),
        weight=float(table.weight.sum()),
        base_rate=found.base_rate,
        made_of=_words(found.network),
        n_parameters=sum(parameter.numel() for parameter in found.network.parameters()),
        status=found.training.status,
        best_epoch=found.training.best_epoch,
        training=tuple(epoch.training_loss for epoch in history),
        validation=tuple(epoch.validation_loss for epoch in history),
    )
    return TableFit(NetworkPredictor(found.network), recalibration, summary)


def _table(encoded: Source[Block], layout: Layout) -> Table:
    """Lay the blocks of a source one after the other."""
    blocks = list(encoded.blocks())
    if any(block.offset is not None for block in blocks):
        raise ArgumentError("offset: a network is trained without one; leave it out")
    y = [block.y for block in blocks if block.y is not None]
    weight = [np.ones(len(b)) if b.weight is None else b.weight for b in blocks]
    return Table(
        np.concatenate([block.numbers for block in blocks]).astype(np.float64),
        np.concatenate([block.codes for block in blocks]),
        np.concatenate(y),
        np.concatenate(weight),
        tuple(map(len, layout.levels)),
    )


def _words(network: TableNetwork) -> str:
    made = network.architecture
    layers = "-".join(map(str, made.hidden)) or "no"
    return f"{made.members} × {layers} hidden units ({made.activation})"
