"""Damped Newton over full scans: the solver that is right for any p up to a few thousand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from logloss.logistic.objective import Evaluation, FloatArray, Objective

#: Armijo's constant: the share of the predicted decrease that a step must reach.
_SUFFICIENT = 1e-4
#: Two values of F closer than this, relatively, are equal: sums are exact, rows are not.
_ROUNDING = 1e-13
#: Steps tried from one scan where the whole one does not decrease F. Where nearly all rows are
#: certain there is next to no curvature, and Newton's step is far too long.
_TRIALS = tuple(2.0**-k for k in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 35, 40, 50))


@dataclass(frozen=True)
class State:
    """Where the solver stands.

    Attributes
    ----------
    evaluation : Evaluation
        F, gradient and Hessian at the current coefficients.
    direction : ndarray of shape (size,)
        Newton's step from here; zero where a coefficient is not free.
    factor : ndarray of shape (free, free)
        Lower Cholesky factor of the (possibly damped) Hessian.
    decrement : float
        √(gᵀH⁻¹g).
    damped : bool
        Whether the Hessian had to be lifted to be factored.
    scans : int
        Scans so far.
    step : float
        Length of the last step, as a fraction of Newton's; 0 at the start.
    stalled : bool
        Whether no step along the last direction decreased F.
    """

    evaluation: Evaluation
    direction: FloatArray
    factor: FloatArray
    decrement: float
    damped: bool
    scans: int
    step: float
    stalled: bool = False


def start(objective: Objective, beta: FloatArray) -> State:
    """Evaluate the objective at `beta` and find Newton's direction."""
    return at(objective, objective.evaluate(beta, curvature=True), scans=1)


def step(objective: Objective, state: State, max_scans: int) -> State:
    """Take one damped Newton step; the result is `stalled` if none decreases F."""
    here, scans = state.evaluation, state.scans
    allowance = _ROUNDING * (1.0 + abs(here.value))
    if scans >= max_scans:
        return state
    # the whole step is nearly always taken, so it brings its own curvature
    there = objective.evaluate(here.beta + state.direction, curvature=True)
    scans += 1
    if there.value <= here.value - _SUFFICIENT * state.decrement**2 + allowance:
        return at(objective, there, scans=scans, step=1.0)
    if scans >= max_scans:
        return replace(state, scans=scans)
    values = objective.values_along(here.beta, state.direction, _TRIALS)
    values[np.isnan(values)] = np.inf
    scans += 1
    length = _TRIALS[int(np.argmin(values))]
    if not values.min() <= here.value - _SUFFICIENT * length * state.decrement**2:
        return replace(state, scans=scans, stalled=True)
    if scans >= max_scans:
        return replace(state, scans=scans)
    there = objective.evaluate(here.beta + length * state.direction, curvature=True)
    return at(objective, there, scans=scans + 1, step=length)


def at(objective: Objective, evaluation: Evaluation, *, scans: int, step: float = 0.0) -> State:
    """Find Newton's direction from an evaluation that has its Hessian."""
    assert evaluation.hessian is not None
    free, hessian, gradient = objective.free, evaluation.hessian, evaluation.gradient
    if not free.all():
        hessian, gradient = hessian[np.ix_(free, free)], gradient[free]
    factor, damped = _factor(hessian)
    direction = np.zeros(len(free))
    half = gradient
    if len(factor):
        half = linalg.lapack.dtrtrs(factor, gradient, lower=1)[0]
        direction[free] = -linalg.lapack.dtrtrs(factor, half, lower=1, trans=1)[0]
    return State(
        evaluation=evaluation,
        direction=direction,
        factor=factor,
        decrement=float(np.linalg.norm(half)),
        damped=damped,
        scans=scans,
        step=step,
    )


def inverse_factor(factor: FloatArray) -> FloatArray:
    """Return L⁻¹, for the lower Cholesky factor L of H."""
    if not len(factor):
        return np.empty((0, 0))
    return np.asarray(linalg.lapack.dtrtri(factor, lower=1)[0])


def _factor(hessian: FloatArray) -> tuple[FloatArray, bool]:
    """Factor H, lifted by as little of its diagonal as makes it positive definite."""
    if not len(hessian):
        return hessian, False
    diagonal = np.diag(np.asarray_chkfinite(hessian))
    floor = np.maximum(diagonal, np.finfo(float).tiny + 1e-30 * diagonal.max())
    lift = 0.0
    while True:
        lifted = hessian + np.diag(lift * floor) if lift else hessian
        factor, failed = linalg.lapack.dpotrf(lifted, lower=1, clean=1)
        if not failed:
            return np.asarray(factor), lift > 0
        lift = max(10 * lift, 1e-14)
