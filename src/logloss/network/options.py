"""What `NetworkClassifier` is told, checked: options, and the weights of rows."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, check_consistent_length

from logloss.errors import ArgumentError, WeightError
from logloss.network.module import Architecture
from logloss.network.quality import options_of
from logloss.network.recipe import Recipe

if TYPE_CHECKING:
    from logloss.network.estimator import NetworkClassifier


def checked_options(estimator: NetworkClassifier) -> tuple[Architecture, Recipe]:
    """Check an estimator's options, and fill in those that `quality` decides.

    Raises
    ------
    ArgumentError
        If one is out of its domain.
    """
    chosen = options_of(estimator.quality)
    for name in ("batch_size", "patience", "members", "epochs"):
        value = getattr(estimator, name)
        optional = value is None and name != "patience"
        if not optional and (not isinstance(value, Integral) or value < 1):
            raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")
    for name in ("learning_rate", "weight_decay", "clip_norm", "pos_weight", "gamma"):
        value = getattr(estimator, name)
        if not isinstance(value, Real) or not 0 <= float(value) < np.inf:
            raise ArgumentError(f"{name} must be a finite number of at least 0, not {value!r}")
    hidden: Any = estimator.hidden
    widths = (hidden,) if isinstance(hidden, Integral) else tuple(hidden)
    if not all(isinstance(width, Integral) and int(width) > 0 for width in widths):
        raise ArgumentError(f"hidden must be whole numbers of at least 1, not {hidden!r}")
    members, epochs, batch_size = estimator.members, estimator.epochs, estimator.batch_size
    architecture = Architecture(
        hidden=tuple(map(int, widths)),
        activation=estimator.activation,
        dropout=float(estimator.dropout),
        normalization=estimator.normalization,
        residual=bool(estimator.residual),
        linear=bool(estimator.linear),
        members=int(chosen["members"] if members is None else members),
        numbers=estimator.numbers,
    )
    recipe = Recipe(
        learning_rate=float(estimator.learning_rate),
        weight_decay=float(estimator.weight_decay),
        batch_size=None if batch_size is None else int(batch_size),
        epochs=int(chosen["epochs"] if epochs is None else epochs),
        most_steps=chosen["steps"] if epochs is None else None,
        patience=int(estimator.patience),
        clip_norm=float(estimator.clip_norm),
        pos_weight=float(estimator.pos_weight),
        gamma=float(estimator.gamma),
    )
    return architecture, recipe


def checked_weight(
    sample_weight: npt.ArrayLike | None, X: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return row weights that were checked, ones by default.

    Raises
    ------
    ValueError
        From scikit-learn: they are not finite numbers, or not one for each row.
    WeightError
        If one is negative, or all are zero.
    """
    if sample_weight is None:
        return np.ones(len(X))
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.ndim != 1:
        raise ValueError(f"sample_weight must be 1D; it has {weight.ndim} dimensions")
    check_consistent_length(X, weight)
    if weight.min() < 0:
        index = int(weight.argmin())
        raise WeightError(
            f"sample_weight must not be negative; row {index} has {weight[index]:g}",
            index,
            weight[index],
        )
    if weight.sum() == 0:
        raise WeightError("sample_weight must have a positive sum; all weights are zero")
    checked: npt.NDArray[np.float64] = weight
    return checked
