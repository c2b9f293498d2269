"""How networks see numbers: units, ranks, pieces, weights."""

from operator import attrgetter

import numpy as np
import pytest
import torch
from scipy.stats import norm

from logloss.network.numbers import NUMBERS, Piecewise, Quantile, Robust


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    return np.column_stack(
        [
            draw.normal(size=500),
            np.exp(3 * draw.normal(size=500)),
            draw.integers(0, 2, 500).astype(float),
            np.full(500, 7.0),
        ]
    )


def seen(module, X):
    return module(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_weight_of_two_is_two_rows(kind, rows):
    weight = np.random.default_rng(1).integers(1, 4, len(rows))
    weighted = NUMBERS[kind].learn(rows, weight.astype(float))
    repeated = np.repeat(rows, weight, axis=0)
    plain = NUMBERS[kind].learn(repeated, np.ones(len(repeated)))
    np.testing.assert_allclose(seen(weighted, rows), seen(plain, rows), atol=1e-12)


@pytest.mark.parametrize("kind", NUMBERS)
def test_powers_of_two_as_units_change_no_bit(kind, rows):
    units = np.array([1024.0, 2.0**-20, 4.0, 0.5])
    one = NUMBERS[kind].learn(rows, np.ones(len(rows)))
    other = NUMBERS[kind].learn(rows * units, np.ones(len(rows)))
    np.testing.assert_array_equal(seen(one, rows), seen(other, rows * units))


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_constant_column_says_nothing_and_far_numbers_stay_small(kind, rows):
    module = NUMBERS[kind].learn(rows, np.ones(len(rows)))
    far = rows[:1] * 1e12
    np.testing.assert_array_equal(
        seen(module, rows[:, :3].repeat([1, 1, 2], axis=1) * 0 + rows[:1]),
        seen(module, rows[:1]) + np.zeros((len(rows), 1)),
    )
    assert np.abs(seen(module, far)).max() < 6


def test_robust_is_the_formula_that_it_states(rows):
    x = rows[:, 0]
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], method="inverted_cdf")
    t = (x - middle) / (high - low)
    got = seen(Robust.learn(rows, np.ones(len(rows))), rows)[:, 0]
    np.testing.assert_allclose(got, t / np.sqrt(1 + (t / 3) ** 2), rtol=1e-12)


def test_a_column_of_two_values_is_measured_by_its_range():
    x = np.array([[0.0]] * 9 + [[1.0]])
    got = seen(Robust.learn(x, np.ones(10)), x)[:, 0]
    np.testing.assert_allclose(got, [0] * 9 + [2 / np.sqrt(1 + 4 / 9)])


def test_quantiles_of_skewed_numbers_are_normal(rows):
    got = np.sort(seen(Quantile.learn(rows, np.ones(len(rows))), rows)[:, 1])
    want = norm.ppf((np.arange(500) + 0.5) / 500)
    assert np.abs(got - want)[10:-10].max() < 0.15
    assert got.mean() == pytest.approx(0, abs=1e-12)
    assert got.std() == pytest.approx(1)


def test_pieces_rise_from_nothing_to_all_in_order(rows):
    module = Piecewise.learn(rows[:, :1], np.ones(len(rows)))
    x = np.sort(rows[:, 0])[:, None]
    passed = seen(module, x) + module.mean.numpy()
    assert passed[0].tolist() == [0.0] * 5
    assert passed[-1].tolist() == [1.0] * 5
    assert (np.diff(passed, axis=0) >= 0).all()
    assert (np.diff(passed, axis=1) <= 0).all()


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "pieces"),
    [(50, 1, 4), (900, 1, 9), (900, 3, 9), (5000, 1, 16), (3000, 20, 6), (20_000, 50, 10)],
)
def test_columns_share_the_pieces_that_rows_can_fill(n_rows, n_columns, pieces):
    X = np.random.default_rng(0).normal(size=(n_rows, n_columns))
    assert Piecewise.learn(X, np.ones(n_rows)).n_encoded == pieces * n_columns


def test_pieces_without_a_width_are_left_out(rows):
    module = Piecewise.learn(rows, np.ones(len(rows)))
    assert module.n_encoded == 5 + 5 + 1


@pytest.mark.parametrize("kind", NUMBERS)
def test_what_is_learned_can_be_rebuilt_from_its_buffers(kind, rows):
    module = NUMBERS[kind].learn(rows, np.ones(len(rows)))
    again = NUMBERS[kind].of(*(attrgetter(name)(module) for name in module.fields))
    np.testing.assert_array_equal(seen(again, rows), seen(module, rows))
