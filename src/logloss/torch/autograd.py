"""What torch differentiates: one pass of the kernel gives loss and gradient together.

Derivatives beyond the first, and those of whatever the kernel cannot read, are torch's own, of
the same formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, empty_like, scalar_tensor, strided
from torch.autograd import Function, forward_ad
from torch.compiler import is_compiling

from logloss import kernel
from logloss.errors import LabelError, ProbabilityError
from logloss.torch import composed, runs
from logloss.torch.operands import Operands, Options
from logloss.torch.runs import CPU, LARGE, LETTERS, PLAIN, Outcome, jit_traces, modes, transforms


class Loss(NamedTuple):
    """One loss, by the kernel and by torch's operations.

    Attributes
    ----------
    evaluated : callable
        What the kernel says of operands that it can read, with or without gradient.
    composed : callable
        Reduced loss, differentiable by every tensor as often as one likes.
    """

    evaluated: Callable[[Operands, Options, bool], Outcome]
    composed: Callable[[Operands, Options], Tensor]

    def __call__(self, given: Operands, options: Options) -> Tensor:
        """Return the reduced loss, by the kernel where it can read the tensors."""
        if not runs.readable(*given):
            return self.composed(given, options)
        gradient = given.scores.requires_grad and torch.is_grad_enabled()
        outcome = self.evaluated(given, options, gradient)
        if not gradient:
            return outcome.loss
        said = (outcome.loss, outcome.gradient, given[1:], options, self)
        loss: Tensor = _attach(given.scores, said)
        return loss


class _Evaluated(Function):  # type: ignore[misc]
    """What the kernel said, differentiable by the scores; all other tensors are constants."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, said: tuple[Any, ...]) -> Tensor:
        value, gradient, constants, ctx.options, ctx.loss = said
        # the constants, too: derivatives beyond the first must not read what was since changed
        ctx.save_for_backward(scores, gradient, *constants)
        result: Tensor = value
        return result

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor) -> Any:
        scores, gradient, *constants = ctx.saved_tensors
        if torch.is_grad_enabled():
            value = ctx.loss.composed(Operands(scores, *constants), ctx.options)
            (slope,) = torch.autograd.grad(value, scores, of_loss, create_graph=True)
        else:
            slope = gradient * of_loss
        return slope, None


#: Without the detour of `Function.apply` for `torch.func`, whose losses are composed. It takes
#: the scores and one tuple, (value, gradient, constants, options, loss): each argument beyond
#: costs as much as the loss of a small batch.
_attach = super(Function, _Evaluated).apply
_MEAN = Options()


def quick_mean(logits: Tensor, target: Tensor) -> Tensor | None:
    """Mean loss of few plain logits; None where there is more to it, for the long way.

    All in one function, tests of `runs.readable` included: in a step of training, whose other
    work has emptied the caches, each call costs as much as the loss of a small batch.
    """
    if (
        is_compiling()
        or transforms()
        or modes()
        or jit_traces()
        or forward_ad._current_level >= 0
        or type(logits) not in PLAIN
        or type(target) not in PLAIN
    ):
        return None
    letter, real = LETTERS.get(target.dtype), LETTERS.get(logits.dtype)
    grad = torch.is_grad_enabled()
    if (
        letter is None
        or real is None
        or not (logits.is_cpu and target.is_cpu and target.shape == logits.shape)
        or logits.layout is not strided
        or target.layout is not strided
        or not (logits.is_contiguous() and target.is_contiguous())
        or logits.is_neg()
        or target.is_neg()
        or (target.requires_grad and grad)
    ):
        return None
    gradient = empty_like(logits, requires_grad=False) if logits.requires_grad and grad else None
    mean = kernel.quick_mean_at(
        target.data_ptr(),
        letter,
        logits.data_ptr(),
        real,
        0 if gradient is None else gradient.data_ptr(),
        logits.numel(),
    )
    if mean is None or mean > LARGE:
        return None
    value: Tensor = scalar_tensor(mean, dtype=logits.dtype, device=CPU)
    if gradient is None:
        return value
    loss: Tensor = _attach(logits, (value, gradient, (target,), _MEAN, loss_of_logits))
    return loss


def _probabilities(given: Operands, options: Options, gradient: bool) -> Outcome:
    """Losses by the kernel, their slopes by torch's own operation.

    Raises
    ------
    LabelError, ProbabilityError
        For the first target or probability outside [0, 1].
    """
    outcome = runs.evaluate_probabilities(given, options)
    if outcome.faulty:
        _raise_for("target", given.target, given.where, LabelError)
        _raise_for("input", given.scores, given.where, ProbabilityError)
    if gradient:
        slopes = composed.gradient_of_probabilities(given, options)
        outcome = outcome._replace(gradient=slopes)
    return outcome


def _raise_for(
    name: str,
    tensor: Tensor,
    where: Tensor | None,
    error: type[LabelError | ProbabilityError],
) -> None:
    """Raise for the first value outside [0, 1], unless it is masked."""
    wrong = ~((tensor >= 0) & (tensor <= 1))
    if where is not None:
        wrong &= where
    for index in wrong.nonzero()[:1].tolist():
        value = tensor[tuple(index)].item()
        raise error(
            f"{name} must lie in [0, 1]; {name}[{', '.join(map(str, index))}] is {value!r}. "
            "The order of the arguments is (input, target), as torch's. For logits use "
            "BCEWithLogitsLoss.",
            tuple(index),
            value,
        )


loss_of_logits = Loss(runs.evaluate_logits, composed.loss_of_logits)
loss_of_probabilities = Loss(_probabilities, composed.loss_of_probabilities)
