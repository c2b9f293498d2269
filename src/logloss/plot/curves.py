"""Curves of the mathematics itself: the sigmoid and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from logloss import kernel
from logloss.plot.style import BACKED, BLUE, MUTED, VERMILLION, PathLike, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_sigmoid(ax: Axes | None = None, *, output: PathLike | None = None) -> Axes:
    """Draw the sigmoid σ(x) = 1/(1 + e⁻ˣ) on [−10, 10], with its asymptotes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    output : path, optional
        An image file to write as well; its ending chooses the format.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    OutputError, ArgumentError
        If the file cannot be written, or its ending is unknown.

    Examples
    --------
    >>> from logloss import plot_sigmoid
    >>> plot_sigmoid().get_title(loc="left")
    'Sigmoid Function'
    """
    x = np.linspace(-10, 10, 400)
    with style():
        ax = new_figure(output, (7, 3.6)).subplots() if ax is None else ax
        for level, place, side in ((0.0, 5.0, "above"), (1.0, -5.0, "below")):
            ax.axhline(level, color=MUTED, linewidth=1.2, linestyle=(0, (5, 4)))
            ax.annotate(
                f"asymptote {level:g}",
                (place, level),
                xytext=(0, 5 if side == "above" else -5),
                textcoords="offset points",
                ha="center",
                va="bottom" if side == "above" else "top",
                color=MUTED,
            )
        ax.plot(x, kernel.sigmoid(x), color=BLUE)
        ax.plot(0, 0.5, "o", color=BLUE, markersize=6)
        ax.annotate("σ(0) = ½", (0, 0.5), xytext=(12, -4), textcoords="offset points", bbox=BACKED)
        ax.set(title="Sigmoid Function", xlabel="x", ylabel="σ(x)")
        ax.set(xlim=(-10, 10), ylim=(-0.06, 1.06), xticks=range(-10, 11, 5))
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    save(ax, output)
    return ax


def plot_loss(
    axes: Sequence[Axes] | None = None, *, output: PathLike | None = None
) -> tuple[Axes, Axes]:
    """Draw the loss for y = 1 and y = 0: against p, and against the logit with its gradient.

    Parameters
    ----------
    axes : two matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    output : path, optional
        An image file to write as well; its ending chooses the format.

    Returns
    -------
    tuple of two matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    OutputError, ArgumentError
        If the file cannot be written, or its ending is unknown.

    Examples
    --------
    >>> from logloss import plot_loss
    >>> [panel.get_xlabel() for panel in plot_loss()]
    ['probability p', 'logit z']
    """
    with style():
        if axes is None:
            axes = new_figure(output, (7, 3.6)).subplots(1, 2)
        left, right = axes
        _draw_loss_of_p(left)
        _draw_loss_of_logit(right)
    save(left, output)
    return left, right


def _draw_loss_of_p(ax: Axes) -> None:
    p = np.linspace(0, 1, 1001)[1:-1]
    for label, colour, place, side in ((1, BLUE, 0.09, "left"), (0, VERMILLION, 0.91, "right")):
        losses = kernel.losses_from_probabilities(np.full_like(p, label), p)
        ax.plot(p, losses, color=colour)
        ax.text(place, 3.3, f"y = {label}", color=colour, ha=side, weight="bold", bbox=BACKED)
    ax.set(title="Loss by probability", xlabel="probability p", ylabel="loss (nats)")
    ax.set(xlim=(0, 1), ylim=(0, 5), xticks=[0, 0.25, 0.5, 0.75, 1])


def _draw_loss_of_logit(ax: Axes) -> None:
    z = np.linspace(-6, 6, 601)
    for label, colour, side in ((1, BLUE, -1), (0, VERMILLION, 1)):
        loss, gradient, _ = kernel.loss_derivatives(np.full_like(z, label), z)
        ax.plot(z, loss, color=colour)
        ax.plot(z, gradient, color=colour, linestyle=(0, (2, 1.5)), linewidth=1.8)
        text: dict[str, Any] = {
            "color": colour,
            "ha": "left" if side < 0 else "right",
            "bbox": BACKED,
        }
        ax.text(side * 4.6, 5.25, f"loss, y = {label}", weight="bold", **text)
        ax.text(side * 5.8, side + 0.3, "its gradient", **text)
    ax.set(title="Loss and gradient by logit", xlabel="logit z")
    ax.set(xlim=(-6, 6), ylim=(-1.3, 6.2), xticks=range(-6, 7, 3), yticks=range(-1, 7))
