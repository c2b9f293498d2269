"""`LogLoss`: pieces add up to the whole, to the bit, wherever they were seen."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss import LogLoss, binary_cross_entropy, binary_cross_entropy_with_logits
from logloss.errors import ArgumentError, LabelError, ModelError


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    z = rng.normal(size=5_000) * 5
    y = rng.random(5_000) < 1 / (1 + np.exp(-z))
    return y, z, rng.random(5_000)


def test_the_value_is_the_mean_loss_of_all_rows(rows):
    y, z, w = rows
    assert LogLoss().update(y, logits=z).value == binary_cross_entropy_with_logits(y, z)
    weighted = LogLoss().update(y, logits=z, sample_weight=w).value
    assert weighted == binary_cross_entropy_with_logits(y, z, sample_weight=w)


def test_probabilities_are_as_good_as_logits(rows):
    _, _, p = rows
    assert LogLoss().update(p > 0.5, p).value == binary_cross_entropy(p > 0.5, p)


@given(st.lists(st.integers(0, 5_000), max_size=6), st.randoms(use_true_random=False))
def test_merged_pieces_are_the_whole_to_the_bit(rows, cuts, random):
    y, z, w = rows
    edges = [0, *sorted(cuts), 5_000]
    parts = [slice(a, b) for a, b in pairwise(edges) if a < b]
    random.shuffle(parts)
    merged = LogLoss()
    for part in parts:
        merged.merge(LogLoss().update(y[part], logits=z[part], sample_weight=w[part]))
    whole = LogLoss().update(y, logits=z, sample_weight=w)
    assert merged.to_bytes() == whole.to_bytes()


def test_the_standard_error_is_that_of_a_mean(rows):
    y, z, _ = rows
    losses = binary_cross_entropy_with_logits(y, z, reduction="none")
    expected = losses.std(ddof=1) / math.sqrt(len(losses))
    assert LogLoss().update(y, logits=z).standard_error == pytest.approx(expected, rel=1e-12)


def test_the_standard_error_of_a_weighted_mean_is_linearised(rows):
    y, z, w = rows
    losses = binary_cross_entropy_with_logits(y, z, reduction="none")
    residuals = w * (losses - np.average(losses, weights=w))
    expected = math.sqrt(np.sum(residuals**2) * 5_000 / 4_999) / w.sum()
    found = LogLoss().update(y, logits=z, sample_weight=w).standard_error
    assert found == pytest.approx(expected, rel=1e-11)


def test_an_infinite_loss_is_the_value():
    metric = LogLoss().update([1, 1], [0.0, 0.5])
    assert metric.value == math.inf
    assert math.isnan(metric.standard_error)


def test_before_the_first_row_there_is_no_value():
    assert math.isnan(LogLoss().value)
    assert LogLoss().n_rows == 0


def test_a_state_makes_the_trip_as_bytes_and_as_a_pickle(rows):
    y, z, w = rows
    metric = LogLoss().update(y, logits=z, sample_weight=w)
    for again in (LogLoss.from_bytes(metric.to_bytes()), pickle.loads(pickle.dumps(metric))):
        assert again.to_bytes() == metric.to_bytes()
        assert (again.value, again.n_rows) == (metric.value, metric.n_rows)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: b"",
        lambda state: state[:-1],
        lambda state: state + b"\x00",
        lambda state: b"x" + state[1:],
        lambda state: state[:100] + bytes([state[100] ^ 1]) + state[101:],
        lambda state: state[:16] + b"\x63\x00" + state[18:],
    ],
    ids=["empty", "short", "long", "foreign", "flipped", "newer"],
)
def test_damaged_bytes_are_refused(damage):
    with pytest.raises(ModelError):
        LogLoss.from_bytes(damage(LogLoss().update([1], [0.5]).to_bytes()))


def test_a_bad_row_takes_nothing_in():
    metric = LogLoss()
    with pytest.raises(LabelError, match=r"y_true\[1\]"):
        metric.update([0, 2], [0.5, 0.5])
    assert metric.n_rows == 0


@pytest.mark.parametrize("scores", [{}, {"y_prob": [0.5], "logits": [0.0]}])
def test_exactly_one_kind_of_forecast_is_asked_for(scores):
    with pytest.raises(ArgumentError, match="exactly one"):
        LogLoss().update([1], **scores)


def test_no_bit_of_a_state_can_be_turned_unseen() -> None:
    state = LogLoss().update([1, 0], [0.9, 0.2]).to_bytes()
    for bit in range(8 * 64):
        damaged = bytearray(state)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ModelError):
            LogLoss.from_bytes(bytes(damaged))


@pytest.mark.parametrize(
    "given", [{"logits": [1e308, 0.0]}, {"logits": [0.0, 1.0], "sample_weight": [1e200, 1e200]}]
)
def test_squares_beyond_the_doubles_leave_the_value_and_no_standard_error(given):
    metric = LogLoss().update([0, 1], **given)
    assert metric.value == binary_cross_entropy_with_logits(
        [0, 1], given["logits"], sample_weight=given.get("sample_weight")
    )
    assert math.isnan(metric.standard_error)
