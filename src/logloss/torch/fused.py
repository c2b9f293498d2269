"""One scan over the logits of a linear layer, block by block: loss and gradients together.

A block's logits are overwritten by their gradient, which goes into the gradients of inputs,
weights and bias, and is forgotten. What the public functions promise stands in `linear`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from logloss.kernel import ExactSum
from logloss.torch.composed import composed_loss, composed_slope, must_compose
from logloss.torch.operands import HALF, Operands, Options, full_precision
from logloss.torch.runs import NOTHING, readable, run_kernel, scalar


class Layer(NamedTuple):
    """A linear layer with its input: x (n, d), weight (k, d), bias (k,)."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None


class Labels(NamedTuple):
    """Targets of all logits, with what weighs and masks them, each of shape (n, k).

    Without `targets`, row i belongs to column i and to no other.
    """

    targets: Tensor | None = None
    pos_weight: Tensor | None = None
    where: Tensor | None = None


class _Block(NamedTuple):
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def fused_loss(
    layer: Layer, labels: Labels, options: Options, *, divisor: int, chunk: int
) -> Tensor:
    """Sum of the losses over `divisor`, in float32 or float64."""
    device = layer.x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        layer = Layer(*(None if t is None else t.to(dtype) for t in layer))
    if must_compose(constants=(labels.targets, labels.pos_weight)):
        return _composed(layer, labels, options) / divisor
    needs = [t is not None and t.requires_grad and torch.is_grad_enabled() for t in layer]
    form = (options.label_smoothing, options.gamma, divisor, chunk, needs)
    loss: Tensor = _scan(*layer, *labels, *form)[0]
    return loss


def _composed(layer: Layer, labels: Labels, options: Options) -> Tensor:
    """Sum of the losses with all logits at once, for what a scan cannot give."""
    logits = full_precision(functional.linear(*layer))
    rows, columns = logits.shape
    given = _operands(logits, labels, _Block(slice(0, rows), slice(0, columns)))
    return composed_loss(given, options._replace(reduction="sum"))


@torch.library.custom_op(  # type: ignore[untyped-decorator]
    "logloss::linear_loss",
    mutates_args=(),
    schema="(Tensor x, Tensor weight, Tensor? bias, Tensor? targets, Tensor? pos_weight, "
    "Tensor? where, float label_smoothing, float gamma, SymInt divisor, SymInt chunk, "
    "bool[] needs) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _scan(*arguments: Any) -> tuple[Tensor, ...]:
    """Loss, and its gradient by x, weight and bias: one pass. No gradient wanted, no entries."""
    layer, labels = Layer(*arguments[:3]), Labels(*arguments[3:6])
    label_smoothing, gamma, divisor, chunk, needs = arguments[6:]
    x, weight, bias = layer
    options = Options(label_smoothing, gamma, "sum")
    full = torch.float32 if x.dtype in HALF else x.dtype
    gradients = [
        torch.zeros_like(t, dtype=full) if t is not None and need else None
        for t, need in zip(layer, needs, strict=True)
    ]
    blocks = list(_blocks(len(x), len(weight), chunk))
    buffer = x.new_empty(max((math.prod(block.shape) for block in blocks), default=0))
    sums = []
    for block in blocks:
        logits = buffer[: math.prod(block.shape)].view(block.shape)
        torch.mm(x[block.rows], weight[block.columns].T, out=logits)
        if bias is not None:
            logits += bias[block.columns]
        sums.append(_to_gradient(logits, labels, block, options, gradient=any(needs)))
        _add_products(gradients, logits, layer, block, divisor)
    loss = _total(sums, x, full) / divisor if divisor else x.new_full((), math.nan, dtype=full)
    return loss, *(
        x.new_empty(0) if gradient is None else gradient.to(x.dtype) for gradient in gradients
    )


def _blocks(n: int, k: int, chunk: int) -> Iterator[_Block]:
    """Cut the longer side: the gradient of the other, added to block by block, is the smaller."""
    rows, columns = n, k
    if n <= k:
        columns = max(1, chunk // max(n, 1))
        rows = min(n, chunk)
    else:
        rows = max(1, chunk // max(k, 1))
        columns = min(k, chunk)
    for first in range(0, n, rows or 1):
        for start in range(0, k, columns or 1):
            yield _Block(slice(first, min(first + rows, n)), slice(start, min(start + columns, k)))


def _to_gradient(
    logits: Tensor, labels: Labels, block: _Block, options: Options, *, gradient: bool
) -> ExactSum | Tensor:
    """Sum the block's losses and, where asked, overwrite its logits by their gradient."""
    given = _operands(full_precision(logits), labels, block)
    if readable(given):
        total, _ = run_kernel(given, options, overwrite=gradient)
        slope = given.scores
    else:
        total = composed_loss(given, options)
        slope = composed_slope(given, options) if gradient else logits
    if slope is not logits and gradient:
        logits.copy_(slope)
    return total


def _operands(logits: Tensor, labels: Labels, block: _Block) -> Operands:
    """Cut the labels to the block of these logits."""
    targets, pos_weight, where = (
        None if t is None else t[block.rows, block.columns] for t in labels
    )
    if targets is None:
        targets = torch.zeros(logits.shape, dtype=torch.uint8, device=logits.device)
        offset = block.rows.start - block.columns.start
        if -block.shape[0] < offset < block.shape[1]:
            targets.diagonal(offset).fill_(1)
    return Operands(logits, targets, None, pos_weight, where)


def _add_products(
    gradients: list[Tensor | None], slope: Tensor, layer: Layer, block: _Block, divisor: int
) -> None:
    """Add what a block's gradient means for x, weight and bias."""
    of_x, of_weight, of_bias = gradients
    scale = 1 / divisor if divisor else 1.0
    if of_x is not None:
        _add_product(of_x[block.rows], slope, layer.weight[block.columns], scale)
    if of_weight is not None:
        _add_product(of_weight[block.columns], slope.T, layer.x[block.rows], scale)
    if of_bias is not None:
        of_bias[block.columns] += slope.sum(0, dtype=of_bias.dtype) * scale


def _add_product(out: Tensor, left: Tensor, right: Tensor, scale: float) -> None:
    if left.dtype == out.dtype:
        out.addmm_(left, right, alpha=scale)
    else:  # products of half precision are added up in float32
        out.add_(left @ right, alpha=scale)


def _total(sums: list[Any], x: Tensor, dtype: torch.dtype) -> Tensor:
    if all(isinstance(part, ExactSum) for part in sums):
        return scalar(reduce(lambda a, b: a + b, sums, NOTHING).value, torch.float64).to(dtype)
    return torch.stack(sums).sum()


@_scan.register_fake  # type: ignore[untyped-decorator]
def _shapes(x: Tensor, weight: Tensor, bias: Tensor | None, *others: Any) -> tuple[Tensor, ...]:
    full = torch.float32 if x.dtype in HALF else x.dtype
    gradients = zip((x, weight, bias), others[-1], strict=True)
    return x.new_empty((), dtype=full), *(
        torch.empty_like(t) if t is not None and need else x.new_empty(0) for t, need in gradients
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:6], *output[1:])
    ctx.set_materialize_grads(False)
    ctx.form = inputs[6:]


def _pull_back(ctx: Any, of_loss: Tensor | None, *_: Tensor | None) -> Any:
    """Return the gradients times that of the loss; with a graph, those of all logits at once."""
    *tensors, of_x, of_weight, of_bias = ctx.saved_tensors
    label_smoothing, gamma, divisor, _, needs = ctx.form
    slopes: list[Tensor | None] = [None, None, None]
    if of_loss is not None and torch.is_grad_enabled():
        layer = Layer(*tensors[:3])
        options = Options(label_smoothing, gamma, "sum")
        loss = _composed(layer, Labels(*tensors[3:]), options) / divisor
        wanted = [t for t, need in zip(layer, needs, strict=True) if need]
        found = iter(torch.autograd.grad(loss, wanted, of_loss, create_graph=True))
        slopes = [next(found) if need else None for need in needs]
    elif of_loss is not None:
        kept = zip((of_x, of_weight, of_bias), needs, strict=True)
        slopes = [slope * of_loss.to(slope.dtype) if need else None for slope, need in kept]
    return *slopes, *(8 * [None])


_scan.register_autograd(_pull_back, setup_context=_keep)
