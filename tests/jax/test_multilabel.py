"""Many labels a row, on NumPy and JAX alike: weights by column, masks, axes."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import logloss
import logloss.jax
from logloss.errors import WeightError

N, K = 40, 5
DRAW = np.random.default_rng(7)
Z = DRAW.normal(scale=4, size=(N, K))
Y = (DRAW.random((N, K)) < 1 / (1 + np.exp(-Z))).astype(np.float64)
ROWS, COLUMNS, ENTRIES = (DRAW.exponential(size=shape) for shape in ((N, 1), K, (N, K)))
LABELLED = DRAW.random((N, K)) < 0.7

OPTIONS = [
    pytest.param({}, id="plain"),
    pytest.param({"sample_weight": ROWS}, id="weight by row"),
    pytest.param({"sample_weight": COLUMNS}, id="weight by column"),
    pytest.param({"sample_weight": ENTRIES}, id="weight by entry"),
    pytest.param({"pos_weight": COLUMNS}, id="pos_weight by column"),
    pytest.param({"where": LABELLED}, id="mask"),
    pytest.param({"where": LABELLED, "sample_weight": COLUMNS}, id="mask and weights"),
    pytest.param(
        {
            "where": LABELLED,
            "sample_weight": ROWS,
            "pos_weight": COLUMNS,
            "label_smoothing": 0.1,
            "gamma": 1.5,
        },
        id="all",
    ),
]
every_option = pytest.mark.parametrize("options", OPTIONS)
every_reduction = pytest.mark.parametrize(
    ("reduction", "axis"),
    [
        ("mean", None),
        ("mean", 0),
        ("mean", 1),
        ("sum", None),
        ("sum", -1),
        ("none", None),
    ],
    ids=lambda value: str(value).replace("None", "all"),
)


@every_option
@every_reduction
def test_both_agree_from_logits(options: dict[str, Any], reduction: Any, axis: Any) -> None:
    how = {**options, "axis": axis, "reduction": reduction}
    theirs = logloss.loss_gradient_hessian(Y, Z, **how)
    with jax.enable_x64(True):
        for one, other in zip(logloss.jax.loss_gradient_hessian(Y, Z, **how), theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-16)


@every_option
@pytest.mark.parametrize(("reduction", "axis"), [("mean", None), ("mean", 0), ("none", None)])
def test_both_agree_from_probabilities(options: dict[str, Any], reduction: Any, axis: Any) -> None:
    how = {**options, "axis": axis, "reduction": reduction}
    how.pop("gamma", None)
    p = logloss.sigmoid(Z)
    theirs = logloss.binary_cross_entropy(Y, p, **how)
    with jax.enable_x64(True):
        ours = logloss.jax.binary_cross_entropy(Y, p, **how)
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-16)


@every_option
def test_each_column_is_what_it_would_be_alone(options: dict[str, Any]) -> None:
    together = logloss.loss_gradient_hessian(Y, Z, **options, axis=0)
    for k in range(K):
        own = {
            name: np.broadcast_to(value, (N, K))[:, k] if isinstance(value, np.ndarray) else value
            for name, value in options.items()
        }
        alone = logloss.loss_gradient_hessian(Y[:, k], Z[:, k], **own)
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, all_of_them[..., k])


@pytest.mark.parametrize("mask", [LABELLED[:, :1], LABELLED[:1]], ids=["rows", "columns"])
def test_a_mask_broadcasts(mask: Any) -> None:
    whole = np.broadcast_to(mask, (N, K))
    for loss in (
        logloss.binary_cross_entropy_with_logits,
        logloss.jax.binary_cross_entropy_with_logits,
    ):
        assert loss(Y, Z, where=mask) == loss(Y, Z, where=whole)


def test_no_axes_to_reduce_leave_every_entry() -> None:
    for loss in (
        logloss.binary_cross_entropy_with_logits,
        logloss.jax.binary_cross_entropy_with_logits,
    ):
        entries = loss(Y, Z, reduction="none")
        np.testing.assert_array_equal(loss(Y, Z, sample_weight=COLUMNS * 0 + 1, axis=()), entries)


@pytest.mark.parametrize("clip", ["sklearn", "keras", "torch", 0.01])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_both_clip_alike(clip: Any, dtype: type[np.floating]) -> None:
    p = np.array([0, 1e-7, 0.005, 0.5, 0.995, 1], dtype)
    for y in (0, 1):
        with jax.enable_x64(True):
            ours = logloss.jax.binary_cross_entropy(y, p, reduction="none", clip=clip)
        theirs = logloss.binary_cross_entropy(y, p, reduction="none", clip=clip)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=4 * np.finfo(theirs.dtype).eps)


@every_option
def test_a_gradient_of_the_mean_is_the_entries_over_the_weights(options: dict[str, Any]) -> None:
    shares = {key: options[key] for key in ("sample_weight", "where") if key in options}
    with jax.enable_x64(True):
        counted = np.broadcast_to(shares.get("sample_weight", 1.0), (N, K)).sum(
            where=shares.get("where", True)
        )
        _, entries = logloss.loss_gradient(Y, Z, **options)
        mean = jax.grad(lambda z: logloss.jax.binary_cross_entropy_with_logits(Y, z, **options))
        np.testing.assert_allclose(mean(Z), entries / counted, rtol=1e-12, atol=1e-17)


def test_a_column_without_labels_is_nan_under_tracing_and_an_error_on_numpy() -> None:
    mask = LABELLED.copy()
    mask[:, 2] = False
    losses = logloss.jax.binary_cross_entropy_with_logits(Y, Z, where=mask, axis=0)
    assert np.isnan(losses).tolist() == [False, False, True, False, False]
    with pytest.raises(WeightError, match="where"):
        logloss.binary_cross_entropy_with_logits(Y, Z, where=mask, axis=0)
