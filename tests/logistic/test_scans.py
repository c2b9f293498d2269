"""Scans of linear predictors: sums that are exact, and bits that belong to the rows alone."""

import math
from fractions import Fraction
from functools import reduce
from operator import add

import numpy as np
import pytest

from logloss import _core, kernel
from logloss.design.block import Block
from logloss.logistic.grids import GridSum, grid_for
from logloss.logistic.objective import LinearPass, TrialPass
from logloss.logistic.standard import Standard

N, P, LEVELS = 3_000, 13, (4, 3)


def block(dtype=np.float64, weighted=True):
    rng = np.random.default_rng(0)
    numbers = (rng.normal(3, 2, (N, P)) * np.exp(rng.normal(0, 3, P))).astype(dtype)
    codes = np.column_stack([rng.integers(0, n, N) for n in LEVELS]).astype(np.int32)
    weight = rng.integers(0, 4, N) / 3 if weighted else None
    offset = rng.normal(size=N) if weighted else None
    return Block(0, numbers, codes, rng.integers(0, 2, N).astype(float), weight, offset)


def standard(rows):
    numbers = np.ascontiguousarray(rows.numbers, np.float64)
    center = numbers.mean(axis=0)
    return Standard(center, numbers.std(axis=0), LEVELS, np.abs(numbers - center).max(axis=0))


def beta(seed=1):
    return np.random.default_rng(seed).normal(0, 0.3, 1 + P + sum(LEVELS))


def design(rows):
    """Every column, centred but not scaled."""
    hot = [rows.codes[:, [k]] == np.arange(n) for k, n in enumerate(LEVELS)]
    centred = rows.numbers - standard(rows).center
    return np.hstack([np.ones((N, 1)), centred, *hot]).astype(float)


def of_rows(rows, keep):
    return Block(int(keep[0]), *(array[keep] for array in rows.arrays().values()))


def linear(rows, curvature=False):
    return LinearPass(standard(rows), beta(), curvature)([rows])


def layouts(rows):
    """The same rows as they may lie in memory."""
    wide = np.zeros((2 * N, 3 * P), rows.numbers.dtype)
    wide[::2, ::3] = rows.numbers
    for numbers in (rows.numbers, np.asfortranarray(rows.numbers), wide[::2, ::3]):
        yield Block(0, numbers, rows.codes, rows.y, rows.weight, rows.offset)


def same(a, b):
    return (
        a.loss == b.loss
        and np.array_equal(a.gradient.high, b.gradient.high)
        and np.array_equal(a.gradient.low, b.gradient.low)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scan_gives_the_same_bits_for_any_layout_of_the_matrix(dtype):
    found = [linear(rows, curvature=True) for rows in layouts(block(dtype))]
    for other in found[1:]:
        assert same(found[0], other)
        assert np.array_equal(found[0].gram, other.gram)
        assert (found[0].row_norm, found[0].margin) == (other.row_norm, other.margin)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 23])
@pytest.mark.parametrize("n", [1, 8, 29, 1030])
def test_dense_rows_of_any_width_and_number_give_the_bits_of_columns(n, width, dtype):
    rng = np.random.default_rng(n + width)
    wide = (rng.normal(3, 2, (n, width + 2)) * np.exp(rng.normal(0, 3, width + 2))).astype(dtype)
    numbers, y = wide[:, 1:-1], rng.integers(0, 2, n).astype(float)  # rows do not end on a line
    center = numbers.mean(axis=0, dtype=np.float64)
    task = LinearPass(
        Standard(center, np.ones(width), (), np.abs(numbers - center).max(axis=0)),
        rng.normal(0, 0.1, 1 + width),
        curvature=False,
    )
    codes = np.empty((n, 0), np.int32)
    layouts = (numbers, np.ascontiguousarray(numbers), np.asfortranarray(numbers))
    first, *others = (task([Block(0, numbers, codes, y)]) for numbers in layouts)
    assert all(same(first, other) for other in others)
    assert np.any(first.gradient.value != 0)


def test_float32_numbers_are_computed_in_double():
    half = block(np.float32)
    full = Block(0, half.numbers.astype(np.float64), *list(half.arrays().values())[1:])
    assert same(linear(half), LinearPass(standard(half), beta(), False)([full]))


@pytest.mark.parametrize("pieces", [1, 2, 7, 64])
def test_gradients_are_the_same_bits_for_any_cut_and_order(pieces):
    rows = block()
    order = np.random.default_rng(pieces).permutation(N)
    task = LinearPass(standard(rows), beta(), False)
    parts = [task([of_rows(rows, keep)]) for keep in np.array_split(order, pieces)]
    assert same(reduce(add, parts), linear(rows))


def test_a_gradient_is_right_to_its_grid():
    rows = block()
    found = linear(rows)
    z = kernel.linear_products(standard(rows).rows(rows), beta() / standard(rows).units)
    _, residual, _ = kernel.loss_derivatives(rows.y, z + rows.offset)
    terms = (residual * rows.weight)[:, None] * design(rows)
    exact = np.array([math.fsum(column) for column in terms.T])
    assert np.all(np.abs(found.gradient.value - exact) <= N * found.gradient.grid / 2 * 1.01)
    np.testing.assert_allclose(found.gradient.value, exact, rtol=1e-11, atol=1e-9)


def test_a_gram_matrix_is_that_of_the_dummy_columns():
    rows = block()
    found = linear(rows, curvature=True)
    z = kernel.linear_products(standard(rows).rows(rows), beta() / standard(rows).units)
    _, _, hessian = kernel.loss_derivatives(rows.y, z + rows.offset)
    dense = design(rows)
    expected = np.triu((dense * (hessian * rows.weight)[:, None]).T @ dense)
    unit = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        np.triu(found.gram) / np.outer(unit, unit), expected / np.outer(unit, unit), atol=1e-13
    )


def test_extremes_are_over_rows_of_positive_weight():
    rows = block()
    found, used = linear(rows, curvature=True), rows.weight > 0
    z = kernel.linear_products(standard(rows).rows(rows), beta() / standard(rows).units)
    margins = (2 * rows.y - 1) * z
    scaled = (rows.numbers - standard(rows).center) / standard(rows).scale
    lengths = np.square(scaled).sum(axis=1) + 1 + len(LEVELS)
    assert found.margin == margins[used].min()
    assert found.row_norm == pytest.approx(lengths[used].max(), rel=1e-14)


def test_soft_labels_have_no_margin():
    rows = block(weighted=False)
    soft = Block(0, rows.numbers, rows.codes, np.full(N, 0.5))
    assert linear(soft, curvature=True).margin == -math.inf


def test_losses_along_a_direction_are_those_of_scans_at_its_points():
    rows = block()
    steps = (0.0, 0.25, 2.0)
    trials = TrialPass(standard(rows), beta(), beta(2), steps)([rows]).losses
    for step, trial in zip(steps, trials, strict=True):
        there = LinearPass(standard(rows), beta() + step * beta(2), False)([rows])
        assert trial.value == pytest.approx(there.loss.value, rel=1e-13)


@pytest.mark.parametrize("level", ["baseline", "x86-64-v3", "x86-64-v4"])
def test_every_level_sums_to_the_same(level, monkeypatch):
    kernels = _core.kernels_at(level) or _core.best_kernels()
    best = linear(block(), curvature=True)
    monkeypatch.setattr(kernel.level, "KERNELS", kernels)
    found = linear(block(), curvature=True)
    if level == "baseline":  # may be without multiply-adds that are rounded once
        np.testing.assert_allclose(found.gradient.value, best.gradient.value, rtol=1e-9, atol=1e-8)
    else:
        assert same(found, best)
        assert np.array_equal(found.gram, best.gram)


def test_moments_are_those_of_the_rows_that_count():
    rows, shift = block(), np.full(P, 1.5)
    found = kernel.column_moments(rows.numbers, shift, rows.weight)
    used = rows.weight > 0
    np.testing.assert_allclose(found.first, rows.weight @ (rows.numbers - 1.5), rtol=1e-11)
    np.testing.assert_allclose(found.second, rows.weight @ (rows.numbers - 1.5) ** 2, rtol=1e-12)
    assert np.array_equal(found.low, rows.numbers[used].min(axis=0))
    assert np.array_equal(found.high, rows.numbers[used].max(axis=0))
    assert not found.two_valued.any()


def test_two_values_are_seen_wherever_the_third_one_stands():
    numbers = np.zeros((N, 3))
    numbers[1::2] = 5.0
    numbers[-1, 1] = 2.0
    numbers[0, 2] = -1.0
    found = kernel.column_moments(numbers, np.zeros(3), None)
    assert found.two_valued.tolist() == [True, False, False]


def test_moments_of_no_rows_have_no_range():
    found = kernel.column_moments(np.empty((0, 2)), np.zeros(2), None)
    assert found.low.tolist() == [math.inf] * 2
    assert found.high.tolist() == [-math.inf] * 2


def test_sums_on_a_grid_carry_without_loss():
    grid = grid_for(np.array([1.0, 3.0]))
    rng = np.random.default_rng(0)
    low = rng.integers(0, 2**32, (50, 2))
    high = rng.integers(-(2**40), 2**40, (50, 2))
    total = reduce(add, (GridSum(grid, *words) for words in zip(high, low, strict=True)))
    for j in range(2):
        words = sum(high[:, j].tolist()) * 2**32 + sum(low[:, j].tolist())
        assert total.value[j] == float(Fraction(words) * Fraction(grid[j]))
    assert ((total.low >= 0) & (total.low < 2**32)).all()


@pytest.mark.parametrize("bound", [0.0, 1e-320, 1.0, 1.5, 1e300])
def test_grids_are_powers_of_two_below_their_bound(bound):
    (grid,) = grid_for(np.array([bound]))
    assert math.frexp(grid)[0] == 0.5
    assert bound <= grid * 2.0**43 or bound > 2.0**900
