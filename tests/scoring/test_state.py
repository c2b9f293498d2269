"""The laws of the scoring pass: re-cut, permute, swap, pickle; and what it keeps of rows."""

from __future__ import annotations

import pickle
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest

from logloss.scoring.passes import ScorePass
from logloss.scoring.state import ScoredRows
from tests.laws import exactly

from .draws import rows_of, task

KINDS = [
    {"on_logits": on_logits, "weighted": weighted, "clustered": clustered}
    for on_logits in (True, False)
    for weighted in (True, False)
    for clustered in (True, False)
]
CUTS = [(0, 500), (0, 1, 499, 500), tuple(range(0, 501, 50)), (0, 250, 250, 500)]


def blocks(cut, kind):
    return [rows_of(a, b, **kind) for a, b in pairwise(cut)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", CUTS)
def test_any_cut_into_blocks_gives_the_same_bits(kind, cut):
    assert exactly(task(**kind)(blocks(cut, kind)), task(**kind)([rows_of(0, 500, **kind)]))


@pytest.mark.parametrize("kind", KINDS)
def test_any_cut_into_shards_gives_the_same_bits(kind):
    parts = [task(**kind)([block]) for block in blocks(CUTS[2], kind)]
    assert exactly(reduce(add, parts), task(**kind)([rows_of(0, 500, **kind)]))


def test_shards_add_in_any_order():
    parts = [task()([block]) for block in blocks(CUTS[2], {})]
    order = np.random.default_rng(2).permutation(len(parts))
    assert exactly(reduce(add, [parts[i] for i in order]), reduce(add, parts))


def test_nothing_is_neutral():
    state = task()([rows_of(0, 500)])
    assert exactly(task()([]) + state, state)
    assert exactly(state + task()([]), state)


def test_pass_and_state_survive_pickling():
    state = pickle.loads(pickle.dumps(task()))([rows_of(0, 500)])
    assert exactly(pickle.loads(pickle.dumps(state)), state)
    assert not exactly(task()([rows_of(0, 499)]), state)


def rows(y, p, weight=None, first_row=0):
    weight = None if weight is None else np.asarray(weight, float)
    return ScoredRows(first_row, np.asarray(y, float), np.asarray(p, float), False, weight)


def test_worst_rows_that_tie_are_the_earlier_ones():
    half = ScorePass(False, n_worst=2)
    one, other = half([rows([0, 1, 0], [0.5] * 3)]), half([rows([1, 1], [0.5, 0.9], first_row=3)])
    assert (other + one).worst.row.tolist() == [0, 1]


def test_worst_rows_begin_with_the_greatest_loss():
    state = ScorePass(False, n_worst=3)([rows([1, 0, 1, 0], [0.9, 0.8, 0.1, 0.2])])
    assert state.worst.row.tolist() == [2, 1, 3]
    assert state.worst.loss == pytest.approx(-np.log([0.1, 0.2, 0.8]))


def test_rows_of_no_weight_are_never_the_worst():
    state = ScorePass(False, weighted=True)([rows([1, 1], [0.0, 0.5], [0, 2])])
    assert state.worst.row.tolist() == [1]
    assert state.infinite.rows == ()


def test_infinite_losses_are_counted_by_label_and_kept_out_of_sums():
    state = ScorePass(False)([rows([1, 0, 0, 1], [0, 1, 1, 0.5])])
    assert (state.infinite.n_y1, state.infinite.n_y0, state.infinite.rows) == (1, 2, (0, 1, 2))
    assert state.totals["loss"].value == pytest.approx(np.log(2))
    assert state.infinite.weight.value == 3


def test_only_the_first_ten_rows_of_infinite_loss_are_named():
    state = ScorePass(False)([rows([1] * 30, [0] * 30)])
    assert state.infinite.rows == tuple(range(10))
    assert state.infinite.n_y1 == 30


def test_no_worst_rows_are_kept_when_none_are_wanted():
    assert ScorePass(False, n_worst=0)([rows([1, 0], [0.5, 0.5])]).worst.row.size == 0


@pytest.mark.parametrize(("clip", "n_clipped"), [(None, 0), (0.3, 3), ("sklearn", 2), ("torch", 1)])
def test_clipped_rows_are_counted(clip, n_clipped):
    state = ScorePass(False, clip=clip)([rows([1, 1, 0, 1], [0.0, 0.25, 0.0, 0.5])])
    assert state.n_clipped == n_clipped
