"""Maps from a logit to a better logit, applied after a model: what is known of the population.

Each keeps the order of forecasts. Models store them; fits do not know them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.errors import ArgumentError, ModelError
from logloss.formulas import check_options

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


@dataclass(frozen=True)
class Temperature:
    """Logits divided by one number, so that they are as sure as they are right [1]_.

        logit ↦ logit / temperature

    Parameters
    ----------
    temperature : float
        Above 0: above 1 draws forecasts towards one half, below 1 away from it.

    Raises
    ------
    ArgumentError
        If it is not finite and above 0.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural
       networks", ICML 2017, https://arxiv.org/abs/1706.04599

    Examples
    --------
    >>> from logloss.recalibration import Temperature
    >>> Temperature(2.0)([-4.0, 0.0, 4.0]).tolist()
    [-2.0, 0.0, 2.0]
    """

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ArgumentError(
                f"temperature must be finite and above 0; got {self.temperature!r}."
            )

    @classmethod
    def learn(
        cls,
        y_true: npt.ArrayLike,
        logits: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        spread: float = math.inf,
    ) -> Self:
        """Find the temperature of least log loss, between 1/8 and 8.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels in [0, 1], of rows that the model was not trained on.
        logits : array-like of shape (n,)
            What it says of them; finite.
        sample_weight : array-like of shape (n,), optional
            Not negative.
        spread : float, default=inf
            Standard deviation of a normal prior on 1/temperature, about 1: what is known before
            the rows are seen, so that a few that happen to be told apart do not say that all
            others will be.

        Examples
        --------
        >>> from logloss.recalibration import Temperature
        >>> learned = Temperature.learn([0, 1, 1, 1], [3.0, 3.0, 3.0, 3.0])
        >>> round(float(learned([3.0])[0]), 6)  # log-odds of three in four
        1.098612
        """
        z = np.asarray(logits, np.float64)
        y = np.asarray(y_true, np.float64)
        weight = np.ones_like(z) if sample_weight is None else np.asarray(sample_weight)
        low, high = 0.125, 8.0
        # the loss is convex in the factor: halve the interval that holds its lowest point
        for _ in range(60):
            factor = (low + high) / 2
            slope = float(weight @ (z * (kernel.sigmoid(factor * z) - y)))
            slope += (factor - 1) / spread**2
            low, high = (factor, high) if slope < 0 else (low, factor)
        return cls(2 / (low + high))

    def __call__(self, logits: npt.ArrayLike) -> FloatArray:
        """Return the corrected logits, in the shape of `logits`."""
        return np.asarray(np.asarray(logits, np.float64) / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {"kind": "temperature", **asdict(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a map; ModelError if the record does not hold one."""
        return _rebuilt(cls, "temperature", record, ("temperature",))


@dataclass(frozen=True)
class FocalCorrection:
    r"""Log-odds from what a weighted focal loss makes of logits [1]_.

    A network that minimises the focal loss, its positives weighted by `pos_weight`, does not
    say log-odds; where the loss of p and that of 1 − p balance,

    .. math:: z \mapsto (\gamma - 1) z + \log\frac{e^{z} + \gamma \log(1 + e^{z})}
              {e^{-z} + \gamma \log(1 + e^{-z})} - \log \text{pos\_weight}

    are the log-odds that it knows of.

    Parameters
    ----------
    gamma : float, default=0.0
        Focusing parameter of the loss, in [0, 1e9]; 0 is the log loss.
    pos_weight : float, default=1.0
        What positives counted in training, above 0.

    Raises
    ------
    ArgumentError
        If one is out of range.

    References
    ----------
    .. [1] N. Charoenphakdee, J. Vongkulbhisal, N. Chairatanakul, M. Sugiyama, "On focal loss
       for class-posterior probability estimation", CVPR 2021, https://arxiv.org/abs/2011.09172

    Examples
    --------
    >>> from logloss.recalibration import FocalCorrection
    >>> FocalCorrection(gamma=2.0)([-1.0, 0.0, 1.0]).round(3).tolist()
    [-2.682, 0.0, 2.682]
    """

    gamma: float = 0.0
    pos_weight: float = 1.0

    def __post_init__(self) -> None:
        check_options(label_smoothing=0.0, gamma=self.gamma)
        if not 0 < self.pos_weight < math.inf:
            raise ArgumentError(f"pos_weight must be finite and above 0; got {self.pos_weight!r}.")

    def __call__(self, logits: npt.ArrayLike) -> FloatArray:
        """Return the corrected logits, in the shape of `logits`."""
        z = np.asarray(logits, np.float64)
        corrected = z
        if self.gamma:
            rising, falling = self._side(z), self._side(-z)
            corrected = (self.gamma - 1) * z + rising - falling
        return np.asarray(corrected - math.log(self.pos_weight))

    def _side(self, z: FloatArray) -> FloatArray:
        """Return log(e^z + gamma·log(1 + e^z)), where neither of the two overflows."""
        with np.errstate(divide="ignore"):  # far below zero, log(1 + e^z) is e^z
            softplus = np.where(z < -30, z, np.log(np.logaddexp(0, z)))
        return np.asarray(np.logaddexp(z, math.log(self.gamma) + softplus))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {"kind": "focal", **asdict(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a map; ModelError if the record does not hold one."""
        return _rebuilt(cls, "focal", record, ("gamma", "pos_weight"))


@dataclass(frozen=True)
class Chain:
    """Maps that are applied one after the other.

    Parameters
    ----------
    maps : tuple of PriorCorrection, Temperature or FocalCorrection
        The first is applied first.
    """

    maps: tuple[PriorCorrection | Temperature | FocalCorrection, ...] = ()

    def __call__(self, logits: npt.ArrayLike) -> FloatArray:
        """Return the corrected logits, in the shape of `logits`."""
        z = np.asarray(logits, np.float64)
        for one in self.maps:
            z = one(z)
        return z

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {"kind": "chain", "maps": [one.to_dict() for one in self.maps]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild the maps; ModelError if the record does not hold them."""
        kinds: dict[str, Any] = {
            "prior": PriorCorrection,
            "temperature": Temperature,
            "focal": FocalCorrection,
        }
        try:
            if record["kind"] != "chain":
                raise ValueError(f"kind {record['kind']!r}")
            return cls(tuple(kinds[one["kind"]].from_dict(one) for one in record["maps"]))
        except ModelError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's recalibration cannot be read: {error!r}") from error


_Map = TypeVar("_Map")


def _rebuilt(
    cls: Callable[..., _Map], kind: str, record: Mapping[str, Any], names: tuple[str, ...]
) -> _Map:
    try:
        if record["kind"] != kind:
            raise ValueError(f"kind {record['kind']!r}")
        return cls(*(float(record[name]) for name in names))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the model's recalibration cannot be read: {error!r}") from error


def _log_odds(rate: float) -> float:
    return math.log(rate) - math.log1p(-rate)
