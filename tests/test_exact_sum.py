"""Exact sums against rational arithmetic and `math.fsum`: any order, any cut, any size."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss import _core
from logloss.kernel import ExactSum

INF = math.inf

finite = st.floats(allow_nan=False, allow_infinity=False)
#: Losses as they come, terms that cancel, and doubles of every size down to the last bit.
terms = st.lists(
    st.one_of(
        finite,
        st.floats(0, 800),
        st.sampled_from([1e308, -1e308, 2.0**1023, 5e-324, -5e-324, 1.0, -1.0, 2.0**-53, 2.0**53]),
    ),
    max_size=40,
)


def total(values: Any) -> float:
    return ExactSum.of(np.array(values, float)).value


def true_total(values: list[float]) -> float:
    """Exact in rational numbers, and rounded once; beyond the largest double, infinite."""
    fraction = sum(map(Fraction, values), Fraction(0))
    try:
        return float(fraction)
    except OverflowError:
        return INF if fraction > 0 else -INF


@given(terms)
def test_an_exact_sum_is_rounded_once(values: list[float]) -> None:
    assert total(values) == true_total(values)


@given(st.lists(st.floats(-1e300, 1e300), max_size=600))
def test_an_exact_sum_is_fsum(values: list[float]) -> None:
    assert total(values) == math.fsum(values)


@pytest.mark.parametrize("scale", [1e-320, 1e-160, 1, 511, 513, 1e10, 1e300])
def test_long_exact_sums_are_fsum(scale: float) -> None:
    values = scale * np.random.default_rng(4).exponential(size=20_001)
    values[::3] *= -1
    assert ExactSum.of(values).value == math.fsum(values)


@given(terms, st.randoms(use_true_random=False))
def test_an_exact_sum_forgets_the_order(values: list[float], random: Any) -> None:
    shuffled = random.sample(values, len(values))
    assert ExactSum.of(np.array(values, float)) == ExactSum.of(np.array(shuffled, float))


@given(terms, st.integers(0, 40))
def test_an_exact_sum_forgets_the_cut(values: list[float], cut: int) -> None:
    parts = (ExactSum.of(np.array(part, float)) for part in (values[:cut], values[cut:]))
    assert next(parts) + next(parts) == ExactSum.of(np.array(values, float))


@given(terms)
def test_an_exact_sum_pickles(values: list[float]) -> None:
    whole = ExactSum.of(np.array(values, float))
    again = pickle.loads(pickle.dumps(whole))
    assert (again, hash(again), again.value) == (whole, hash(whole), whole.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, INF], INF),
        ([-INF, 1.0], -INF),
        ([INF, -INF], math.nan),
        ([INF, math.nan], math.nan),
        ([], 0.0),
        ([-0.0, -0.0], 0.0),
        ([5e-324] * 7, 3.5e-323),
        ([1.7976931348623157e308] * 2, INF),
        ([-1.7976931348623157e308] * 2, -INF),
        ([1.7976931348623157e308] * 3 + [-1.7976931348623157e308] * 2, 1.7976931348623157e308),
        ([1.0, 2.0**-53], 1.0),
        ([1.0, 2.0**-53, 5e-324], 1.0 + 2.0**-52),
        ([1.0 + 2.0**-52, 2.0**-53], 1.0 + 2.0**-51),
    ],
)
def test_exact_sums_at_the_edges(values: list[float], expected: float) -> None:
    np.testing.assert_equal(total(values), expected)


def test_infinities_survive_merging() -> None:
    up, down = (ExactSum.of(np.array([value])) for value in (INF, -INF))
    assert (up + up).value == INF
    assert math.isnan((up + down).value)


def test_merging_many_sums_loses_nothing() -> None:
    merged = ExactSum.of(np.array([], float))
    part = ExactSum.of(np.array([0.1, -1e300, 1e300]))
    for _ in range(1000):
        merged = merged + part
    assert merged.value == math.fsum([0.1] * 1000)


@pytest.mark.parametrize("dtype", [bool, "i1", "u8", "f4"])
def test_an_exact_sum_reads_every_dtype(dtype: Any) -> None:
    values = (np.arange(1000) % 2).astype(dtype)
    assert ExactSum.of(values[::3]).value == values[::3].sum(dtype=float)


def test_an_exact_sum_shows_its_value() -> None:
    assert repr(ExactSum.of(np.array([0.5, 0.25]))) == "ExactSum(0.75)"


def test_an_exact_sum_equals_no_plain_number() -> None:
    assert ExactSum.of(np.array([0.5])) != 0.5


def test_a_damaged_state_is_refused() -> None:
    with pytest.raises(ValueError, match="not the state"):
        _core.ExactSum.__new__(_core.ExactSum).__setstate__(b"short")


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 700, 2999])
def test_what_is_not_finite_is_met_wherever_it_stands(row: int, special: float) -> None:
    values = np.random.default_rng(0).random(3000)
    values[row] = special
    np.testing.assert_equal(ExactSum.of(values).value, math.fsum(values.tolist()))
