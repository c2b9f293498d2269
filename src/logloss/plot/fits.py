"""Pictures of fits: the path to the optimum, and what classifiers make of two features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from logloss.errors import ArgumentError
from logloss.plot.style import BLUE, INK, MUTED, VERMILLION, PathLike, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


class PathRecord(Protocol):
    """One point of a fit's path."""

    @property
    def scan(self) -> int:
        """Passes over the rows so far."""

    @property
    def objective(self) -> float:
        """Value of what is minimised."""

    @property
    def bound(self) -> float:
        """Certified distance to the optimum, in standard errors."""


def plot_training(
    fit: Any,
    axes: Sequence[Axes] | None = None,
    *,
    tol: float = 1e-3,
    output: PathLike | None = None,
) -> tuple[Axes, Axes]:
    """Draw the path of a fit: the objective and the certificate after every scan.

    Parameters
    ----------
    fit : object with `summary()` or `path`, or sequence of points
        A model, a fitted estimator, its summary, or its path: points with `scan`,
        `objective` and `bound`.
    axes : two matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    tol : float, default=1e-3
        Distance to the optimum, in standard errors, at which the fit stopped.
    output : path, optional
        An image file to write as well; its ending chooses the format.

    Returns
    -------
    tuple of two matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If there is no path, or the ending of `output` is unknown.
    MissingExtraError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.
    """
    path = _path_of(fit)
    with style():
        if axes is None:
            axes = new_figure(output, (7, 3.4)).subplots(1, 2)
        left, right = axes
        _draw_objective(left, path)
        _draw_bound(right, path, tol)
        for ax in (left, right):
            ax.set(xlabel="scans of the data", xlim=(0.5, path[-1].scan + 0.5))
            ax.locator_params(axis="x", integer=True)
    save(left, output)
    return left, right


def _path_of(fit: Any) -> Sequence[PathRecord]:
    summary = fit.summary() if callable(getattr(fit, "summary", None)) else fit
    path = getattr(summary, "path", summary)
    if not isinstance(path, Sequence) or not path or not hasattr(path[0], "scan"):
        raise ArgumentError(f"`fit` has no path to draw; got a {type(fit).__name__}")
    return path


def _draw_objective(ax: Axes, path: Sequence[PathRecord]) -> None:
    """Draw how far the objective lies above its last value, the optimum to all digits shown."""
    last = path[-1].objective
    points = [(p.scan, p.objective - last) for p in path if p.objective > last]
    ax.plot(*zip(*points, strict=True), color=VERMILLION, marker="o", markersize=5.5)
    ax.set(title="Objective", ylabel="above its last value (nats)", yscale="log")


def _draw_bound(ax: Axes, path: Sequence[PathRecord], tol: float) -> None:
    points = [(p.scan, p.bound) for p in path if math.isfinite(p.bound)]
    ax.plot(*zip(*points, strict=True), color=BLUE, marker="o", markersize=5.5)
    ax.axhline(tol, color=MUTED, linewidth=1.2, linestyle=(0, (5, 4)))
    ax.set(title="Certified distance", ylabel="to the optimum (standard errors)", yscale="log")
    ax.annotate(f"tol = {tol:g}", (1, tol), xytext=(0, 5), textcoords="offset points")


def plot_decision_surface(
    estimators: Mapping[str, Any],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    axes: Sequence[Axes] | None = None,
    output: PathLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the probability that classifiers give to every point of two features.

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
            figure = new_figure(output, (3.1 * n_panels + 0.8, 3.6))
            axes = figure.subplots(1, n_panels, sharey=True, squeeze=False)[0]
        for ax, (name, estimator) in zip(axes, estimators.items(), strict=True):
            surface = _draw_surface(ax, estimator, points)
            for label, colour, marker in zip(classes, (VERMILLION, BLUE), "os", strict=True):
                here = points[labels == label]
                ax.scatter(
                    *here.T, s=16, c=colour, marker=marker, edgecolors="white", linewidths=0.7
                )
            ax.set(title=name, xlabel=first, box_aspect=1)
            ax.grid(visible=False)
        axes[0].set_ylabel(second)
        bar = axes[0].figure.colorbar(surface, ax=list(axes), shrink=0.76, pad=0.02)
        bar.set_label(f"probability of {classes[1]} (■; {classes[0]} is ●)")
        bar.set_ticks([0, 0.25, 0.5, 0.75, 1])
    save(axes[0], output)
    return tuple(axes)


def _draw_surface(ax: Axes, estimator: Any, points: npt.NDArray[np.float64]) -> Any:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * (high - low) + 1e-9
    steps = [np.linspace(a, b, 201) for a, b in zip(low - margin, high + margin, strict=True)]
    first, second = np.meshgrid(*steps)
    grid = np.column_stack((first.ravel(), second.ravel()))
    surface = estimator.predict_proba(grid)[:, 1].reshape(first.shape)
    filled = ax.contourf(first, second, surface, levels=np.linspace(0, 1, 21), cmap=_two_colours())
    if surface.min() < 0.5 < surface.max():
        ax.contour(first, second, surface, levels=[0.5], colors=INK, linewidths=1.4)
    return filled


def _two_colours() -> Colormap:
    """Return a scale from a light vermillion over white to a light blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("logloss", ["#E59A66", "#FFFFFF", "#66AAD1"])
