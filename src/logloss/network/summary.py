"""What the training of a network on a table found, in figures that need no torch to be read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from logloss.errors import ModelError
from logloss.files import counted


@dataclass(frozen=True)
class NetworkSummary:
    """A trained network, in figures.

    Attributes
    ----------
    n, weight, base_rate : int, float, float
        Rows of positive weight, Σw, and Σwy/Σw.
    made_of : str
        The architecture, in words.
    n_parameters : int
        Number of weights.
    status : {"early stopping", "all epochs", "diverged"}
        Why training ended.
    best_epoch : int
        The pass whose weights were kept.
    training, validation : tuple of float
        Log loss after every pass, in nats, of rows trained on and of rows held out; the first
        is that of the base rate.
    notes : tuple of str
        What was done to the probabilities.
    """

    n: int
    weight: float
    base_rate: float
    made_of: str
    n_parameters: int
    status: str
    best_epoch: int
    training: tuple[float, ...]
    validation: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def training_loss_(self) -> npt.NDArray[np.float64]:
        """The training losses, as `plot_training` draws them."""
        return np.array(self.training)

    @property
    def validation_loss_(self) -> npt.NDArray[np.float64]:
        """The validation losses, as `plot_training` draws them."""
        return np.array(self.validation)

    @property
    def ending(self) -> str:
        """How training ended, in a line."""
        held_out = self.validation[self.best_epoch]
        said = "nothing held out" if math.isnan(held_out) else f"{held_out:.4f} nats held out"
        return (
            f"{self.status}: {counted(len(self.training) - 1, 'epoch')}, weights of epoch "
            f"{self.best_epoch}, {said}"
        )

    def __str__(self) -> str:
        """Return the losses along the way, and the notes."""
        last = len(self.training) - 1
        shown = sorted({0, 1, last, self.best_epoch, *range(0, last, max(1, last // 8))} - {-1})
        lines = [f"{self.made_of}, {self.n_parameters:,} weights", "epoch   trained on   held out"]
        lines += [
            f"{epoch:5} {self.training[epoch]:12.4f} {self.validation[epoch]:10.4f}"
            for epoch in shown
            if epoch <= last
        ]
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {
            "n": self.n,
            "weight": self.weight,
            "base_rate": self.base_rate,
            "made_of": self.made_of,
            "n_parameters": self.n_parameters,
            "status": self.status,
            "best_epoch": self.best_epoch,
            "training": list(self.training),
            "validation": list(self.validation),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a summary; ModelError if the record does not hold one."""
        try:
            found = cls(
                int(record["n"]),
                float(record["weight"]),
                float(record["base_rate"]),
                str(record["made_of"]),
                int(record["n_parameters"]),
                str(record["status"]),
                int(record["best_epoch"]),
                tuple(map(float, record["training"])),
                tuple(map(float, record["validation"])),
                tuple(map(str, record["notes"])),
            )
            if not 0 <= found.best_epoch < min(len(found.training), len(found.validation)):
                raise ValueError(f"epoch {found.best_epoch} is not in the history")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's summary cannot be read: {error!r}") from error
        return found
