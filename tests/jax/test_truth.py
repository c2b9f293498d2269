"""The table of truth, held to NumPy's losses and to JAX's, in both precisions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

import logloss
import logloss.jax
from tests import exact, truth_table
from tests.truth_table import OPTIONS, Case

NAMES = ("loss", "gradient", "hessian")
Triple = tuple[Any, Any, Any]
#: Rounding errors of ½ ulp that add up where both exponential and logarithm are the library's.
HALF_ULPS = 6


class Backend(NamedTuple):
    """Where the table is tried: a module with the losses, in a precision of JAX's choice."""

    name: str
    module: ModuleType
    dtype: type[np.floating]

    @contextmanager
    def active(self) -> Iterator[None]:
        with jax.enable_x64(self.dtype is np.float64):
            yield

    def said(self, y: Any, z: Any, **options: float) -> Triple:
        """Return losses, gradients and Hessians, said by the functions for them."""
        return self.module.loss_gradient_hessian(y, z, reduction="none", **options)


BACKENDS = [
    Backend("numpy float32", logloss, np.float32),
    Backend("numpy float64", logloss, np.float64),
    Backend("jax float32", logloss.jax, np.float32),
    Backend("jax float64", logloss.jax, np.float64),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_precision = pytest.mark.parametrize(
    "backend", BACKENDS[2:], ids=lambda backend: backend.dtype.__name__
)
every_form = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: ", ".join(f"{k}={v:g}" for k, v in o.items()) or "plain"
)


@cache
def table() -> tuple[Case, ...]:
    return tuple(truth_table.cases(far=True))


def cases(backend: Backend, options: Mapping[str, float]) -> tuple[list[Case], Any, Any]:
    """Return the part of the table with these options, its labels, and its logits."""
    limit = max(truth_table.FAR) if backend.dtype is np.float64 else min(truth_table.FAR) - 1
    of_form = [c for c in table() if c.options == options]
    part = [c for c in of_form if abs(c.z) <= limit or math.isinf(c.z)]
    y, z = (np.array([getattr(c, name) for c in part], backend.dtype) for name in "yz")
    return part, y, z


@cache
def derived(backend: Backend, form: tuple[tuple[str, float], ...]) -> Triple:
    """Return losses, gradients and Hessians, the latter two as JAX derives them."""
    _, y, z = cases(backend, dict(form))
    loss = partial(logloss.jax.binary_cross_entropy_with_logits, **dict(form))
    functions = (loss, jax.grad(loss, 1), jax.hessian(loss, 1))
    with backend.active():
        return tuple(np.asarray(jax.vmap(function)(y, z)) for function in functions)


def assert_true(part: list[Case], values: Triple, dtype: type[np.floating]) -> None:
    """Assert that each value is the table's, but for a few roundings of the terms in it."""
    info = np.finfo(dtype)
    for k, name in enumerate(NAMES):
        assert values[k].dtype == dtype
        for case, value in zip(part, np.asarray(values[k], np.float64), strict=True):
            true = getattr(case, name)
            if math.isinf(true):
                assert value == true, case.name
                continue
            # exp(−γ|z|) is as wrong as its argument, which is rounded itself
            powers = 1 + case.options.get("gamma", 0.0) * min(abs(case.z), 800.0)
            bound = HALF_ULPS * powers * info.eps / 2 * case.scale[k] + 2 * float(info.tiny)
            assert abs(value - true) <= bound, f"{name} at {case.name}: {value}, not {true}"


@every_backend
@every_form
def test_losses_and_derivatives_are_true(backend: Backend, options: Mapping[str, float]) -> None:
    part, y, z = cases(backend, options)
    with backend.active():
        assert_true(part, backend.said(y, z, **options), backend.dtype)


@every_precision
@every_form
def test_jax_derives_what_is_true(backend: Backend, options: Mapping[str, float]) -> None:
    part, _, _ = cases(backend, options)
    assert_true(part, derived(backend, tuple(options.items())), backend.dtype)


@every_precision
@every_form
def test_infinite_logits_are_exact(backend: Backend, options: Mapping[str, float]) -> None:
    part, _, z = cases(backend, options)
    values, at = derived(backend, tuple(options.items())), np.isinf(z)
    for name, value in zip(NAMES, values, strict=True):
        true = np.array([getattr(case, name) for case in part], backend.dtype)
        np.testing.assert_array_equal(value[at], true[at])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_losses_of_probabilities_are_true(dtype: type[np.floating], y: float) -> None:
    p = exact.hard_probabilities(dtype)
    p = p[p >= np.finfo(dtype).tiny]  # JAX takes subnormals for 0
    with jax.enable_x64(dtype is np.float64):
        values = logloss.jax.binary_cross_entropy(dtype(y), p, reduction="none")
    true = [exact.loss_from_probability(y, each) for each in p]
    exact.assert_close(np.asarray(values), true, p, within=4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_true_in_both_tails(dtype: type[np.floating]) -> None:
    x = exact.hard_logits(dtype)
    x = x[np.abs(x) < (87 if dtype is np.float32 else 708)]
    assert_map_is_true(logloss.jax.sigmoid, exact.sigmoid, x, within=3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slope_of_sigmoid_is_true_in_both_tails(dtype: type[np.floating]) -> None:
    x = exact.hard_logits(dtype)
    x = x[np.abs(x) < (87 if dtype is np.float32 else 708)]
    slope = jax.vmap(jax.grad(logloss.jax.sigmoid))
    assert_map_is_true(slope, lambda z: exact.bernoulli(0, z).hessian, x, within=6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logit_is_true_from_end_to_end(dtype: type[np.floating]) -> None:
    p = exact.hard_probabilities(dtype)
    p = p[(p >= np.finfo(dtype).tiny) & (p != 0.5)]
    assert_map_is_true(logloss.jax.logit, exact.logit, p, within=4)


def assert_map_is_true(
    function: Callable[[Any], Any], true: Callable[[Any], Any], at: Any, *, within: float
) -> None:
    with jax.enable_x64(at.dtype == np.float64):
        values = np.asarray(function(at))
    exact.assert_close(values, [true(x) for x in at], at, within=within)
