"""Sigmoid and logit with full precision in their tails, as functions and as derivatives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from logloss.jax.elementwise import quotient
from logloss.jax.operands import floats


def sigmoid(x: Any) -> Any:
    r"""Map logits to probabilities, :math:`\sigma(x) = 1/(1 + e^{-x})`.

    Parameters
    ----------
    x : array-like
        Any real dtype; NaN stays NaN.

    Returns
    -------
    jax.Array
        In [0, 1], of the shape of `x`; exactly 0 and 1 at −inf and +inf. Half precision is
        computed, and returned, in float32.

    Raises
    ------
    ArgumentError
        If the dtype is not a real one.

    Notes
    -----
    The derivative is :math:`\sigma(x)\,\sigma(-x)`. That of `jax.nn.sigmoid`,
    :math:`\sigma(x)(1 - \sigma(x))`, is 0 in float32 from x = 17 on.

    Examples
    --------
    >>> import jax
    >>> from logloss.jax import sigmoid
    >>> sigmoid(0.0)
    Array(0.5, dtype=float32)
    >>> print(f"{jax.grad(sigmoid)(20.0):.4e}")
    2.0612e-09
    """
    return _sigmoid(floats(x, "x"))


def logit(p: Any) -> Any:
    r"""Map probabilities to logits, :math:`\log\frac{p}{1-p}`; the inverse of `sigmoid`.

    Parameters
    ----------
    p : array-like
        In [0, 1]; NaN for what is not.

    Returns
    -------
    jax.Array
        Of the shape of `p`; exactly −inf and +inf at 0 and 1. Half precision is computed,
        and returned, in float32.

    Raises
    ------
    ArgumentError
        If the dtype is not a real one.

    Notes
    -----
    Around ½ it is :math:`\pm\log(1 + |2p - 1| / \min(p, 1 - p))`: the logarithm of a quotient
    that is almost 1, as in `jax.scipy.special.logit`, has lost most of its digits there.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from logloss.jax import logit
    >>> logit(jnp.array([0.0, 0.5, 1.0]))
    Array([-inf,   0.,  inf], dtype=float32)
    """
    return _logit(floats(p, "p"))


def _sigmoid_of(x: Any) -> Any:
    e = jnp.exp(-jnp.abs(x))
    return jnp.where(x >= 0, 1.0, e) / (1 + e)


def _slope_of_sigmoid(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (x,), (dx,) = primals, tangents
    right, left = _smooth_sigmoid(x), _smooth_sigmoid(-x)
    return right, right * left * dx


def _logit_of(p: Any) -> Any:
    centred, rarer = 2 * p - 1, jnp.minimum(p, 1 - p)  # exact, from ¼ to ¾
    middle = jnp.abs(centred) < 0.5
    # the quotient of both probabilities is 1 + |centred|/rarer, or its inverse
    near = jnp.sign(centred) * jnp.log1p(jnp.abs(centred) / rarer)
    return jnp.where(middle, near, jnp.log(p) - jnp.log1p(-p))


def _slope_of_logit(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (p,), (dp,) = primals, tangents
    return _smooth_logit(p), (quotient(1.0, p) + quotient(1.0, 1 - p)) * dp


_smooth_sigmoid = jax.custom_jvp(_sigmoid_of)
_smooth_sigmoid.defjvp(_slope_of_sigmoid)
_smooth_logit = jax.custom_jvp(_logit_of)
_smooth_logit.defjvp(_slope_of_logit)
_sigmoid = jax.jit(_smooth_sigmoid)
_logit = jax.jit(_smooth_logit)
