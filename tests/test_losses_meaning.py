"""The same question, asked of torch and scikit-learn; where they clip is in `test_clipping`.

Where they are wrong in the tails, 60 digits stand in their place.
"""

from __future__ import annotations

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
