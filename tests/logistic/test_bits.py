"""The same rows give the same coefficients to the last bit, however they lie and are read."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import logloss
from logloss.design.block import Layout, array_source
from logloss.logistic import sample
from logloss.logistic.fit import fit_logistic
from logloss.rows.local import LocalEngine

N = 150_000
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(N, 3)) @ rng.normal(size=(3, 3)) + 1.0
    return X, (rng.random(N) < 1 / (1 + np.exp(-X[:, 0]))).astype(np.int64)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sample, "_SMALL", 0)


def of_arrays(X, y, n_threads=None):
    engine = LocalEngine(n_threads)
    fitted = fit_logistic(array_source(X, y.astype(float)), Layout(NAMES), engine, tol=1e-6)
    return [fitted.predictor.intercept, *fitted.predictor.coefficients]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_do_not_change_a_bit(rows, n_threads):
    assert of_arrays(*rows, n_threads) == of_arrays(*rows)


def test_the_layout_of_an_array_does_not_change_a_bit(rows):
    X, y = rows
    assert of_arrays(np.asfortranarray(X), y) == of_arrays(X, y)


@pytest.mark.parametrize("row_group_size", [N, 100_000, 7_001])
def test_parquet_gives_the_bits_of_arrays_whatever_its_row_groups(rows, tmp_path, row_group_size):
    X, y = rows
    table = pa.table({name: X[:, j] for j, name in enumerate(NAMES)} | {"y": y})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=row_group_size)
    model = logloss.fit(tmp_path / "rows.parquet", "y", prior=None, tol=1e-6)
    found = [model.predictor.intercept, *model.predictor.coefficients]
    assert found == of_arrays(X, y)
