"""The focal loss: what it is for soft labels, that nothing in it is ever infinite but the loss
of an infinite logit, and that for hard labels it is optax's."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import numpy as np
import optax
import pytest

from logloss import binary_cross_entropy_with_logits, formulas, loss_gradient_hessian, sigmoid

GAMMAS = (1e-3, 0.5, 1.0, 2.0, 5.0, 50.0, 1e6, 1e9)
precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def focal(y: Any, z: Any, gamma: float, **options: Any) -> list[np.ndarray]:
    """Return losses, gradients and Hessians."""
    return list(loss_gradient_hessian(y, z, gamma=gamma, reduction="none", **options))


def every_size(dtype: type[np.floating]) -> np.ndarray:
    """Both signs of every power of 2 in the dtype, of what the tails are made of, of 0 and ∞."""
    info = np.finfo(dtype)
    powers = np.ldexp(dtype(1), np.arange(info.minexp - info.nmant, info.maxexp))
    sizes = np.concatenate([[0], powers, np.linspace(0, 1000, 8001), [info.max, np.inf]])
    return np.concatenate([sizes, -sizes]).astype(dtype)


@precisions
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("y", [0.0, 1e-40, 0.25, 1.0])
def test_gradient_and_hessian_are_finite_everywhere(
    dtype: type[np.floating], gamma: float, y: float
) -> None:
    z = every_size(dtype)
    loss, gradient, hessian = focal(dtype(y), z, gamma)
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
    wrong = (z == np.inf) & (y < 1) | (z == -np.inf) & (y > 0)
    np.testing.assert_array_equal(loss == np.inf, wrong)
    assert (loss >= 0).all()


@precisions
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_so_they_are_in_the_formulas_for_devices(
    dtype: type[np.floating], gamma: float, y: float
) -> None:
    z = every_size(dtype)
    with np.errstate(over="ignore", under="ignore"):
        for derivative in (formulas.gradient_from_logits, formulas.hessian_from_logits):
            found = derivative(dtype(y), z, np, gamma=gamma)
            assert found.dtype == dtype
            assert np.isfinite(found).all()


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_soft_label_shares_both_losses_out(gamma: float) -> None:
    y, z = np.linspace(0, 1, 9)[:, None], np.linspace(-30, 30, 121)
    ones, zeros = focal(1.0, z, gamma), focal(0.0, z, gamma)
    for mixed, one, zero in zip(focal(y, z, gamma), ones, zeros, strict=True):
        scale = y * np.abs(one) + (1 - y) * np.abs(zero)
        assert (np.abs(mixed - (y * one + (1 - y) * zero)) <= 8 * 2.0**-53 * scale).all()


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_hard_labels_have_the_published_form(gamma: float) -> None:
    z = np.linspace(-20, 20, 81)
    plain = binary_cross_entropy_with_logits(1.0, z, reduction="none")
    np.testing.assert_allclose(focal(1.0, z, gamma)[0], sigmoid(-z) ** gamma * plain, rtol=1e-13)


@pytest.mark.parametrize("y", [0.0, 1.0])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_hard_labels_have_the_values_of_optax(y: float, gamma: float) -> None:
    z = np.linspace(-20, 20, 81)
    with jax.enable_x64(True):
        theirs = optax.sigmoid_focal_loss(z, np.full(81, y), gamma=gamma)
        # it takes 1 − p_t by subtraction, which leaves 1e-16 of it
        np.testing.assert_allclose(focal(y, z, gamma)[0], theirs, rtol=1e-6, atol=1e-16)


@precisions
def test_gamma_of_zero_is_the_plain_loss(dtype: type[np.floating]) -> None:
    z = every_size(dtype)
    for one, other in zip(
        focal(dtype(0.25), z, 0.0),
        loss_gradient_hessian(dtype(0.25), z, reduction="none"),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@precisions
def test_rows_that_are_told_apart_count_less_the_greater_gamma_is(dtype: Any) -> None:
    z = np.linspace(-10, 10, 101).astype(dtype)
    losses = [focal(dtype(1), z, gamma)[0] for gamma in (0.0, *GAMMAS[:-1])]
    assert all((more <= less).all() for less, more in pairwise(losses))
