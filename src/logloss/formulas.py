"""The mathematics of the loss on an array namespace, for devices that the kernel does not reach.

The same formulas as cpp/bernoulli.hpp, written with whole arrays: `xp` is numpy, torch or
jax.numpy. Every function is differentiable as often as one likes, and right at ±inf: where a
branch is not taken, its operand is replaced before the operation, so that no NaN comes back.
"""

from __future__ import annotations

from typing import Any

from logloss.errors import ArgumentError

#: Largest focusing parameter: its square, times any logit, is finite in float32.
_MOST_GAMMA = 1e9
#: Logits beyond this are at their limits in float64 as far as exp(−|z|)·|z| goes.
_FAR = 800.0


def check_options(label_smoothing: float, gamma: float = 0.0) -> None:
    """Raise ArgumentError for a smoothing or a focusing parameter that is out of range."""
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing must lie in [0, 1]; got {label_smoothing!r}.")
    if not 0 <= gamma <= _MOST_GAMMA:
        raise ArgumentError(f"gamma must lie in [0, {_MOST_GAMMA:g}]; got {gamma!r}.")


def label_masses(y: Any, pos_weight: Any = None, label_smoothing: float = 0.0) -> tuple[Any, Any]:
    """Weights A and B of the two terms: smoothing y(1 − s) + s/2 first, then pos_weight on A."""
    if label_smoothing:
        y = y * (1 - label_smoothing) + 0.5 * label_smoothing
    return (y if pos_weight is None else y * pos_weight), 1 - y


def loss_from_logits(
    y: Any,
    logits: Any,
    xp: Any,
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Any:
    """Elementwise loss in nats, A·softplus(−z) + B·softplus(z), each term times σ(∓z)^γ.

    Parameters
    ----------
    y : array of shape (...)
        Labels in [0, 1].
    logits : array of shape (...)
        Any float; ±inf gives 0 on the right side and inf on the wrong one.
    xp : module
        The arrays' namespace: numpy, torch or jax.numpy.
    pos_weight : array or float, optional
        Factor of the y = 1 term.
    label_smoothing : float, default=0
    gamma : float, default=0
        Focusing parameter of the focal loss.

    Returns
    -------
    array of shape (...)
    """
    positive, negative = label_masses(y, pos_weight, label_smoothing)
    right = logits >= 0  # one branch or the other at 0, so that the slope there is ½ − y
    size = xp.where(right, logits, -logits)
    wrong = xp.where(right, negative, positive)
    if not gamma:
        logarithm = xp.log1p(xp.exp(-size))
        both = 1.0 if pos_weight is None else positive + negative
        return _times(wrong, size, xp) + both * logarithm
    fitting = xp.where(right, positive, negative)
    # what is infinite keeps one slope, that of the size itself, and is no factor in a product:
    # forward mode would multiply it by the slope of the other, which is 0
    far = size > _FAR
    near = xp.where(far, xp.full_like(size, _FAR), size)
    logarithm = xp.log1p(xp.exp(-near))
    # σ^γ on the side where the forecast is wrong, exp(−γ·log1p(e)), and right, with e^−γa more
    far_off = xp.exp(-gamma * logarithm)
    close = far_off * xp.exp(-gamma * near)
    missing = xp.where(far, _times(wrong, size, xp), far_off * (wrong * near + wrong * logarithm))
    return missing + fitting * close * logarithm


def gradient_from_logits(
    y: Any,
    logits: Any,
    xp: Any,
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Any:
    """Return the derivative of `loss_from_logits` with respect to the logits."""
    positive, negative = label_masses(y, pos_weight, label_smoothing)
    right = logits >= 0
    size = xp.where(right, logits, -logits)
    e = xp.exp(-size)
    if not gamma:
        error = xp.where(right, negative - positive * e, negative * e - positive)
        return error / (1 + e)
    of_negative, of_positive = (_focal(logits, xp, gamma, sign, order=1) for sign in (1, -1))
    return negative * of_negative - positive * of_positive


def hessian_from_logits(
    y: Any,
    logits: Any,
    xp: Any,
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Any:
    """Return the second derivative of `loss_from_logits` with respect to the logits."""
    positive, negative = label_masses(y, pos_weight, label_smoothing)
    size = xp.where(logits >= 0, logits, -logits)
    if not gamma:
        e = xp.exp(-size)
        both = 1.0 if pos_weight is None else positive + negative
        return both * (e / (1 + e) / (1 + e))
    of_negative, of_positive = (_focal(logits, xp, gamma, sign, order=2) for sign in (1, -1))
    return negative * of_negative + positive * of_positive


def _focal(logits: Any, xp: Any, gamma: float, sign: int, *, order: int) -> Any:
    """First or second derivative of f(t) = σ(t)^γ·softplus(t) at t = ±logits.

    f′ = σ^γ·(γ(1 − σ)s + σ) and f″ = σ^γ(1 − σ)·(γs(γ(1 − σ) − σ) + (2γ + 1)σ), s = softplus.
    """
    far = xp.full_like(logits, _FAR)
    t = logits if sign > 0 else -logits
    t = xp.where(t > _FAR, far, xp.where(t < -_FAR, -far, t))
    right = t >= 0
    size = xp.where(right, t, -t)
    e = xp.exp(-size)
    logarithm = xp.log1p(e)
    softplus = xp.where(right, size, xp.zeros_like(size)) + logarithm
    power = xp.exp(-gamma * (logarithm + xp.where(right, xp.zeros_like(size), size)))
    sigma, rest = xp.where(right, 1 / (1 + e), e / (1 + e)), xp.where(right, e, 1.0) / (1 + e)
    if order == 1:
        return power * (gamma * rest * softplus + sigma)
    slope = gamma * softplus * (gamma * rest - sigma) + (2 * gamma + 1) * sigma
    return power * rest * slope


def _times(factor: Any, size: Any, xp: Any) -> Any:
    """Multiply, with 0·inf = 0; finite sizes stay, since they are the factor's slope."""
    return factor * xp.where((factor == 0) & xp.isinf(size), xp.zeros_like(size), size)
