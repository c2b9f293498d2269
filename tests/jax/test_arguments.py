"""What the JAX functions take: dtypes, shapes, options, masks; and what they refuse."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import logloss.jax
from logloss.errors import ArgumentError
from logloss.jax import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    logit,
    loss_gradient,
    loss_gradient_hessian,
    sigmoid,
)

Y, Z = jnp.array([1.0, 0.0, 1.0]), jnp.array([2.0, -1.0, 0.5])
LOSSES = [binary_cross_entropy, binary_cross_entropy_with_logits]


# --- dtypes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("loss", LOSSES)
def test_labels_of_any_dtype_are_the_same_labels(loss: Any, dtype: Any) -> None:
    scores = jnp.array([0.25, 0.75, 0.5])
    assert loss(np.asarray(Y, dtype), scores) == loss(Y, scores)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float8_e4m3fn])
@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_computed_in_float32(loss: Any, dtype: Any) -> None:
    scores = jnp.array([0.25, 0.75, 0.5])
    halves = loss(Y, scores.astype(dtype))
    assert halves.dtype == jnp.float32
    assert halves == loss(Y, scores)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_has_its_gradient_in_half_precision(dtype: Any) -> None:
    gradient = jax.grad(binary_cross_entropy_with_logits, 1)
    halves = gradient(Y, Z.astype(dtype))
    assert halves.dtype == dtype
    np.testing.assert_array_equal(halves, gradient(Y, Z).astype(dtype))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_does_not_overflow_in_a_sum(dtype: Any) -> None:
    z = jnp.full(10_000, 100.0, dtype)
    assert binary_cross_entropy_with_logits(0, z, reduction="sum") == 1e6


def test_float64_is_computed_as_such() -> None:
    with jax.enable_x64(True):
        loss, *slopes = loss_gradient_hessian(Y, np.array([2.0, -1.0, 0.5]))
        assert {array.dtype for array in (loss, *slopes)} == {np.dtype("float64")}
        assert binary_cross_entropy_with_logits(np.array([1, 0, 1]), Z).dtype == np.float32


def test_lists_and_integers_are_arrays_too() -> None:
    assert binary_cross_entropy_with_logits([1, 0, 1], [2, -1, 0]).dtype == jnp.float32


@pytest.mark.parametrize("function", [sigmoid, logit])
def test_maps_of_half_precision_are_float32(function: Any) -> None:
    assert function(jnp.array([0.25], jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize("values", [np.array(["a", "b"]), np.array([1j, 0j]), object()])
def test_what_is_no_number_is_refused(values: Any) -> None:
    with pytest.raises(ArgumentError, match="logits"):
        binary_cross_entropy_with_logits([0, 1], values)
    with pytest.raises(ArgumentError, match="y_true"):
        binary_cross_entropy_with_logits(values, [0.0, 1.0])


def test_a_mask_is_boolean() -> None:
    with pytest.raises(ArgumentError, match="where must be a boolean mask"):
        binary_cross_entropy_with_logits(Y, Z, where=jnp.ones(3))


# --- shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f], ids=["jit", "eager"])
@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_must_broadcast(loss: Any, wrap: Any) -> None:
    with pytest.raises(ArgumentError, match=r"y_true \(3,\), .* \(4,\)"):
        wrap(loss)(Y, jnp.zeros(4))


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_has_no_loss(loss: Any) -> None:
    with pytest.raises(ArgumentError, match="at least one entry"):
        loss(jnp.zeros(0), jnp.zeros(0))


@pytest.mark.parametrize("axis", [2, -3, (0, 0), "rows"])
def test_an_axis_that_is_not_there_is_refused(axis: Any) -> None:
    with pytest.raises(ArgumentError, match="axis must name axes of the 2"):
        binary_cross_entropy_with_logits(jnp.zeros((2, 2)), jnp.zeros((2, 2)), axis=axis)


def test_derivatives_have_the_broadcast_shape() -> None:
    _, gradient, hessian = loss_gradient_hessian(0.0, jnp.zeros(3), where=jnp.ones((2, 1), bool))
    assert gradient.shape == hessian.shape == (2, 3)


# --- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reduction": "median"}, "reduction must be"),
        ({"label_smoothing": 1.5}, "label_smoothing must lie in"),
        ({"label_smoothing": float("nan")}, "label_smoothing must lie in"),
        ({"gamma": -1.0}, "gamma must lie in"),
        ({"gamma": float("inf")}, "gamma must lie in"),
        ({"gamma": "much"}, "gamma must be a number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        loss_gradient(Y, Z, **options)


def test_an_unknown_clip_policy_is_refused() -> None:
    with pytest.raises(ArgumentError, match="clip"):
        binary_cross_entropy(Y, Y, clip="scipy")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gamma", "label_smoothing"])
def test_a_traced_option_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"static_argnames='{name}'"):
        jax.jit(binary_cross_entropy_with_logits)(Y, Z, **{name: 0.5})


def test_static_options_go_through_jit() -> None:
    options = {"gamma": 2.0, "label_smoothing": 0.1, "reduction": "sum", "axis": 0}
    compiled = jax.jit(binary_cross_entropy_with_logits, static_argnames=tuple(options))
    eager = binary_cross_entropy_with_logits(Y, Z, **options)
    np.testing.assert_allclose(compiled(Y, Z, **options), eager, rtol=1e-6)


# --- weights and masks ----------------------------------------------------------------------


def test_the_mean_divides_by_the_weights() -> None:
    w = jnp.array([2.0, 0.0, 1.0])
    losses = binary_cross_entropy_with_logits(Y, Z, reduction="none")
    mean = binary_cross_entropy_with_logits(Y, Z, sample_weight=w)
    np.testing.assert_allclose(mean, (w * losses).sum() / 3, rtol=1e-6)


def test_an_entry_without_weight_does_not_count_even_if_infinite() -> None:
    z, w = jnp.array([2.0, jnp.inf, 0.5]), jnp.array([1.0, 0.0, 1.0])
    kept = jnp.array([0, 2])

    def loss(logits: Any) -> Any:
        return binary_cross_entropy_with_logits(Y, logits, sample_weight=w)

    assert loss(z) == binary_cross_entropy_with_logits(Y[kept], z[kept])
    assert jax.grad(loss)(z)[1] == 0


@pytest.mark.parametrize("masked", [False, True])
def test_a_certain_forecast_without_weight_has_no_slope(masked: bool) -> None:
    y, p, w = jnp.array([1.0, 0.0, 1.0]), jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 0.0, 2.0])
    where = jnp.ones(3, bool) if masked else None

    def loss(p: Any) -> Any:
        return binary_cross_entropy(y, p, sample_weight=w, where=where)

    assert loss(p) == binary_cross_entropy(1.0, 0.5)
    np.testing.assert_array_equal(jax.grad(loss)(p), [0.0, 0.0, -2.0])


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_masked_may_be_anything(loss: Any) -> None:
    y, x = jnp.array([1.0, jnp.nan, 0.0]), jnp.array([0.25, jnp.nan, 0.75])
    w, mask = jnp.array([1.0, jnp.nan, 2.0]), jnp.array([True, False, True])

    def masked(scores: Any) -> Any:
        return loss(y, scores, sample_weight=w, pos_weight=w, where=mask)

    kept = jnp.array([0, 2])
    only = loss(y[kept], x[kept], sample_weight=w[kept], pos_weight=w[kept])
    np.testing.assert_allclose(masked(x), only, rtol=1e-6)
    for slopes in (jax.grad(masked)(x), jnp.diag(jax.hessian(masked)(x))):
        assert slopes[1] == 0
        assert np.isfinite(slopes).all()


def test_masked_entries_are_0_where_nothing_is_reduced() -> None:
    mask = jnp.array([True, False, True])
    out = loss_gradient_hessian(Y, Z, where=mask, reduction="none")
    assert [float(array[1]) for array in out] == [0.0, 0.0, 0.0]


def test_a_mean_of_nothing_is_nan() -> None:
    assert np.isnan(binary_cross_entropy_with_logits(Y, Z, where=jnp.zeros(3, bool)))


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_is_not_hidden(loss: Any) -> None:
    assert np.isnan(loss(Y, jnp.array([0.5, jnp.nan, 0.5])))
    assert np.isnan(loss(jnp.array([1.0, jnp.nan, 0.0]), 0.5))


def test_probabilities_outside_of_the_unit_interval_are_nan() -> None:
    assert np.isnan(binary_cross_entropy([1.0, 0.0], [-0.5, 1.5], reduction="none")).all()


# --- the room itself ------------------------------------------------------------------------


def test_public_names_are_those_of_numpy() -> None:
    assert set(logloss.jax.__all__) <= set(logloss.__all__)


def test_every_public_name_is_in_the_docs(root: Path) -> None:
    text = (root / "docs" / "jax.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^   (\w+)$", text, re.MULTILINE)) == set(logloss.jax.__all__)


def test_without_jax_the_extra_is_named() -> None:
    code = "import sys; sys.modules['jax'] = None; import logloss.jax"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("logloss.errors.MissingExtraError: logloss.jax needs jax")
    assert "[jax]" in last
