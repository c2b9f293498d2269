"""The losses by torch's own operations: any device, any transform, any derivative."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from logloss import formulas
from logloss.torch.operands import Operands, Options, autocasts

_UNREDUCED = 0  # torch's number for it


def loss_of_logits(given: Operands, options: Options) -> Tensor:
    """Reduced loss, differentiable by every tensor as often as one likes."""
    target, logits = _unmasked(given, idle=0.0)
    losses = formulas.loss_from_logits(
        target,
        logits,
        torch,
        pos_weight=None if given.pos_weight is None else given.pos_weight.to(logits.dtype),
        label_smoothing=options.label_smoothing,
        gamma=options.gamma,
    )
    return _reduced(losses, given, options)


def gradient_of_logits(given: Operands, options: Options) -> Tensor:
    """Return the derivative of each entry's loss, not reduced, by its logit."""
    target, logits = _unmasked(given, idle=0.0)
    slopes = formulas.gradient_from_logits(
        target,
        logits,
        torch,
        pos_weight=None if given.pos_weight is None else given.pos_weight.to(logits.dtype),
        label_smoothing=options.label_smoothing,
        gamma=options.gamma,
    )
    return _weighted(slopes, given)


def loss_of_probabilities(given: Operands, options: Options) -> Tensor:
    """Reduced loss with torch's clamp of logarithms at −100, and torch's derivatives."""
    target, p = _unmasked(given, idle=0.5)
    target, _ = formulas.label_masses(target, label_smoothing=options.label_smoothing)
    # under autocast torch refuses probabilities, for fear of half precision: these are full
    as_they_are = torch.autocast(p.device.type, enabled=False) if autocasts(p) else nullcontext()
    with as_they_are:
        losses = functional.binary_cross_entropy(p, target, reduction="none")
    return _reduced(losses, given, options)


def gradient_of_probabilities(given: Operands, options: Options) -> Tensor:
    """Return torch's derivative by each probability, of its loss or of the mean."""
    target, p = _unmasked(given, idle=0.5)
    target, _ = formulas.label_masses(target, label_smoothing=options.label_smoothing)
    slopes = torch.ops.aten.binary_cross_entropy_backward(
        torch.ones_like(p), p, target, None, _UNREDUCED
    )
    slopes = _weighted(slopes, given)
    return slopes / max(int(given.count), 1) if options.reduction == "mean" else slopes


def _unmasked(given: Operands, *, idle: float) -> tuple[Tensor, Tensor]:
    """Target and scores of one dtype; where masked, 0 and `idle`: no NaN is differentiated."""
    target, scores = given.target.to(given.scores.dtype), given.scores
    if given.where is None:
        return target, scores
    return torch.where(given.where, target, 0.0), torch.where(given.where, scores, idle)


def _weighted(values: Tensor, given: Operands) -> Tensor:
    """Multiply by the weight; 0 where masked."""
    if given.weight is not None:
        values = values * given.weight.to(values.dtype)
    return values if given.where is None else torch.where(given.where, values, 0.0)


def _reduced(losses: Tensor, given: Operands, options: Options) -> Tensor:
    if given.weight is not None:
        # a weight of 0 leaves out what is infinite, too; finite losses stay, being its slope
        left_out = (given.weight == 0) & torch.isinf(losses)
        losses = torch.where(left_out, 0.0, losses)
    losses = _weighted(losses, given)
    if options.reduction == "none":
        return losses
    return losses.sum() / given.count if options.reduction == "mean" else losses.sum()
