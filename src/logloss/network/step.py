"""A step of training with the gradients written out: the products, and next to nothing beside.

It does what `batch_loss` and `take_step` do by torch's graph, for plain layers on the processor.
With a few hundred rows in a batch, keeping a graph would take most of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from logloss import kernel
from logloss.network.module import MemberLinear, TableNetwork
from logloss.network.recipe import Recipe
from logloss.network.stream import Rows, fold_of_members

_ATEN = torch.ops.aten

#: Activations whose derivative is told by their value: what they do in place, and what they make
#: of a gradient in place.
_BENDS: dict[str, tuple[Any, Any]] = {
    "relu": (torch.relu_, lambda g, a: _ATEN.threshold_backward.grad_input(g, a, 0, grad_input=g)),
    "tanh": (torch.tanh_, lambda g, a: _ATEN.tanh_backward.grad_input(g, a, grad_input=g)),
    "sigmoid": (torch.sigmoid_, lambda g, a: _ATEN.sigmoid_backward.grad_input(g, a, grad_input=g)),
}


#: Sizes of batches whose room is kept; there are seldom more than two.
_MOST_ROOMS = 4


class _Layer:
    """A layer's weights, and where their gradients go."""

    def __init__(self, layer: MemberLinear, slope: dict[Tensor, Tensor]) -> None:
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
        self.turned = self.weight.transpose(1, 2)
        self.weight_slope, self.bias_slope = slope[layer.weight], slope[layer.bias]


class _Room:
    """Where the numbers of a batch of one size lie: they are written anew in every step."""

    def __init__(self, network: TableNetwork, n_rows: int) -> None:
        made, dtype = network.architecture, network.output.weight.dtype

        def empty(width: int) -> Tensor:
            return torch.empty(made.members, n_rows, width, dtype=dtype)

        self.x = empty(network.n_encoded) if made.levels else None
        self.units = tuple(map(empty, made.hidden))
        self.turned = tuple(units.transpose(1, 2) for units in self.units)
        self.slopes = tuple(map(empty, made.hidden))
        self.logits, self.residual = empty(1), empty(1)
        self.logits_row, self.residual_row = _flat(self.logits), _flat(self.residual)


@dataclass(frozen=True)
class _Moments:
    """What AdamW keeps of one group of parameters."""

    parameters: list[Tensor]
    slopes: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
    options: dict[str, Any]


class WrittenStep:
    """Takes steps on a network of plain layers.

    Parameters
    ----------
    network : TableNetwork
        Changed in place; see `fits`.
    optimiser : AdamW
        Its state is read at the first step, and advanced by all.
    recipe : Recipe
        How.
    """

    def __init__(self, network: TableNetwork, optimiser: torch.optim.AdamW, recipe: Recipe) -> None:
        made = network.architecture
        self.network, self.optimiser, self.recipe = network, optimiser, recipe
        self.members, self.is_linear, self.n_codes = made.members, made.linear, len(made.levels)
        self.bend, self.bend_back = _BENDS[made.activation]
        trained = [p for p in network.parameters() if p.requires_grad]
        # one after the other, so that their length is one call
        self.gradient = torch.zeros(sum(p.numel() for p in trained), dtype=trained[0].dtype)
        parts = self.gradient.split([p.numel() for p in trained])
        self.slope = {p: part.view_as(p) for p, part in zip(trained, parts, strict=True)}
        layers = (*(layer.linear for layer in network.hidden), network.output)
        self.layers = tuple(_Layer(layer, self.slope) for layer in layers)
        self.held_out = fold_of_members(self.members)
        self.rooms: dict[int, _Room] = {}
        self.moments: list[_Moments] = []

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
        n_rows = len(batch)
        if n_rows not in self.rooms:
            if len(self.rooms) == _MOST_ROOMS:
                self.rooms.clear()
            self.rooms[n_rows] = _Room(self.network, n_rows)
        room = self.rooms[n_rows]
        found = None if batch.codes is None else self.network.slots(batch.codes).flatten()
        x = self._forward(batch, found, room)
        loss = self._loss(batch, room)
        if math.isfinite(loss):
            self._backward(x, found, room)
            self._update(rate)
        return loss

    def _forward(self, batch: Rows, found: Tensor | None, room: _Room) -> Tensor:
        """Fill the units and the logits; return what the first layer sees."""
        x = batch.numbers.expand(self.members, -1, -1)
        if found is not None:
            assert room.x is not None
            width = x.shape[-1]
            room.x[..., :width] = x
            rows = self.network.embeddings.index_select(1, found)
            room.x[..., width:] = rows.view(self.members, len(batch), -1)
            x = room.x
        units = x
        *hidden, output = self.layers
        for layer, into in zip(hidden, room.units, strict=True):
            torch.baddbmm(layer.bias, units, layer.weight, out=into)
            units = self.bend(into)
        torch.baddbmm(output.bias, units, output.weight, out=room.logits)
        if self.is_linear:
            room.logits.baddbmm_(x, self.network.linear)
        if self.is_linear and found is not None:
            effects = self.network.level_effects.index_select(1, found)
            room.logits.add_(effects.view(self.members, len(batch), -1).sum(-1, keepdim=True))
        return x

    def _loss(self, batch: Rows, room: _Room) -> float:
        """Return the loss, and leave the gradient of the members' sum by the logits."""
        y, weight, trained = batch.y, batch.weight, len(batch) * self.members
        if self.members > 1:
            y = y.expand(self.members, -1).contiguous()
            weighted = batch.fold != self.held_out
            weight = weight * weighted
            # what is held out would otherwise make the loss smaller
            trained = max(int(torch.count_nonzero(weighted)), 1)
        pos_weight = None
        if self.recipe.pos_weight != 1:
            pos_weight = np.full(y.numel(), self.recipe.pos_weight)
        total, _ = kernel.evaluate_logits(
            kernel.Rows(
                y=_flat(y),
                scores=room.logits_row,
                weight=_flat(weight),
                pos_weight=pos_weight,
                gamma=self.recipe.gamma,
                gradient=room.residual_row,
            ),
            total=True,
        )
        assert total is not None
        room.residual.mul_(self.members / trained)
        return total.value / trained

    def _backward(self, x: Tensor, found: Tensor | None, room: _Room) -> None:
        """Fill the gradient, from the output back to the embeddings."""
        back, turned = room.residual, (x.transpose(1, 2), *room.turned)
        for k in reversed(range(len(self.layers))):
            layer = self.layers[k]
            torch.bmm(turned[k], back, out=layer.weight_slope)
            torch.sum(back, 1, keepdim=True, out=layer.bias_slope)
            if k:
                slopes = room.slopes[k - 1]
                torch.bmm(back, layer.turned, out=slopes)
                back = self.bend_back(slopes, room.units[k - 1])
        if self.is_linear:
            torch.bmm(turned[0], room.residual, out=self.slope[self.network.linear])
        if found is not None:
            self._backward_levels(back, found, room.residual)

    def _backward_levels(self, back: Tensor, found: Tensor, residual: Tensor) -> None:
        """Fill the gradients of embeddings and of the levels' effects."""
        network = self.network
        first = network.n_encoded - self.n_codes * network.architecture.embedding
        on_rows = torch.bmm(back, self.layers[0].turned[..., first:])
        if self.is_linear:
            on_rows += residual * network.linear[:, first:].transpose(1, 2)
            each = residual.expand(-1, -1, self.n_codes).reshape(self.members, -1, 1)
            self.slope[network.level_effects].zero_().index_add_(1, found, each)
        rows = on_rows.view(self.members, len(found), -1)
        self.slope[network.embeddings].zero_().index_add_(1, found, rows)

    def _update(self, rate: float) -> None:
        """Clip the gradient, and let AdamW follow it."""
        length = float(torch.linalg.vector_norm(self.gradient))
        longest = self.recipe.clip_norm * math.sqrt(self.members)
        if length > longest:
            self.gradient *= longest / (length + 1e-6)
        if not self.moments:
            self.moments = [self._moments(group) for group in self.optimiser.param_groups]
        for group in self.moments:
            group.steps[0].add_(1)  # which is that of all
            # what the optimiser's own step calls in the end
            torch._fused_adamw_(
                group.parameters,
                group.slopes,
                group.means,
                group.squares,
                [],
                group.steps,
                lr=rate,
                **group.options,
            )

    def _moments(self, group: dict[str, Any]) -> _Moments:
        """Read a group of the optimiser; what is not there yet begins as its own step would."""
        states = [self.optimiser.state[p] for p in group["params"]]
        for parameter, state in zip(group["params"], states, strict=True):
            if not state:
                state["step"] = torch.tensor(0.0, dtype=torch.float32)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            state["step"] = states[0]["step"]
        return _Moments(
            [p.detach() for p in group["params"]],
            [self.slope[p] for p in group["params"]],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            {
                "beta1": group["betas"][0],
                "beta2": group["betas"][1],
                "weight_decay": group["weight_decay"],
                "eps": group["eps"],
                "amsgrad": False,
                "maximize": False,
            },
        )


def _flat(values: Tensor) -> npt.NDArray[Any]:
    flat: npt.NDArray[Any] = values.view(-1).numpy()
    return flat
