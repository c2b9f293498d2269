"""One pass over rows as they come: what `partial_fit` does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from logloss.design.block import Block
from logloss.network.fit import first_network
from logloss.network.module import Architecture, TableNetwork
from logloss.network.recipe import Recipe
from logloss.network.stream import NOT_HELD_OUT, Part, counted, part_of
from logloss.network.training import adamw, batch_loss, one_thread, take_step


@dataclass(frozen=True)
class Online:
    """A network that is trained on rows as they come, and its optimiser.

    Attributes
    ----------
    network : TableNetwork
        Changed in place.
    optimiser : AdamW
    """

    network: TableNetwork
    optimiser: torch.optim.AdamW

    def learn(self, block: Block, recipe: Recipe, seed: int) -> float:
        """Pass over rows once, at the full learning rate; return the batches' mean loss."""
        rows = counted(block)
        assert rows.weight is not None, "rows that count have a weight"
        scale = float(rows.weight.mean())
        nowhere = np.full(len(rows), NOT_HELD_OUT)
        with torch.random.fork_rng(devices=[]), one_thread():
            torch.manual_seed(seed)
            part = part_of(rows, nowhere, self.network, scale=scale, encoded=True)
            self.network.train()
            loss = self._pass(part, recipe)
            self.network.eval()
        return loss

    def _pass(self, part: Part, recipe: Recipe) -> float:
        order, total = torch.randperm(len(part.rows)), 0.0
        for some in recipe.batches(len(order), len(order)):
            loss = batch_loss(self.network, part.batch(self.network, order[some]), recipe)
            take_step(self.network, self.optimiser, loss, recipe, recipe.learning_rate)
            total += loss.item() * (some.stop - some.start)
        return total / len(order)


def first_online(block: Block, architecture: Architecture, recipe: Recipe, seed: int) -> Online:
    """Return one that learns how numbers are seen, and the base rate, from first rows."""
    rows = counted(block)
    assert rows.y is not None, "rows to train on have a target"
    assert rows.weight is not None, "rows that count have a weight"
    # a row of each class beside the others: first rows may be of one class only
    base_rate = (rows.weight @ rows.y + 0.5) / (rows.weight.sum() + 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = first_network(rows, architecture, float(base_rate)).cast(torch.float64)
    return Online(network, adamw(network, recipe))
