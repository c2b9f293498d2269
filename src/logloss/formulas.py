"""The mathematics of the loss on an array namespace, for devices that the kernel does not reach.

The same formulas as cpp/bernoulli.hpp, written with whole arrays so that automatic
differentiation goes through them.
"""

from __future__ import annotations

from typing import Any


def loss_from_logits(y: Any, logits: Any, xp: Any) -> Any:
    """Elementwise loss from logits, in nats: c·|z| + log1p(exp(−|z|)).

    Parameters
    ----------
    y : array of shape (...)
        Labels in [0, 1].
    logits : array of shape (...)
        Any float; ±inf gives 0 on the right side and inf on the wrong one.
    xp : module
        The arrays' namespace: numpy, torch or jax.numpy.

    Returns
    -------
    array of shape (...)
    """
    right = logits >= 0  # one branch or the other at 0, so that the slope there is ½ − y
    size = xp.where(right, logits, -logits)
    wrong = xp.where(right, 1 - y, y)
    # 0·inf is 0 here; the inner `where` keeps the branch not taken from poisoning gradients
    linear = wrong * xp.where(wrong == 0, xp.zeros_like(size), size)
    return linear + xp.log1p(xp.exp(-size))
