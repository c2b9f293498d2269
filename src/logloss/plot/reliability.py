"""The reliability diagram, from arrays or from a score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt

from logloss import losses
from logloss.errors import ArgumentError
from logloss.plot.style import BLUE, MUTED, SKY, PathLike, new_figure, save, style
from logloss.scoring.histogram import Histogram, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from logloss.scoring.result import Score

#: Steps in which the distribution of forecasts is drawn.
_STEPS = 40
#: Two-sided 95 % quantile of the standard normal distribution.
_QUANTILE = 1.959963984540054


class ReliabilityDisplay:
    """Reliability diagram: what was claimed against what happened, with the forecasts under it.

    Make one with `from_predictions` or `from_score`.

    Parameters
    ----------
    reliability : Reliability
        Groups of forecasts.
    density : ndarray of shape (n_steps,)
        Weight of the forecasts in equal steps between the `limits`.
    limits : tuple of float
        Range of probabilities that is drawn.
    name : str, optional
        Title of the picture.

    Attributes
    ----------
    claimed, realised, low, high : ndarray
        For each group the mean forecast, the mean target, and the latter's 95 % interval
        (Wilson's, with Kish's effective number of rows; too narrow where rows depend on
        each other).
    ax_, density_ax_, figure_ : matplotlib objects
        What `plot` drew on.
    """

    def __init__(
        self,
        reliability: Reliability,
        density: npt.NDArray[np.float64],
        limits: tuple[float, float] = (0.0, 1.0),
        name: str | None = None,
    ) -> None:
        self.claimed, self.realised = reliability.claimed, reliability.realised
        self.low, self.high = _wilson(reliability.realised, reliability.size)
        self.density, self.limits = density, limits
        self.name = name

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        n_bins: int = 10,
        strategy: Literal["quantile", "uniform"] = "quantile",
        name: str | None = None,
        ax: Axes | None = None,
        output: PathLike | None = None,
    ) -> Self:
        """Draw probabilities against labels.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels or proportions in [0, 1].
        y_prob : array-like of shape (n,)
            Probabilities of y = 1.
        sample_weight : array-like of shape (n,), optional
            Weights.
        n_bins : int, default=10
            Number of groups.
        strategy : {"quantile", "uniform"}, default="quantile"
            Groups of equal weight, or of equal width.
        name : str, optional
            Title of the picture.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.
        output : path, optional
            An image file to write as well; its ending chooses the format.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        LabelError, ProbabilityError, WeightError, ArgumentError
            If the arrays or an option are wrong.
        MissingExtraError
            If matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from logloss import ReliabilityDisplay
        >>> said = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8, 0.8])
        >>> late = np.array([0, 0, 1, 0, 0, 1, 1, 0, 1, 1])
        >>> display = ReliabilityDisplay.from_predictions(late, said, n_bins=2)
        >>> display.realised.tolist()
        [0.2, 0.8]
        """
        histogram = _histogram(y_true, y_prob, sample_weight)
        return cls._from_histogram(histogram, n_bins, strategy, name).plot(ax, output=output)

    @classmethod
    def from_score(
        cls,
        score: Score,
        *,
        n_bins: int = 10,
        strategy: Literal["quantile", "uniform"] = "quantile",
        name: str | None = None,
        ax: Axes | None = None,
        output: PathLike | None = None,
    ) -> Self:
        """Draw what a score has counted; the rows are not read again.

        Parameters
        ----------
        score : Score
            Result of `logloss.score`.
        n_bins, strategy, name, ax, output
            As in `from_predictions`.

        Returns
        -------
        ReliabilityDisplay
        """
        return cls._from_histogram(score.histogram, n_bins, strategy, name).plot(ax, output=output)

    @classmethod
    def _from_histogram(
        cls,
        histogram: Histogram,
        n_bins: int,
        strategy: Literal["quantile", "uniform"],
        name: str | None,
    ) -> Self:
        if isinstance(n_bins, bool) or not isinstance(n_bins, int) or n_bins < 1:
            raise ArgumentError(f"`n_bins` must be a whole number, 1 or more; got {n_bins!r}")
        if strategy not in ("quantile", "uniform"):
            raise ArgumentError(f"`strategy` must be 'quantile' or 'uniform'; got {strategy!r}")
        groups = histogram.reliability(n_bins, strategy)
        limits = _limits(groups.claimed, *_wilson(groups.realised, groups.size))
        density = histogram.density(np.linspace(*limits, _STEPS + 1))
        return cls(groups, density, limits, name)

    def plot(self, ax: Axes | None = None, *, output: PathLike | None = None) -> Self:
        """Draw the diagram, and the distribution of the forecasts under it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.
        output : path, optional
            An image file to write as well; its ending chooses the format.

        Returns
        -------
        ReliabilityDisplay
            Itself.
        """
        with style():
            if ax is None:
                # fixed places: no layout engine knows of a square panel with another below it
                figure = new_figure(output, (5, 5.9))
                figure.set_layout_engine("none")
                ax = figure.add_axes((0.16, 0.255, 0.79, 0.79 * 5 / 5.9))
            below = ax.inset_axes((0, -0.24, 1, 0.2), sharex=ax)
            self._draw_diagram(ax)
            self._draw_density(below)
        self.ax_, self.density_ax_, self.figure_ = ax, below, ax.figure
        save(ax, output)
        return self

    def _draw_diagram(self, ax: Axes) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        low, high = self.limits
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (5, 4)))
        middle = low + 0.8 * (high - low)
        ax.annotate(
            "claimed = happened",
            (middle, middle),
            xytext=(9, -9),
            textcoords="offset points",
            rotation=45,
            rotation_mode="anchor",
            ha="center",
            va="top",
            color=MUTED,
        )
        reach = np.stack((self.realised - self.low, self.high - self.realised))
        ax.errorbar(
            self.claimed,
            self.realised,
            np.maximum(reach, 0),
            color=BLUE,
            marker="o",
            markersize=5.5,
            linewidth=1.6,
            elinewidth=1.4,
            capsize=3,
            clip_on=False,
        )
        ax.set(
            title=self.name or "Reliability", ylabel="share that happened (95 %, independent rows)"
        )
        ax.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PercentFormatter(xmax=1))
            axis.set_major_locator(MaxNLocator(8 if high - low > 0.05 else 5, steps=[1, 2, 5, 10]))
        # the axes below carries them
        ax.tick_params(axis="x", labelbottom=False)

    def _draw_density(self, ax: Axes) -> None:
        edges = np.linspace(*self.limits, self.density.size + 1)
        ax.stairs(self.density, edges, fill=True, color=SKY)
        ax.set(xlabel="claimed probability", ylabel="forecasts", yticks=[])
        ax.grid(visible=False)


def _limits(*values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return a range, from 0 or to 1, that holds all values and ends at a round number."""
    joined = np.concatenate(values)
    low = 1 - _round_up(1 - float(joined.min())) if joined.min() > 0.5 else 0.0
    return low, _round_up(float(joined.max()))


def _round_up(share: float) -> float:
    """Return the next share of one significant digit."""
    unit = 10.0 ** math.floor(math.log10(share)) if share > 0 else 0.1
    return min(unit * math.ceil(share / unit - 1e-9), 1.0)


def _wilson(
    rate: npt.NDArray[np.float64], size: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the 95 % interval of E. B. Wilson (JASA 22, 1927) for shares of `size` rows."""
    square = _QUANTILE**2
    centre = (rate + square / (2 * size)) / (1 + square / size)
    inside = rate * (1 - rate) / size + square / (4 * size * size)
    half = _QUANTILE * np.sqrt(np.maximum(inside, 0)) / (1 + square / size)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def _histogram(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, sample_weight: npt.ArrayLike | None
) -> Histogram:
    """Count the arrays, once the loss has accepted them."""
    losses.binary_cross_entropy(y_true, y_prob, sample_weight=sample_weight, reduction="none")
    y, p = (np.asarray(values, dtype=np.float64) for values in (y_true, y_prob))
    if y.ndim != 1 or y.shape != p.shape:
        raise ArgumentError(
            f"`y_true` and `y_prob` must be flat and of one length; got {y.shape} and {p.shape}"
        )
    weight = None
    if sample_weight is not None:
        weight = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), y.shape)
    return Histogram.of(y, p, weight, on_logits=False)
