"""Sums by group are exact, whatever the order, the cut and the merging."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss.scoring.sums import DigitSums, GroupSums

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


def summed(values, groups, n_groups):
    sums = DigitSums(n_groups, 1)
    sums.add(np.asarray(groups, np.intp), 0, np.asarray(values, float))
    return sums


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 3)), max_size=40))
def test_every_group_sums_as_fsum_does(rows):
    values, groups = [v for v, _ in rows], [g for _, g in rows]
    expected = [math.fsum(v for v, g in rows if g == group) for group in range(4)]
    assert summed(values, groups, 4).values()[:, 0].tolist() == expected


@pytest.mark.parametrize("value", [5e-324, 2.0**-1022, 1.0, 2.0**53 + 2, 1.7e308, -0.0])
def test_one_value_comes_back_to_the_bit(value):
    assert summed([value], [0], 1).values()[0, 0] == value


def test_whole_numbers_beyond_the_digits_stay_exact():
    sums = summed([2.0**40] * 3, [0, 0, 0], 1)
    for _ in range(10):
        sums.merge(sums)
    assert sums.values()[0, 0] == 3 * 2.0**50


def test_merging_is_adding():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=1000) * 1e5, rng.integers(0, 5, 1000)
    parts = summed(values[:300], groups[:300], 5)
    parts.merge(summed(values[300:], groups[300:], 5))
    assert (parts.values() == summed(values, groups, 5).values()).all()


def test_groups_met_later_find_their_place():
    rng = np.random.default_rng(1)
    keys, values = rng.integers(0, 40, 3000), rng.exponential(size=3000)
    sums = GroupSums(1)
    for start in range(0, 3000, 100):
        here = slice(start, start + 100)
        names, codes = np.unique(keys[here], return_inverse=True)
        sums.add(names.tolist(), codes, [values[here]])
    found = dict(zip(sums.keys, sums.values()[:, 0].tolist(), strict=True))
    assert found == {key: math.fsum(values[keys == key]) for key in range(40)}
    assert dict(zip(sums.keys, sums.counts.tolist(), strict=True)) == {
        key: int((keys == key).sum()) for key in range(40)
    }


def test_adding_group_sums_leaves_both_as_they_were():
    one, other = GroupSums(1), GroupSums(1)
    one.add(["a", "b"], np.array([0, 1, 0]), [np.array([1.0, 2.0, 3.0])])
    other.add(["c", "a"], np.array([0, 1]), [np.array([5.0, 7.0])])
    both = one + other
    assert dict(zip(both.keys, both.values()[:, 0], strict=True)) == {"a": 11, "b": 2, "c": 5}
    assert (one.keys, one.values()[:, 0].tolist()) == (("a", "b"), [4, 2])
    assert (other.keys, other.counts.tolist()) == (("c", "a"), [1, 1])


def test_sums_are_equal_when_all_they_hold_is():
    rng = np.random.default_rng(4)
    values, groups = rng.normal(size=100), rng.integers(0, 3, 100)
    order = rng.permutation(100)
    assert summed(values, groups, 3) == summed(values[order], groups[order], 3)
    assert summed(values, groups, 3) != summed(values, groups, 4)
    assert summed(values, groups, 3) != summed(2 * values, groups, 3)
    assert summed(values, groups, 3) != "sums"
    assert GroupSums(1) != "sums"


def test_sums_survive_pickling():
    sums = summed([0.1, 0.2, 1e-300], [0, 1, 1], 2)
    assert (pickle.loads(pickle.dumps(sums)).values() == sums.values()).all()


def test_sums_beyond_doubles_are_infinite_whatever_the_order():
    groups = np.array([0, 1, 1, 2])
    sums, merged = DigitSums(3, 1), DigitSums(3, 1)
    sums.add(groups, 0, np.array([1.0, 1e308, 1e308, np.inf]))
    merged.merge(sums, np.array([2, 0, 1]))
    assert sums.values().ravel().tolist() == [1.0, np.inf, np.inf]
    assert merged.values().ravel().tolist() == [np.inf, np.inf, 1.0]
    assert sums != merged
    assert pickle.loads(pickle.dumps(sums)) == sums
