"""What one loss is computed from: its tensors and its options, checked. Nothing is computed."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from logloss.errors import ArgumentError

#: Computed in float32.
HALF = (torch.float16, torch.bfloat16)
_REAL = (torch.float32, torch.float64, *HALF)


class Options(NamedTuple):
    """What the loss is, beside its tensors.

    Attributes
    ----------
    label_smoothing, gamma : float
    reduction : {"mean", "sum", "none"}
    """

    label_smoothing: float = 0.0
    gamma: float = 0.0
    reduction: str = "mean"


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
    def bare(self) -> bool:
        """Whether there are neither weights nor a mask."""
        return self.weight is None and self.pos_weight is None and self.where is None

    def given(self) -> tuple[Tensor | None, ...]:
        """Return scores and target alone where there is no more: torch handles each argument."""
        return self[:2] if self.bare else self


def check_options(label_smoothing: float, gamma: float, where: Tensor | None) -> None:
    """Raise ArgumentError for an option that is out of range, or a mask that is none."""
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing must lie in [0, 1]; got {label_smoothing!r}.")
    if not 0 <= gamma < math.inf:
        raise ArgumentError(f"gamma must be finite and at least 0; got {gamma!r}.")
    if where is not None and where.dtype is not torch.bool:
        raise ArgumentError(f"where must be a boolean mask; its dtype is {where.dtype}.")


def check_float(name: str, tensor: Tensor) -> None:
    """Raise ArgumentError unless the tensor is of a float dtype that the losses compute in."""
    if tensor.dtype not in _REAL:
        raise ArgumentError(f"{name} must be of a float dtype; it is {tensor.dtype}.")


def full_precision(tensor: Tensor) -> Tensor:
    """Return half precision as float32, all else as it is."""
    return tensor.float() if tensor.dtype in HALF else tensor


def result_dtype(tensor: Tensor) -> torch.dtype:
    """Return the dtype of a loss: that of its input, but float32 for half under autocast."""
    if tensor.dtype in HALF and torch.is_autocast_enabled(tensor.device.type):
        return torch.float32
    return tensor.dtype
