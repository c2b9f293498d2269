"""Losses of rows and their derivatives, sigmoid and logit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from logloss.kernel import level
from logloss.kernel.level import _core
from logloss.kernel.sums import ExactSum
from logloss.outputs import blank

FloatArray = npt.NDArray[np.floating]
Real = TypeVar("Real", bound=np.floating)
_UNCLIPPED = (0.0, 1.0, math.inf)


class Faults(NamedTuple):
    """First rows that break a rule; −1 where none does."""

    label: int
    score: int
    weight: int


def losses_from_logits(y: npt.NDArray[Any], logits: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Loss of each row, in the dtype of the logits."""
    loss = blank(logits.shape, logits.dtype)
    level.KERNELS.losses_from_logits(y, logits, None, None, 0.0, loss, None, None, None, 0.0)
    return loss


def loss_derivatives(
    y: npt.NDArray[Any], logits: npt.NDArray[Real]
) -> tuple[npt.NDArray[Real], npt.NDArray[Real], npt.NDArray[Real]]:
    """Loss of each row with its first and second derivative, sharing one exponential."""
    loss, gradient, hessian = (blank(logits.shape, logits.dtype) for _ in range(3))
    level.KERNELS.losses_from_logits(y, logits, None, None, 0.0, loss, gradient, hessian, None, 0.0)
    return loss, gradient, hessian


def losses_from_probabilities(y: npt.NDArray[Any], p: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Loss of each row, in the dtype of the probabilities."""
    loss = blank(p.shape, p.dtype)
    level.KERNELS.losses_from_probabilities(y, p, None, None, 0.0, loss, None, None, _UNCLIPPED)
    return loss


def sigmoid(x: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """1/(1 + exp(−x)) of each value."""
    out = blank(x.shape, x.dtype)
    level.KERNELS.sigmoid(x, out)
    return out


def logit(p: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """log(p/(1 − p)) of each value."""
    out = blank(p.shape, p.dtype)
    level.KERNELS.logit(p, out)
    return out


@dataclass(frozen=True)
class Rows:
    """One run of rows for the general entry points, all arrays of one length.

    Attributes
    ----------
    y, scores : ndarray of shape (n,)
        Labels, and logits or probabilities of float32 or float64.
    weight, pos_weight : ndarray of shape (n,), optional
    smoothing : float
    gamma : float
        For logits: the focusing parameter of the focal loss.
    clip : tuple of float
        For probabilities: lowest, highest, and the largest −log p.
    loss, gradient, hessian : ndarray of shape (n,), optional
        Contiguous outputs, of the scores' dtype.
    """

    y: npt.NDArray[Any]
    scores: FloatArray
    weight: npt.NDArray[Any] | None = None
    pos_weight: npt.NDArray[Any] | None = None
    smoothing: float = 0.0
    gamma: float = 0.0
    clip: tuple[float, float, float] = _UNCLIPPED
    loss: FloatArray | None = None
    gradient: FloatArray | None = None
    hessian: FloatArray | None = None


def evaluate_logits(rows: Rows, *, total: bool) -> tuple[ExactSum | None, Faults]:
    """Fill the outputs from logits; with `total`, sum the losses exactly."""
    accumulator = _core.ExactSum() if total else None
    faults = level.KERNELS.losses_from_logits(
        rows.y,
        rows.scores,
        rows.weight,
        rows.pos_weight,
        rows.smoothing,
        rows.loss,
        rows.gradient,
        rows.hessian,
        accumulator,
        rows.gamma,
    )
    return None if accumulator is None else ExactSum(accumulator), Faults(*faults)


def evaluate_probabilities(rows: Rows, *, total: bool) -> tuple[ExactSum | None, Faults]:
    """Fill the outputs from probabilities; with `total`, sum the losses exactly."""
    accumulator = _core.ExactSum() if total else None
    faults = level.KERNELS.losses_from_probabilities(
        rows.y,
        rows.scores,
        rows.weight,
        rows.pos_weight,
        rows.smoothing,
        rows.loss,
        rows.gradient,
        accumulator,
        rows.clip,
    )
    return None if accumulator is None else ExactSum(accumulator), Faults(*faults)


#: Mean loss of two plain arrays of one shape, within a microsecond; None where anything is out
#: of the ordinary, for the caller to go the long way, which says what.
quick_mean_from_logits = level.KERNELS.quick_mean_from_logits
quick_mean_from_probabilities = level.KERNELS.quick_mean_from_probabilities
#: The same of labels and logits at two addresses, each with the letter of its dtype in the buffer
#: protocol, with the gradient of the mean written to a third address unless that is 0, and with
#: the number of rows. The caller vouches that as many values of that type lie there, dense.
quick_mean_at = level.KERNELS.quick_mean_at
