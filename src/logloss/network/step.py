"""A step of training with the gradients written out: the products, and next to nothing beside.

It does what `batch_loss` and `take_step` do by torch's graph, for plain layers on the processor.
With a few hundred rows in a batch, keeping a graph would take most of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.adamw import adamw as updated

from logloss import kernel
from logloss.network.module import HiddenLayer, TableNetwork
from logloss.network.recipe import Recipe

if TYPE_CHECKING:
    from logloss.network.training import Rows

_ATEN = torch.ops.aten

#: Activations whose derivative is told by their value: what they do in place, and what they make
#: of a gradient in place.
_BENDS: dict[str, tuple[Any, Any]] = {
    "relu": (torch.relu_, lambda g, a: _ATEN.threshold_backward.grad_input(g, a, 0, grad_input=g)),
    "tanh": (torch.tanh_, lambda g, a: _ATEN.tanh_backward.grad_input(g, a, grad_input=g)),
    "sigmoid": (torch.sigmoid_, lambda g, a: _ATEN.sigmoid_backward.grad_input(g, a, grad_input=g)),
}


@dataclass(frozen=True)
class _Room:
    """Where the numbers of a batch of one size lie: they are written anew in every step."""

    x: Tensor | None
    units: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    logits: Tensor
    residual: Tensor


class WrittenStep:
    """Takes steps on a network of plain layers.

    Parameters
    ----------
    network : TableNetwork
        Changed in place; see `fits`.
    optimiser : AdamW
        Its state is read and advanced.
    recipe : Recipe
        How.
    """

    def __init__(self, network: TableNetwork, optimiser: torch.optim.AdamW, recipe: Recipe) -> None:
        self.network, self.optimiser, self.recipe = network, optimiser, recipe
        self.members = network.architecture.members
        self.bend, self.bend_back = _BENDS[network.architecture.activation]
        self.hidden: tuple[HiddenLayer, ...] = tuple(network.hidden)
        trained = [p for p in network.parameters() if p.requires_grad]
        # one after the other, so that their length is one call
        self.gradient = torch.zeros(sum(p.numel() for p in trained), dtype=trained[0].dtype)
        parts = self.gradient.split([p.numel() for p in trained])
        self.slope = {p: part.view_as(p) for p, part in zip(trained, parts, strict=True)}
        self.rooms: dict[int, _Room] = {}

    @staticmethod
    def fits(network: TableNetwork) -> bool:
        """Say whether the gradients of such a network are written out here."""
        made = network.architecture
        return (
            made.activation in _BENDS
            and made.normalization is None
            and not made.residual
            and not made.dropout
            and network.output.weight.device.type == "cpu"
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def __call__(self, batch: Rows, rate: float) -> float:
        """Take one step, unless the loss is not finite; return the loss before it."""
        room = self.rooms.get(len(batch)) or self._room(len(batch))
        self.rooms[len(batch)] = room
        found = None if batch.codes is None else self.network.slots(batch.codes).flatten()
        x = self._forward(batch, found, room)
        loss = self._loss(batch, room)
        if math.isfinite(loss):
            self._backward(x, found, room)
            self._update(rate)
        return loss

    def _room(self, n_rows: int) -> _Room:
        like, widths = self.network.output.weight, self.network.architecture.hidden

        def empty(width: int) -> Tensor:
            return torch.empty(self.members, n_rows, width, dtype=like.dtype)

        return _Room(
            empty(self.network.n_encoded) if self.network.architecture.levels else None,
            tuple(map(empty, widths)),
            tuple(map(empty, widths)),
            empty(1),
            empty(1),
        )

    def _forward(self, batch: Rows, found: Tensor | None, room: _Room) -> Tensor:
        """Fill the units and the logits; return what the first layer sees."""
        network = self.network
        x = batch.encoded.expand(self.members, *batch.encoded.shape)
        if found is not None:
            assert room.x is not None
            width = x.shape[-1]
            room.x[..., :width] = x
            rows = network.embeddings.index_select(1, found)
            room.x[..., width:] = rows.view(*x.shape[:2], -1)
            x = room.x
        units = x
        for layer, into in zip(self.hidden, room.units, strict=True):
            torch.baddbmm(layer.linear.bias, units, layer.linear.weight, out=into)
            units = self.bend(into)
        torch.baddbmm(network.output.bias, units, network.output.weight, out=room.logits)
        if network.architecture.linear:
            room.logits.baddbmm_(x, network.linear)
            if found is not None:
                effects = network.level_effects.index_select(1, found)
                room.logits.add_(effects.view(*x.shape[:2], -1).sum(-1, keepdim=True))
        return x

    def _loss(self, batch: Rows, room: _Room) -> float:
        """Return the loss, and leave the gradient of the members' sum by the logits."""
        y, weight, trained = batch.y, batch.weight, len(batch) * self.members
        if self.members > 1:
            each = torch.arange(self.members).unsqueeze(-1)
            y = y.expand(self.members, -1).contiguous()
            weight = torch.where(batch.fold == each, 0, batch.weight)
            # what is held out would otherwise make the loss smaller
            trained = max(trained - int(torch.count_nonzero(batch.fold >= 0)), 1)
        pos_weight = None
        if self.recipe.pos_weight != 1:
            pos_weight = np.full(y.numel(), self.recipe.pos_weight)
        total, _ = kernel.evaluate_logits(
            kernel.Rows(
                y=_flat(y),
                scores=_flat(room.logits),
                weight=_flat(weight),
                pos_weight=pos_weight,
                gamma=self.recipe.gamma,
                gradient=_flat(room.residual),
            ),
            total=True,
        )
        assert total is not None
        room.residual.mul_(self.members / trained)
        return total.value / trained

    def _backward(self, x: Tensor, found: Tensor | None, room: _Room) -> None:
        """Fill the gradient, from the output back to the embeddings."""
        network, slope = self.network, self.slope
        back, inputs = room.residual, (x, *room.units)
        layers = (*(layer.linear for layer in self.hidden), network.output)
        for k in reversed(range(len(layers))):
            torch.bmm(inputs[k].transpose(1, 2), back, out=slope[layers[k].weight])
            torch.sum(back, 1, keepdim=True, out=slope[layers[k].bias])
            if k:
                torch.bmm(back, layers[k].weight.transpose(1, 2), out=room.slopes[k - 1])
                back = self.bend_back(room.slopes[k - 1], room.units[k - 1])
        if network.architecture.linear:
            torch.bmm(x.transpose(1, 2), room.residual, out=slope[network.linear])
        if found is None:
            return
        n_columns = len(network.architecture.levels)
        first = x.shape[-1] - n_columns * network.architecture.embedding
        on_rows = torch.bmm(back, layers[0].weight[:, first:].transpose(1, 2))
        if network.architecture.linear:
            on_rows += room.residual * network.linear[:, first:].transpose(1, 2)
            each = room.residual.expand(-1, -1, n_columns)
            effects = slope[network.level_effects].zero_()
            effects.index_add_(1, found, each.reshape(self.members, -1, 1))
        rows = on_rows.view(self.members, len(found), -1)
        slope[network.embeddings].zero_().index_add_(1, found, rows)

    def _update(self, rate: float) -> None:
        """Clip the gradient, and let AdamW follow it."""
        length = float(torch.linalg.vector_norm(self.gradient))
        longest = self.recipe.clip_norm * math.sqrt(self.members)
        if length > longest:
            self.gradient *= longest / (length + 1e-6)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
            states = [self._state(p) for p in group["params"]]
            updated(
                group["params"],
                [self.slope[p] for p in group["params"]],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=rate,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return what AdamW keeps of a parameter, in the form that its own steps give it."""
        state: dict[str, Tensor] = self.optimiser.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0, dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state


def _flat(values: Tensor) -> npt.NDArray[Any]:
    flat: npt.NDArray[Any] = values.view(-1).numpy()
    return flat
