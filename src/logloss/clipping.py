"""Clip policies: what peers do to probabilities of 0 and 1. Nothing is clipped unless asked."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from logloss.errors import ArgumentError

#: None clips nothing; a number clips p to [clip, 1 − clip]; a name does as that library.
Clip = float | Literal["sklearn", "keras", "torch"] | None

#: torch.nn.BCELoss clamps the logarithm at −100, not the probability.
TORCH_LIMIT = 100.0
#: keras.backend.epsilon().
_KERAS_EPSILON = 1e-7


class Bounds(NamedTuple):
    """What a policy does in one dtype: p is moved into [low, high], −log p to `limit` at most."""

    low: float = 0.0
    high: float = 1.0
    limit: float = math.inf


def check_clip(clip: object, prob: object = "") -> None:
    """Raise ArgumentError unless `clip` is a policy, and one that has something to clip."""
    number = isinstance(clip, int | float) and not isinstance(clip, bool) and 0 < clip < 0.5
    if clip is not None and clip not in ("sklearn", "keras", "torch") and not number:
        raise ArgumentError(
            "`clip` must be None, a number between 0 and 0.5, 'sklearn', 'keras' or "
            f"'torch'; got {clip!r}"
        )
    if clip is not None and prob is None:
        raise ArgumentError("`clip` goes with `prob`: the loss of a finite logit is finite")


def clip_bounds(clip: Clip, dtype: npt.DTypeLike) -> Bounds:
    """Return what a policy does to probabilities of `dtype`, in whose arithmetic it is done."""
    if clip is None:
        return Bounds()
    if clip == "torch":
        return Bounds(limit=TORCH_LIMIT)
    real: type[Any] = np.dtype(dtype).type
    named = {"sklearn": float(np.finfo(real).eps), "keras": _KERAS_EPSILON}
    low = real(named[clip] if isinstance(clip, str) else clip)
    return Bounds(float(low), float(real(1) - low))


def clip_probabilities(p: npt.NDArray[Any], clip: Clip) -> npt.NDArray[Any]:
    """Return the probabilities that the policy puts in place of `p`, in its dtype."""
    low, high, _ = clip_bounds(clip, p.dtype)
    clipped: npt.NDArray[Any] = np.clip(p, p.dtype.type(low), p.dtype.type(high))
    return clipped
