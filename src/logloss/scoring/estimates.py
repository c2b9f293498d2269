"""From the state of a score to its numbers and their 95 % intervals.

Every figure is a ratio R = N/D of linear forms of the totals T = Σw·c.  To first order
its error is Σ(N − R·D)·w·c / D, so its variance follows from sums of squares of rows,
or of clusters when rows within a cluster depend on each other (the "sandwich").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from logloss.scoring.state import COMPONENTS, ScoreState
from logloss.scoring.sums import FloatArray, total

#: A linear form: component → coefficient.
Form = Mapping[str, float]

#: Two-sided level of every interval.
LEVEL = 0.95
#: Products are rounded once each: a sum of squares that cancels below this is zero.
_CANCELLED = 2.0**-49


@dataclass(frozen=True)
class Estimate:
    """A number with the range it is good for.

    Attributes
    ----------
    value : float
        The number, of the rows at hand.
    low, high : float
        Where `kind` is ``"exact"``, its 95 % interval for rows like these; where it is
        ``"bounded"``, the range in which the number itself surely lies.  NaN when
        nothing can be said.
    kind : {"exact", "bounded", "approximate"}
        How the number was computed.
    """

    value: float
    low: float
    high: float
    kind: Literal["exact", "bounded", "approximate"] = "exact"

    def to_dict(self) -> dict[str, float | str]:
        """Return the attributes as a dictionary."""
        return {"value": self.value, "low": self.low, "high": self.high, "kind": self.kind}


def half_width(variance_sum: float, denominator: float, n_units: int) -> float:
    """Return half of a 95 % interval from Σe² over independent units.

    Parameters
    ----------
    variance_sum : float
        Sum over the units of the squared linearised errors.
    denominator : float
        What the errors are divided by, Σw for a mean.
    n_units : int
        Number of rows or clusters; with one, nothing can be said, nor of squares beyond 1e308.
    """
    if n_units < 2 or not denominator > 0 or not math.isfinite(variance_sum):
        return math.nan
    quantile = float(special.stdtrit(n_units - 1, 0.5 + LEVEL / 2))
    return quantile * math.sqrt(n_units / (n_units - 1) * variance_sum) / denominator


class Ratios:
    """Ratios of linear forms of one state's totals, with their intervals.

    Parameters
    ----------
    state : ScoreState
        A finished pass.
    """

    def __init__(self, state: ScoreState) -> None:
        self._totals = {name: total.value for name, total in state.totals.items()}
        self._products = {pair: total.value for pair, total in state.products.items()}
        self._n_rows = state.n_weighted
        self._clusters = None if state.clusters is None else state.clusters.values()

    def total(self, form: Form) -> float:
        """Return the form of the totals."""
        return total(c * self._totals[name] for name, c in form.items())

    def ratio(self, numerator: Form, denominator: Form, n_rows: int | None = None) -> Estimate:
        """Return N/D with its interval.

        Parameters
        ----------
        numerator, denominator : mapping of str to float
            The linear forms.
        n_rows : int, optional
            Rows that enter the denominator; all rows of positive weight by default.
        """
        above, below = self.total(numerator), self.total(denominator)
        if not below > 0 or not math.isfinite(above):
            return Estimate(math.nan, math.nan, math.nan)
        value = above / below
        error = {
            name: numerator.get(name, 0.0) - value * denominator.get(name, 0.0)
            for name in (*numerator, *denominator)
        }
        if self._clusters is None:
            squares = self._rows_squared(error)
            n_units = self._n_rows if n_rows is None else n_rows
        else:
            squares, n_units = self._clusters_squared(error, denominator)
        half = half_width(squares, below, n_units)
        return Estimate(value, value - half, value + half)

    def _rows_squared(self, error: Form) -> float:
        terms = [
            (1.0 if a == b else 2.0) * error[a] * error[b] * product
            for (a, b), product in self._products.items()
            if a in error and b in error
        ]
        squares = total(terms)
        cancelled = math.isfinite(squares) and squares <= _CANCELLED * total(map(abs, terms))
        return 0.0 if cancelled else squares

    @np.errstate(over="ignore", invalid="ignore")  # losses beyond 1e154 have no interval
    def _clusters_squared(self, error: Form, denominator: Form) -> tuple[float, int]:
        assert self._clusters is not None
        errors, weights = self._clusters @ _vector(error), self._clusters @ _vector(denominator)
        return total(errors * errors), int(np.count_nonzero(weights > 0))


def _vector(form: Form) -> FloatArray:
    return np.array([form.get(name, 0.0) for name in COMPONENTS])


def entropy_of(rate: float) -> float:
    """Return the loss of always saying `rate` where it is right: −r·log r − (1−r)·log(1−r)."""
    return constant_loss(rate, rate)


def constant_loss(rate: float, said: float) -> float:
    """Return the mean loss of always saying `said` when the mean target is `rate`."""
    against = (math.inf if said == 0 else -math.log(said)) if rate > 0 else 0.0
    beside = (math.inf if said == 1 else -math.log1p(-said)) if rate < 1 else 0.0
    return (rate * against if rate > 0 else 0.0) + ((1 - rate) * beside if rate < 1 else 0.0)
