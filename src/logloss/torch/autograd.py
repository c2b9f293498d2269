"""What torch differentiates: one pass gives loss and gradient, the formulas what comes after.

`LossOfLogits` serves eager code; `compiled_loss` is for the compiler, which cannot look into
the kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logloss import kernel
from logloss.clipping import TORCH_LIMIT
from logloss.errors import LabelError, ProbabilityError
from logloss.kernel import Faults
from logloss.torch.composed import composed_loss, composed_slope
from logloss.torch.operands import Operands, Options
from logloss.torch.runs import evaluate_tensors, readable

_TORCH_CLIP = (0.0, 1.0, TORCH_LIMIT)
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}  # torch's own numbers


def loss_and_gradient(
    given: Operands, options: Options, *, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Reduced loss of logits and the gradient of each entry, by the kernel where it can read."""
    if readable(given):
        loss, slope, _ = evaluate_tensors(given, options, gradient=gradient)
        return loss, slope
    with torch.no_grad():
        loss = composed_loss(given, options)
        return loss, composed_slope(given, options) if gradient else None


class LossOfLogits(Function):  # type: ignore[misc]
    """The loss of logits in eager code, differentiable by the logits."""

    @staticmethod
    def forward(ctx: Any, options: Options, *tensors: Tensor | None) -> Tensor:
        """Return the loss; the gradient, from the same pass, is saved."""
        loss, gradient = loss_and_gradient(Operands(*tensors), options, gradient=True)
        ctx.save_for_backward(gradient, *tensors)
        ctx.options = options
        return loss

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor) -> Any:
        """Return the gradient times that of the loss."""
        gradient, *tensors = ctx.saved_tensors
        slope = _slope(Operands(*tensors), ctx.options, gradient, of_loss)
        return None, slope, *(len(tensors) - 1) * [None]


def _slope(given: Operands, options: Options, gradient: Tensor, of_loss: Tensor) -> Tensor:
    """Pull back to the logits; with a graph, by the formulas, which differentiate on."""
    if options.reduction == "mean":
        of_loss = of_loss / given.scores.numel()
    if torch.is_grad_enabled():
        gradient = composed_slope(given, options)
    return gradient * of_loss


@torch.library.custom_op(  # type: ignore[untyped-decorator]
    "logloss::loss_of_logits",
    mutates_args=(),
    schema="(Tensor logits, Tensor target, Tensor? weight, Tensor? pos_weight, Tensor? where, "
    "float label_smoothing, float gamma, str reduction, bool gradient) -> (Tensor, Tensor)",
)
def compiled_loss(*arguments: Any) -> tuple[Tensor, Tensor]:
    """Loss and gradient as one operation of the compiled graph; no gradient, no entries."""
    given, options, gradient = Operands(*arguments[:5]), Options(*arguments[5:8]), arguments[8]
    loss, slope = loss_and_gradient(given, options, gradient=gradient)
    return loss, given.scores.new_empty(0) if slope is None else slope


@compiled_loss.register_fake  # type: ignore[untyped-decorator]
def _shapes(logits: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    *_, reduction, gradient = others
    loss = torch.empty_like(logits) if reduction == "none" else logits.new_empty(())
    return loss, torch.empty_like(logits) if gradient else logits.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], *inputs[:5])
    ctx.set_materialize_grads(False)
    ctx.options = Options(*inputs[5:8])


def _pull_back(ctx: Any, of_loss: Tensor | None, _: Tensor | None) -> Any:
    gradient, *tensors = ctx.saved_tensors
    slope = None
    if of_loss is not None:
        slope = _slope(Operands(*tensors), ctx.options, gradient, of_loss)
    return slope, *(8 * [None])


compiled_loss.register_autograd(_pull_back, setup_context=_keep)


class LossOfProbabilities(Function):  # type: ignore[misc]
    """torch's loss of probabilities, logarithms clamped at −100, in eager code."""

    @staticmethod
    def forward(ctx: Any, options: Options, *tensors: Tensor | None) -> Tensor:
        """Return the loss, or raise for what lies outside [0, 1]."""
        given = Operands(*tensors)
        loss, _, faults = evaluate_tensors(
            given, options, kernel.evaluate_probabilities, clip=_TORCH_CLIP
        )
        _raise_for(given, faults)
        ctx.save_for_backward(*tensors)
        ctx.options = options
        return loss

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor) -> Any:
        """g·(p − y)/max((1 − p)p, 1e-12), by torch's own operation, which differentiates on."""
        p, target, weight, _, where = Operands(*ctx.saved_tensors)
        smooth = ctx.options.label_smoothing
        target = smoothed(target.to(p.dtype), smooth)
        if where is not None:
            weight = where.to(p.dtype) if weight is None else torch.where(where, weight, 0)
        if weight is not None:
            weight = weight.to(p.dtype).expand(p.shape)
        slope = torch.ops.aten.binary_cross_entropy_backward(
            of_loss, p, target, weight, _REDUCTIONS[ctx.options.reduction]
        )
        return None, slope, *(len(ctx.saved_tensors) - 1) * [None]


def smoothed(target: Tensor, smoothing: float) -> Tensor:
    """y(1 − s) + s/2."""
    return target * (1 - smoothing) + 0.5 * smoothing if smoothing else target


def _raise_for(given: Operands, faults: Faults) -> None:
    """Raise for the first probability or target outside [0, 1]."""
    for name, tensor, position, error in (
        ("target", given.target, faults.label, LabelError),
        ("input", given.scores, faults.score, ProbabilityError),
    ):
        if position >= 0:
            index = tuple(int(k) for k in torch.unravel_index(torch.tensor(position), tensor.shape))
            value = tensor[index].item()
            raise error(
                f"{name} must lie in [0, 1]; {name}[{', '.join(map(str, index))}] is {value!r}. "
                "The order of the arguments is (input, target), as torch's. For logits use "
                "BCEWithLogitsLoss.",
                index,
                value,
            )
