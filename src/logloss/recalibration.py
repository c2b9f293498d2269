"""Maps from a logit to a better logit, applied after a model: what is known of the population.

Each keeps the order of forecasts. Models store them; fits do not know them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from logloss.errors import ArgumentError, ModelError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PriorCorrection:
    """Logits of a model that was trained at one base rate, for a population of another.

    Rows that were chosen by their class (cases and controls, undersampled negatives), or
    weighted by it (`pos_weight`, balanced classes), multiply all odds by one number, so

        logit ↦ logit − log(sample_rate/(1 − sample_rate)) + log(base_rate/(1 − base_rate))

    gives back the probabilities of the population [1]_.

    Parameters
    ----------
    base_rate : float
        Share of positives in the population, in (0, 1).
    sample_rate : float
        Weighted share of positives in training, in (0, 1).

    Raises
    ------
    ArgumentError
        If a rate is not in (0, 1).

    References
    ----------
    .. [1] G. King, L. Zeng, "Logistic regression in rare events data", Political Analysis 9
       (2001), https://doi.org/10.1093/oxfordjournals.pan.a004868

    Examples
    --------
    >>> import logloss
    >>> correct = logloss.PriorCorrection(base_rate=0.02, sample_rate=0.5)
    >>> round(float(logloss.sigmoid(correct(0.0))), 12)  # a coin toss in a balanced sample
    0.02
    """

    base_rate: float
    sample_rate: float

    def __post_init__(self) -> None:
        for name, rate in (("base_rate", self.base_rate), ("sample_rate", self.sample_rate)):
            if not 0 < rate < 1:
                raise ArgumentError(
                    f"{name} must be between 0 and 1, both excluded; got {rate!r}. It is the "
                    "share of positives, not a percentage."
                )

    @classmethod
    def after_pos_weight(cls, base_rate: float, pos_weight: float) -> Self:
        """Undo a training whose positives counted `pos_weight` times.

        Parameters
        ----------
        base_rate : float
            Share of positives in training and in the population, in (0, 1).
        pos_weight : float
            Above 0.

        Raises
        ------
        ArgumentError
            If either is out of range.

        Examples
        --------
        >>> from logloss import PriorCorrection
        >>> round(PriorCorrection.after_pos_weight(0.02, 49.0).sample_rate, 12)
        0.5
        """
        if not 0 < pos_weight < math.inf:
            raise ArgumentError(f"pos_weight must be finite and above 0; got {pos_weight!r}.")
        positives = base_rate * pos_weight
        return cls(base_rate, positives / (positives + 1 - base_rate))

    @property
    def shift(self) -> float:
        """What is added to each logit."""
        return _log_odds(self.base_rate) - _log_odds(self.sample_rate)

    def __call__(self, logits: npt.ArrayLike) -> FloatArray:
        """Return the corrected logits, in the shape of `logits`."""
        return np.asarray(np.asarray(logits, np.float64) + self.shift)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {"kind": "prior", **asdict(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a map; ModelError if the record does not hold one."""
        try:
            if record["kind"] != "prior":
                raise ValueError(f"kind {record['kind']!r}")
            return cls(float(record["base_rate"]), float(record["sample_rate"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's recalibration cannot be read: {error!r}") from error


def _log_odds(rate: float) -> float:
    return math.log(rate) - math.log1p(-rate)
