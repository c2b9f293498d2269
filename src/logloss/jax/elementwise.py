"""The loss of each label and forecast, with its derivatives as rules that JAX follows.

Each function here takes (options, y, pos_weight, x), x being logits or probabilities, and
knows neither weights nor masks nor sums. Left to itself, JAX would differentiate the loss
term by term: with an error of many units in the last place in the tails, and NaN at the ends.
So the derivative by x is a function of its own, which has one in its turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from logloss import formulas
from logloss.clipping import Bounds


class Options(NamedTuple):
    """What the loss is, beside its arrays; known before anything is traced.

    Attributes
    ----------
    label_smoothing, gamma : float
    bounds : Bounds
        The clip policy, for probabilities.
    """

    label_smoothing: float = 0.0
    gamma: float = 0.0
    bounds: Bounds = Bounds()


#: (options, y, pos_weight, x) → array of their broadcast shape.
Elementwise = Callable[[Options, Any, Any, Any], Any]


def _differentiated(value: Elementwise, slope: Elementwise) -> Any:
    """Return `value` with the rule that its derivative by x is `slope`.

    By labels and positive weights it is JAX's own derivative of `value`, which is linear in
    both. What does not vary is left out instead of multiplied by 0: the slope by a label is
    infinite at infinite logits.
    """
    function = jax.custom_jvp(value, nondiff_argnums=(0,))

    def rule(options: Options, primals: Any, tangents: Any) -> tuple[Any, Any]:
        y, pos_weight, x = primals
        dy, dpos_weight, dx = tangents
        out = function(options, y, pos_weight, x)
        tangent = jnp.zeros_like(out)
        if not isinstance(dy, SymbolicZero):
            tangent += jax.jvp(lambda y: value(options, y, pos_weight, x), (y,), (dy,))[1]
        if pos_weight is not None and not isinstance(dpos_weight, SymbolicZero):
            along = jax.jvp(lambda w: value(options, y, w, x), (pos_weight,), (dpos_weight,))
            tangent += along[1]
        if not isinstance(dx, SymbolicZero):
            tangent += slope(options, y, pos_weight, x) * dx
        return out, tangent

    function.defjvp(rule, symbolic_zeros=True)
    return function


# --- from logits ----------------------------------------------------------------------------


def _of_logits(formula: Callable[..., Any]) -> Elementwise:
    def function(options: Options, y: Any, pos_weight: Any, logits: Any) -> Any:
        return formula(
            y,
            logits,
            jnp,
            pos_weight=pos_weight,
            label_smoothing=options.label_smoothing,
            gamma=options.gamma,
        )

    function.__name__ = formula.__name__
    return function


hessian_from_logits = _of_logits(formulas.hessian_from_logits)
gradient_from_logits = _differentiated(
    _of_logits(formulas.gradient_from_logits), hessian_from_logits
)
loss_from_logits = _differentiated(_of_logits(formulas.loss_from_logits), gradient_from_logits)


# --- from probabilities ---------------------------------------------------------------------


def _loss(options: Options, y: Any, pos_weight: Any, p: Any) -> Any:
    """−A·log p − B·log(1 − p), with 0·log 0 = 0."""
    positive, negative = formulas.label_masses(y, pos_weight, options.label_smoothing)
    of_positive = -jnp.log(jnp.where((positive == 0) & (p == 0), 1.0, p))
    q = jnp.where((negative == 0) & (p == 1), 0.0, p)
    # XLA's log1p of float64 has lost seven bits by −0.4; 1 − p rounds no worse from ¼ on
    of_negative = -jnp.where(q > 0.25, jnp.log(1 - q), jnp.log1p(-q))
    limit = options.bounds.limit
    return positive * jnp.minimum(of_positive, limit) + negative * jnp.minimum(of_negative, limit)


def _slope(options: Options, y: Any, pos_weight: Any, p: Any) -> Any:
    """B/(1 − p) − A/p; a logarithm at its limit does not move."""
    positive, negative = formulas.label_masses(y, pos_weight, options.label_smoothing)
    limit = options.bounds.limit
    of_positive, of_negative = quotient(positive, p), quotient(negative, 1 - p)
    if limit < math.inf:
        of_positive = jnp.where(-jnp.log(p) > limit, 0.0, of_positive)
        of_negative = jnp.where(-jnp.log1p(-p) > limit, 0.0, of_negative)
    return of_negative - of_positive


def _mass_by_share(mass: Any, share: Any) -> Any:
    """A/p, and 0 for A = 0 whatever p is.

    Said outright, because XLA makes A/p/p to A/p², in which p² may be 0 before p is.
    """
    return jnp.where(mass == 0, 0.0, mass / jnp.where(mass == 0, 1.0, share))


def _slope_of_quotient(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return −A/p/p by p, and 1/p by A, but for 0/0, which is a constant."""
    (mass, share), (dmass, dshare) = primals, tangents
    out = quotient(mass, share)
    tangent = jnp.zeros_like(out)
    if not isinstance(dmass, SymbolicZero):
        tangent += dmass / jnp.where((mass == 0) & (share == 0), 1.0, share)
    if not isinstance(dshare, SymbolicZero):
        tangent -= quotient(out, share) * dshare
    return out, tangent


#: Mass by share, with derivatives of every order; 0/0 is 0.
quotient = jax.custom_jvp(_mass_by_share)
quotient.defjvp(_slope_of_quotient, symbolic_zeros=True)
loss_from_probabilities = _differentiated(_loss, _slope)
