"""One table of truth for the formulas on NumPy, torch and JAX arrays: values, slopes, limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from logloss.formulas import gradient_from_logits, hessian_from_logits, loss_from_logits
from tests import exact
from tests.exact import mp, ulps

INF = math.inf
#: Where all three keep full precision: JAX flushes subnormals, of 1e-38 and below, to 0.
LOGITS = np.array(
    [0.0, -0.0, 1e-30, 1e-3, 0.25, math.log(2), 1, 2.5, 10, 16.6, 17, 20, 40, 80], np.float32
)
LOGITS = np.concatenate([LOGITS, -LOGITS[2:]])
LABELS = [0.0, 0.25, 0.5, 1.0]


class Namespace(NamedTuple):
    """An array library: its arrays, its functions, the loss in it with its derivatives."""

    array: Callable[[Any, Any], Any]
    module: Any
    slopes: Callable[[Any, Any], tuple[Any, Any]]


def torch_slopes(y: Any, z: Any) -> tuple[Any, Any]:
    logits = torch.tensor(z, requires_grad=True)
    loss = loss_from_logits(torch.tensor(y), logits, torch)
    (gradient,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    (hessian,) = torch.autograd.grad(gradient.sum(), logits)
    return gradient.detach().numpy(), hessian.numpy()


def jax_slopes(y: Any, z: Any) -> tuple[Any, Any]:
    def loss(label: Any, logit: Any) -> Any:
        return loss_from_logits(label, logit, jnp)

    gradient = jax.grad(loss, 1)
    hessian = jax.grad(gradient, 1)
    return tuple(np.asarray(jax.vmap(f)(y, z)) for f in (gradient, hessian))


TORCH = Namespace(
    lambda values, dtype: torch.tensor(np.asarray(values, dtype)), torch, torch_slopes
)
JAX = Namespace(lambda values, dtype: jnp.asarray(np.asarray(values, dtype)), jnp, jax_slopes)
NUMPY = Namespace(np.asarray, np, lambda y, z: (y, z))
ALL = [
    pytest.param(NUMPY, id="numpy"),
    pytest.param(TORCH, id="torch"),
    pytest.param(JAX, id="jax"),
]
DIFFERENTIATED = ALL[1:]


def loss(namespace: Namespace, y: Any, z: Any, dtype: Any = np.float32) -> np.ndarray:
    y, z = np.broadcast_arrays(y, z)
    arrays = (namespace.array(values, dtype) for values in (y, z))
    return np.asarray(loss_from_logits(*arrays, namespace.module))


@pytest.mark.parametrize("namespace", ALL)
@pytest.mark.parametrize("label", LABELS)
def test_values_are_within_four_ulp(namespace: Namespace, label: float) -> None:
    true = [exact.bernoulli(label, z).loss for z in LOGITS]
    assert ulps(loss(namespace, label, LOGITS), true).max() <= 4


@pytest.mark.parametrize("namespace", [NUMPY, TORCH])
@pytest.mark.parametrize("label", LABELS)
def test_float64_values_are_within_four_ulp(namespace: Namespace, label: float) -> None:
    logits = np.concatenate([LOGITS, [-700, -100, 100, 700]]).astype(np.float64)
    true = [exact.bernoulli(label, z).loss for z in logits]
    assert ulps(loss(namespace, label, logits, np.float64), true).max() <= 4


@pytest.mark.parametrize("namespace", ALL)
@pytest.mark.parametrize(
    ("label", "logit", "expected"),
    [(1, INF, 0), (0, -INF, 0), (1, -INF, INF), (0, INF, INF), (0.25, INF, INF), (0.25, -INF, INF)],
)
def test_infinite_logits_have_their_limits(
    namespace: Namespace, label: float, logit: float, expected: float
) -> None:
    assert loss(namespace, label, [logit]) == expected


@pytest.mark.parametrize("namespace", ALL)
def test_nan_stays_nan(namespace: Namespace) -> None:
    assert np.isnan(loss(namespace, [0, 1, 0.5], np.nan)).all()


@pytest.mark.parametrize("namespace", ALL)
def test_the_dtype_is_kept(namespace: Namespace) -> None:
    assert loss(namespace, 1, LOGITS).dtype == np.float32


@pytest.mark.parametrize("namespace", DIFFERENTIATED)
@pytest.mark.parametrize("label", LABELS)
def test_derivatives_are_those_of_the_loss(namespace: Namespace, label: float) -> None:
    gradient, hessian = namespace.slopes(np.full_like(LOGITS, label), LOGITS)
    for z, slope, curvature in zip(LOGITS, gradient, hessian, strict=True):
        true = exact.bernoulli(label, z)
        scale = float(exact.sigmoid(z)) + label  # the two terms of the gradient, which may cancel
        assert abs(slope - float(true.gradient)) <= 8 * 2**-24 * scale
        assert curvature == pytest.approx(float(true.hessian), rel=1e-6)


@pytest.mark.parametrize("namespace", DIFFERENTIATED)
@pytest.mark.parametrize("label", LABELS)
def test_derivatives_at_infinite_logits_are_sigmoid_minus_label_and_zero(
    namespace: Namespace, label: float
) -> None:
    logits = np.array([-INF, INF], np.float32)
    gradient, hessian = namespace.slopes(np.full_like(logits, label), logits)
    np.testing.assert_array_equal(gradient, np.array([-label, 1 - label], np.float32))
    np.testing.assert_array_equal(hessian, [0, 0])


def test_torch_differentiates_by_the_label_too() -> None:
    y = torch.tensor([0.0, 0.25, 1.0], requires_grad=True)
    loss_from_logits(y, torch.tensor([-3.0, 0.5, 2.0]), torch).sum().backward()
    np.testing.assert_allclose(y.grad, [3.0, -0.5, -2.0], rtol=1e-6)


# --- with positive weights, smoothing and focus ----------------------------------------------

OPTIONS = [
    {},
    {"pos_weight": 3.0},
    {"label_smoothing": 0.1},
    {"gamma": 2.0},
    {"gamma": 0.5},
    {"pos_weight": 0.25, "label_smoothing": 0.2, "gamma": 1.5},
]


def true_loss(
    y: float, z: Any, pos_weight: float = 1, label_smoothing: float = 0, gamma: float = 0
) -> Any:
    """A·σ(−z)^γ·log(1 + exp(−z)) + B·σ(z)^γ·log(1 + exp(z)) at 60 digits."""
    smoothed = y * (1 - mp.mpf(label_smoothing)) + mp.mpf(label_smoothing) / 2
    wrong_if_one = exact.sigmoid(-z) ** gamma * mp.log1p(mp.exp(-z))
    wrong_if_zero = exact.sigmoid(z) ** gamma * mp.log1p(mp.exp(z))
    return pos_weight * smoothed * wrong_if_one + (1 - smoothed) * wrong_if_zero


@pytest.mark.parametrize("label", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("namespace", "dtype"), [(NUMPY, "f8"), (TORCH, "f8"), (JAX, "f4")])
def test_options_and_derivatives_match_60_digits(
    namespace: Namespace, dtype: str, options: dict[str, float], label: float
) -> None:
    def value(z: Any) -> Any:
        return true_loss(label, exact.number(z), **options)

    def slope(z: Any) -> Any:
        return exact.derivative(value, z)

    def curvature(z: Any) -> Any:
        return exact.derivative(slope, z, step=1e-12)

    logits = np.concatenate([np.linspace(-30, 30, 21), [1e-3, -1e-3]]).astype(dtype)
    y, z = (namespace.array(values, dtype) for values in (np.full_like(logits, label), logits))
    close = {"rel": 1e-12, "abs": 1e-14} if dtype == "f8" else {"rel": 2e-5, "abs": 1e-6}
    for formula, true in (
        (loss_from_logits, value),
        (gradient_from_logits, slope),
        (hessian_from_logits, curvature),
    ):
        values = np.asarray(formula(y, z, namespace.module, **options))
        assert values == pytest.approx([float(true(at)) for at in logits], **close)


@pytest.mark.parametrize("namespace", ALL)
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_infinite_logits_have_their_limits_with_every_option(
    namespace: Namespace, gamma: float
) -> None:
    y, z = (
        namespace.array(values, np.float32) for values in ([1, 0, 1, 0], [INF, -INF, -INF, INF])
    )
    options = {"pos_weight": 3.0, "gamma": gamma}
    for formula, expected in (
        (loss_from_logits, [0, 0, INF, INF]),
        (gradient_from_logits, [0, 0, -3, 1]),
        (hessian_from_logits, [0, 0, 0, 0]),
    ):
        np.testing.assert_array_equal(
            np.asarray(formula(y, z, namespace.module, **options)), expected
        )
