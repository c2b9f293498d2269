"""One scan over the logits of a linear layer, block by block: loss and gradients together.

The loss needs no sum over a row, so the gradient of a block's logits is known as soon as they
are: it goes into the gradients of inputs, weights and bias, and is forgotten. What is promised
stands in `linear`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from logloss.torch import composed, runs
from logloss.torch.operands import Operands, Options, autocasts, full_precision


class Layer(NamedTuple):
    """A linear layer with its input: x (n, d), weight (k, d), bias (k,)."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None


class Labels(NamedTuple):
    """Targets of all logits and a mask, (n, k), and the weight of the y = 1 term, (k,).

    Without `targets`, row i belongs to column i and to no other.
    """

    targets: Tensor | None = None
    pos_weight: Tensor | None = None
    where: Tensor | None = None


class _Block(NamedTuple):
    rows: slice
    columns: slice


def summed_loss(layer: Layer, labels: Labels, options: Options, chunk: int) -> Tensor:
    """Sum of the losses, in float32 or float64, with no more logits in memory than `chunk`."""
    if autocasts(layer.x):
        layer = _cast(layer, torch.get_autocast_dtype(layer.x.device.type))
    constants = [t for t in (labels.targets, labels.pos_weight) if t is not None]
    if runs.transformed() or (
        torch.is_grad_enabled() and any(tensor.requires_grad for tensor in constants)
    ):
        return _composed(layer, labels, options)
    needs = [t is not None and t.requires_grad and torch.is_grad_enabled() for t in layer]
    form = (options.label_smoothing, options.gamma, chunk, needs)
    loss: Tensor = _scan(*layer, *labels, *form)[0]
    return loss


def _cast(layer: Layer, dtype: torch.dtype) -> Layer:
    """Cast as autocast does, which leaves float64 alone."""
    return Layer(*(t if t is None or t.dtype is torch.float64 else t.to(dtype) for t in layer))


def _composed(layer: Layer, labels: Labels, options: Options) -> Tensor:
    """Sum of the losses with all logits at once, for derivatives that a scan cannot give."""
    logits = full_precision(functional.linear(*layer))
    everything = _Block(slice(0, logits.shape[0]), slice(0, logits.shape[1]))
    return composed.loss_of_logits(_operands(logits, labels, everything), options)


@torch.library.custom_op(  # type: ignore[untyped-decorator]
    "logloss::linear_loss",
    mutates_args=(),
    schema="(Tensor x, Tensor weight, Tensor? bias, Tensor? targets, Tensor? pos_weight, "
    "Tensor? where, float label_smoothing, float gamma, SymInt chunk, bool[] needs)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
def _scan(*arguments: Any) -> tuple[Tensor, ...]:
    """Sum the losses; give its gradients by x, weight and bias, empty where not needed."""
    layer, labels = Layer(*arguments[:3]), Labels(*arguments[3:6])
    label_smoothing, gamma, chunk, needs = arguments[6:]
    options = Options("sum", label_smoothing, gamma)
    loss, *gradients = _blank(layer, needs)
    for block in _blocks(len(layer.x), len(layer.weight), chunk):
        logits = functional.linear(
            layer.x[block.rows],
            layer.weight[block.columns],
            None if layer.bias is None else layer.bias[block.columns],
        )
        given = _operands(full_precision(logits), labels, block)
        of_block, slope = _evaluated(given, options, gradient=any(needs))
        loss += of_block
        if slope is not None:
            _add_products(gradients, slope.to(logits.dtype), layer, block)
    return loss, *gradients


@_scan.register_fake  # type: ignore[untyped-decorator]
def _shapes(x: Tensor, weight: Tensor, bias: Tensor | None, *others: Any) -> tuple[Tensor, ...]:
    return _blank(Layer(x, weight, bias), others[-1])


def _blank(layer: Layer, needs: list[bool]) -> tuple[Tensor, ...]:
    """Return zeros for the loss and the gradients, in float32 for half precision.

    So gradients of a sum do not overflow before they are divided.
    """
    x = layer.x
    full = torch.promote_types(x.dtype, torch.float32)
    return x.new_zeros((), dtype=full), *(
        torch.zeros_like(t, dtype=full, memory_format=torch.contiguous_format)
        if t is not None and need
        else x.new_zeros(0)
        for t, need in zip(layer, needs, strict=True)
    )


def _blocks(n: int, k: int, chunk: int) -> Iterator[_Block]:
    """Cut the longer side: the gradient that is added to in every block is then the smaller."""
    step = max(1, chunk // max(1, min(n, k)))
    for first in range(0, max(n, k), step):
        part = slice(first, min(first + step, max(n, k)))
        yield _Block(slice(0, n), part) if n <= k else _Block(part, slice(0, k))


def _operands(logits: Tensor, labels: Labels, block: _Block) -> Operands:
    """Cut the labels to the block of these logits."""
    targets, pos_weight, where = labels
    if targets is None:
        # an identity matrix, of which the block sees a part
        targets = torch.zeros_like(logits, dtype=torch.uint8)
        offset = block.rows.start - block.columns.start
        if -logits.shape[0] < offset < logits.shape[1]:
            targets.diagonal(offset).fill_(1)
    else:
        targets = targets[block.rows, block.columns]
    return Operands(
        logits,
        targets,
        pos_weight=None if pos_weight is None else pos_weight[block.columns],
        where=None if where is None else where[block.rows, block.columns],
    )


def _evaluated(
    given: Operands, options: Options, *, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    if runs.readable(*given):
        outcome = runs.evaluate_logits(given, options, gradient)
        return outcome.loss, outcome.gradient
    loss = composed.loss_of_logits(given, options)
    return loss, composed.gradient_of_logits(given, options) if gradient else None


def _add_products(gradients: list[Tensor], slope: Tensor, layer: Layer, block: _Block) -> None:
    """Add what a block's gradient means for x, weight and bias."""
    of_x, of_weight, of_bias = gradients
    if len(of_x):
        _add_product(of_x[block.rows], slope, layer.weight[block.columns])
    if len(of_weight):
        _add_product(of_weight[block.columns], slope.T, layer.x[block.rows])
    if len(of_bias):
        of_bias[block.columns] += slope.sum(0, dtype=of_bias.dtype)


def _add_product(out: Tensor, left: Tensor, right: Tensor) -> None:
    if left.dtype == out.dtype:
        out.addmm_(left, right)
    else:  # products of half precision are added up in float32
        out += left @ right


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:6], *output[1:])
    ctx.set_materialize_grads(False)
    ctx.form = inputs[6:]


def _pull_back(ctx: Any, of_loss: Tensor | None, *_: Tensor | None) -> Any:
    """Multiply the gradients by that of the loss; in a graph, compose them with all logits."""
    x, weight, bias, *labels, of_x, of_weight, of_bias = ctx.saved_tensors
    label_smoothing, gamma, _, needs = ctx.form
    slopes: list[Tensor | None] = [None, None, None]
    if of_loss is not None and torch.is_grad_enabled():
        layer = Layer(x, weight, bias)
        loss = _composed(layer, Labels(*labels), Options("sum", label_smoothing, gamma))
        wanted = [tensor for tensor, need in zip(layer, needs, strict=True) if need]
        found = iter(torch.autograd.grad(loss, wanted, of_loss, create_graph=True))
        slopes = [next(found) if need else None for need in needs]
    elif of_loss is not None:
        kept = zip((of_x, of_weight, of_bias), needs, strict=True)
        slopes = [(slope * of_loss).to(x.dtype) if need else None for slope, need in kept]
    return *slopes, *(7 * [None])


_scan.register_autograd(_pull_back, setup_context=_keep)
