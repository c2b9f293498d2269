"""From a table's encoded rows to a trained network: what `fit(model="network")` calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from logloss.design.block import Block, Layout
from logloss.network.fit import fit_network
from logloss.network.module import Architecture
from logloss.network.predictor import NetworkPredictor
from logloss.network.quality import options_of
from logloss.network.recipe import Recipe
from logloss.network.summary import NetworkSummary
from logloss.network.training import Epoch
from logloss.recalibration import Chain, PriorCorrection
from logloss.rows.protocols import Engine
from logloss.rows.source import Source


@dataclass(frozen=True)
class TableFit:
    """What was found: a predictor, what its logits go through, and the figures."""

    predictor: NetworkPredictor
    recalibration: Chain
    summary: NetworkSummary


def fit_encoded(
    parts: Source[Block],
    layout: Layout,
    *,
    room: int,
    hidden: Sequence[int] = (64, 64),
    quality: str = "default",
    epochs: int | None = None,
    seed: int = 0,
    base_rate: float | None = None,
    watch: Callable[[Epoch, int], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
) -> TableFit:
    """Train a network on encoded rows.

    Parameters
    ----------
    parts : Source of Block
        The rows, with targets, in shuffled parts.
    layout : Layout
        Their columns.
    hidden : sequence of int, default=(64, 64)
        Units of each hidden layer.
    quality : {"fast", "default", "best"}, default="default"
        How much work it may be.
    epochs : int, optional
        Most passes over the rows; by default what `quality` says, which is fewer passes over
        large tables.
    seed : int, default=0
        Of first weights, folds and batches.
    base_rate : float, optional
        Share of positives in the population.
    watch : callable, optional
        Called after every pass with its `Epoch`, and the most passes there will be.
    room, checkpoint, engine
        See `fit_network`.

    Raises
    ------
    ArgumentError
        If rows are of one class, have an offset, or an option is out of its domain.
    """
    chosen = options_of(quality)
    architecture = Architecture(
        levels=tuple(map(len, layout.levels)), hidden=tuple(hidden), members=chosen["members"]
    )
    found = fit_network(
        parts,
        layout,
        architecture,
        Recipe(epochs=chosen["epochs"], most_steps=chosen["steps"])
        if epochs is None
        else Recipe(epochs=epochs),
        seed=seed,
        room=room,
        watch=watch,
        checkpoint=checkpoint,
        engine=engine,
    )
    recalibration = found.recalibration
    if base_rate is not None:
        correction = PriorCorrection(base_rate, found.base_rate)
        recalibration = Chain((*recalibration.maps, correction))
    history = found.training.history
    summary = NetworkSummary(
        n=found.n_rows,
        weight=found.weight,
        base_rate=found.base_rate,
        made_of=_words(found.predictor),
        n_parameters=sum(map(torch.numel, found.predictor.network.parameters())),
        status=found.training.status,
        best_epoch=found.training.best_epoch,
        training=tuple(epoch.training_loss for epoch in history),
        validation=tuple(epoch.validation_loss for epoch in history),
    )
    return TableFit(found.predictor, recalibration, summary)


def _words(predictor: NetworkPredictor) -> str:
    made, line = predictor.network.architecture, predictor.line
    layers = "-".join(map(str, made.hidden)) or "no"
    bends = ", ".join(dict.fromkeys(made.activations)) or "linear"
    beside = "" if line is None else f" and {line.share:.0%} of a line"
    return f"{made.members} × {layers} hidden units ({bends}){beside}"
