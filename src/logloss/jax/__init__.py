"""The losses in JAX: traced, transformed and compiled like any other function of arrays.

Pure jax.numpy over `logloss.formulas`, with rules for the derivatives; the compiled kernel
has no part in it.
"""

from __future__ import annotations

from logloss.errors import MissingExtraError

try:
    import jax as _  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"logloss.jax needs {error.name}, which is not installed. "
        "Install the extra 'jax': pip install '.[jax]' in a clone of logloss.",
        name=error.name,
    ) from error

from logloss.jax.bernoulli import logit, sigmoid
from logloss.jax.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    loss_gradient,
    loss_gradient_hessian,
)

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "logit",
    "loss_gradient",
    "loss_gradient_hessian",
    "sigmoid",
]
