"""What one loss is computed from: its tensors and its options, checked. Nothing is computed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn._reduction import legacy_get_string

from logloss.errors import ArgumentError
from logloss.formulas import check_options

#: Computed in float32.
HALF = (torch.float16, torch.bfloat16)
_FLOATS = (torch.float32, torch.float64, *HALF)


class Options(NamedTuple):
    """What the loss is, beside its tensors.

    Attributes
    ----------
    reduction : {"mean", "sum", "none"}
    label_smoothing, gamma : float
    """

    reduction: str = "mean"
    label_smoothing: float = 0.0
    gamma: float = 0.0


class Operands(NamedTuple):
    """Tensors of one loss; weights and mask broadcast to the scores.

    Attributes
    ----------
    scores : Tensor of shape (...)
        Logits or probabilities, float32 or float64.
    target : Tensor of shape (...)
        Of any real dtype.
    weight, pos_weight : Tensor or None
    where : Tensor of bool or None
        Entries that count.
    """

    scores: Tensor
    target: Tensor
    weight: Tensor | None = None
    pos_weight: Tensor | None = None
    where: Tensor | None = None

    @property
    def count(self) -> Any:
        """Return what the mean divides by: the number of entries that count."""
        if self.where is None:
            return self.scores.numel()
        return self.where.expand(self.scores.shape).sum()


def options_of(
    reduction: str,
    label_smoothing: float,
    gamma: float = 0.0,
    *,
    size_average: bool | None = None,
    reduce: bool | None = None,
) -> Options:
    """Check the options; torch's two old words for `reduction` win over it, as in torch.

    Raises
    ------
    ArgumentError
        If one is out of range.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none'; got {reduction!r}.")
    check_options(label_smoothing, gamma)
    return Options(reduction, float(label_smoothing), float(gamma))


def operands_of(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    where: Tensor | None,
) -> Operands:
    """Check shapes and dtypes; half precision becomes float32.

    Raises
    ------
    ArgumentError
        If they do not fit.
    """
    check_float("input", input)
    check_real("target", target)
    shape = input.shape
    if target.shape != shape:
        raise ArgumentError(
            f"target must have the shape of input, {tuple(shape)}; "
            f"its shape is {tuple(target.shape)}."
        )
    if where is not None:
        check_mask(where)
    for name, tensor in (("weight", weight), ("pos_weight", pos_weight)):
        if tensor is not None:
            check_real(name, tensor)
    for name, tensor in (("weight", weight), ("pos_weight", pos_weight), ("where", where)):
        # as many axes first: a weight a column must not tell a trace that n is not k
        if tensor is not None and (tensor.ndim != len(shape) or tensor.shape != shape):
            check_broadcast(name, tensor, "input", shape)
    return Operands(full_precision(input), target, weight, pos_weight, where)


def check_float(name: str, tensor: Tensor) -> None:
    """Raise ArgumentError unless it is a tensor of a float dtype that the losses compute in."""
    _check_tensor(name, tensor)
    if tensor.dtype not in _FLOATS:
        raise ArgumentError(f"{name} must be of a float dtype; it is {tensor.dtype}.")


def check_real(name: str, tensor: Tensor) -> None:
    """Raise ArgumentError unless it is a tensor of numbers that the losses read."""
    _check_tensor(name, tensor)
    dtype = tensor.dtype
    if (dtype.is_floating_point or dtype.is_complex) and dtype not in _FLOATS:
        raise ArgumentError(
            f"{name} must be bool, integers, or floats of at least 16 bits; its dtype is {dtype}."
        )


def check_mask(where: Tensor) -> None:
    """Raise ArgumentError for a mask that is none."""
    _check_tensor("where", where)
    if where.dtype is not torch.bool:
        raise ArgumentError(f"where must be a boolean mask; its dtype is {where.dtype}.")


def check_broadcast(name: str, tensor: Tensor, of: str, shape: torch.Size) -> None:
    """Raise ArgumentError for a tensor that does not broadcast to the shape of another."""
    lengths = zip(reversed(tensor.shape), reversed(shape), strict=False)
    if tensor.ndim > len(shape) or any(own not in (1, other) for own, other in lengths):
        raise ArgumentError(
            f"{name} must broadcast to the shape of {of}, {tuple(shape)}; "
            f"its shape is {tuple(tensor.shape)}."
        )


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"{name} must be a tensor; it is of type {type(value).__name__}. "
            "Make it one with torch.as_tensor."
        )


def full_precision(tensor: Tensor) -> Tensor:
    """Return half precision as float32, all else as it is."""
    return tensor.float() if tensor.dtype in HALF else tensor


def autocasts(tensor: Tensor) -> bool:
    """Whether autocast is on for the tensor's device."""
    device = tensor.device.type
    return bool(torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device))


def as_given(loss: Tensor, scores: Tensor) -> Tensor:
    """Return a loss in the dtype of what it is of; float32 for half precision under autocast."""
    if loss.dtype is scores.dtype or autocasts(scores):
        return loss
    return loss.to(scores.dtype)
