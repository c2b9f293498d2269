"""Functions of one coin, elementwise: sigmoid and logit, entropy and divergence.

Losses, which compare labels with forecasts and sum over rows, live in `losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.arrays import floats, operands
from logloss.errors import ProbabilityError
from logloss.kernel import Rows
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
    rows = operands(floats(y, "y"), p, scores_name="y_prob")
    _, faults = kernel.evaluate_probabilities(Rows(rows.y, rows.scores), total=False)
    rows.raise_for(faults)
    values = _divergence(rows.y.astype(np.float64), rows.scores.astype(np.float64))
    return as_scalar(values.reshape(rows.shape))


def _divergence(y: FloatArray, p: FloatArray) -> FloatArray:
    """Σ x·(r − log1p(r)) over both classes, r = (q − x)/x: the linear parts cancel exactly."""
    total = np.zeros_like(y)
    for of, change in ((y, p - y), (1 - y, y - p)):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = change / of
            inner = np.where(np.abs(ratio) < 0.5, _excess_series(ratio), ratio - np.log1p(ratio))
            total += np.where(of == 0, change, np.where(ratio <= -1, np.inf, of * inner))
    return total


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


def _check_unit(values: FloatArray, name: str, *, nan: bool = False) -> None:
    """Raise unless all values lie in [0, 1]; with `nan`, for NaN too."""
    bad = ~((values >= 0) & (values <= 1)) if nan else (values < 0) | (values > 1)
    if np.any(bad):
        at = tuple(map(int, np.argwhere(bad)[0]))
        value = values[at].item()
        where = ", ".join(map(str, at))
        raise ProbabilityError(
            f"{name} must lie in [0, 1]; {name}[{where}] is {value!r}.", at, value
        )
