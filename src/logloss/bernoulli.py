"""Functions of one coin, elementwise: sigmoid and logit, entropy and divergence.

Losses, which compare labels with forecasts and sum over rows, live in `losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.arrays import common_shape, floats, place
from logloss.errors import LabelError, ProbabilityError, RowError
from logloss.reduction import as_scalar

FloatArray = npt.NDArray[np.floating]


def sigmoid(x: npt.ArrayLike) -> Any:
    r"""Map logits to probabilities, :math:`\sigma(x) = 1/(1 + e^{-x})`.

    Parameters
    ----------
    x : array-like
        Any float; NaN stays NaN.

    Returns
    -------
    float or ndarray
        In [0, 1], of the shape of `x`; exactly 0 and 1 at −inf and +inf.

    Examples
    --------
    >>> from logloss import sigmoid
    >>> sigmoid([-float("inf"), 0.0, float("inf")])
    array([0. , 0.5, 1. ])
    """
    return _mapped(kernel.sigmoid, floats(x, "x"))


def logit(p: npt.ArrayLike) -> Any:
    r"""Map probabilities to logits, :math:`\log\frac{p}{1-p}`; the inverse of `sigmoid`.

    Parameters
    ----------
    p : array-like
        In [0, 1]; NaN stays NaN.

    Returns
    -------
    float or ndarray
        Of the shape of `p`; exactly −inf and +inf at 0 and 1.

    Raises
    ------
    ProbabilityError
        If a value lies outside [0, 1].

    Examples
    --------
    >>> from logloss import logit
    >>> logit([0.0, 0.5, 1.0])
    array([-inf,   0.,  inf])
    """
    values = floats(p, "p")
    _check_unit(values, "p")
    return _mapped(kernel.logit, values)


def entropy(p: npt.ArrayLike) -> Any:
    r"""Entropy of a coin, :math:`H(p) = -p \log p - (1-p) \log(1-p)`, in nats, elementwise.

    It is the least cross-entropy that any forecast of `p` can have: that of `p` itself.

    Parameters
    ----------
    p : array-like
        In [0, 1].

    Returns
    -------
    float or ndarray
        In [0, log 2], of the shape of `p`.

    Raises
    ------
    ProbabilityError
        If a value is NaN or lies outside [0, 1].

    Examples
    --------
    >>> from logloss import entropy
    >>> entropy(0.5)
    0.6931471805599453
    """
    values = floats(p, "p")
    _check_unit(values, "p", nan=True)
    return _mapped(lambda flat: kernel.losses_from_probabilities(flat, flat), values)


def kl_divergence(y: npt.ArrayLike, p: npt.ArrayLike) -> Any:
    r"""Kullback–Leibler divergence of coins, elementwise, in nats.

    .. math:: D(y \,\|\, p) = y \log\frac{y}{p} + (1-y) \log\frac{1-y}{1-p}

    Cross-entropy = entropy + divergence: :math:`\ell(y, p) = H(y) + D(y \,\|\, p)`.

    Parameters
    ----------
    y, p : array-like
        In [0, 1]; shapes broadcast.

    Returns
    -------
    float or ndarray
        At least 0, and 0 where y = p; infinite where p rules out what y allows.

    Raises
    ------
    LabelError, ProbabilityError
        If a value is NaN or lies outside [0, 1].

    Examples
    --------
    >>> from logloss import kl_divergence
    >>> kl_divergence([0.0, 0.5, 0.5], [0.0, 0.5, 0.0])
    array([ 0.,  0., inf])
    """
    labels, forecasts = floats(y, "y"), floats(p, "p")
    common_shape({"y": labels.shape, "p": forecasts.shape})
    _check_unit(labels, "y", nan=True, error=LabelError)
    _check_unit(forecasts, "p", nan=True)
    both = np.broadcast_arrays(labels.astype(np.float64), forecasts.astype(np.float64))
    return as_scalar(np.asarray(_divergence(*both)))


def _divergence(y: FloatArray, p: FloatArray) -> FloatArray:
    """Σ (q − x) − x·log(q/x) over both classes: the linear parts sum to 0.

    Near x that is x·(r − log1p(r)) with r = (q − x)/x, whose parts cancel in the series.
    """
    total = np.zeros_like(y)
    for of, other, change in ((y, p, p - y), (1 - y, 1 - p, y - p)):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = change / of
            near = of * _excess_series(ratio)
            far = change - of * _log_quotient(other, of)
        total += np.where(of == 0, change, np.where(np.abs(ratio) < 0.5, near, far))
    return total


def _log_quotient(a: FloatArray, b: FloatArray) -> FloatArray:
    """log(a/b), also where a/b is beyond the range of doubles."""
    (a_part, a_power), (b_part, b_power) = np.frexp(a), np.frexp(b)
    logarithm: FloatArray = np.log(a_part / b_part) + (a_power - b_power) * np.log(2.0)
    return logarithm


def _excess_series(ratio: FloatArray) -> FloatArray:
    """Return r − log1p(r) = r·s − 2s³(1/3 + s²/5 + …) with s = r/(2 + r), for |r| < ½."""
    s = ratio / (2 + ratio)
    series = np.zeros_like(s)
    for k in range(15, 0, -1):  # |s| < 1/3: s³⁰/31 is below 2⁻⁵³
        series = series * s * s + 1 / (2 * k + 1)
    return ratio * s - 2 * s**3 * series


def _mapped(function: Callable[[FloatArray], FloatArray], values: FloatArray) -> Any:
    flat = np.ascontiguousarray(values).reshape(-1)
    return as_scalar(function(flat).reshape(values.shape))


def _check_unit(
    values: FloatArray, name: str, *, nan: bool = False, error: type[RowError] = ProbabilityError
) -> None:
    """Raise unless all values lie in [0, 1]; with `nan`, for NaN too."""
    bad = ~((values >= 0) & (values <= 1)) if nan else (values < 0) | (values > 1)
    if np.any(bad):
        at = tuple(map(int, np.argwhere(bad)[0]))
        value = values[at].item()
        raise error(f"{name} must lie in [0, 1]; {place(name, at)} is {value!r}.", at, value)
