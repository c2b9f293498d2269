"""The same question, asked of others: torch and scikit-learn live, Keras by its numbers.

Where they clip, the clip policy of that name answers as they do; where they are wrong in
the tails, 60 digits stand in their place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn._loss import HalfBinomialLoss
from sklearn.metrics import log_loss

from logloss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    loss_gradient,
    loss_gradient_hessian,
    sigmoid,
)

REDUCTIONS = ["mean", "sum", "none"]


def rows(n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Soft labels, logits of moderate size, weights."""
    rng = np.random.default_rng(5)
    return rng.random(n), rng.uniform(-8, 8, n), rng.exponential(size=n)


# --- torch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("pos_weight", [None, 7.0])
def test_logits_match_torch(reduction: Any, pos_weight: float | None) -> None:
    y, z, _ = rows()
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(z),
        torch.tensor(y),
        pos_weight=None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64),
        reduction=reduction,
    )
    ours = binary_cross_entropy_with_logits(y, z, pos_weight=pos_weight, reduction=reduction)
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)


def test_gradients_match_torch() -> None:
    y, z, w = rows()
    logits = torch.tensor(z, requires_grad=True)
    torch.nn.functional.binary_cross_entropy_with_logits(
        logits,
        torch.tensor(y),
        weight=torch.tensor(w),
        pos_weight=torch.tensor(3.0, dtype=torch.float64),
        reduction="sum",
    ).backward()
    _, gradient = loss_gradient(y, z, sample_weight=w, pos_weight=3.0)
    np.testing.assert_allclose(gradient, logits.grad, rtol=1e-9, atol=1e-13)


def test_probabilities_match_torch() -> None:
    y, z, _ = rows()
    p = sigmoid(z)
    theirs = torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(y))
    assert binary_cross_entropy(y, p) == pytest.approx(theirs.item(), rel=1e-13)


def test_torchs_weighted_sum_is_ours_and_its_mean_divides_by_the_count() -> None:
    y, z, w = rows()
    p, weight = sigmoid(z), torch.tensor(w)
    theirs = torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(y), weight)
    ours = binary_cross_entropy(y, p, sample_weight=w, reduction="sum")
    assert ours / len(y) == pytest.approx(theirs.item(), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("y", "p"), [(1, 0), (0, 1), (0.25, 0), (1, 1), (0, 0), (1, 1e-44)])
def test_clip_torch_clamps_logarithms_as_torch_does(y: float, p: float, dtype: Any) -> None:
    labels, probabilities = np.array([y, 0.5], dtype), np.array([p, 0.5], dtype)
    theirs = torch.nn.functional.binary_cross_entropy(
        torch.tensor(probabilities), torch.tensor(labels), reduction="none"
    )
    ours = binary_cross_entropy(labels, probabilities, clip="torch", reduction="none")
    np.testing.assert_allclose(ours, theirs, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("y", "z"), [(0, -17), (1, 17)])
def test_float32_keeps_the_tail_that_torch_loses_on_one_side(y: int, z: float) -> None:
    loss = binary_cross_entropy_with_logits(y, np.float32(z))
    assert loss == pytest.approx(4.1399376330897474477e-08, rel=6e-8)


def test_infinite_logits_that_torch_answers_with_nan_cost_nothing() -> None:
    assert binary_cross_entropy_with_logits([1, 0], [np.inf, -np.inf]) == 0


# --- scikit-learn ---------------------------------------------------------------------------


def test_scikit_learns_example_has_its_published_value() -> None:
    y, p = [1, 0, 0, 1], [0.9, 0.1, 0.2, 0.65]  # of "spam"
    assert binary_cross_entropy(y, p) == pytest.approx(0.21616, abs=5e-6)


def test_weighted_means_match_scikit_learn() -> None:
    y, z, w = rows()
    y, p = np.round(y), sigmoid(z)
    assert binary_cross_entropy(y, p, sample_weight=w) == pytest.approx(
        log_loss(y, p, sample_weight=w), rel=1e-13
    )


@pytest.mark.parametrize(("dtype", "published"), [("f8", 36.0437), ("f4", 15.9424), ("f2", 6.931)])
@pytest.mark.parametrize(("y", "p"), [(1, 0), (0, 1)])
def test_clip_sklearn_clips_at_the_epsilon_of_the_dtype(
    y: int, p: int, dtype: str, published: float
) -> None:
    forecasts = np.array([p], dtype)
    ours = binary_cross_entropy([y], forecasts, clip="sklearn")
    assert ours == pytest.approx(published, abs=5e-4 if dtype == "f2" else 5e-5)
    assert ours == pytest.approx(log_loss([y], forecasts, labels=[0, 1]), rel=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_gradient_and_hessian_match_half_binomial_loss(dtype: Any) -> None:
    y, z, w = (array.astype(dtype) for array in rows())
    peer, ours = HalfBinomialLoss(), loss_gradient_hessian(y, z, sample_weight=w, reduction="none")
    gradient, hessian = peer.gradient_hessian(y, z, sample_weight=w)
    theirs = peer.loss(y, z, sample_weight=w), gradient, hessian
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            mine, other, rtol=1e4 * np.finfo(dtype).eps, atol=1e-6 * (dtype is np.float32)
        )


# --- Keras ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("y", "p", "published"), [(1, 0, 16.118), (0, 1, 15.942)])
def test_clip_keras_has_the_numbers_of_keras_in_float32(y: int, p: int, published: float) -> None:
    loss = binary_cross_entropy([y], np.array([p], np.float32), clip="keras")
    assert loss == pytest.approx(published, abs=5e-4)


def test_smoothing_is_that_of_keras() -> None:
    # Keras 3.15: float(keras.losses.binary_crossentropy([1.0], [0.8], label_smoothing=0.2))
    loss = binary_cross_entropy([1], [0.8], label_smoothing=0.2)
    assert loss == pytest.approx(0.36177298426628113, rel=1e-7)


# --- clipping by number ---------------------------------------------------------------------


def test_a_number_moves_probabilities_inside() -> None:
    clipped = binary_cross_entropy([1, 1, 0], [0.0, 0.5, 1.0], clip=0.01, reduction="none")
    np.testing.assert_allclose(clipped, [-math.log(0.01), math.log(2), -math.log(0.01)], rtol=1e-14)


@pytest.mark.parametrize("clip", [1e-3, "sklearn", "keras", "torch"])
def test_clipping_leaves_what_lies_inside_alone(clip: Any) -> None:
    y, p = [0, 1, 0.25], [0.2, 0.7, 0.4]
    np.testing.assert_array_equal(
        binary_cross_entropy(y, p, clip=clip, reduction="none"),
        binary_cross_entropy(y, p, reduction="none"),
    )


# --- 40 digits, by others than the tests' own 60 ----------------------------------------------


@pytest.mark.parametrize(
    ("z", "published"),
    [
        (-10, 4.5398899216864646769e-05),
        (-17, 4.1399376330897474477e-08),
        (-100, 3.720075976020835963e-44),
    ],
)
def test_tails_have_their_published_values(z: float, published: float) -> None:
    assert binary_cross_entropy_with_logits(0, float(z)) == published
