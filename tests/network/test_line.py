"""The line beside a network: whose logits it is, what share it gets, and when there is none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import logloss
from logloss import LogisticRegression, NetworkClassifier, binary_cross_entropy
from logloss.design.block import Block, Layout
from logloss.design.shuffled import gathered
from logloss.errors import ModelError
from logloss.logistic.predictor import LinearPredictor
from logloss.network import line as line_module
from logloss.network.fit import first_network, fit_network
from logloss.network.line import Line, learn_line, learn_share
from logloss.network.module import Architecture
from logloss.network.predictor import NetworkPredictor
from logloss.network.recipe import Recipe
from logloss.network.stream import Stream, survey
from logloss.network.training import Judged
from logloss.recalibration import Temperature
from logloss.rows.shuffle import Shuffle

LAYOUT = Layout(("a", "b", "c"), (("k=0", "k=1"),))
BESIDE = Line(
    LinearPredictor(
        LAYOUT, 0.5, np.array([1.0, -2.0, 0.1, 0.3, -0.3]), np.array([0.0, 1.0, 0.0]), np.zeros(1)
    ),
    0.25,
)


def linear(n, seed=0, n_columns=10):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, n_columns))
    y = (draw.random(n) < logloss.sigmoid(X @ np.linspace(-1, 1, n_columns))).astype(int)
    return X, y


def block(n=300, seed=0):
    draw = np.random.default_rng(seed)
    X, codes = draw.normal(size=(n, 3)), draw.integers(0, 2, (n, 1)).astype(np.int32)
    y = (draw.random(n) < logloss.sigmoid(X[:, 0] + codes[:, 0])).astype(float)
    return Block(0, X, codes, y, draw.uniform(0.5, 2, n))


def test_where_the_truth_is_a_line_a_network_says_it_as_a_line_does():
    X, y = linear(1000)
    network = NetworkClassifier(random_state=0).fit(X, y)
    assert network.line_.share > 0.5
    unseen, truth = linear(50_000, seed=1)
    ours, line, alone = (
        binary_cross_entropy(truth, one.predict_proba(unseen)[:, 1])
        for one in (
            network,
            LogisticRegression(prior="weak").fit(X, y),
            NetworkClassifier(random_state=0, calibrate=False).fit(X, y),
        )
    )
    assert ours < line + 0.002 < alone


def test_where_a_line_says_nothing_there_is_none():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(1000, 2))
    network = NetworkClassifier(random_state=0).fit(X, X[:, 0] * X[:, 1] > 0)
    assert network.line_ is None


@pytest.mark.parametrize("option", [{"pos_weight": 3.0}, {"gamma": 1.0}, {"calibrate": False}])
def test_there_is_no_line_beside_other_losses_or_where_nothing_is_learned(option):
    rows = linear(300)
    assert NetworkClassifier(random_state=0, epochs=5).fit(*rows).line_ is not None
    assert NetworkClassifier(random_state=0, epochs=5, **option).fit(*rows).line_ is None


def test_rows_that_come_later_leave_no_line():
    X, y = linear(300)
    network = NetworkClassifier(random_state=0).fit(X, y)
    assert network.line_ is not None
    assert network.partial_fit(X, y).line_ is None


def stream_of(rows, *, members, most_rows):
    parts = gathered(Shuffle(0, len(rows), most_rows), [rows])
    found = survey(parts, (2,))
    network = first_network(rows, Architecture(levels=(2,), hidden=(4,), members=members), 0.5)
    n_folds = found.n_folds(members, 0.2)
    return Stream(parts, found, network, n_folds=n_folds, seed=0, room=0)


def rows_held_out(stream, logit=0.0):
    """What a network that knows nothing says of all rows held out."""
    pieces = []
    for number in range(len(stream)):
        rows, fold = stream.dealt(number)
        row = np.flatnonzero(fold >= 0)[::-1]
        flat = np.full(len(row), logit)
        pieces.append(Judged(np.full(len(row), number), row, flat, rows.y[row], rows.weight[row]))
    return Judged.joined(pieces)


@pytest.mark.parametrize("members", [1, 3])
def test_a_row_held_out_is_judged_by_the_line_without_its_fold(members, monkeypatch):
    stream = stream_of(block(), members=members, most_rows=100)
    assert len(stream) > 1
    seen = {}

    def share(y, logits, lines, weight, *, spread):
        seen["lines"] = lines
        return 0.5

    monkeypatch.setattr(line_module, "learn_share", share)
    held_out = rows_held_out(stream, logit=0.25)
    line, mixed = learn_line(stream, held_out, LAYOUT)
    np.testing.assert_array_equal(mixed.logits, 0.5 * 0.25 + 0.5 * seen["lines"])
    dealt = [stream.dealt(number) for number in range(len(stream))]
    X, y, weight, code, fold = (
        np.concatenate(pieces)
        for pieces in zip(
            *((b.numbers, b.y, b.weight, b.codes[:, 0], fold) for b, fold in dealt), strict=True
        )
    )
    X = np.column_stack([X, code == 0, code == 1]).astype(float)
    starts = np.cumsum([0, *(len(b) for b, _ in dealt)])
    at = starts[held_out.part] + held_out.row
    for k in range(stream.n_folds if members > 1 else 1):
        peer = LogisticRegression(prior="weak")
        peer.fit(X[fold != k], y[fold != k], sample_weight=weight[fold != k])
        here = fold[at] == k
        want = peer.decision_function(X[at[here]])
        np.testing.assert_allclose(seen["lines"][here], want, atol=2e-3)
    whole = LogisticRegression(prior="weak").fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(
        np.concatenate([line.predictor.logits(b) for b, _ in dealt]),
        whole.decision_function(X),
        atol=2e-3,
    )


def trained(rows, room):
    return fit_network(
        gathered(Shuffle(1, len(rows), 100), [rows]),
        LAYOUT,
        Architecture(levels=(2,), hidden=(8,), members=3),
        Recipe(epochs=3, min_steps=1),
        seed=1,
        room=room,
    ).predictor


def test_rows_that_are_kept_and_rows_that_are_read_anew_have_the_same_line():
    kept, read = (trained(block(), room) for room in (1 << 30, 0))
    assert kept.line is not None
    assert kept.line.to_dict() == read.line.to_dict()


def test_numbers_that_no_line_can_take_leave_the_network_alone():
    rows = block()
    assert trained(replace(rows, numbers=rows.numbers * 1e200), 0).line is None


def test_a_class_that_lies_in_one_fold_leaves_the_network_alone():
    rows, shuffle = block(400), Shuffle(0, 400, 100)
    part = shuffle.parts_of(0, 400)
    rows.y[:], rows.weight[:] = 0.0, 1.0
    for number in range(shuffle.n_parts):
        here = np.flatnonzero(part == number)
        rows.y[here[0]] = 1.0
        if len(here) % 2 == 0:  # then the last row dealt, which is the positive, is of fold 1
            rows.weight[here[-1]] = 0.0
    stream = stream_of(rows, members=2, most_rows=100)
    dealt = [stream.dealt(number) for number in range(len(stream))]
    assert {k for b, fold in dealt for k in fold[b.y == 1]} == {0}
    held_out = rows_held_out(stream)
    line, mixed = learn_line(stream, held_out, LAYOUT)
    assert line is None
    assert mixed is held_out


def test_logits_are_mixed_and_the_offset_is_added_whole():
    rows = block(20)
    network = first_network(rows, Architecture(levels=(2,), hidden=(4,)), 0.3)
    said = NetworkPredictor(network, BESIDE).logits(replace(rows, offset=np.full(20, 2.0)))
    want = 0.75 * NetworkPredictor(network).logits(rows) + 0.25 * BESIDE.predictor.logits(rows)
    np.testing.assert_array_equal(said, want + 2.0)


@pytest.fixture(scope="module")
def table():
    X, y = linear(1000)
    kind = np.random.default_rng(2).choice(["a", "b"], 1000)
    return pd.DataFrame(X).add_prefix("x").assign(kind=kind, y=y)


def test_a_model_is_saved_with_its_line_and_says_so(table, tmp_path):
    model = logloss.fit(table, "y", model="network")
    assert model.predictor.line is not None
    assert f" and {model.predictor.line.share:.0%} of a line" in str(model.summary())
    assert repr(model.predictor.line) == f"Line(share={model.predictor.line.share!r})"
    model.save(tmp_path / "m")
    again = logloss.load(tmp_path / "m")
    assert again.predict(table).equals(model.predict(table))
    assert again.describe() == model.describe()


@pytest.mark.parametrize("share", [0.0, 1.1, np.nan, "x", None])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ModelError, match="line"):
        Line.from_dict({**BESIDE.to_dict(), "share": share})


@pytest.mark.parametrize("line", [{}, "x", {"share": 0.5, "predictor": {"kind": "linear"}}])
def test_a_damaged_line_is_refused(line):
    network = first_network(block(20), Architecture(levels=(2,), hidden=(4,)), 0.3)
    predictor = NetworkPredictor(network, BESIDE)
    with pytest.raises(ModelError, match="read"):
        NetworkPredictor.from_tensors({**predictor.to_dict(), "line": line}, predictor.tensors)


def test_a_line_of_other_columns_is_refused():
    network = first_network(block(20), Architecture(levels=(3,), hidden=(4,)), 0.3)
    predictor = NetworkPredictor(network, BESIDE)
    with pytest.raises(ModelError, match="other columns"):
        NetworkPredictor.from_tensors(predictor.to_dict(), predictor.tensors)


@pytest.fixture(scope="module")
def rivals():
    """Labels, and two forecasts of them that know different halves of the truth."""
    draw = np.random.default_rng(5)
    parts = draw.normal(size=(2, 4000))
    y = (draw.random(4000) < logloss.sigmoid(2 * parts[0] + parts[1])).astype(float)
    return y, 2 * parts[0], parts[1], draw.uniform(0, 2, 4000)


def test_a_share_is_the_best_of_a_fine_grid(rivals):
    y, one, other, weight = rivals
    learned = learn_share(y, one, other, weight)
    losses = {}
    for share in np.linspace(0, 1, 201):
        mixed = (1 - share) * one + share * other
        said = Temperature.learn(y, mixed, weight)(mixed)
        losses[share] = logloss.binary_cross_entropy_with_logits(y, said, sample_weight=weight)
    assert learned == pytest.approx(min(losses, key=losses.get), abs=0.005)
    assert 0.3 < learned < 0.7


def test_a_forecast_that_adds_nothing_gets_no_share(rivals):
    y, one, _, _ = rivals
    noise = np.random.default_rng(1).normal(size=len(y))
    assert learn_share(y, one, noise) == 0.0
    assert learn_share(y, one, one) == 0.0
    assert learn_share(y, np.zeros_like(one), one) == 1.0
    assert learn_share(y, -one, -one) == 0.0


def test_a_share_needs_more_than_a_nat_of_the_rows(rivals):
    y, one, other, _ = rivals
    assert learn_share(y, one, other) > 0.3
    assert learn_share(y, one, other, np.full(len(y), 1e-3)) == 0.0
