"""A step of training with the gradients written out: layers, loss and AdamW in the compiled core.

It does what `batch_loss` and `take_step` do by torch's graph, for plain layers on the processor.
With a few hundred rows in a batch, keeping a graph would take most of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from logloss import kernel
from logloss.network.module import MemberLinear, TableNetwork
from logloss.network.recipe import Recipe
from logloss.network.stream import Rows, fold_of_members

Array = npt.NDArray[Any]


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
        trained = (p for p in network.parameters() if p.requires_grad)
        self.slope = {p: torch.zeros_like(p, requires_grad=False) for p in trained}
        layers = (*(layer.linear for layer in network.hidden), network.output)
        self.layers = kernel.DenseLayers(list(map(self._layer, layers)), made.activations)
        self.held_out = fold_of_members(self.members)
        # the gradient that is cut is that of the members' sum
        self.longest = recipe.clip_norm * math.sqrt(self.members)

    def _layer(self, layer: MemberLinear) -> kernel.DenseLayer:
        weight, bias = layer.weight, layer.bias
        tensors = (weight.detach(), bias.detach(), self.slope[weight], self.slope[bias])
        return kernel.DenseLayer(*(tensor.numpy() for tensor in tensors))

    @staticmethod
    def fits(network: TableNetwork) -> bool:
        """Say whether the gradients of such a network are written out here."""
        made = network.architecture
        return (
            all(name in kernel.DENSE_ACTIVATIONS for name in made.activations)
            and made.normalization is None
            and not made.residual
            and not made.dropout
            and network.output.weight.device.type == "cpu"
        )

    @property
    def sees_numbers_alone(self) -> bool:
        """Whether layers on numbers are all there is, so that `steps` can be taken."""
        return not self.is_linear and not self.n_codes

    def steps(
        self, rows: Rows, order: Tensor, cuts: Sequence[slice], rates: Sequence[float]
    ) -> list[float]:
        """Take a step for each batch of rows in an order, all in the compiled core.

        Parameters
        ----------
        rows : Rows
            As the network sees them.
        order : Tensor of shape (n,), int64
            Which of them are trained on.
        cuts : sequence of slice
            The batches, cut from that order.
        rates : sequence of float
            Learning rate of each.

        Returns
        -------
        list of float
            The losses before each step, and none after one that is not finite.
        """
        if not cuts:
            return []
        sizes = [cut.stop - cut.start for cut in cuts]
        y, weight, fold = (v.index_select(0, order) for v in (rows.y, rows.weight, rows.fold))
        trained = sizes
        if self.members > 1:
            columns = zip(weight.split(sizes), fold.split(sizes), strict=True)
            weighed = [self._weights(*column) for column in columns]
            weight = torch.cat([of_batch.flatten() for of_batch, _ in weighed])
            trained = [n for _, n in weighed]
        return self.layers.train(
            self.adamw,
            rows.numbers.numpy(),
            kernel.Batches(
                rows=order.numpy(),
                y=y.numpy(),
                weight=weight.numpy(),
                sizes=np.array(sizes),
                trained=np.array(trained),
                rates=np.array(rates),
            ),
            pos_weight=self.recipe.pos_weight,
            gamma=self.recipe.gamma,
            longest=self.longest,
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def __call__(self, batch: Rows, rate: float) -> float:
        """Take one step, unless the loss is not finite; return the loss before it."""
        found = None if batch.codes is None else self.network.slots(batch.codes).flatten()
        x = self._seen(batch, found)
        logits = self._linear(x, len(batch), found)
        residual = np.empty_like(logits)
        x_slope = None if found is None else np.empty_like(x)
        weight, n_trained = self._weights(batch.weight, batch.fold)
        total = self.layers.evaluate(
            x,
            batch.y.numpy(),
            weight.numpy(),
            pos_weight=self.recipe.pos_weight,
            gamma=self.recipe.gamma,
            # the gradient of the members' sum: each goes its own way, whatever their number
            scale=self.members / n_trained,
            logits=logits,
            residual=residual,
            x_gradient=x_slope,
        )
        loss = total / n_trained
        if math.isfinite(loss):
            slope = torch.from_numpy(residual)
            if self.is_linear:
                turned = self._of_members(x).transpose(1, 2)
                torch.bmm(turned, slope, out=self.slope[self.network.linear])
            if found is not None and x_slope is not None:
                self._backward_levels(torch.from_numpy(x_slope), found, slope)
            self.adamw.step(rate, self.longest)
        return loss

    def _seen(self, batch: Rows, found: Tensor | None) -> Array:
        """Return what the first layer sees, once for all members where that is the same."""
        if found is None:
            numbers: Array = batch.numbers.numpy()
            return numbers
        rows = self.network.embeddings.index_select(1, found)
        embedded = rows.view(self.members, len(batch), -1)
        of_all = batch.numbers.expand(self.members, -1, -1)
        seen: Array = torch.cat([of_all, embedded], dim=-1).numpy()
        return seen

    def _of_members(self, x: Array) -> Tensor:
        """Return what each member's first layer sees."""
        seen = torch.from_numpy(x)
        return seen if x.ndim == 3 else seen.expand(self.members, -1, -1)

    def _linear(self, x: Array, n_rows: int, found: Tensor | None) -> Array:
        """Return what is added to the logits of the layers."""
        if not self.is_linear:
            return np.zeros((self.members, n_rows, 1), x.dtype)
        products = torch.bmm(self._of_members(x), self.network.linear)
        if found is not None:
            effects = self.network.level_effects.index_select(1, found)
            products += effects.view(self.members, n_rows, -1).sum(-1, keepdim=True)
        logits: Array = products.numpy()
        return logits

    def _weights(self, weight: Tensor, fold: Tensor) -> tuple[Tensor, int]:
        """Return the weights of each member's rows, and how many of them it trains on."""
        if self.members == 1:
            return weight, len(weight)
        weighted = fold != self.held_out
        # what is held out would otherwise make the loss smaller
        return weight * weighted, max(int(torch.count_nonzero(weighted)), 1)

    def _backward_levels(self, x_slope: Tensor, found: Tensor, residual: Tensor) -> None:
        """Fill the gradients of embeddings and of the levels' effects."""
        network = self.network
        first = network.n_encoded - self.n_codes * network.architecture.embedding
        on_rows = x_slope[..., first:]
        if self.is_linear:
            on_rows = on_rows + residual * network.linear[:, first:].transpose(1, 2)
            each = residual.expand(-1, -1, self.n_codes).reshape(self.members, -1, 1)
            self.slope[network.level_effects].zero_().index_add_(1, found, each)
        rows = on_rows.reshape(self.members, len(found), -1)
        self.slope[network.embeddings].zero_().index_add_(1, found, rows)

    @cached_property
    def adamw(self) -> kernel.AdamW:
        """Read the optimiser; what is not there yet begins as its own step would.

        All parameters count the steps together.
        """
        groups = self.optimiser.param_groups
        first = self.optimiser.state[groups[0]["params"][0]]
        steps = first["step"] if first else torch.tensor(0.0, dtype=torch.float32)
        parameters = [
            self._parameter(p, steps, group["weight_decay"])
            for group in groups
            for p in group["params"]
        ]
        return kernel.AdamW(parameters, steps.numpy(), groups[0]["betas"], groups[0]["eps"])

    def _parameter(self, parameter: Tensor, steps: Tensor, decay: float) -> kernel.AdamParameter:
        state = self.optimiser.state[parameter]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] = steps
        return kernel.AdamParameter(
            value=parameter.detach().numpy(),
            gradient=self.slope[parameter].numpy(),
            mean=state["exp_avg"].numpy(),
            square=state["exp_avg_sq"].numpy(),
            decay=decay,
        )
