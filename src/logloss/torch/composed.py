"""The loss of logits by torch's own operations: any device, any transform, any derivative."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from logloss import formulas
from logloss.torch.operands import Operands, Options


def must_compose(*, constants: Iterable[Tensor | None]) -> bool:
    """Whether derivatives are asked for that only torch's own operations give.

    That is inside `torch.func`, in forward mode, in a trace, and by what one pass takes for
    constant.
    """
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return True
    if torch.jit.is_tracing():
        return True
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in constants)


def composed_loss(given: Operands, options: Options) -> Tensor:
    """Reduced loss, differentiable by every tensor as often as one likes; 0 where masked."""
    logits, target = _unmasked(given)
    losses = formulas.loss_from_logits(target, logits, torch, **_form(given, options))
    if given.weight is not None:
        # a weight of 0 leaves out what is infinite, too
        out = (given.weight == 0) & torch.isinf(losses)
        losses = torch.where(out, torch.zeros_like(losses), losses)
        losses = losses * given.weight.to(losses.dtype)
    losses = _masked(losses, given.where)
    if options.reduction == "none":
        return losses
    return losses.mean() if options.reduction == "mean" else losses.sum()


def composed_slope(given: Operands, options: Options) -> Tensor:
    """Derivative of each entry's weighted loss with respect to its logit; differentiable."""
    logits, target = _unmasked(given)
    slope = formulas.gradient_from_logits(target, logits, torch, **_form(given, options))
    if given.weight is not None:
        slope = slope * given.weight.to(slope.dtype)
    return _masked(slope, given.where)


def _unmasked(given: Operands) -> tuple[Tensor, Tensor]:
    """Logits and targets of one dtype; 0 where masked, so that no NaN is differentiated."""
    logits, target = given.scores, given.target.to(given.scores.dtype)
    if given.where is None:
        return logits, target
    zero = torch.zeros_like(logits)
    return torch.where(given.where, logits, zero), torch.where(given.where, target, zero)


def _masked(values: Tensor, where: Tensor | None) -> Tensor:
    return values if where is None else torch.where(where, values, torch.zeros_like(values))


def _form(given: Operands, options: Options) -> dict[str, Any]:
    pos_weight = given.pos_weight
    return {
        "pos_weight": None if pos_weight is None else pos_weight.to(given.scores.dtype),
        "label_smoothing": options.label_smoothing,
        "gamma": options.gamma,
    }
