"""What is computed: the data, and the answer that everyone must give before time counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Float32 means of peers: torch and NumPy sum in blocks, and err by 1e-6 or so.
MEAN_TOLERANCE = 1e-5
#: Gradients lie in [−1, 1]; peers lose what is below a few float32 roundings.
GRADIENT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Data:
    """float32 rows: labels 0 and 1 (as integers, and as the floats that torch asks for)."""

    labels: npt.NDArray[np.int8]
    y: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]

    @classmethod
    def draw(cls, n_rows: int) -> Data:
        """Draw calibrated forecasts; the same ones in every run."""
        rng = np.random.default_rng(0)
        logits = rng.normal(0, 3, n_rows).astype(np.float32)
        probabilities = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
        # inside (0, 1), where all agree on what a loss is
        probabilities = np.clip(probabilities, np.float32(1e-6), np.float32(1 - 1e-6))
        labels = (rng.random(n_rows) < probabilities).astype(np.int8)
        return cls(labels, labels.astype(np.float32), logits, probabilities)


@dataclass(frozen=True)
class Problem:
    """One thing to compute, by its key in `peers`, and its true answer in float64."""

    key: str
    title: str

    def truth(self, data: Data) -> tuple[Any, ...]:
        """Answer in float64, by formulas that owe nothing to any of the peers."""
        y = data.y.astype(np.float64)
        if self.key == "from_probabilities":
            p = data.probabilities.astype(np.float64)
            return (float(np.mean(-np.log(np.where(y == 1, p, 1 - p)))),)
        z = data.logits.astype(np.float64)
        margin = np.where(y == 1, -z, z)
        mean = float(np.mean(np.maximum(margin, 0) + np.log1p(np.exp(-np.abs(margin)))))
        return (mean,) if self.key == "mean" else (mean, 1 / (1 + np.exp(-z)) - y)

    def check(self, name: str, answer: tuple[Any, ...], truth: tuple[Any, ...]) -> None:
        """Raise ValueError unless `answer` is `truth`, up to float32."""
        close = abs(float(answer[0]) / truth[0] - 1) <= MEAN_TOLERANCE
        for ours, true in zip(answer[1:], truth[1:], strict=True):
            close = close and float(np.max(np.abs(np.asarray(ours) - true))) <= GRADIENT_TOLERANCE
        if not close:
            raise ValueError(f"{name} answers {self.title!r} with {answer}; the truth is {truth}")


PROBLEMS = (
    Problem("mean", "mean loss"),
    Problem("gradient", "mean loss + gradient"),
    Problem("from_probabilities", "mean loss from probabilities"),
)
