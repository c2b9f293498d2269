"""Dealing rows to parts: sizes, places, and that they belong to the row."""

import numpy as np
import pytest

from logloss.rows.shuffle import Shuffle

TABLES = [(1, 1), (5, 8), (8, 8), (9, 8), (1003, 100), (1000, 100)]


@pytest.mark.parametrize(("n_rows", "most"), TABLES)
def test_parts_have_the_same_size_but_for_one_row(n_rows, most):
    shuffle = Shuffle(0, n_rows, most)
    sizes = [shuffle.size(part) for part in range(shuffle.n_parts)]
    assert np.bincount(shuffle.parts_of(0, n_rows)).tolist() == sizes
    assert shuffle.part_rows == max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("first", "n_rows"), [(0, 1003), (5, 30), (11, 11), (995, 8), (1002, 1)])
def test_where_a_row_goes_does_not_depend_on_the_rows_beside(first, n_rows):
    shuffle = Shuffle(3, 1003, 100)
    whole = shuffle.parts_of(0, 1003)
    np.testing.assert_array_equal(shuffle.parts_of(first, n_rows), whole[first : first + n_rows])


@pytest.mark.parametrize("step", [1, 7, 64, 1003])
def test_every_place_of_every_part_is_filled_once_in_any_cut(step):
    shuffle = Shuffle(3, 1003, 100)
    filled = [np.full(shuffle.size(part), -1) for part in range(shuffle.n_parts)]
    for first in range(0, 1003, step):
        for part, place, rows in shuffle.runs(first, min(step, 1003 - first)):
            assert (filled[part][place : place + len(rows)] == -1).all()
            filled[part][place : place + len(rows)] = first + rows
    assert np.sort(np.concatenate(filled)).tolist() == list(range(1003))
    assert all((np.diff(rows) > 0).all() for rows in filled)


def test_a_part_of_sorted_rows_is_a_sample_of_all_of_them():
    shuffle = Shuffle(0, 100_000, 10_000)
    dealt = shuffle.parts_of(0, 100_000)
    means = [np.flatnonzero(dealt == part).mean() for part in range(10)]
    # parts take one of every ten rows: their means differ by less than a row
    np.testing.assert_allclose(means, 50_000, atol=1)


def test_neighbours_meet_in_parts_as_chance_has_it():
    dealt = Shuffle(0, 100_000, 10_000).parts_of(0, 100_000).reshape(-1, 10)
    pairs = np.zeros((10, 10))
    np.add.at(pairs, (dealt[:, 0], dealt[:, 1]), 1)
    off = pairs[~np.eye(10, dtype=bool)]
    assert pairs.trace() == 0
    # 10,000 pairs over 90 cells: chi-squared of 89 degrees stays below 150 but once in 10⁴
    assert ((off - off.mean()) ** 2 / off.mean()).sum() < 150


def test_another_seed_deals_otherwise():
    one, other = (Shuffle(seed, 1000, 100).parts_of(0, 1000) for seed in (0, 1))
    assert (one != other).mean() > 0.5
