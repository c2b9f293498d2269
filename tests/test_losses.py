"""What the losses of arrays mean, row by row of the table in docs/numbers.md, and their laws."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    entropy,
    kl_divergence,
    logit,
    loss_gradient,
    loss_gradient_hessian,
    sigmoid,
)
from logloss.errors import SwappedWarning
from tests import exact

INF = math.inf
EPSILON = np.finfo(float).eps

labels = st.integers(0, 1024).map(lambda k: k / 1024)  # 1 − y is exact
logits = st.floats(-800, 800)
probabilities = st.floats(0, 1)


def rows(n: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, logits and weights."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n), rng.normal(0, 5, n), rng.exponential(size=n)


def loss_of(y: float, p: float) -> float:
    """Loss of one forecast, in company, so that a forecast of 0 or 1 does not look like a label."""
    return float(binary_cross_entropy([y, 1], [p, 0.5], reduction="none")[0])


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "p", "expected"),
    [(1, 1.0, 0), (0, 0.0, 0), (1, 0.0, INF), (0, 1.0, INF), (0.5, 0.0, INF), (0.5, 1.0, INF)],
)
def test_certain_forecasts_cost_exactly_nothing_or_infinity(
    y: float, p: float, expected: float
) -> None:
    assert loss_of(y, p) == expected


@pytest.mark.parametrize(
    ("y", "z", "expected"),
    [
        (1, INF, (0, 0, 0)),
        (0, -INF, (0, 0, 0)),
        (1, -INF, (INF, -1, 0)),
        (0, INF, (INF, 1, 0)),
        (0.25, INF, (INF, 0.75, 0)),
    ],
)
def test_infinite_logits_have_the_limits_of_loss_gradient_and_hessian(
    y: float, z: float, expected: tuple[float, ...]
) -> None:
    assert loss_gradient_hessian(y, z) == expected


def test_one_infinite_loss_makes_the_mean_infinite() -> None:
    assert binary_cross_entropy([1, 1, 0], [0.5, 0.0, 0.5]) == INF


# --- smoothing, pos_weight, sample_weight ----------------------------------------------------


def test_smoothing_moves_labels_towards_one_half() -> None:
    y, z, _ = rows()
    smoothed = binary_cross_entropy_with_logits(y, z, label_smoothing=0.25)
    assert smoothed == binary_cross_entropy_with_logits(y * 0.75 + 0.125, z)


def test_pos_weight_multiplies_the_term_of_class_one_alone() -> None:
    y, z, _ = rows()
    weighted = binary_cross_entropy_with_logits(y, z, pos_weight=4, reduction="none")
    plain = binary_cross_entropy_with_logits(y, z, reduction="none")
    np.testing.assert_allclose(weighted, np.where(y == 1, 4, 1) * plain, rtol=4 * EPSILON)


def test_pos_weight_does_not_enter_the_denominator() -> None:
    assert binary_cross_entropy([1, 0], [0.5, 0.5], pos_weight=3) == 2 * math.log(2)


def test_the_mean_divides_by_the_sum_of_the_weights() -> None:
    assert binary_cross_entropy([1, 0], [0.5, 0.5], sample_weight=[3, 5]) == math.log(2)


def test_smoothing_comes_first_then_pos_weight_then_sample_weight() -> None:
    loss = binary_cross_entropy(
        1, 0.2, label_smoothing=0.5, pos_weight=3, sample_weight=2, reduction="sum"
    )
    assert loss == pytest.approx(-2 * (3 * 0.75 * math.log(0.2) + 0.25 * math.log(0.8)), rel=1e-15)


@pytest.mark.parametrize("function", [binary_cross_entropy_with_logits, loss_gradient])
def test_a_row_of_weight_zero_does_not_count(function: Any) -> None:
    loss = function([1, 1], [-INF, 0.0], sample_weight=[0, 1])
    assert np.atleast_1d(loss if np.isscalar(loss) else loss[0]) == math.log(2)


def test_a_forecast_that_is_infinitely_wrong_costs_nothing_without_weight() -> None:
    assert binary_cross_entropy([1, 0], [0.0, 0.5], sample_weight=[0, 1]) == math.log(2)


def test_weights_count_like_repeated_rows() -> None:
    y, z, _ = rows(200)
    counts = np.random.default_rng(1).integers(0, 4, 200)
    weighted = binary_cross_entropy_with_logits(y, z, sample_weight=counts)
    assert weighted == pytest.approx(
        binary_cross_entropy_with_logits(np.repeat(y, counts), np.repeat(z, counts)), rel=1e-15
    )


# --- where, axis, reduction ------------------------------------------------------------------


def test_masked_entries_are_not_even_checked() -> None:
    loss = binary_cross_entropy(
        [1, 7, 0], [0.5, np.nan, 0.25], sample_weight=[1, -1, 1], where=[True, False, True]
    )
    assert loss == binary_cross_entropy([1, 0], [0.5, 0.25])


def test_masked_entries_are_zero_where_nothing_is_reduced() -> None:
    loss, gradient, hessian = loss_gradient_hessian(
        [1, 7], [0.0, np.nan], where=[True, False], reduction="none"
    )
    np.testing.assert_array_equal(
        [loss, gradient, hessian], [[math.log(2), 0], [-0.5, 0], [0.25, 0]]
    )


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (1, -1), (0, 1, 2), ()])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_axes_are_reduced_like_numpys(axis: Any, reduction: str) -> None:
    y, z, w = (array.reshape(5, 4, 6) for array in rows(120))
    reduced = binary_cross_entropy_with_logits(
        y, z, sample_weight=w, axis=axis, reduction=reduction
    )
    losses = binary_cross_entropy_with_logits(y, z, sample_weight=w, reduction="none")
    expected = losses.sum(axis)
    if reduction == "mean":
        expected = expected / w.sum(axis)
    np.testing.assert_allclose(reduced, expected, rtol=1e-14)


def test_all_axes_by_name_are_all_axes_by_default() -> None:
    y, z, w = (array.reshape(10, 100) for array in rows())
    assert binary_cross_entropy_with_logits(
        y, z, sample_weight=w, axis=(0, 1)
    ) == binary_cross_entropy_with_logits(y, z, sample_weight=w)


def test_axes_and_masks_work_together() -> None:
    y, z, _ = (array.reshape(10, 100) for array in rows())
    mask = np.random.default_rng(2).random((10, 100)) < 0.5
    expected = [binary_cross_entropy_with_logits(y[k][mask[k]], z[k][mask[k]]) for k in range(10)]
    reduced = binary_cross_entropy_with_logits(y, z, where=mask, axis=1)
    np.testing.assert_allclose(reduced, expected, rtol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reduced_losses_are_python_floats(reduction: str) -> None:
    y, z, _ = rows()
    assert type(binary_cross_entropy_with_logits(y, z, reduction=reduction)) is float
    assert type(binary_cross_entropy(y, sigmoid(z), reduction=reduction)) is float


def test_a_broadcast_shape_is_the_shape_of_the_result() -> None:
    loss, gradient = loss_gradient([[1], [0]], [0.0, 1.0, 2.0], reduction="none")
    assert loss.shape == gradient.shape == (2, 3)


@pytest.mark.parametrize(
    "options",
    [{}, {"reduction": "sum"}, {"axis": 0}, {"reduction": "none"}],
)
def test_derivatives_are_elementwise_whatever_the_loss_is_reduced_to(options: Any) -> None:
    y, z, w = rows()
    options = {"sample_weight": w, "pos_weight": 3, "label_smoothing": 0.1, **options}
    loss, gradient, hessian = loss_gradient_hessian(y, z, **options)
    soft = y * 0.9 + 0.05
    p = sigmoid(z)
    slope = w * ((1 - soft) * p - 3 * soft * sigmoid(-z))
    np.testing.assert_allclose(gradient, slope, rtol=1e-13)
    np.testing.assert_allclose(hessian, w * (3 * soft + 1 - soft) * p * sigmoid(-z), rtol=1e-13)
    np.testing.assert_array_equal(loss, binary_cross_entropy_with_logits(y, z, **options))
    np.testing.assert_array_equal(gradient, loss_gradient(y, z, **options)[1])


# --- exact sums: order, cut, threads ----------------------------------------------------------

N_ROWS = 400_000  # several runs for several threads


def test_the_mean_is_fsum_over_fsum() -> None:
    y, z, w = rows(50_000)
    losses = binary_cross_entropy_with_logits(y, z, reduction="none")
    mean = binary_cross_entropy_with_logits(y, z, sample_weight=w)
    assert mean == math.fsum(w * losses) / math.fsum(w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_do_not_depend_on_order_or_threads(dtype: Any, weighted: bool) -> None:
    y, z, w = rows(N_ROWS)
    z, weight = z.astype(dtype), w if weighted else None
    whole = binary_cross_entropy_with_logits(y, z, sample_weight=weight, n_threads=1)
    for n_threads in (2, 3, None):
        again = binary_cross_entropy_with_logits(y, z, sample_weight=weight, n_threads=n_threads)
        assert again == whole
    order = np.random.default_rng(3).permutation(N_ROWS)
    shuffled = None if weight is None else weight[order]
    assert binary_cross_entropy_with_logits(y[order], z[order], sample_weight=shuffled) == whole


def test_derivatives_do_not_depend_on_threads() -> None:
    y, z, w = rows(N_ROWS)
    alone = loss_gradient_hessian(y, z, sample_weight=w, n_threads=1)
    together = loss_gradient_hessian(y, z, sample_weight=w, n_threads=4)
    for ours, theirs in zip(alone, together, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_sum_is_the_fsum_of_the_rows() -> None:
    y, z, _ = rows(N_ROWS)
    losses = binary_cross_entropy(y, sigmoid(z), reduction="none")
    assert binary_cross_entropy(y, sigmoid(z), reduction="sum") == math.fsum(losses)


# --- a warning ------------------------------------------------------------------------------


def test_swapped_arguments_are_warned_about() -> None:
    with pytest.warns(SwappedWarning, match="look swapped") as caught:
        binary_cross_entropy([0.2, 0.9], [0, 1])
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("y", "p"), [([0, 1], [0, 1]), ([0.2, 0.9], [0, 0.5]), ([0.5] * 20, [1] * 19 + [0.5])]
)
def test_arguments_in_their_order_are_not_warned_about(y: Any, p: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        binary_cross_entropy(y, p)


# --- laws -----------------------------------------------------------------------------------


@given(labels, logits)
def test_relabelling_mirrors_the_loss_and_its_derivatives(y: float, z: float) -> None:
    loss, gradient, hessian = loss_gradient_hessian(y, z)
    assert loss_gradient_hessian(1 - y, -z) == (loss, -gradient, hessian)


@given(labels, st.integers(0, 2**20).map(lambda k: k / 2**20))
def test_relabelling_mirrors_the_loss_of_probabilities(y: float, p: float) -> None:
    assert loss_of(1 - y, 1 - p) == pytest.approx(loss_of(y, p), rel=4 * EPSILON)


@given(st.sampled_from([0, 1]), logits, logits)
def test_a_worse_logit_never_costs_less(y: int, one: float, other: float) -> None:
    better, worse = sorted((one, other), key=lambda z: z if y == 0 else -z)
    loss, more = (binary_cross_entropy_with_logits(y, z) for z in (better, worse))
    assert loss <= more * (1 + 4 * EPSILON)


@given(st.sampled_from([0, 1]), probabilities, probabilities)
def test_a_worse_probability_never_costs_less(y: int, one: float, other: float) -> None:
    better, worse = sorted((one, other), key=lambda p: p if y == 0 else -p)
    loss, more = (binary_cross_entropy(y, p) for p in (better, worse))
    assert loss <= more * (1 + 4 * EPSILON) + 5e-324


@given(labels, logits, logits, st.floats(0, 1))
def test_the_loss_is_convex_in_the_logit(y: float, a: float, b: float, t: float) -> None:
    between = binary_cross_entropy_with_logits(y, t * a + (1 - t) * b)
    at_a, at_b = (binary_cross_entropy_with_logits(y, z) for z in (a, b))
    assert between <= (t * at_a + (1 - t) * at_b) * (1 + 1e-12) + 1e-12


@given(labels, st.floats(-60, 60))
def test_derivatives_are_finite_differences_at_60_digits(y: float, z: float) -> None:
    _, gradient, hessian = loss_gradient_hessian(y, z)
    slope = exact.derivative(lambda at: exact.bernoulli(y, at).loss, z)
    curvature = exact.derivative(lambda at: exact.bernoulli(y, at).gradient, z)
    assert abs(gradient - slope) <= 2 * EPSILON * (exact.sigmoid(z) + y)
    assert abs(hessian - curvature) <= 4 * EPSILON * curvature


@given(labels, st.floats(-30, 30))
def test_the_loss_of_logits_is_the_loss_of_their_probabilities(y: float, z: float) -> None:
    wide = max(1, abs(z)) * EPSILON * math.exp(max(z, 0))  # a float near 1 says little of 1 − p
    assert binary_cross_entropy(y, sigmoid(z)) == pytest.approx(
        binary_cross_entropy_with_logits(y, z), rel=1e-14, abs=4 * wide
    )


@given(st.floats(-700, 30))
def test_logit_undoes_sigmoid(z: float) -> None:
    assert logit(sigmoid(z)) == pytest.approx(z, rel=1e-14, abs=4 * EPSILON * (1 + math.exp(z)))


@given(probabilities, probabilities)
def test_cross_entropy_is_entropy_plus_divergence(y: float, p: float) -> None:
    assert loss_of(y, p) == pytest.approx(entropy(y) + kl_divergence(y, p), rel=1e-14)
