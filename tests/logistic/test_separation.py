"""Separation is decided row by row: numbers far out neither make a proof nor hide one."""

import warnings

import numpy as np
import pytest

from logloss import LogisticRegression

N_ROWS = 400
FAR = [1e6, 1e9, 9_999_999_999.0, 1e14]


@pytest.fixture
def plain():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 3))
    y = (rng.random(N_ROWS) < 1 / (1 + np.exp(-(X @ [1.0, -1.0, 0.5])))).astype(int)
    return X, y


def separated_names(X, y, **options):
    """Columns that a fit names as separated; None where it proves none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that a number far out stalls says so
        model = LogisticRegression().fit(X, y, **options)
    return model.separated_ if model.status_ == "separated" else None


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_far_out_in_one_class_does_not_separate_the_rest(plain, far, sign):
    X, y = plain
    X[:3, 0], y[:3] = sign * far, 1
    assert separated_names(X, y) is None


@pytest.mark.parametrize("far", FAR)
def test_far_numbers_on_both_ends_do_not_separate_the_rest(plain, far):
    X, y = plain
    X[:3, 0], y[:3] = far, 1
    X[3:6, 0], y[3:6] = -far, 0
    assert separated_names(X, y) is None


@pytest.mark.parametrize("far", FAR)
def test_a_far_number_of_the_other_class_refutes_a_rare_value(plain, far):
    X, y = plain
    rare = np.zeros(N_ROWS)
    rare[20:33], y[20:33] = 1, 1
    rare[:3], y[:3] = far, 0
    assert separated_names(np.c_[X, rare], y) is None


@pytest.mark.parametrize("far", FAR)
def test_a_rare_value_separates_beside_far_numbers_elsewhere(plain, far):
    X, y = plain
    rare = np.zeros(N_ROWS)
    rare[20:33], y[20:33] = 1, 1
    X[:6, 0], y[:6] = far, [0, 1, 0, 1, 0, 1]
    assert separated_names(np.c_[X, rare], y) == ("x3",)


@pytest.mark.parametrize("far", FAR)
def test_a_rare_value_separates_beside_a_far_number_of_its_class(plain, far):
    X, y = plain
    rare = np.zeros(N_ROWS)
    rare[20:33], y[20:33] = 1, 1
    rare[:3], y[:3] = far, 1
    assert separated_names(np.c_[X, rare], y) == ("x3",)


@pytest.mark.parametrize("far", FAR)
def test_far_numbers_alone_separate_from_a_constant(plain, far):
    X, y = plain
    lone = np.zeros(N_ROWS)
    lone[:3], y[:3] = far, 1
    assert separated_names(np.c_[X, lone], y) == ("x3",)


@pytest.mark.parametrize("unit", [1e-8, 1e-4, 1e4, 1e8])
def test_the_units_of_columns_do_not_matter(plain, unit):
    X, _ = plain
    rng = np.random.default_rng(5)
    steps = rng.integers(-1, 2, size=(N_ROWS, 2))
    total = steps.sum(axis=1)
    y = np.where(total == 0, rng.random(N_ROWS) < 0.5, total > 0).astype(int)
    assert separated_names(np.c_[X, steps * [unit, 1 / unit]], y) == ("x3", "x4")


def test_a_threshold_far_from_zero_is_proved(plain):
    X, _ = plain
    rng = np.random.default_rng(6)
    year = rng.integers(2000, 2021, N_ROWS)
    y = np.where(year == 2010, rng.random(N_ROWS) < 0.5, year > 2010).astype(int)
    assert separated_names(np.c_[X, year], y) == ("x3",)


def test_a_row_just_on_the_wrong_side_refutes(plain):
    X, y = plain
    rare = np.zeros(N_ROWS)
    rare[:13], y[:13] = 1, 1
    rare[20], y[20] = 1e-10, 0
    rare[21], y[21] = -1e-10, 1
    assert separated_names(np.c_[X, rare], y) is None
