"""Profile likelihood: intervals and tests that follow the likelihood where it is lopsided.

The interval of a coefficient holds the values at which the likelihood, maximised over the
others, is within ½χ²₁ of its maximum.  Each end is found by Newton steps on the boundary
itself, and all ends of all coefficients from the same scans.

D. Venzon and S. Moolgavkar, "A method for computing profile-likelihood-based confidence
intervals", Applied Statistics 37 (1988).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from logloss.logistic.firth import Point, evaluate
from logloss.logistic.minimise import Solution
from logloss.logistic.objective import FloatArray, Objective

#: 95 % quantile of χ² with one degree of freedom.
_QUANTILE = float(special.chdtri(1, 0.05))
#: No step is longer than this, in standard errors.
_LONGEST = 3.0
#: Nor ends where the likelihood is further than this below what is looked for, in nats.
_DEEPEST = 2.0
#: With more rows than this for each coefficient, leverages may be those of the point before.
_MANY = 1000


@dataclass(frozen=True)
class Profile:
    """What the profile says of each coefficient; NaN where it has nothing to say.

    Attributes
    ----------
    low, high : ndarray of shape (size,)
        Ends of the 95 % interval, in the user's units.
    p_value : ndarray of shape (size,)
        Of the likelihood-ratio test that the coefficient is 0.
    scans : int
        Passes that it took.
    """

    low: FloatArray
    high: FloatArray
    p_value: FloatArray
    scans: int


@dataclass(frozen=True)
class _Search:
    """One point that is looked for along one combination of coefficients.

    Attributes
    ----------
    along : ndarray of shape (m,)
        The combination, of the free coefficients.
    side : int
        −1 or 1 for an end of its interval; 0 for the maximum where it is `value`.
    value : float
    point : Point
    lagging : bool
        Whether leverages may be those of the point before.
    last : float
        Length of the step that led here, in standard errors.
    done : bool
    """

    along: FloatArray
    side: int
    value: float
    point: Point
    lagging: bool
    done: bool = False

    def step(self, objective: Objective, wanted: float) -> tuple[FloatArray, float]:
        """Return the step to take, in the free coefficients, and its length."""
        point, inverse = self.point, self.point.inverse
        ahead, across = inverse @ point.score, inverse @ self.along
        spread = float(self.along @ across)
        if self.side:
            rise = 2 * (point.value - wanted) + float(point.score @ ahead)
            factor = self.side * math.sqrt(max(rise, 0.0) / spread)
        else:
            here = float(self.along @ point.beta[objective.free])
            factor = (self.value - here - float(self.along @ ahead)) / spread
        step = ahead + factor * across
        square = float(step @ (point.score + factor * self.along))
        return step, math.sqrt(max(square, 0.0))

    def floor(self, objective: Objective, wanted: float) -> float:
        """Return the likelihood below which no step may end."""
        if self.side:
            return wanted - _DEEPEST
        away = abs(float(self.along @ self.point.beta[objective.free]) - self.value)
        if away > 1e-9 * (1 + abs(self.value)):  # there is no telling how low the maximum is
            return -sys.float_info.max
        return self.point.value - 1e-6 * (1 + abs(self.point.value))


def profile(
    objective: Objective,
    solution: Solution,
    *,
    penalised: bool,
    prior_shift: float,
    tol: float,
    max_scans: int,
) -> Profile:
    """Find the profile intervals of all coefficients, in the user's units.

    Parameters
    ----------
    objective : Objective
        Without a penalty of its own.
    solution : Solution
        The maximum of the likelihood.
    penalised : bool
        Whether the likelihood is Firth's.
    prior_shift : float
        What the intercept will be corrected by.
    tol : float
        Length of a further step at which to stop, in standard errors.
    max_scans : int
    """
    objective = replace(objective, free=solution.estimable)
    free, size = solution.estimable, len(solution.beta)
    (top,) = evaluate(objective, [(solution.beta, None)], penalised=False)
    if penalised:
        (top,) = evaluate(objective, [(solution.beta, top.root)], exact=True)
    along = objective.columns.to_user_units_matrix()[np.ix_(free, free)]
    null = np.zeros(size)
    null[0] = -prior_shift
    wanted = top.value - _QUANTILE / 2
    lagging = objective.columns.n_effective > _MANY * len(along)
    searches = [
        _Search(row, side, float(value), top, lagging)
        for row, value in zip(along, null[free], strict=True)
        for side in (-1, 0, 1)
    ]
    scans = 1 + penalised
    while scans < max_scans and not all(search.done for search in searches):
        active = [k for k, search in enumerate(searches) if not search.done]
        moved, used = _advance(
            objective, [searches[k] for k in active], wanted, penalised=penalised, tol=tol
        )
        scans += used
        for k, search in zip(active, moved, strict=True):
            searches[k] = search
    found = np.full((len(along), 3), np.nan)
    for place, search in enumerate(searches):
        if search.done:
            k, column = divmod(place, 3)
            at = float(search.along @ search.point.beta[free])
            found[k, column] = at if search.side else 2 * (top.value - search.point.value)
    low, p_value, high = (np.full(size, np.nan) for _ in range(3))
    low[free], high[free] = found[:, 0], found[:, 2]
    p_value[free] = special.chdtrc(1, np.maximum(found[:, 1], 0.0))
    low[0] += prior_shift
    high[0] += prior_shift
    return Profile(low, high, p_value, scans)


def _advance(
    objective: Objective,
    searches: list[_Search],
    wanted: float,
    *,
    penalised: bool,
    tol: float,
) -> tuple[list[_Search], int]:
    """Take one step of each search, or confirm where it ended; all in one or two scans.

    Further scans are for steps that went too far.
    """
    steps = [search.step(objective, wanted) for search in searches]
    asked, lengths = [], []
    for search, (step, length) in zip(searches, steps, strict=True):
        beta = search.point.beta.copy()
        near = length <= tol and not search.point.exact
        if not near:  # else the point itself is asked for, with its own leverages
            longest = _LONGEST if search.side else math.inf
            beta[objective.free] += min(1.0, longest / max(length, 1e-300)) * step
        asked.append((beta, search.point.root if penalised else None))
        lengths.append(length)
    points = evaluate(objective, asked, penalised=penalised)
    points = [
        replace(point, exact=True) if np.array_equal(point.beta, search.point.beta) else point
        for point, search in zip(points, searches, strict=True)
    ]
    scans = 1
    floors = [search.floor(objective, wanted) for search in searches]
    deep = [k for k, point in enumerate(points) if point.value < floors[k]]
    while deep:  # too far: the likelihood is no parabola there
        halved = [((searches[k].point.beta + points[k].beta) / 2, asked[k][1]) for k in deep]
        for k, point in zip(deep, evaluate(objective, halved, penalised=penalised), strict=True):
            points[k] = point
        scans += 1
        deep = [k for k in deep if points[k].value < floors[k]]
    late = [
        k
        for k, (point, search) in enumerate(zip(points, searches, strict=True))
        if not point.exact and not search.lagging
    ]
    if late:
        again = evaluate(objective, [(points[k].beta, points[k].root) for k in late], exact=True)
        scans += 1
        for k, point in zip(late, again, strict=True):
            points[k] = point.learning_from(searches[k].point)
    moved = []
    for search, point, length in zip(searches, points, lengths, strict=True):
        there = replace(search, point=point)
        _, left = there.step(objective, wanted)
        slow = 1 > length < 4 * left
        there = replace(there, done=point.exact and left <= tol, lagging=there.lagging and not slow)
        moved.append(there)
    return moved, scans
