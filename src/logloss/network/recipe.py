"""How a network is trained: the options of the optimiser, and the learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from logloss.errors import ArgumentError
from logloss.formulas import check_options


@dataclass(frozen=True)
class Recipe:
    """Options of the training.

    Attributes
    ----------
    learning_rate : float
        Largest rate of AdamW; it is reached after the warm-up and falls along a cosine.
    weight_decay : float
        Share of a weight of the layers and of the linear term that a step of rate 1 takes away;
        biases and what is learned of single levels are free of it.
    batch_size : int or None
        Rows of a step; None is a fiftieth of the rows, from 128 to 1,024.
    epochs : int
        Most passes over the rows.
    min_steps : int
        Where `epochs` passes are fewer steps than these, there are more passes.
    most_steps : int or None
        Where `epochs` passes are more steps than these, there are fewer passes.
    patience : int
        Passes without a better validation loss after which training ends.
    warm_up : float
        Share of all steps in which the rate rises, in [0, 1].
    clip_norm : float
        Longest gradient, for each member.
    pos_weight : float
        Factor of the loss of positive rows.
    gamma : float
        Focusing parameter of the focal loss; 0 is the log loss.

    Raises
    ------
    ArgumentError
        If one is out of its domain.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1.5
    batch_size: int | None = None
    epochs: int = 100
    min_steps: int = 400
    most_steps: int | None = None
    patience: int = 16
    warm_up: float = 0.02
    clip_norm: float = 1.0
    pos_weight: float = 1.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "most_steps", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"{name} must be at least 1; got {value!r}")
        for name in ("learning_rate", "clip_norm", "pos_weight"):
            if not 0 < getattr(self, name) < math.inf:
                raise ArgumentError(
                    f"{name} must be finite and above 0; got {getattr(self, name)!r}"
                )
        check_options(label_smoothing=0.0, gamma=self.gamma)
        for name in ("weight_decay", "warm_up"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ArgumentError(
                    f"{name} must be finite and at least 0; got {getattr(self, name)!r}"
                )

    def batches(self, n_rows: int, of: int) -> list[slice]:
        """Cut some of the rows into batches of nearly one size, none of which is a small rest.

        Parameters
        ----------
        n_rows : int
            How many are cut.
        of : int
            How many there are in all, from which the size follows.
        """
        size = self.batch_size or min(max(of // 50, 128), 1024)
        count = min(n_rows, max(1, round(n_rows / size)))
        edges = [n_rows * k // count for k in range(count + 1)] if count else []
        return [slice(a, b) for a, b in pairwise(edges)]

    def passes(self, n_batches: int) -> int:
        """Return the most passes, where each has so many batches."""
        most = max(self.epochs, math.ceil(self.min_steps / n_batches))
        return most if self.most_steps is None else min(most, -(-self.most_steps // n_batches))

    def rate(self, step: int, n_steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of so many."""
        warm = max(1, round(self.warm_up * n_steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        done = (step - warm) / max(1, n_steps - warm)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
