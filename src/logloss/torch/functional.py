"""The losses as functions, with torch's arguments; which way a call goes is decided here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn._reduction import legacy_get_string

from logloss.errors import ArgumentError
from logloss.torch.autograd import (
    LossOfLogits,
    LossOfProbabilities,
    compiled_loss,
    loss_and_gradient,
    smoothed,
)
from logloss.torch.composed import composed_loss, must_compose
from logloss.torch.operands import (
    Operands,
    Options,
    check_float,
    check_options,
    full_precision,
    result_dtype,
)
from logloss.torch.runs import readable


def binary_cross_entropy_with_logits(  # noqa: PLR0917  (torch's order)
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of logits, in place of torch's function of the same name.

    .. math:: \ell = w\left(A\,\sigma(-z)^\gamma \log(1 + e^{-z})
              + B\,\sigma(z)^\gamma \log(1 + e^{z})\right)

    with :math:`A = \text{pos\_weight} \cdot y` and :math:`B = 1 - y`, after smoothing.

    Parameters
    ----------
    input : Tensor of shape (...)
        Logits, of any float dtype. ±inf costs 0 on the right side and infinity on the wrong
        one.
    target : Tensor of shape (...)
        Labels, usually in [0, 1]: bool, integers or floats. Not checked, as in torch.
    weight : Tensor, optional
        Factor of each loss; broadcasts against `input`. It does not enter the denominator of
        the mean. An entry of weight 0 costs 0, even where its loss is infinite.
    size_average, reduce : bool, optional
        torch's deprecated words for `reduction`.
    reduction : {"mean", "sum", "none"}, default="mean"
        The mean divides by the number of entries.
    pos_weight : Tensor, optional
        Factor of the y = 1 term; broadcasts against `input`.
    label_smoothing : float, default=0
        s in [0, 1]: y becomes y(1 − s) + s/2, before `pos_weight`.
    gamma : float, default=0
        Focusing parameter of the focal loss (Lin et al. 2017).
    where : Tensor of bool, optional
        Entries that count; broadcasts against `input`. The others cost 0, whatever they hold,
        and the mean divides by the number of those that count.

    Returns
    -------
    Tensor
        In nats, of the dtype of `input`; float32 for half precision under autocast.

    Raises
    ------
    ArgumentError
        If shapes or dtypes do not fit, or an option is out of range. It is a ValueError, too.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import binary_cross_entropy_with_logits
    >>> z = torch.tensor([2.0, -1.0, float("inf")], requires_grad=True)
    >>> loss = binary_cross_entropy_with_logits(z, torch.tensor([1, 0, 1]))
    >>> loss.backward()
    >>> loss.item()
    0.14672990143299103
    >>> z.grad
    tensor([-0.0397,  0.0896,  0.0000])
    """
    reduction = _reduction(size_average, reduce, reduction)
    check_options(label_smoothing, gamma, where)
    _check(input, target)
    given = _spread(Operands(full_precision(input), target, weight, pos_weight, where))
    count = None
    if where is not None and reduction == "mean":
        count, reduction = _count(where, given.scores), "sum"
    loss = _loss_of_logits(given, Options(float(label_smoothing), float(gamma), reduction))
    if count is not None:
        loss = loss / count
    return loss if loss.dtype is input.dtype else loss.to(result_dtype(input))


def binary_cross_entropy(  # noqa: PLR0917  (torch's order)
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    label_smoothing: float = 0.0,
    where: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of probabilities, in place of torch's function of the same name.

    .. math:: \ell = -w\left(y \max(\log p, -100) + (1 - y) \max(\log(1 - p), -100)\right)

    Where there are logits, `binary_cross_entropy_with_logits` is better: probabilities forget
    what logits know.

    Parameters
    ----------
    input : Tensor of shape (...)
        Probabilities in [0, 1], of any float dtype.
    target : Tensor of shape (...)
        Labels in [0, 1]: bool, integers or floats.
    weight, size_average, reduce, reduction, label_smoothing, where
        As in `binary_cross_entropy_with_logits`.

    Returns
    -------
    Tensor
        In nats, of the dtype of `input`; float32 for half precision under autocast.

    Raises
    ------
    ProbabilityError, LabelError
        If a value lies outside [0, 1] (eager code on the processor; else as torch does).
    ArgumentError
        If shapes or dtypes do not fit, or an option is out of range.

    Notes
    -----
    The gradient is torch's: :math:`g\,w\,(p - y)/\max((1 - p)\,p, 10^{-12})`.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import binary_cross_entropy
    >>> binary_cross_entropy(torch.tensor([0.9, 0.0]), torch.tensor([True, True]), reduction="none")
    tensor([  0.1054, 100.0000])
    """
    reduction = _reduction(size_average, reduce, reduction)
    check_options(label_smoothing, 0.0, where)
    _check(input, target)
    given = _spread(Operands(full_precision(input), target, weight, None, where))
    count = None
    if where is not None:
        # what is masked need not lie in [0, 1]
        given = given._replace(
            scores=torch.where(where, given.scores, 0.5),
            target=torch.where(where, given.target, torch.zeros_like(given.target)),
        )
        if reduction == "mean":
            count, reduction = _count(where, given.scores), "sum"
    loss = _loss_of_probabilities(given, Options(float(label_smoothing), 0.0, reduction))
    if count is not None:
        loss = loss / count
    return loss if loss.dtype is input.dtype else loss.to(result_dtype(input))


def _loss_of_logits(given: Operands, options: Options) -> Tensor:
    """Choose the way: kernel, one operation of a compiled graph, or torch's own operations."""
    if must_compose(constants=(given.target, given.weight, given.pos_weight)):
        return composed_loss(given, options)
    gradient = given.scores.requires_grad and torch.is_grad_enabled()
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting() or not given.scores.is_cpu:
            return composed_loss(given, options)
        loss: Tensor = compiled_loss(*given, *options, gradient)[0]
        return loss
    if gradient:
        loss = LossOfLogits.apply(options, *given.given())
        return loss
    return loss_and_gradient(given, options, gradient=False)[0]


def _loss_of_probabilities(given: Operands, options: Options) -> Tensor:
    """Choose the way: the kernel in eager code, torch's own function otherwise."""
    composed = torch.compiler.is_compiling() or must_compose(constants=(given.target, given.weight))
    if not composed and readable(given):
        loss: Tensor = LossOfProbabilities.apply(options, *given.given())
        return loss
    p, target, weight, _, where = given
    target = smoothed(target.to(p.dtype), options.label_smoothing)
    if where is not None:
        mask = where.to(p.dtype)
        weight = mask if weight is None else torch.where(where, weight, torch.zeros_like(mask))
    # under autocast torch refuses probabilities, for half precision; these are not
    with torch.autocast(p.device.type, enabled=False):
        return functional.binary_cross_entropy(p, target, weight, reduction=options.reduction)


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none'; got {reduction!r}.")
    return reduction


def _check(input: Tensor, target: Tensor) -> None:
    check_float("input", input)
    if target.shape != input.shape:
        raise ArgumentError(
            f"target must have the shape of input, {tuple(input.shape)}; "
            f"its shape is {tuple(target.shape)}."
        )


def _spread(given: Operands) -> Operands:
    """Broadcast scores and target where a weight or a mask has more entries than they."""
    others = [t for t in given[2:] if t is not None]
    if not others:
        return given
    shape = given.scores.shape
    try:
        wide = torch.broadcast_shapes(shape, *(t.shape for t in others))
    except RuntimeError as error:
        raise ArgumentError(
            f"weight, pos_weight and where must broadcast against input of shape {tuple(shape)}; "
            f"their shapes are {', '.join(str(tuple(t.shape)) for t in others)}."
        ) from error
    if wide == shape:
        return given
    return given._replace(scores=given.scores.expand(wide), target=given.target.expand(wide))


def _count(where: Tensor, scores: Tensor) -> Any:
    return where.expand(scores.shape).sum()
