"""Quasi-Newton over light scans: a sample's optimum to start from, its Hessian to measure by.

A sample of m rows has its optimum about √(n/m)·√p standard errors from that of all rows,
and its Hessian, factored once, brings each step √(p/m) times nearer; L-BFGS learns the rest.
A step is one scan without a Gram matrix.  Nothing here is certified: the end of this descent
is where Newton's begins.

J. Nocedal, "Updating quasi-Newton matrices with limited storage", Math. Comp. 35 (1980);
W. W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an
efficient line search", SIAM J. Optim. 16 (2005), for steps accepted on gradients alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import linalg

from logloss.design.block import Block
from logloss.logistic import newton
from logloss.logistic.aliasing import dependent_columns
from logloss.logistic.objective import Evaluation, FloatArray, Objective
from logloss.logistic.sample import every, sampled

#: One row in so many of a sample finds most of the way to the sample's optimum.
_STRIDE = 8
#: Newton steps on a sample: one that needs more has no optimum, or a poor one.
_SAMPLE_STEPS = 12
#: Distance, in standard errors, at which a sample's optimum is near enough: that of all
#: rows lies many of them away.
_NEAR = 0.1
#: Armijo's constant, and the part of the slope that a step accepted on gradients may leave.
_SUFFICIENT, _CURVATURE = 1e-4, 0.9
#: Two values of F closer than this, relatively, are equal.
_ROUNDING = 1e-13
#: Steps tried from one scan where the whole step does not decrease F.
_TRIALS = (0.5, 0.25, 0.1, 0.03, 0.01, 2.0)
#: Two scans that leave more than this of the distance are no better than Newton's.
_SLOW = 1 / 3
#: Share of the distance that Newton's one scan can certify, as the sample knows it, that is aimed
#: at: the longest of all rows is longer than that of the sample.
_SHARE = 0.5


@dataclass(frozen=True)
class State:
    """Where the descent stands: arrays and numbers alone.

    Attributes
    ----------
    evaluation : Evaluation
        F and its gradient at the current coefficients.
    factor : ndarray of shape (m, m)
        Lower Cholesky factor of the sample's Hessian in the coefficients that move.
    moving : ndarray of shape (size,), bool
    steps, changes : tuple of ndarray of shape (m,)
        Steps taken, and what they did to the gradient.
    decrement : float
        √(gᵀB⁻¹g), with B the sample's Hessian.
    leverage : float
        A bound of √(xᵀB⁻¹x) over the sample's rows.
    scans, rejected : int
        Scans so far, and steps that did not decrease F.
    step : float
        Length of the last step.
    """

    evaluation: Evaluation
    factor: FloatArray
    moving: npt.NDArray[np.bool_]
    steps: tuple[FloatArray, ...]
    changes: tuple[FloatArray, ...]
    decrement: float
    leverage: float
    scans: int
    rejected: int = 0
    step: float = 0.0


#: Called after every step.
Tell = Callable[[State], None]


def descend(
    objective: Objective, sample: Block, beta: FloatArray, *, tol: float, most: int, tell: Tell
) -> State | None:
    """Go down until Newton's next scan is likely to end the fit, or nothing is gained.

    Parameters
    ----------
    objective : Objective
    sample : Block
        Rows that stand for all.
    beta : ndarray of shape (size,)
        Where the sample's descent starts.
    tol : float
        Distance to the optimum, in standard errors.
    most : int
        Scans that may be used.
    tell : callable
        Called with each state.

    Returns
    -------
    State or None
        None where the sample has no optimum of its own.
    """
    begun = start(objective, sample, beta)
    if begun is None:
        return None
    state, unit = begun, math.sqrt(objective.columns.n_effective)
    distances = [unit * state.decrement]
    # Newton's last step is certified where it leads, if no row moves by more than `tol`
    near = _SHARE * tol * max(1.0, unit / max(state.leverage, 1.0))
    tell(state)
    while state.scans < most and state.rejected < 2 and distances[-1] > near:
        rate = distances[-1] / distances[-2] if len(distances) > 1 else 1.0
        if distances[-1] * rate <= near:  # Newton's scan is there after one more step
            return _ahead(state)
        if len(distances) > 2 and distances[-1] > _SLOW * distances[-3]:
            break
        state = step(objective, state)
        distances.append(unit * state.decrement)
        tell(state)
    return state


def _ahead(state: State) -> State:
    """Take the next step without a scan."""
    beta = state.evaluation.beta.copy()
    beta[state.moving] += direction(state)
    return replace(state, evaluation=replace(state.evaluation, beta=beta))


def start(objective: Objective, sample: Block, beta: FloatArray) -> State | None:
    """Find the sample's optimum and factor its Hessian there; then scan all rows once."""
    few = every(sample, _STRIDE)
    if len(few) >= 10 * len(beta):
        nearer = _optimum(sampled(objective, few), beta)
        beta = beta if nearer is None else nearer[0].evaluation.beta
    found = _optimum(sampled(objective, sample), beta)
    if found is None:
        return None
    there, moving = found
    evaluation = objective.evaluate(there.evaluation.beta, curvature=False)
    leverage = math.sqrt(there.evaluation.row_norm) * float(
        np.linalg.norm(newton.inverse_factor(there.factor))
    )
    return _at(evaluation, there.factor, moving, leverage, scans=1)


def _optimum(
    objective: Objective, beta: FloatArray
) -> tuple[newton.State, npt.NDArray[np.bool_]] | None:
    """Minimise over a sample by Newton's method; None where it has no optimum."""
    evaluation = objective.evaluate(beta, curvature=True)
    assert evaluation.hessian is not None
    dependent, _ = dependent_columns(objective, evaluation.hessian)
    objective = replace(objective, free=objective.free & ~dependent)
    state = newton.at(objective, evaluation, scans=0)
    unit = math.sqrt(objective.columns.n)
    for _ in range(_SAMPLE_STEPS):
        if unit * state.decrement <= _NEAR:
            return (state, objective.free) if not state.damped else None
        state = newton.step(objective, state, state.scans + 10)
        if state.stalled:
            break
    return None


def step(objective: Objective, state: State) -> State:
    """Take one step: a scan, or two more where the whole step is too long."""
    here, along = state.evaluation, np.zeros(len(state.moving))
    along[state.moving] = direction(state)
    slope = float(here.gradient @ along)
    there = objective.evaluate(here.beta + along, curvature=False)
    if _accepted(here, there, slope, float(there.gradient @ along)):
        return _moved(state, there, scans=1, step=1.0)
    values = objective.values_along(here.beta, along, _TRIALS)
    best = int(np.argmin(values))
    if not values[best] < here.value:
        return replace(state, scans=state.scans + 2, rejected=2)
    there = objective.evaluate(here.beta + _TRIALS[best] * along, curvature=False)
    moved = _moved(state, there, scans=3, step=_TRIALS[best])
    return replace(moved, rejected=state.rejected + 1)


def direction(state: State) -> FloatArray:
    """−B⁻¹g in the coefficients that move, with B the sample's Hessian as the steps corrected it.

    L-BFGS in two loops (Nocedal 1980).
    """
    q = -state.evaluation.gradient[state.moving]
    shares = []
    for s, y in zip(reversed(state.steps), reversed(state.changes), strict=True):
        share = float(s @ q) / float(s @ y)
        q = q - share * y
        shares.append(share)
    d = np.asarray(linalg.cho_solve((state.factor, True), q))
    for s, y, share in zip(state.steps, state.changes, reversed(shares), strict=True):
        d = d + (share - float(y @ d) / float(s @ y)) * s
    return d


def _accepted(here: Evaluation, there: Evaluation, before: float, after: float) -> bool:
    """Whether a step is taken: on values, or where they are below rounding on slopes."""
    if there.value <= here.value + _SUFFICIENT * before:
        return True
    allowance = _ROUNDING * (1.0 + abs(here.value))
    return there.value <= here.value + allowance and abs(after) <= _CURVATURE * abs(before)


def _moved(state: State, there: Evaluation, *, scans: int, step: float) -> State:
    here, moving = state.evaluation, state.moving
    s, y = (there.beta - here.beta)[moving], (there.gradient - here.gradient)[moving]
    learned = float(s @ y) > 0
    return replace(
        _at(there, state.factor, moving, state.leverage, scans=state.scans + scans),
        steps=(*state.steps, s) if learned else state.steps,
        changes=(*state.changes, y) if learned else state.changes,
        rejected=state.rejected,
        step=step,
    )


def _at(
    evaluation: Evaluation,
    factor: FloatArray,
    moving: npt.NDArray[np.bool_],
    leverage: float,
    *,
    scans: int,
) -> State:
    half = linalg.solve_triangular(factor, evaluation.gradient[moving], lower=True)
    return State(evaluation, factor, moving, (), (), float(np.linalg.norm(half)), leverage, scans)
