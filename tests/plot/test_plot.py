"""What the pictures hold, where they are drawn, and what is refused."""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats
from sklearn.linear_model import LogisticRegression

import logloss
from logloss import ReliabilityDisplay, errors


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def curves(ax):
    """Return the lines that are more than two points."""
    return [line.get_data() for line in ax.lines if len(line.get_xdata()) > 2]


def test_sigmoid_is_drawn_as_the_document_draws_it():
    ax = logloss.plot_sigmoid()
    ((x, y),) = curves(ax)
    np.testing.assert_array_equal(x, np.linspace(-10, 10, 400))
    np.testing.assert_array_equal(y, logloss.sigmoid(x))
    assert ax.get_title(loc="left") == "Sigmoid Function"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "σ(x)")
    assert ax.xaxis.get_gridlines()[0].get_visible()


def test_sigmoid_shows_and_names_its_asymptotes():
    ax = logloss.plot_sigmoid()
    levels = [line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 2]
    assert levels == [0, 1]
    assert {"asymptote 0", "asymptote 1"} <= {text.get_text() for text in ax.texts}


def test_loss_is_drawn_for_both_labels():
    left, right = logloss.plot_loss()
    for (p, drawn), label in zip(curves(left), (1, 0), strict=True):
        expected = logloss.binary_cross_entropy(np.full(p.size, label), p, reduction="none")
        np.testing.assert_allclose(drawn, expected, rtol=1e-14)
    assert [text.get_text() for text in left.texts] == ["y = 1", "y = 0"]
    pairs = iter(curves(right))
    for label in (1, 0):
        (z, loss), (_, gradient) = next(pairs), next(pairs)
        expected = logloss.loss_gradient(np.full(z.size, label), z, reduction="none")
        np.testing.assert_allclose(loss, expected[0], rtol=1e-14)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-14)


SAID = np.repeat([0.1, 0.3, 0.8], 40)
LATE = np.concatenate([np.arange(40) < n for n in (6, 10, 30)]).astype(int)


def test_reliability_shows_shares_with_wilsons_interval():
    display = ReliabilityDisplay.from_predictions(LATE, SAID, n_bins=3)
    np.testing.assert_allclose(display.claimed, [0.1, 0.3, 0.8])
    np.testing.assert_allclose(display.realised, [6 / 40, 10 / 40, 30 / 40])
    for events, low, high in zip((6, 10, 30), display.low, display.high, strict=True):
        interval = stats.binomtest(events, 40).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((interval.low, interval.high), rel=1e-12)


def test_reliability_of_weights_is_that_of_repeated_rows():
    weight = np.tile([1, 2, 3, 4], 30)
    weighted = ReliabilityDisplay.from_predictions(LATE, SAID, sample_weight=weight, n_bins=3)
    repeated = ReliabilityDisplay.from_predictions(
        np.repeat(LATE, weight), np.repeat(SAID, weight), n_bins=3
    )
    np.testing.assert_allclose(weighted.realised, repeated.realised)
    np.testing.assert_allclose(weighted.density, repeated.density)
    # weights are not rows: the same weight from fewer rows says less
    assert (weighted.high - weighted.low > repeated.high - repeated.low).all()


def test_reliability_of_a_score_is_that_of_its_rows():
    result = logloss.score(pa.table({"late": LATE, "said": SAID}), "late", prob="said")
    drawn = ReliabilityDisplay.from_score(result, n_bins=3)
    again = ReliabilityDisplay.from_predictions(LATE, SAID, n_bins=3)
    np.testing.assert_array_equal(drawn.realised, again.realised)
    np.testing.assert_array_equal(drawn.density, again.density)


def test_reliability_is_drawn_on_the_axes_given():
    figure, ax = plt.subplots()
    display = ReliabilityDisplay.from_predictions(LATE, SAID, ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert display.density_ax_ in ax.child_axes


def test_constant_forecasts_are_one_point():
    display = ReliabilityDisplay.from_predictions([0, 1, 1, 0], [0.5] * 4)
    assert (display.claimed.tolist(), display.realised.tolist()) == ([0.5], [0.5])


def test_training_shows_the_distance_of_every_scan():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    model = logloss.LogisticRegression().fit(X, rng.random(500) < logloss.sigmoid(X[:, 0]))
    ax = logloss.plot_training(model)
    lines = {line.get_label(): line.get_data() for line in ax.lines}
    path = model.summary().path
    gap = path[0].objective - path[-1].objective
    assert lines["seen in hindsight"][1][0] == pytest.approx(np.sqrt(2 * 500 * gap))
    assert lines["certified"][1][-1] == path[-1].bound
    assert ax.get_yscale() == "log"


def test_training_of_a_network_shows_its_loss():
    class Fitted:
        training_loss_ = np.array([0.7, 0.5, 0.4])

    ((x, y),) = curves(logloss.plot_training(Fitted()))
    assert (x.tolist(), y.tolist()) == ([0, 1, 2], [0.7, 0.5, 0.4])


def test_training_of_a_network_shows_the_loss_of_rows_held_out():
    class Fitted:
        training_loss_ = np.array([0.7, 0.5])
        validation_loss_ = np.array([0.7, 0.6])

    ax = logloss.plot_training(Fitted())
    lines = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    assert lines == {"trained on": [0.7, 0.5], "held out": [0.7, 0.6]}


def test_what_has_no_path_is_refused():
    with pytest.raises(errors.ArgumentError, match="got a int"):
        logloss.plot_training(7)


X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def test_surface_names_columns_classes_and_loss():
    frame = pd.DataFrame(X, columns=["height", "width"])
    line = LogisticRegression().fit(frame.to_numpy(), ["no", "no", "yes", "yes"])
    (ax,) = logloss.plot_decision_surface({"Line": line}, frame, ["no", "no", "yes", "yes"])
    loss = logloss.binary_cross_entropy([0, 0, 1, 1], line.predict_proba(X)[:, 1])
    assert ax.get_title(loc="left") == f"Line\nlog loss {loss:.3f}"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("height", "width")
    assert "probability of yes" in ax.figure.axes[-1].get_ylabel()


def test_surface_is_drawn_on_the_axes_given():
    _, axes = plt.subplots(1, 1, squeeze=False)
    line = LogisticRegression().fit(X, [0, 0, 1, 1])
    assert logloss.plot_decision_surface({"a": line}, X, [0, 0, 1, 1], axes=axes[0]) == (
        axes[0, 0],
    )


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [(X[:, :1], [0, 0, 1, 1], r"two columns; got shape \(4, 1\)"), (X, [0, 0, 0, 0], "two labels")],
)
def test_surface_needs_two_features_and_two_labels(points, labels, message):
    with pytest.raises(errors.ArgumentError, match=message):
        logloss.plot_decision_surface({"a": None}, points, labels)


@pytest.mark.parametrize(
    ("y", "p", "options", "error"),
    [
        ([0, 2], [0.5, 0.5], {}, errors.LabelError),
        ([0, 1], [0.5, 1.5], {}, errors.ProbabilityError),
        ([0, 1], [0.5, 0.5], {"sample_weight": [1, -1]}, errors.WeightError),
        ([0, 1], [0.5, 0.5], {"n_bins": 0}, errors.ArgumentError),
        ([0, 1], [0.5, 0.5], {"strategy": "best"}, errors.ArgumentError),
        ([[0, 1]], [[0.5, 0.5]], {}, errors.ArgumentError),
    ],
)
def test_reliability_refuses_what_the_loss_refuses(y, p, options, error):
    with pytest.raises(error):
        ReliabilityDisplay.from_predictions(y, p, **options)


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    with mpl.rc_context({"font.size": 23, "axes.grid": False}):
        before = dict(mpl.rcParams)
        logloss.plot_sigmoid()
        logloss.plot_loss()
        ReliabilityDisplay.from_predictions(LATE, SAID)
        assert dict(mpl.rcParams) == before


def test_a_picture_for_a_file_stays_out_of_pyplot(tmp_path):
    logloss.plot_sigmoid(output=tmp_path / "sigmoid.svg")
    assert plt.get_fignums() == []
    assert (tmp_path / "sigmoid.svg").read_bytes().startswith(b"<?xml")


def test_axes_given_are_used_and_can_be_saved(tmp_path):
    ax = Figure().subplots()
    assert logloss.plot_sigmoid(ax, output=tmp_path / "sigmoid.pdf") is ax
    assert (tmp_path / "sigmoid.pdf").read_bytes().startswith(b"%PDF")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(errors.ArgumentError, match=r"\.png.*'.*sigmoid\.doc'"):
        logloss.plot_sigmoid(output=tmp_path / "sigmoid.doc")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(errors.OutputError, match="folder does not exist"):
        logloss.plot_sigmoid(output=tmp_path / "no" / "sigmoid.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(errors.MissingExtraError, match="extra 'plot'"):
        logloss.plot_sigmoid()
