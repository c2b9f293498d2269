"""Sigmoid and logit, entropy and divergence: their values, shapes, limits and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from logloss import entropy, kl_divergence, logit, sigmoid
from logloss.errors import ArgumentError, LabelError, ProbabilityError
from tests import exact
from tests.exact import assert_close, hard_logits, hard_probabilities, mp

INF = math.inf
PROBABILITIES = [5e-324, 1e-310, 1e-20, 1e-8, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 1 - 1e-8, 1 - 2**-53]


def divergence(y: float, p: float) -> Any:
    """By the definition, with enough digits for 1 − 5e-324."""
    a, b = mp.mpf(y), mp.mpf(p)
    return a * mp.log(a / b) + (1 - a) * mp.log((1 - a) / (1 - b))


# --- sigmoid and logit ----------------------------------------------------------------------


def test_sigmoid_is_within_an_ulp_of_60_digits() -> None:
    z = hard_logits(np.float64)
    assert_close(sigmoid(z), [exact.sigmoid(value) for value in z], z, within=1)


@pytest.mark.parametrize(("z", "expected"), [(-10, 4.53978687024e-05), (-17, 4.13993754739e-08)])
def test_sigmoid_has_published_values(z: float, expected: float) -> None:
    assert sigmoid(z) == pytest.approx(expected, rel=1e-11)


def test_sigmoid_reaches_its_asymptotes_at_infinity() -> None:
    assert (sigmoid(-INF), sigmoid(0.0), sigmoid(INF)) == (0, 0.5, 1)


def test_logit_is_infinite_at_certainty() -> None:
    assert (logit(0), logit(0.5), logit(1)) == (-INF, 0, INF)


@pytest.mark.parametrize("function", [sigmoid, logit])
def test_nan_stays_nan(function: Any) -> None:
    assert math.isnan(function(math.nan))


@pytest.mark.parametrize(
    ("value", "place"), [([0.5, 1.5], r"p\[1\]"), ([[-0.5]], r"p\[0, 0\]"), (2, "p")]
)
def test_logit_names_the_value_outside_the_unit_interval(value: Any, place: str) -> None:
    with pytest.raises(ProbabilityError, match=rf"p must lie in \[0, 1\]; {place} is "):
        logit(value)


# --- entropy --------------------------------------------------------------------------------


def test_entropy_is_within_two_ulp_of_60_digits() -> None:
    p = hard_probabilities(np.float64)
    true = [exact.loss_from_probability(value, value) for value in p]
    assert_close(entropy(p), true, p, within=2)


def test_entropy_of_certainty_is_zero_and_of_a_fair_coin_log_two() -> None:
    np.testing.assert_array_equal(entropy([0, 0.5, 1]), [0, math.log(2), 0])


def test_entropy_names_a_nan() -> None:
    with pytest.raises(ProbabilityError, match=r"p\[1\] is nan"):
        entropy([0.5, math.nan])


# --- divergence -----------------------------------------------------------------------------


@pytest.mark.parametrize("y", PROBABILITIES)
def test_divergence_is_right_near_and_far_from_the_diagonal(y: float) -> None:
    near = [y * (1 + step) for step in (1e-15, 1e-8, -1e-3, 0.1, 0.4, 0.6)]
    for p in [p for p in PROBABILITIES + near if 0 < p < 1]:
        with mp.workdps(800):
            true = divergence(y, p)
            error = abs(mp.mpf(kl_divergence(y, p)) - true)
            assert error <= 2e-15 * true + 5e-323, (y, p)


@pytest.mark.parametrize("y", [0, 0.3, 1, *PROBABILITIES])
def test_divergence_from_itself_is_zero(y: float) -> None:
    assert kl_divergence(y, y) == 0


@pytest.mark.parametrize(("y", "p"), [(1, 0), (0, 1), (0.5, 0), (0.5, 1), (5e-324, 0)])
def test_divergence_from_what_was_ruled_out_is_infinite(y: float, p: float) -> None:
    assert kl_divergence(y, p) == INF


def test_divergence_broadcasts() -> None:
    assert kl_divergence([[0.1], [0.2]], [0.1, 0.2, 0.3]).shape == (2, 3)


@pytest.mark.parametrize(
    ("y", "p", "error", "message"),
    [
        ([0, 2], 0.5, LabelError, r"y must lie in \[0, 1\]; y\[1\] is 2.0"),
        (0.5, [0.5, math.nan], ProbabilityError, r"p must lie in \[0, 1\]; p\[1\] is nan"),
        ([0, 1], [0.5] * 3, ArgumentError, r"y \(2,\), p \(3,\)"),
        (["a"], 0.5, ArgumentError, "y must be bool, integers or floats"),
    ],
)
def test_divergence_names_what_is_wrong(y: Any, p: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        kl_divergence(y, p)


# --- shapes and dtypes ----------------------------------------------------------------------


@pytest.mark.parametrize("function", [sigmoid, logit, entropy])
def test_a_scalar_gives_a_python_float(function: Any) -> None:
    assert type(function(np.float32(0.25))) is float


@pytest.mark.parametrize("function", [sigmoid, logit, entropy])
def test_shapes_and_strides_are_kept(function: Any) -> None:
    values = np.linspace(0.1, 0.9, 24).reshape(2, 3, 4)
    np.testing.assert_array_equal(function(values.T[::-1]), function(values).T[::-1], strict=True)


@pytest.mark.parametrize(
    ("given", "computed"),
    [("f2", "f4"), ("f4", "f4"), (">f4", "f4"), ("f8", "f8"), ("i4", "f8"), (bool, "f8")],
)
def test_float32_is_computed_as_such_and_half_through_it(given: Any, computed: str) -> None:
    assert sigmoid(np.zeros(3, given)).dtype == computed


@pytest.mark.parametrize("function", [sigmoid, logit, entropy])
def test_nothing_gives_nothing(function: Any) -> None:
    assert function([]).shape == (0,)
