"""The compiled kernels against 60 digits, at every instruction-set level this machine can run."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from logloss import _core, kernel
from logloss.kernel import Rows
from tests import exact
from tests.exact import assert_close, hard_logits, hard_probabilities, mp

LEVELS = [
    level for level in ("baseline", "x86-64-v3", "x86-64-v4") if _core.kernels_at(level) is not None
]
#: Units in the last place that soft labels, probabilities and `logit` may be off, by dtype.
#: Hard labels with logits, and `sigmoid`, stay within 1.
WITHIN = {np.float32: 1, np.float64: 2}
DTYPES = [np.float32, np.float64]
HARD_LABELS = [0.0, 1.0]
SOFT_LABELS = [5e-324, 1e-300, 0.25, 1 / 3, 0.5, 0.9, 1 - 2.0**-53]
INF = math.inf


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the package compute at one instruction-set level."""
    monkeypatch.setattr(kernel.level, "KERNELS", _core.kernels_at(request.param))
    return str(request.param)


@cache
def true_rows(label: float, dtype: type[np.floating]) -> list[exact.Bernoulli]:
    return [exact.bernoulli(label, z) for z in hard_logits(dtype)]


@cache
def true_losses(label: float, dtype: type[np.floating]) -> list[exact.Real]:
    return [exact.loss_from_probability(label, p) for p in hard_probabilities(dtype)]


def full(value: float, like: np.ndarray) -> np.ndarray:
    """Labels are doubles whatever the logits are: a float32 would round soft ones."""
    return np.full(like.shape, value, np.float64)


def at_level(level: str, call: Any, *arguments: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel.level, "KERNELS", _core.kernels_at(level))
        return call(*arguments)


# --- which kernels --------------------------------------------------------------------------


def test_the_level_is_the_one_asked_for(level: str) -> None:
    assert kernel.level.KERNELS.level == level


def test_the_best_level_is_used() -> None:
    assert kernel.level.KERNELS.level == LEVELS[-1]


def test_there_are_no_kernels_of_an_unknown_level() -> None:
    assert _core.kernels_at("x86-64-v9") is None


# --- from logits ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", HARD_LABELS)
def test_loss_and_derivatives_match_60_digits(
    level: str, label: float, dtype: type[np.floating]
) -> None:
    logits = hard_logits(dtype)
    computed = kernel.loss_derivatives(full(label, logits), logits)
    for values, true in zip(computed, zip(*true_rows(label, dtype), strict=True), strict=True):
        assert_close(values, true, logits, within=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", SOFT_LABELS)
def test_soft_loss_matches_60_digits(level: str, label: float, dtype: type[np.floating]) -> None:
    logits = hard_logits(dtype)
    loss = kernel.losses_from_logits(full(label, logits), logits)
    assert_close(loss, [row.loss for row in true_rows(label, dtype)], logits, within=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", SOFT_LABELS)
def test_soft_gradient_errs_by_four_roundings_of_sigmoid_plus_label(
    level: str, label: float, dtype: type[np.floating]
) -> None:
    logits = hard_logits(dtype)
    _, gradient, _ = kernel.loss_derivatives(full(label, logits), logits)
    info = np.finfo(dtype)
    unit, least = mp.mpf(float(info.eps)) / 2, mp.mpf(float(info.smallest_subnormal))
    for z, value, true in zip(logits, gradient, true_rows(label, dtype), strict=True):
        bound = 4 * unit * (exact.sigmoid(z) + mp.mpf(label)) + least
        assert abs(mp.mpf(float(value)) - true.gradient) <= bound, (label, z)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_loss_is_the_same_alone_and_with_its_derivatives(
    level: str, dtype: type[np.floating]
) -> None:
    logits = hard_logits(dtype)
    labels = np.linspace(0, 1, len(logits))
    alone = kernel.losses_from_logits(labels, logits)
    with_derivatives, _, _ = kernel.loss_derivatives(labels, logits)
    np.testing.assert_array_equal(alone, with_derivatives)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("label", "logit", "expected"),
    [
        (1, INF, (0, 0, 0)),
        (1, -INF, (INF, -1, 0)),
        (0, INF, (INF, 1, 0)),
        (0, -INF, (0, 0, 0)),
        (0.25, INF, (INF, 0.75, 0)),
        (0.25, -INF, (INF, -0.25, 0)),
    ],
)
def test_infinite_logits_have_their_limits(
    level: str, label: float, logit: float, expected: Any, dtype: type[np.floating]
) -> None:
    logits = np.array([logit], dtype)
    computed = kernel.loss_derivatives(np.array([label], float), logits)
    assert tuple(float(values[0]) for values in computed) == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_finite_logit_has_a_finite_loss(level: str, dtype: type[np.floating]) -> None:
    largest = np.finfo(dtype).max
    logits = np.array([largest, -largest], dtype)
    loss = kernel.losses_from_logits(np.array([0, 1]), logits)
    np.testing.assert_array_equal(loss, [largest, largest])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_logits_give_nan(level: str, dtype: type[np.floating]) -> None:
    computed = kernel.loss_derivatives(np.array([0, 1]), np.full(2, np.nan, dtype))
    assert np.isnan(computed).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_zeros_have_the_loss_log_two(level: str, dtype: type[np.floating]) -> None:
    loss = kernel.losses_from_logits(np.array([0, 1, 0, 1]), np.array([0, 0, -0.0, -0.0], dtype))
    np.testing.assert_array_equal(loss, np.full(4, math.log(2), dtype))


# --- from probabilities ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", HARD_LABELS + SOFT_LABELS)
def test_loss_from_probabilities_matches_60_digits(
    level: str, label: float, dtype: type[np.floating]
) -> None:
    p = hard_probabilities(dtype)
    loss = kernel.losses_from_probabilities(full(label, p), p)
    assert_close(loss, true_losses(label, dtype), p, within=WITHIN[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", HARD_LABELS)
def test_the_derivative_by_probability_matches_60_digits(
    level: str, label: float, dtype: type[np.floating]
) -> None:
    p = hard_probabilities(dtype)
    p = p[p > np.finfo(dtype).tiny]  # below, 1/p overflows
    gradient = np.empty_like(p)
    kernel.evaluate_probabilities(Rows(full(label, p), p, gradient=gradient), total=False)
    true = [-1 / mp.mpf(float(v)) if label else 1 / (1 - mp.mpf(float(v))) for v in p]
    assert_close(gradient, true, p, within=WITHIN[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("label", "p", "expected"),
    [(1, 1, 0), (0, 0, 0), (1, 0, INF), (0, 1, INF), (0.5, 0, INF), (0.5, 1, INF)],
)
def test_certain_probabilities_are_taken_at_their_word(
    level: str, label: float, p: float, expected: float, dtype: type[np.floating]
) -> None:
    loss = kernel.losses_from_probabilities(np.array([label], float), np.array([p], dtype))
    assert (loss[0], np.signbit(loss[0])) == (expected, False)


# --- sigmoid and logit ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_matches_60_digits(level: str, dtype: type[np.floating]) -> None:
    logits = hard_logits(dtype)
    true = [exact.sigmoid(z) for z in logits]
    assert_close(kernel.sigmoid(logits), true, logits, within=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logit_matches_60_digits(level: str, dtype: type[np.floating]) -> None:
    p = hard_probabilities(dtype)
    p = p[p != 0.5]  # where it is 0, which has no ulp
    assert_close(kernel.logit(p), [exact.logit(v) for v in p], p, within=WITHIN[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_and_logit_have_their_limits(level: str, dtype: type[np.floating]) -> None:
    ends = np.array([-INF, 0, INF], dtype)
    np.testing.assert_array_equal(kernel.sigmoid(ends), [0, 0.5, 1])
    np.testing.assert_array_equal(kernel.logit(np.array([0, 0.5, 1], dtype)), ends)


# --- the same everywhere --------------------------------------------------------------------


@pytest.mark.parametrize("label", HARD_LABELS + SOFT_LABELS)
def test_float32_has_the_same_bits_at_every_level(label: float) -> None:
    logits, p = hard_logits(np.float32), hard_probabilities(np.float32)
    baseline, *others = (
        [
            *at_level(name, kernel.loss_derivatives, full(label, logits), logits),
            at_level(name, kernel.losses_from_probabilities, full(label, p), p),
            at_level(name, kernel.sigmoid, logits),
            at_level(name, kernel.logit, p),
        ]
        for name in LEVELS
    )
    for other in others:
        for ours, theirs in zip(baseline, other, strict=True):
            np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize(
    "dtype", [bool, *(f"{kind}{bits}" for kind in ("i", "u") for bits in (1, 2, 4, 8)), "f4", "f8"]
)
def test_labels_of_every_dtype_count_the_same(level: str, dtype: Any) -> None:
    logits = np.linspace(-3, 3, 1000)
    labels = np.arange(1000) % 3 == 0
    np.testing.assert_array_equal(
        kernel.losses_from_logits(labels.astype(dtype), logits),
        kernel.losses_from_logits(labels, logits),
    )


@pytest.mark.parametrize("step", [2, -1, -3])
def test_strided_rows_count_as_their_copies(level: str, step: int) -> None:
    logits, labels = np.linspace(-9, 9, 3000)[::step], (np.arange(3000) % 7 == 0)[::step]
    for strided, copied in zip(
        kernel.loss_derivatives(labels, logits),
        kernel.loss_derivatives(labels.copy(), logits.copy()),
        strict=True,
    ):
        np.testing.assert_array_equal(strided, copied)


def test_one_broadcast_label_serves_all_rows(level: str) -> None:
    logits = np.linspace(-9, 9, 1300)
    np.testing.assert_array_equal(
        kernel.losses_from_logits(np.broadcast_to(np.int8(1), 1300), logits),
        kernel.losses_from_logits(np.ones(1300), logits),
    )


# --- weights, smoothing, faults -------------------------------------------------------------


def test_smoothing_comes_before_the_positive_weight_and_the_row_weight_last(level: str) -> None:
    loss = np.empty(1)
    rows = Rows(
        np.array([1.0]),
        np.array([0.5]),
        weight=np.array([3.0]),
        pos_weight=np.array([7.0]),
        smoothing=0.5,
        loss=loss,
    )
    kernel.evaluate_logits(rows, total=False)
    positive, negative = math.log1p(math.exp(-0.5)), math.log1p(math.exp(0.5))
    assert loss[0] == pytest.approx(3 * (7 * 0.75 * positive + 0.25 * negative), rel=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("evaluate", [kernel.evaluate_logits, kernel.evaluate_probabilities])
def test_the_total_is_fsum_of_the_weighted_losses(
    level: str, evaluate: Any, dtype: type[np.floating]
) -> None:
    rng = np.random.default_rng(3)
    scores, weight, loss = rng.random(5000).astype(dtype), rng.random(5000), np.empty(5000, dtype)
    rows = Rows(rng.integers(0, 2, 5000), scores, weight=weight, loss=loss)
    total, _ = evaluate(rows, total=True)
    assert total.value == math.fsum(loss)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_total_is_fsum_wherever_the_losses_begin_and_end_to_be_small(
    level: str, dtype: type[np.floating]
) -> None:
    draw = np.random.default_rng(16)
    deviations = np.repeat([1, 100, 1, 30, 1000, 3, 1, 10], 2 * 2048)
    logits = (draw.normal(size=len(deviations)) * deviations).astype(dtype)
    y = draw.integers(0, 2, len(logits))
    loss = np.empty(len(logits), dtype)
    total, _ = kernel.evaluate_logits(Rows(y, logits, loss=loss), total=True)
    assert total is not None
    assert total.value == math.fsum(loss)


@pytest.mark.parametrize("row", [0, 511, 512, 1999])
@pytest.mark.parametrize("bad", [np.nan, INF, -0.1])
def test_the_first_fault_of_each_kind_is_reported(level: str, row: int, bad: float) -> None:
    good = np.full(2000, 0.5)
    broken = np.where(np.arange(2000) >= row, bad, good)
    faults = [
        kernel.evaluate_probabilities(Rows(*columns), total=False)[1]
        for columns in [(broken, good), (good, broken), (good, good, broken)]
    ]
    assert faults == [(row, -1, -1), (-1, row, -1), (-1, -1, row)]


def test_sound_rows_have_no_faults(level: str) -> None:
    rows = Rows(np.array([0, 1]), np.array([-INF, INF]), weight=np.array([0.0, 1.0]))
    assert kernel.evaluate_logits(rows, total=False)[1] == (-1, -1, -1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(2, complex)}, "bool, integers, float32 and float64"),
        ({"y": np.zeros(3)}, "length of the scores"),
        ({"loss": np.zeros(3)}, "dtype and the length"),
        ({"loss": np.zeros(2, "f4")}, "dtype and the length"),
    ],
)
def test_what_the_kernel_cannot_read_is_a_type_error(arrays: Any, message: str) -> None:
    rows = Rows(**{"y": np.zeros(2), "scores": np.zeros(2), **arrays})
    with pytest.raises(TypeError, match=message):
        kernel.evaluate_logits(rows, total=False)


@pytest.mark.parametrize("label", ["?", "b", "B", "h", "i", "q", "f", "d"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_quick_mean_at_addresses_is_that_of_arrays(dtype: type[np.floating], label: str) -> None:
    rng = np.random.default_rng(5)
    y, z = rng.integers(0, 2, (40, 3)).astype(label), rng.normal(size=(40, 3)).astype(dtype)
    gradient = np.empty_like(z)
    words = (y.ctypes.data, label, z.ctypes.data, z.dtype.char)
    mean = kernel.quick_mean_at(*words, gradient.ctypes.data, z.size)
    _, slopes, _ = kernel.loss_derivatives(y.ravel(), z.ravel())
    assert mean == kernel.quick_mean_at(*words, 0, z.size) == kernel.quick_mean_from_logits(y, z)
    np.testing.assert_array_equal(gradient.ravel(), slopes / dtype(y.size))


def test_a_quick_mean_at_addresses_leaves_what_is_out_of_the_ordinary() -> None:
    y, z = np.array([0.0, 2.0]), np.zeros(2)
    assert kernel.quick_mean_at(y.ctypes.data, "d", z.ctypes.data, "d", 0, 2) is None
    assert kernel.quick_mean_at(z.ctypes.data, "d", z.ctypes.data, "d", 0, 0) is None
