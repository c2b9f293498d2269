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
    here, scans, length = state.evaluation, state.scans, 1.0
    predicted = state.decrement**2
    allowance = _ROUNDING * (1.0 + abs(here.value))
    while scans < max_scans:
        # the first trial is nearly always taken, so it brings its own curvature
        there = objective.evaluate(here.beta + length * state.direction, curvature=length == 1.0)
        scans += 1
        if there.value <= here.value - _SUFFICIENT * length * predicted + allowance:
            if there.hessian is None:
                there = objective.evaluate(there.beta, curvature=True)
                scans += 1
            return at(objective, there, scans=scans, step=length)
        length *= 0.5 if length > 0.2 else 0.25
        if length < 1e-6:
            return replace(state, scans=scans, stalled=True)
    return replace(state, scans=scans)


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


def inverse_norm(factor: FloatArray) -> float:
    """Return the root of the trace of H⁻¹, for the lower Cholesky factor of H."""
    if not len(factor):
        return 0.0
    return float(np.linalg.norm(linalg.lapack.dtrtri(factor, lower=1)[0]))


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
