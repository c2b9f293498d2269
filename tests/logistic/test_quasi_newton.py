"""Samples that stand for all rows, and the light descent from their optimum."""

from dataclasses import replace

import numpy as np
import pytest

from logloss.design.block import Layout, array_source
from logloss.logistic import quasi_newton, sample
from logloss.logistic.columns import learn_columns
from logloss.logistic.minimise import minimise
from logloss.logistic.objective import Objective, penalty_weights
from logloss.rows.local import LocalEngine

N, P = 8_000, 4
LAYOUT = Layout(tuple(f"x{j}" for j in range(P)))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N, P)) @ rng.normal(size=(P, P))
    return X, (rng.random(N) < 1 / (1 + np.exp(-X[:, 0] - 0.5))).astype(float)


def objective_of(X, y, weight=None):
    source, engine = array_source(X, y, weight), LocalEngine()
    columns = learn_columns(source, LAYOUT, engine)
    free = np.ones(LAYOUT.size, bool)
    return Objective(source, engine, columns, penalty_weights(columns), free)


def drawn(X, y, weight=None, chance=0.2):
    return sample.SamplePass(chance, chance)(array_source(X, y, weight).blocks())


def test_a_row_is_drawn_by_its_number_alone(rows):
    X, y = rows
    numbered = np.c_[np.arange(N), X[:, 1:]]
    found = drawn(numbered, y).block()
    expected = np.flatnonzero(sample.uniform(0, np.arange(N)) < 0.2)
    assert np.array_equal(found.numbers[:, 0], expected)
    assert np.array_equal(found.y, y[expected])


def test_weights_of_a_sample_stand_for_all_rows(rows):
    X, y = rows
    assert drawn(X, y).block().weight.sum() == pytest.approx(N, rel=0.05)


def test_rows_of_weight_zero_are_not_drawn(rows):
    X, y = rows
    weight = (np.arange(N) % 2).astype(float)
    assert np.isin(drawn(X, y, weight).block().numbers[:, 0], X[1::2, 0]).all()


@pytest.mark.parametrize(
    ("n_rows", "size", "expected"),
    [
        (200, 11, 0),  # all rows are read in no time
        (100_000, 501, 10_020),  # 20 a coefficient
        (1_000_000, 51, 51_000),  # 1,000 a coefficient
        (281_373, 105, 28_137),  # a tenth of the rows
        (30_000, 500, 0),  # a sample would be a third of all
    ],
)
def test_a_sample_has_as_many_rows_as_pay(n_rows, size, expected):
    assert sample.sample_size(n_rows, size) == expected


def test_the_rows_of_a_rare_class_are_drawn_more_often(rows, monkeypatch):
    X, _ = rows
    monkeypatch.setattr(sample, "_SMALL", 0)
    rare = np.zeros(N)
    rare[::100] = 1
    _, found = sample.first_scan(array_source(X, rare), LAYOUT, LocalEngine())
    assert found.block().y.sum() == rare.sum()
    assert len(found) < N / 4


def test_a_class_too_rare_for_any_sample_leaves_none(rows, monkeypatch):
    X, _ = rows
    monkeypatch.setattr(sample, "_SMALL", 0)
    rare = np.zeros(N)
    rare[:5] = 1
    moments, found = sample.first_scan(array_source(X, rare), LAYOUT, LocalEngine())
    assert moments.n_high == 5
    assert found is None


def test_the_light_descent_ends_near_the_optimum(rows):
    objective, block = objective_of(*rows), drawn(*rows).block()
    told = []
    start = np.zeros(LAYOUT.size)
    state = quasi_newton.descend(objective, block, start, tol=1e-6, most=50, tell=told.append)
    best = minimise(objective, tol=1e-8, max_scans=50)
    assert objective.evaluate(state.evaluation.beta, curvature=False).value == pytest.approx(
        best.mean_loss, abs=1e-15
    )
    assert len(told) < 10


def test_scans_are_no_more_than_allowed(rows):
    objective, block = objective_of(*rows), drawn(*rows).block()
    start = np.zeros(LAYOUT.size)
    state = quasi_newton.descend(
        objective, block, start, tol=1e-12, most=2, tell=lambda state: None
    )
    assert state.scans == 2


def begun(rows, factor):
    """The start of a descent, with the sample's Hessian replaced by `factor` times itself."""
    objective = objective_of(*rows)
    state = quasi_newton.start(objective, drawn(*rows).block(), np.zeros(LAYOUT.size))
    return objective, replace(state, factor=state.factor * np.sqrt(factor))


def test_a_step_that_is_too_long_is_shortened(rows):
    objective, state = begun(rows, 0.1)
    there = quasi_newton.step(objective, state)
    assert there.rejected == 1
    assert 0 < there.step < 1
    assert there.evaluation.value < state.evaluation.value


def test_a_descent_that_nothing_decreases_gives_up(rows):
    objective, state = begun(rows, 1e-9)
    there = quasi_newton.step(objective, state)
    assert there.rejected == 2
    assert there.evaluation is state.evaluation


def test_a_separated_sample_has_no_optimum(rows):
    X, _ = rows
    y = (X[:, 0] > 0).astype(float)
    found = quasi_newton.descend(
        objective_of(X, y),
        drawn(X, y).block(),
        np.zeros(LAYOUT.size),
        tol=1e-3,
        most=50,
        tell=lambda state: None,
    )
    assert found is None
