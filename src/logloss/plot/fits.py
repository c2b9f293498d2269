"""Pictures of fits: the path to the optimum, and what classifiers make of two features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from logloss import losses
from logloss.errors import ArgumentError
from logloss.plot.style import BLUE, INK, MUTED, SKY, VERMILLION, PathLike, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


def plot_training(
    fit: Any, ax: Axes | None = None, *, tol: float = 1e-3, output: PathLike | None = None
) -> Axes:
    """Draw the path of a fit.

    For a logistic regression, the distance to the optimum after every scan in standard
    errors, √(2N(F − F*)): as seen once the fit was done, and as certified while it ran.
    For a network, the losses after every epoch, of rows trained on and of rows held out.

    Parameters
    ----------
    fit : Model, fitted estimator, or summary of a fit
        What has the path.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    tol : float, default=1e-3
        Distance at which a logistic regression may stop.
    output : path, optional
        An image file to write as well; its ending chooses the format.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If `fit` has no path, or the ending of `output` is unknown.
    MissingExtraError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> from logloss import LogisticRegression, plot_training
    >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
    >>> plot_training(model).get_xlabel()
    'scans of the data'
    """
    summary = fit.summary() if callable(getattr(fit, "summary", None)) else fit
    training_loss = getattr(summary, "training_loss_", None)
    if training_loss is None and not getattr(summary, "path", ()):
        raise ArgumentError(f"`fit` has no path to draw; got a {type(fit).__name__}")
    with style():
        ax = new_figure(output, (7, 3.6)).subplots() if ax is None else ax
        if training_loss is None:
            _draw_path(ax, summary, tol)
        else:
            _draw_epochs(ax, training_loss, getattr(summary, "validation_loss_", ()))
        ax.locator_params(axis="x", integer=True)
    save(ax, output)
    return ax


def _draw_epochs(ax: Axes, training: Any, validation: Any) -> None:
    ax.plot(np.arange(len(training)), training, color=BLUE, label="trained on")
    if np.isfinite(validation).any():
        ax.plot(np.arange(len(validation)), validation, color=VERMILLION, label="held out")
        ax.legend(loc="upper right")
    ax.set(title="Training", xlabel="epochs", ylabel="log loss (nats)")


def _draw_path(ax: Axes, summary: Any, tol: float) -> None:
    path, n_effective = summary.path, max(summary.weight, summary.n)
    last = path[-1].objective
    seen = [
        (point.scan, math.sqrt(2 * n_effective * (point.objective - last)))
        for point in path
        if point.objective > last
    ]
    certified = [(p.scan, p.bound) for p in path if 0 < p.bound < math.inf]
    ax.plot(*_columns(seen[-1:] + certified[:1]), color=SKY, linestyle=(0, (1, 1.5)))
    ax.plot(*_columns(seen), color=SKY, marker="o", markersize=6.5, label="seen in hindsight")
    ax.plot(*_columns(certified), color=BLUE, marker="D", markersize=6.5, label="certified")
    ax.axhline(tol, color=MUTED, linewidth=1.2, linestyle=(0, (5, 4)), label=f"tol = {tol:g}")
    ax.set(title="Path of the fit", xlabel="scans of the data", yscale="log")
    ax.set(ylabel="distance to the optimum\n(standard errors)", xlim=(0.5, path[-1].scan + 0.5))
    # a path goes down, so this corner is free
    ax.legend(loc="upper right")


def _columns(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [scan for scan, _ in points], [distance for _, distance in points]


def plot_decision_surface(
    estimators: Mapping[str, Any],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    axes: Sequence[Axes] | None = None,
    output: PathLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the probability that classifiers give to every point of two features.

    The log loss in each title is that of the points shown.

    Parameters
    ----------
    estimators : mapping of str to fitted classifier
        Title of the panel → what has `predict_proba`.
    X : array-like of shape (n, 2)
        Points to show.
    y : array-like of shape (n,)
        Their labels, two values.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each estimator; a new figure by default.
    output : path, optional
        An image file to write as well; its ending chooses the format.

    Returns
    -------
    tuple of matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If there are not two features and two labels.
    MissingExtraError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.
    """
    points, labels = np.asarray(X, dtype=np.float64), np.asarray(y)
    classes = np.unique(labels)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ArgumentError(f"`X` must have two columns; got shape {points.shape}")
    if classes.size != 2 or not estimators:
        raise ArgumentError("`y` must hold two labels, and `estimators` at least one classifier")
    n_panels = len(estimators)
    first, second = getattr(X, "columns", ("feature 1", "feature 2"))
    with style():
        if axes is None:
            figure = new_figure(output, (3.1 * n_panels + 0.8, 3.8))
            axes = figure.subplots(1, n_panels, sharey=True, squeeze=False)[0]
        for ax, (name, estimator) in zip(axes, estimators.items(), strict=True):
            surface = _draw_surface(ax, estimator, points)
            for label, colour, marker in zip(classes, (VERMILLION, BLUE), "os", strict=True):
                look: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.8}
                look |= {"c": colour, "marker": marker, "s": 16 if len(points) > 20 else 70}
                ax.scatter(*points[labels == label].T, zorder=3, **look)
            said = estimator.predict_proba(points)[:, 1]
            loss = losses.binary_cross_entropy(labels == classes[1], said)
            ax.set(title=f"{name}\nlog loss {loss:.3f}", xlabel=first, box_aspect=1)
            ax.grid(visible=False)
            ax.spines[:].set_visible(True)
        axes[0].set_ylabel(second)
        bar = axes[0].figure.colorbar(surface, ax=list(axes), shrink=0.715, pad=0.02)
        bar.set_label(f"probability of {classes[1]} (■; {classes[0]} is ●)")
        bar.set_ticks([0, 0.25, 0.5, 0.75, 1])
    save(axes[0], output)
    return tuple(axes)


def _draw_surface(ax: Axes, estimator: Any, points: npt.NDArray[np.float64]) -> Any:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * (high - low) + 1e-9
    steps = [np.linspace(a, b, 201) for a, b in zip(low - margin, high + margin, strict=True)]
    first, second = np.meshgrid(*steps)
    grid = np.column_stack((first.ravel(), second.ravel()))
    surface = estimator.predict_proba(grid)[:, 1].reshape(first.shape)
    # an odd number of steps: the middle one, where nothing is known, is grey
    filled = ax.contourf(first, second, surface, levels=np.linspace(0, 1, 22), cmap=_two_colours())
    # a surface that is flat but for rounding has no boundary worth a line
    if surface.min() < 0.499 and surface.max() > 0.501:
        ax.contour(first, second, surface, levels=[0.5], colors=INK, linewidths=1.4)
    return filled


def _two_colours() -> Colormap:
    """Return a scale from a light vermillion over a light grey to a light blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("logloss", ["#E59A66", "#F6F6F6", "#66AAD1"])
