"""Targets of estimators, which come as arrays: classes of any type, or proportions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from logloss.errors import ArgumentError


def encode_labels(y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return the two classes, and each row's target as a number in [0, 1].

    Parameters
    ----------
    y : ndarray of shape (n,)
        Two values of any type, of which the second in order is positive; or proportions
        in [0, 1], whose classes are 0 and 1.

    Raises
    ------
    ValueError
        As scikit-learn words it, for a continuous target outside [0, 1] or a third class.
    ArgumentError
        If there is one class only.
    """
    found = _two_numbers(y)
    if found is not None:
        return found, (y == found[1]).astype(np.float64)
    kind = type_of_target(y, input_name="y")
    if kind == "continuous" and y.min() >= 0 and y.max() <= 1:
        return np.array([0, 1]), y.astype(np.float64)
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) > 2:
        raise ValueError(
            f"Only binary classification is supported. The type of the target is {kind}, "
            f"with {len(classes)} classes."
        )
    if len(classes) < 2:
        only = classes.tolist()[0]
        raise ArgumentError(f"y must hold two classes; it holds one class: {only!r}.")
    return classes, codes.astype(np.float64)


def _two_numbers(y: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return the two whole numbers that all labels are, without sorting; None for others."""
    if y.dtype.kind not in "biuf" or not y.size:
        return None
    low, high = y.min(), y.max()
    if not low < high or (y.dtype.kind == "f" and not (low.is_integer() and high.is_integer())):
        return None
    return np.array([low, high]) if np.all((y == low) | (y == high)) else None
