"""Every picture as it is saved: texts apart from each other, from the lines, on the canvas."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

import logloss


def sigmoid(path):
    return logloss.plot_sigmoid(output=path).figure


def loss(path):
    return logloss.plot_loss(output=path)[0].figure


def reliability(path, centre=-1.2, spread=0.9):
    rng = np.random.default_rng(0)
    z = rng.normal(centre, spread, 5000)
    y = rng.random(5000) < 1 / (1 + np.exp(-1.1 * z))
    display = logloss.ReliabilityDisplay.from_predictions(
        y, 1 / (1 + np.exp(-z)), name="Flights of November and December", output=path
    )
    return display.figure_


def reliability_of_rare_events(path):
    return reliability(path, centre=-6, spread=0.3)


def reliability_over_the_whole_range(path):
    return reliability(path, centre=0, spread=4)


def fitted():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 3))
    return logloss.LogisticRegression(), X, rng.random(2000) < 1 / (1 + np.exp(-X[:, 0]))


def training(path):
    model, X, y = fitted()
    return logloss.plot_training(model.fit(X, y), output=path).figure


def network_training(path):
    class Fitted:
        training_loss_ = np.geomspace(0.7, 0.02, 40)

    return logloss.plot_training(Fitted(), output=path).figure


def decision_surface(path):
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([0, 0, 1, 1])
    estimators = {
        "Logistic regression": LogisticRegression(),
        "Always the base rate": DummyClassifier(strategy="prior"),
    }
    fits = {name: estimator.fit(X, y) for name, estimator in estimators.items()}
    return logloss.plot_decision_surface(fits, X, y, output=path)[0].figure


FIGURES = [
    sigmoid,
    loss,
    reliability,
    reliability_of_rare_events,
    reliability_over_the_whole_range,
    training,
    network_training,
    decision_surface,
]


@pytest.fixture(scope="module", params=FIGURES, ids=lambda draw: draw.__name__)
def figure(request, tmp_path_factory):
    """One picture, drawn as it was saved."""
    drawn = request.param(tmp_path_factory.mktemp("picture") / "picture.png")
    drawn.set_dpi(200)
    FigureCanvasAgg(drawn).draw()
    return drawn


def shown_texts(figure):
    """Return the texts that are really drawn, with their boxes: no ticks beyond the view."""
    beyond = set()
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            room = 1e-9 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - room <= tick.get_loc() <= high + room:
                    beyond |= {tick.label1, tick.label2}
    renderer = figure.canvas.get_renderer()
    return [
        (text, text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in beyond
    ]


def test_every_picture_has_its_texts(figure):
    assert len(shown_texts(figure)) > 10


def test_no_two_texts_overlap(figure):
    clashes = [
        (one.get_text(), other.get_text())
        for (one, here), (other, there) in combinations(shown_texts(figure), 2)
        if here.overlaps(there)
    ]
    assert clashes == []


def test_no_text_leaves_the_canvas(figure):
    width, height = figure.bbox.size
    outside = [
        text.get_text()
        for text, box in shown_texts(figure)
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height
    ]
    assert outside == []


def test_no_curve_runs_through_a_label(figure):
    renderer = figure.canvas.get_renderer()
    crossed = [
        (axes.get_title(loc="left"), text.get_text())
        for axes in figure.axes
        for text in axes.texts
        for line in axes.lines
        # a text along the diagonal has a box that the diagonal runs through
        if text.get_rotation() == 0
        and line.get_transform()
        .transform_path(line.get_path())
        .intersects_bbox(text.get_window_extent(renderer), filled=False)
    ]
    assert crossed == []


def test_no_curve_runs_through_a_legend(figure):
    crossed = [
        line.get_label()
        for axes in figure.axes
        if (legend := axes.get_legend()) is not None
        for line in axes.lines
        if line.get_transform()
        .transform_path(line.get_path())
        .intersects_bbox(legend.get_window_extent(), filled=False)
    ]
    assert crossed == []


def test_letters_are_legible_at_the_width_of_a_readme(figure):
    # pictures up to 7.2 inches are shown about 700 pixels wide: 8 points are then 11 pixels
    assert figure.get_figwidth() <= 7.2
    assert min(text.get_fontsize() for text, _ in shown_texts(figure)) >= 6.9


@pytest.mark.parametrize("draw", [loss, reliability], ids=lambda draw: draw.__name__)
def test_the_same_picture_has_the_same_bytes(draw, tmp_path):
    draw(tmp_path / "one.png")
    draw(tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
