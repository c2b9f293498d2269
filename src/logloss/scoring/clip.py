"""Clip policies of a score: what peers do to probabilities of 0 and 1, and how often."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from logloss.errors import ArgumentError

#: None clips nothing; a number clips p to [clip, 1 − clip]; a name does as that library.
Clip = float | Literal["sklearn", "keras", "torch"] | None

#: torch.nn.BCELoss clamps the logarithm at −100, not the probability.
TORCH_LIMIT = 100.0
#: keras.backend.epsilon().
_KERAS_EPSILON = 1e-7


def check_clip(clip: object, prob: str | None) -> None:
    """Raise ArgumentError unless `clip` is a policy, and one that has something to clip."""
    number = isinstance(clip, int | float) and not isinstance(clip, bool) and 0 < clip < 0.5
    if clip is not None and clip not in ("sklearn", "keras", "torch") and not number:
        raise ArgumentError(
            "`clip` must be None, a number between 0 and 0.5, 'sklearn', 'keras' or "
            f"'torch'; got {clip!r}"
        )
    if clip is not None and prob is None:
        raise ArgumentError("`clip` goes with `prob`: the loss of a finite logit is finite")


def clip_probabilities(p: npt.NDArray[Any], clip: Clip) -> npt.NDArray[Any]:
    """Return the probabilities that the policy puts in place of `p`, in its dtype."""
    if clip is None or clip == "torch":
        return p
    if clip == "sklearn":
        epsilon = float(np.finfo(p.dtype).eps)
    elif clip == "keras":
        epsilon = _KERAS_EPSILON
    else:
        epsilon = float(clip)
    low = p.dtype.type(epsilon)
    return np.clip(p, low, p.dtype.type(1) - low)
