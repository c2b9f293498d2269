"""A killed training goes on to the same bits; a checkpoint of something else is refused."""

import numpy as np
import pytest

from logloss import NetworkClassifier
from logloss.errors import CheckpointError

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(300, 3))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


class Killed(BaseException):
    """Stands for what ends a process."""


def network(path=None, **options):
    options = {"hidden": (8,), "members": 2, "epochs": 12, "dropout": 0.2} | options
    return NetworkClassifier(random_state=3, checkpoint=path, **options)


def kill_in_pass(monkeypatch, number):
    """End training in the middle of a pass."""
    from logloss.network import training

    step, seen = training.Run._step, []

    def stopping(self, batch, rate):
        if len(self.history) == number and seen:
            raise Killed
        if len(self.history) == number:
            seen.append(number)
        return step(self, batch, rate)

    monkeypatch.setattr(training.Run, "_step", stopping)


@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, monkeypatch, number):
    path = tmp_path / "c.safetensors"
    want = network(batch_size=50).fit(X, Y)
    with monkeypatch.context() as patch:
        kill_in_pass(patch, number)
        with pytest.raises(Killed):
            network(path, batch_size=50).fit(X, Y)
    assert path.exists() == (number > 1)
    got = network(path, batch_size=50).fit(X, Y)
    assert not path.exists()
    assert got.history_ == want.history_
    np.testing.assert_array_equal(got.decision_function(X), want.decision_function(X))


def left_behind(path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_in_pass(patch, 3)
        with pytest.raises(Killed):
            network(path, batch_size=50).fit(X, Y)


def test_a_checkpoint_of_other_rows_is_refused(tmp_path, monkeypatch):
    left_behind(tmp_path / "c", monkeypatch)
    with pytest.raises(CheckpointError, match="its rows are others"):
        network(tmp_path / "c", batch_size=50).fit(X + 1e-9 * X**2, Y)


def test_a_checkpoint_of_other_options_is_refused(tmp_path, monkeypatch):
    left_behind(tmp_path / "c", monkeypatch)
    with pytest.raises(CheckpointError, match="its options are others"):
        network(tmp_path / "c", batch_size=50, learning_rate=0.5).fit(X, Y)


def test_a_damaged_checkpoint_is_refused(tmp_path, monkeypatch):
    left_behind(tmp_path / "c", monkeypatch)
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"damaged.*remove it to start again"):
        network(tmp_path / "c", batch_size=50).fit(X, Y)
