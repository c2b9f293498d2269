"""What comes in, as JAX arrays of one dtype, and how losses become a mean or a sum.

Shapes, dtypes and options are checked, since they are known while JAX traces; values are not.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from logloss.arrays import common_shape
from logloss.errors import ArgumentError

KINDS = ("mean", "sum", "none")


class Operands(NamedTuple):
    """Arrays of one loss, of the computing dtype; all broadcast against each other.

    Attributes
    ----------
    y, scores : jax.Array
    weight, pos_weight : jax.Array or None
    where : jax.Array of bool or None
        Entries that count.
    """

    y: Any
    scores: Any
    weight: Any
    pos_weight: Any
    where: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The broadcast shape; lengths may be JAX's symbols, which NumPy does not know."""
        shapes = (array.shape for array in self if array is not None)
        common: tuple[int, ...] = jnp.broadcast_shapes(*shapes)
        return common

    def without_idle_ends(self) -> Operands:
        """Mask probabilities of 0 and 1 whose weight is 0: their slope may be infinite."""
        if self.weight is None:
            return self
        counts = (self.weight != 0) | ((self.scores != 0) & (self.scores != 1))
        return self._replace(where=counts if self.where is None else self.where & counts)

    def unmasked(self, idle: float) -> Operands:
        """Put harmless values where masked, so that no NaN is differentiated there."""
        if self.where is None:
            return self

        def filled(array: Any, instead: float) -> Any:
            return None if array is None else jnp.where(self.where, array, instead)

        return Operands(
            y=filled(self.y, 0.0),
            scores=filled(self.scores, idle),
            weight=filled(self.weight, 0.0),
            pos_weight=filled(self.pos_weight, 1.0),
            where=self.where,
        )


class Reduction(NamedTuple):
    """How losses become a result; known before anything is traced.

    Attributes
    ----------
    kind : {"mean", "sum", "none"}
    axes : tuple of int
        Axes to reduce, none of them negative.
    """

    kind: str
    axes: tuple[int, ...]


def operands(
    y_true: Any,
    scores: Any,
    scores_name: str,
    *,
    sample_weight: Any = None,
    pos_weight: Any = None,
    where: Any = None,
) -> Operands:
    """Bring what the caller gave to one dtype, that of the scores, or float32 for less.

    Raises
    ------
    ArgumentError
        If a dtype cannot be used, shapes do not broadcast, or there is no entry.
    """
    forecasts = floats(scores, scores_name)
    given = {
        "y_true": _real(y_true, "y_true").astype(forecasts.dtype),
        scores_name: forecasts,
        "sample_weight": None,
        "pos_weight": None,
        "where": None if where is None else _mask(where),
    }
    for name, array in (("sample_weight", sample_weight), ("pos_weight", pos_weight)):
        if array is not None:
            given[name] = _real(array, name).astype(forecasts.dtype)
    shapes = {name: array.shape for name, array in given.items() if array is not None}
    shape = common_shape(shapes, jnp.broadcast_shapes)
    if math.prod(shape) == 0:
        raise ArgumentError(
            f"y_true and {scores_name} must hold at least one entry; their shape is {shape}."
        )
    return Operands(*given.values())


def reduction_of(kind: str, axis: Any, shape: tuple[int, ...]) -> Reduction:
    """Check `reduction` and `axis`.

    Raises
    ------
    ArgumentError
        If one is none of what it can be.
    """
    if kind not in KINDS:
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none'; got {kind!r}.")
    if axis is None or kind == "none":
        return Reduction(kind, tuple(range(len(shape))))
    try:
        return Reduction(kind, np.lib.array_utils.normalize_axis_tuple(axis, len(shape), "axis"))
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"axis must name axes of the {len(shape)} there are: {error}") from None


def number(value: Any, name: str) -> float:
    """Return an option as a Python float.

    Raises
    ------
    ArgumentError
        If it is no number, or one that JAX traces: options shape the formula.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        traced = isinstance(value, jax.core.Tracer)
        raise ArgumentError(
            f"{name} must be a number known before tracing; got {value!r}."
            + (
                f" Name it in static_argnames, as in jax.jit(f, static_argnames={name!r})."
                if traced
                else ""
            )
        ) from None


def floats(values: Any, name: str) -> Any:
    """Return an array to compute in: float32 and float64 are kept, half precision is float32.

    Integers and bool take JAX's default, float32 unless `jax_enable_x64` is set.
    """
    array = _real(values, name)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array.astype(float)
    return array if array.dtype == jnp.float64 else array.astype(jnp.float32)


def weigh(given: Operands, values: Any) -> Any:
    """Multiply by the weight and leave out what is masked; an entry of weight 0 does not count."""
    if given.weight is not None:
        idle = (given.weight == 0) & jnp.isinf(values)
        values = given.weight * jnp.where(idle, 0.0, values)
    if given.where is not None:
        values = jnp.where(given.where, values, 0.0)
    return jnp.broadcast_to(values, given.shape)


def reduce(given: Operands, losses: Any, how: Reduction) -> Any:
    """Reduce weighted losses; the mean divides by Σw, or by how many entries count."""
    if how.kind == "none":
        return losses
    total = jnp.sum(losses, axis=how.axes)
    if how.kind == "sum":
        return total
    if given.weight is None and given.where is None:
        return total / math.prod(given.shape[k] for k in how.axes)
    # an unmasked weight is 0 where masked
    weights = given.where.astype(total.dtype) if given.weight is None else given.weight
    return total / jnp.sum(jnp.broadcast_to(weights, given.shape), axis=how.axes)


def _real(values: Any, name: str) -> Any:
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} cannot be read as an array: {error}") from error
    if not jnp.isdtype(array.dtype, ("bool", "integral", "real floating")):
        raise ArgumentError(f"{name} must be bool, integers or floats; its dtype is {array.dtype}.")
    return array


def _mask(where: Any) -> Any:
    mask = jnp.asarray(where)
    if mask.dtype != jnp.bool_:
        raise ArgumentError(f"where must be a boolean mask; its dtype is {mask.dtype}.")
    return mask
