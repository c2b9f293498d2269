"""Every transformation of JAX: compiled, differentiated in both modes and often, vectorised."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from logloss.jax import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    logit,
    loss_gradient,
    loss_gradient_hessian,
    sigmoid,
)
from tests import exact
from tests.exact import mp

INF = math.inf
FOCAL = {"gamma": 2.0, "pos_weight": 3.0, "label_smoothing": 0.125}
FORMS = [
    pytest.param({}, id="plain"),
    pytest.param({"pos_weight": 3.0}, id="weighted"),
    pytest.param(FOCAL, id="focal"),
]
Y = jnp.array([0.0, 0.25, 1.0, 1.0])
Z = jnp.array([-3.0, 0.5, 2.0, -17.0])


def total(y: Any, z: Any, **options: Any) -> Any:
    return binary_cross_entropy_with_logits(y, z, reduction="sum", **options)


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        jax.checkpoint,
        lambda f: lambda z: jax.jvp(f, (z,), (jnp.ones_like(z),))[0],
        lambda f: lambda z: jax.vjp(f, z)[0],
        lambda f: lambda z: jax.linearize(f, z)[0],
        lambda f: lambda z: jax.vmap(f)(z[None])[0],
        lambda f: lambda z: jax.lax.map(f, z[None])[0],
    ],
    ids=["jit", "checkpoint", "jvp", "vjp", "linearize", "vmap", "map"],
)
def test_a_transformed_loss_is_the_loss(
    options: dict[str, float], transform: Callable[[Any], Any]
) -> None:
    loss = partial(total, Y, **options)
    np.testing.assert_allclose(transform(loss)(Z), loss(Z), rtol=1e-6)


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd, jax.jacrev], ids=lambda m: m.__name__)
def test_both_modes_give_the_gradient(options: dict[str, float], mode: Any) -> None:
    _, gradient = loss_gradient(Y, Z, **options)
    np.testing.assert_allclose(mode(partial(total, Y, **options))(Z), gradient, rtol=1e-6)


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev], ids=lambda m: m.__name__)
@pytest.mark.parametrize("inner", [jax.jacfwd, jax.jacrev], ids=lambda m: m.__name__)
def test_any_two_modes_give_the_hessian(options: dict[str, float], outer: Any, inner: Any) -> None:
    _, _, hessian = loss_gradient_hessian(Y, Z, **options)
    matrix = outer(inner(partial(total, Y, **options)))(Z)
    np.testing.assert_allclose(matrix, jnp.diag(hessian), rtol=1e-6)


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("z", [-20.0, -1.0, 0.0, 0.5, 20.0])
@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd], ids=lambda m: m.__name__)
def test_higher_derivatives_are_true(order: int, z: float, mode: Any) -> None:
    derivative = partial(binary_cross_entropy_with_logits, 0.25)
    for _ in range(order):
        derivative = mode(derivative)
    true = float(mp.diff(lambda t: exact.bernoulli(0.25, t).loss, z, order, h=mp.mpf("1e-12")))
    with jax.enable_x64(True):
        assert derivative(z) == pytest.approx(true, rel=1e-10, abs=1e-15)


def test_higher_derivatives_of_the_focal_loss_are_true() -> None:
    def focal(z: Any) -> Any:
        p = 1 / (1 + mp.exp(-z))
        return -((1 - p) ** 2) * mp.log(p)

    third = jax.grad(jax.grad(jax.grad(partial(binary_cross_entropy_with_logits, 1.0, gamma=2.0))))
    with jax.enable_x64(True):
        for z in (-3.0, 0.0, 0.5, 4.0):
            true = float(mp.diff(focal, mp.mpf(z), 3, h=mp.mpf("1e-12")))
            assert third(z) == pytest.approx(true, rel=1e-10)


@pytest.mark.parametrize("options", FORMS)
def test_vmap_over_rows_is_axis(options: dict[str, float]) -> None:
    loss = partial(binary_cross_entropy_with_logits, **options)
    y, z = jnp.stack([Y, 1 - Y, Y / 2]), jnp.stack([Z, -Z, 2 * Z])
    by_row = loss(y, z, axis=1)
    np.testing.assert_allclose(jax.vmap(loss)(y, z), by_row, rtol=1e-6)


@pytest.mark.parametrize("options", FORMS)
def test_derivatives_go_through_scan(options: dict[str, float]) -> None:
    def over_rows(z: Any) -> Any:
        def step(carry: Any, row: Any) -> tuple[Any, None]:
            return carry + total(*row, **options), None

        return jax.lax.scan(step, 0.0, (Y, z))[0]

    gradient = jax.grad(over_rows)(jnp.array([-INF, 0.5, INF, -INF]))
    _, true = loss_gradient(Y, jnp.array([-INF, 0.5, INF, -INF]), **options)
    np.testing.assert_allclose(gradient, true, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"where": np.arange(4) > 0}, {"reduction": "sum"}])
def test_batches_of_any_size_are_exported(options: dict[str, Any]) -> None:
    def value_and_slope(y: Any, z: Any) -> Any:
        return jax.value_and_grad(partial(binary_cross_entropy_with_logits, **options), 1)(y, z)

    rows = jax.ShapeDtypeStruct(jax.export.symbolic_shape("n, 4"), jnp.float32)
    exported = jax.export.export(jax.jit(value_and_slope))(rows, rows)
    for n in (1, 4, 7):
        y, z = (np.linspace(0, end, 4 * n, dtype=np.float32).reshape(n, 4) for end in (1, 9))
        for own, other in zip(exported.call(y, z), value_and_slope(y, z), strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-6)


# --- by the other arguments -----------------------------------------------------------------


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("argument", ["y", "pos_weight", "sample_weight"])
def test_slopes_by_labels_and_weights_are_those_of_differences(
    options: dict[str, float], argument: str
) -> None:
    others = {"pos_weight": 3.0, "sample_weight": 2.0, "y": 0.25, **options}
    at = others.pop(argument)

    def loss(value: Any) -> Any:
        arguments = {**others, argument: value}
        return total(arguments.pop("y"), 0.75, **arguments)

    with jax.enable_x64(True):
        step = 1e-6
        slope = float(loss(at + step) - loss(at - step)) / (2 * step)
        assert jax.grad(loss)(at) == pytest.approx(slope, rel=1e-8)
        assert jax.jvp(loss, (at,), (1.0,))[1] == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("options", FORMS)
def test_mixed_derivatives_commute(options: dict[str, float]) -> None:
    loss = partial(total, **options)
    with jax.enable_x64(True):
        one = jax.grad(jax.grad(loss, 0), 1)(0.25, 0.75)
        other = jax.grad(jax.grad(loss, 1), 0)(0.25, 0.75)
        assert one == pytest.approx(float(other), rel=1e-14)


def test_mixed_derivatives_from_probabilities_commute() -> None:
    with jax.enable_x64(True):
        for p in (1e-20, 0.25, 0.75):
            one = jax.grad(jax.grad(binary_cross_entropy, 0), 1)(0.25, p)
            other = jax.grad(jax.grad(binary_cross_entropy, 1), 0)(0.25, p)
            assert one == pytest.approx(-1 / (p * (1 - p)), rel=1e-14)
            assert other == pytest.approx(float(one), rel=1e-14)


def test_slope_by_the_label_is_minus_the_logit() -> None:
    z = jnp.array([-30.0, -1e-6, 0.0, 3.0])
    np.testing.assert_allclose(jax.grad(total)(jnp.full(4, 0.25), z), -z, rtol=1e-6)


def test_a_weight_of_zero_still_has_the_loss_as_its_slope() -> None:
    slope = jax.grad(lambda w: total(1.0, 2.0, sample_weight=w))(0.0)
    assert slope == binary_cross_entropy_with_logits(1.0, 2.0)


# --- at the ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_no_order_of_derivative_is_nan_at_infinite_logits(
    options: dict[str, float], y: float
) -> None:
    derivative = partial(binary_cross_entropy_with_logits, y, **options)
    for _ in range(4):
        derivative = jax.grad(derivative)
        assert not np.isnan(jax.vmap(derivative)(jnp.array([-INF, -900.0, 900.0, INF]))).any()


def test_hessian_with_infinite_logits_is_finite() -> None:
    y, z = jnp.array([1.0, 0.0, 0.25]), jnp.array([-INF, INF, 0.0])
    matrix = jax.hessian(partial(total, y))(z)
    np.testing.assert_allclose(matrix, jnp.diag(jnp.array([0, 0, 0.25])), atol=1e-7)


@pytest.mark.parametrize(("y", "z"), [(0.0, -INF), (1.0, INF)])
def test_a_label_that_does_not_move_multiplies_nothing_infinite(y: float, z: float) -> None:
    assert jax.jvp(total, (y, z), (0.0, 1.0)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("y", "p", "slope", "curvature"),
    [
        (0.0, 0.0, 1.0, 1.0),
        (0.0, 1e-20, 1.0, 1.0),
        (0.0, 1.0, INF, INF),
        (1.0, 0.0, -INF, INF),
        (1.0, 0.5, -2.0, 4.0),
        (1.0, 1.0, -1.0, 1.0),
    ],
)
@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_derivatives_by_probabilities_have_their_limits(
    y: float, p: float, slope: float, curvature: float, wrap: Any
) -> None:
    loss = partial(binary_cross_entropy, y)
    assert wrap(jax.grad(loss))(p) == slope
    assert wrap(jax.hessian(loss))(p) == curvature
    assert wrap(jax.jacfwd(jax.jacfwd(loss)))(p) == curvature


def test_what_is_clipped_does_not_move() -> None:
    for clip in ("sklearn", "keras", "torch", 0.125):
        slopes = jax.vmap(jax.grad(partial(binary_cross_entropy, 1.0, clip=clip)))
        np.testing.assert_allclose(slopes(jnp.array([0.0, 0.5])), [0.0, -2.0])


def test_sigmoid_is_differentiable_four_times() -> None:
    derivative: Any = sigmoid
    for order in range(1, 5):
        derivative = jax.grad(derivative)
        with jax.enable_x64(True):
            for x in (-30.0, 0.5, 30.0):
                true = float(mp.diff(exact.sigmoid, x, order, h=mp.mpf("1e-12")))
                assert derivative(x) == pytest.approx(true, rel=1e-10)


@pytest.mark.parametrize("p", [1e-300, 0.25, 0.5, 0.75])
def test_logit_has_the_slope_and_the_curvature_of_its_inverse(p: float) -> None:
    with jax.enable_x64(True):
        slope, curvature = jax.grad(logit)(p), jax.grad(jax.grad(logit))(p)
    assert slope == pytest.approx(1 / (p * (1 - p)), rel=1e-15)
    assert curvature == pytest.approx(1 / (1 - p) / (1 - p) - 1 / p / p, rel=1e-14)


@pytest.mark.parametrize(("p", "curvature"), [(0.0, -INF), (1.0, INF)])
def test_logit_is_steep_without_end_at_both_ends(p: float, curvature: float) -> None:
    assert jax.grad(logit)(p) == INF
    assert jax.grad(jax.grad(logit))(p) == curvature
