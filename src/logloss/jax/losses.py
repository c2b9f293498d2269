"""Binary cross-entropy of JAX arrays: the public functions.

The mathematics is `elementwise`'s, checks and sums are `operands`'; here they are compiled
together, so that a call outside of any jit is one pass, too.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from logloss.clipping import Clip, check_clip, clip_bounds
from logloss.formulas import check_options
from logloss.jax import elementwise
from logloss.jax.elementwise import Options
from logloss.jax.operands import (
    Operands,
    Reduction,
    number,
    operands,
    reduce,
    reduction_of,
    weigh,
)
from logloss.reduction import Axis, Kind


def binary_cross_entropy(
    y_true: Any,
    y_prob: Any,
    *,
    sample_weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    where: Any = None,
    axis: Axis = None,
    reduction: Kind = "mean",
    clip: Clip = None,
) -> Any:
    r"""Binary cross-entropy, or log loss, of probability forecasts.

    .. math:: \ell(y, p) = -\left(y \log p + (1 - y) \log(1 - p)\right)

    with :math:`0 \log 0 = 0`; nothing is clipped unless asked. Where there are logits,
    `binary_cross_entropy_with_logits` is better: probabilities forget what logits know.

    Parameters
    ----------
    y_true : array-like
        Labels in [0, 1]: bool, integers or floats; soft labels are welcome.
    y_prob : array-like
        Probabilities of class 1, in [0, 1]. Shapes broadcast.
    sample_weight, pos_weight, label_smoothing, where, axis, reduction
        As in `binary_cross_entropy_with_logits`.
    clip : float or {"sklearn", "keras", "torch"}, optional
        As in `logloss.binary_cross_entropy`. What is clipped has the derivative 0.

    Returns
    -------
    jax.Array
        In nats; see `binary_cross_entropy_with_logits`.

    Raises
    ------
    ArgumentError
        As in `binary_cross_entropy_with_logits`, or if `clip` is no policy.

    Examples
    --------
    >>> import jax
    >>> from logloss.jax import binary_cross_entropy
    >>> binary_cross_entropy([1, 0], [0.0, 0.0], reduction="none")
    Array([inf,  0.], dtype=float32)
    >>> jax.grad(binary_cross_entropy, 1)(1.0, 0.25)
    Array(-4., dtype=float32, weak_type=True)
    """
    check_clip(clip)
    given = operands(
        y_true,
        y_prob,
        "y_prob",
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    how = reduction_of(reduction, axis, given.shape)
    half = getattr(y_prob, "dtype", None) == jnp.float16
    bounds = clip_bounds(clip, jnp.float16 if half else given.scores.dtype)
    return _from_probabilities(given, Options(_smoothing(label_smoothing), bounds=bounds), how)


def binary_cross_entropy_with_logits(
    y_true: Any,
    logits: Any,
    *,
    sample_weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: Any = None,
    axis: Axis = None,
    reduction: Kind = "mean",
) -> Any:
    r"""Binary cross-entropy of logits :math:`z = \log\frac{p}{1-p}`, right in both tails.

    .. math:: \ell = w\left(A\,\sigma(-z)^\gamma \log(1 + e^{-z})
              + B\,\sigma(z)^\gamma \log(1 + e^{z})\right)

    with :math:`A = \text{pos\_weight} \cdot y` and :math:`B = 1 - y`, after smoothing.

    Parameters
    ----------
    y_true : array-like
        Labels in [0, 1]: bool, integers or floats; soft labels are welcome.
    logits : array-like
        ±inf costs 0 on the right side and infinity on the wrong one, with derivatives that
        are finite on both. Shapes broadcast.
    sample_weight : array-like, optional
        The mean divides by their sum. An entry of weight 0 costs 0, even where its loss is
        infinite.
    pos_weight : array-like, optional
        Factor of the y = 1 term; it does not enter the denominator.
    label_smoothing : float, default=0
        s in [0, 1]: y becomes y(1 − s) + s/2, before `pos_weight` and `sample_weight`.
    gamma : float, default=0
        Focusing parameter of the focal loss (Lin et al. 2017), in [0, 1e9].
    where : array-like of bool, optional
        Entries that count. The others cost 0 and have the derivative 0, whatever they hold.
    axis : int or tuple of int, optional
        Axes to reduce; all by default.
    reduction : {"mean", "sum", "none"}, default="mean"

    Returns
    -------
    jax.Array
        In nats, without axes unless `axis` or ``reduction="none"`` leave some; float64 for
        logits of float64, else float32. A mean in which nothing counts is NaN.

    Raises
    ------
    ArgumentError
        If shapes do not broadcast or hold nothing, a dtype cannot be used, or an option is
        out of range or traced. Values are not checked.

    Notes
    -----
    Every array argument can be differentiated, in both modes and as often as one likes;
    `label_smoothing`, `gamma`, `axis` and `reduction` must be static under `jax.jit`.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from logloss.jax import binary_cross_entropy_with_logits
    >>> y, z = jnp.array([True, False, True]), jnp.array([2.0, -1.0, jnp.inf])
    >>> print(f"{binary_cross_entropy_with_logits(y, z):.6f}")
    0.146730
    >>> jax.grad(binary_cross_entropy_with_logits, 1)(y, z).round(4)
    Array([-0.0397,  0.0896,  0.    ], dtype=float32)
    """
    given = operands(
        y_true,
        logits,
        "logits",
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    how = reduction_of(reduction, axis, given.shape)
    return _from_logits(given, _options(label_smoothing, gamma), how, order=0)[0]


def loss_gradient(
    y_true: Any,
    logits: Any,
    *,
    sample_weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: Any = None,
    axis: Axis = None,
    reduction: Kind = "mean",
) -> tuple[Any, Any]:
    r"""Loss from logits, and its gradient :math:`w(\sigma(z) - y)`, in one pass.

    Parameters
    ----------
    y_true, logits, sample_weight, pos_weight, label_smoothing, gamma, where, axis, reduction
        As in `binary_cross_entropy_with_logits`.

    Returns
    -------
    loss : jax.Array
        As from `binary_cross_entropy_with_logits`.
    gradient : jax.Array
        Elementwise, of the unreduced, weighted loss with respect to the logits; of the
        broadcast shape, 0 where masked.

    Examples
    --------
    >>> from logloss.jax import loss_gradient
    >>> loss, gradient = loss_gradient([1, 0], [0.0, 0.0])
    >>> gradient
    Array([-0.5,  0.5], dtype=float32)
    """
    given = operands(
        y_true,
        logits,
        "logits",
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    how = reduction_of(reduction, axis, given.shape)
    loss, gradient = _from_logits(given, _options(label_smoothing, gamma), how, order=1)
    return loss, gradient


def loss_gradient_hessian(
    y_true: Any,
    logits: Any,
    *,
    sample_weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: Any = None,
    axis: Axis = None,
    reduction: Kind = "mean",
) -> tuple[Any, Any, Any]:
    r"""Loss, gradient and second derivative :math:`w\,\sigma(z)(1 - \sigma(z))`, in one pass.

    Parameters
    ----------
    y_true, logits, sample_weight, pos_weight, label_smoothing, gamma, where, axis, reduction
        As in `binary_cross_entropy_with_logits`.

    Returns
    -------
    loss : jax.Array
    gradient, hessian : jax.Array
        Elementwise, of the unreduced, weighted loss with respect to the logits; of the
        broadcast shape, 0 where masked.

    Examples
    --------
    >>> from logloss.jax import loss_gradient_hessian
    >>> loss, gradient, hessian = loss_gradient_hessian([1, 0], [0.0, 0.0])
    >>> hessian
    Array([0.25, 0.25], dtype=float32)
    """
    given = operands(
        y_true,
        logits,
        "logits",
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    how = reduction_of(reduction, axis, given.shape)
    loss, gradient, hessian = _from_logits(given, _options(label_smoothing, gamma), how, order=2)
    return loss, gradient, hessian


def _options(label_smoothing: Any, gamma: Any) -> Options:
    focus = number(gamma, "gamma")
    check_options(0.0, focus)
    return Options(_smoothing(label_smoothing), focus)


def _smoothing(label_smoothing: Any) -> float:
    smoothing = number(label_smoothing, "label_smoothing")
    check_options(smoothing)
    return smoothing


def _loss_of_logits(
    given: Operands, options: Options, how: Reduction, order: int
) -> tuple[Any, ...]:
    """Reduced loss, then the derivatives of its entries up to `order`."""
    given = given.unmasked(0.0)
    functions = (
        elementwise.loss_from_logits,
        elementwise.gradient_from_logits,
        elementwise.hessian_from_logits,
    )
    losses, *slopes = (
        weigh(given, function(options, given.y, given.pos_weight, given.scores))
        for function in functions[: order + 1]
    )
    return reduce(given, losses, how), *slopes


def _loss_of_probabilities(given: Operands, options: Options, how: Reduction) -> Any:
    low, high, limit = options.bounds
    if (low, high) != (0.0, 1.0):
        given = given._replace(scores=jnp.clip(given.scores, low, high))
    if limit == math.inf:
        given = given.without_idle_ends()
    given = given.unmasked(0.5)
    losses = elementwise.loss_from_probabilities(options, given.y, given.pos_weight, given.scores)
    return reduce(given, weigh(given, losses), how)


_from_logits = partial(jax.jit, static_argnames=("options", "how", "order"))(_loss_of_logits)
_from_probabilities = partial(jax.jit, static_argnames=("options", "how"))(_loss_of_probabilities)
