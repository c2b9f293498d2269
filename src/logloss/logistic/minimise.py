"""The one driver: aliased columns, solver steps, the certificate, separation, progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import special

from logloss.design.block import Block
from logloss.logistic import newton, quasi_newton, separation
from logloss.logistic.aliasing import dependent_columns
from logloss.logistic.certificate import certify, distance
from logloss.logistic.objective import Evaluation, FloatArray, Objective


class Status(StrEnum):
    """Why a fit ended."""

    CONVERGED = "converged"
    SEPARATED = "separated"
    MAX_SCANS = "max_scans"
    STALLED = "stalled"

    @property
    def message(self) -> str:
        """One sentence on what it means and what to do."""
        return _MESSAGES[self.value]


_MESSAGES = {
    "converged": "the certified distance to the optimum is within tol",
    "separated": "some columns separate the classes: their coefficients have no finite estimate. "
    "Use prior='weak', add a penalty (alpha > 0), or drop the columns named in `separated_`",
    "max_scans": "max_scans was reached before the certificate held: raise max_scans or tol",
    "stalled": "rounding stops the descent before the certificate holds: raise tol, or look for "
    "columns that are nearly linear combinations of others, and for numbers or offsets far out",
}


@dataclass(frozen=True)
class PathPoint:
    """The fit after one step: scans so far, objective, distance to the optimum, step length.

    `bound` is √(2N(F − F*)), in standard errors; infinite while nothing is certain.
    """

    scan: int
    objective: float
    bound: float
    step: float


#: Called after every step.
Watch = Callable[[PathPoint], None]

#: Margin, in logits, to which rows that a proven separation predicts perfectly are moved:
#: each then adds 2e-9 nats.
_SEPARATED_MARGIN = 20.0
#: No separated coefficient moves a logit by more than this, however close the classes are.
_LONGEST = 500.0
#: A decrement that shrinks less than this, twice in a row, is a sign of separation, where
#: it shrinks by e a step; near a finite optimum it is squared.
_SLOW = 0.25
#: Steps in a row that neither lower F by more than this, relatively, nor halve the decrement,
#: after which none will.
_IDLE, _ROUNDING = 3, 1e-13


@dataclass(frozen=True)
class Solution:
    """Where the minimisation ended, in standardised columns.

    Attributes
    ----------
    beta : ndarray of shape (size,)
        Coefficients, intercept first; 0 for aliased ones.
    status : Status
    bound : float
        Certified √(2N(F − F*)), in standard errors.
    scans : int
        Passes over all rows.
    path : tuple of PathPoint
    aliased : ndarray of shape (size,), bool
        Linear combinations of the columns before them.
    separated : ndarray of shape (size,), bool
        Coefficients that a proven separation drives to infinity.
    mean_loss : float
        Weighted mean loss at `beta`, without the penalty.
    hessian : ndarray of shape (size, size)
        Of the mean objective, over the rows that are not separated.
    estimable : ndarray of shape (size,), bool
        Coefficients that the Hessian speaks for.
    """

    beta: FloatArray
    status: Status
    bound: float
    scans: int
    path: tuple[PathPoint, ...]
    aliased: npt.NDArray[np.bool_]
    separated: npt.NDArray[np.bool_]
    mean_loss: float
    hessian: FloatArray
    estimable: npt.NDArray[np.bool_]


def minimise(
    objective: Objective,
    *,
    tol: float,
    max_scans: int,
    watch: Watch | None = None,
    sample: Block | None = None,
    start: FloatArray | None = None,
) -> Solution:
    """Minimise the objective until a certified bound on √(2N(F − F*)) is at most `tol`.

    N is max(Σw, rows), so `tol` is a fraction of a standard error whatever the
    units, the number of rows and the scale of the weights.  With a `sample` of the rows,
    light scans go most of the way before the first with a Gram matrix.  They, or Newton,
    begin at `start`; by default at the base rate.
    """
    size = objective.columns.layout.size
    beta = _start(objective) if start is None else start
    path: tuple[PathPoint, ...] = ()
    if sample is not None and max_scans > 2:
        beta, path = _approach(objective, sample, beta, tol=tol, max_scans=max_scans, watch=watch)
    descent = _descend(
        objective,
        beta,
        tol=tol,
        max_scans=max_scans,
        watch=watch,
        scans=path[-1].scan if path else 0,
        path=path,
    )
    aliased = objective.free & ~descent.objective.free
    while descent.direction is not None:
        faces = (*descent.objective.faces, descent.direction)
        face = replace(descent.objective, faces=faces)
        descent = _descend(
            face,
            _start(face),
            tol=tol,
            max_scans=max_scans,
            watch=watch,
            scans=descent.scans,
            path=descent.path,
        )
    faces, evaluation = descent.objective.faces, descent.evaluation
    beta, mean_loss, scans = evaluation.beta, evaluation.mean_loss, descent.scans
    separated = np.zeros(size, bool)
    if faces:
        beta = _move_out(objective, beta, faces)
        mean_loss = objective.evaluate(beta, curvature=False).mean_loss
        scans += len(faces) + 1
        separated = _moving(objective, faces)
    assert evaluation.hessian is not None
    return Solution(
        beta=beta,
        status=Status.SEPARATED if faces else descent.status,
        bound=descent.bound,
        scans=scans,
        path=descent.path,
        aliased=aliased,
        separated=separated,
        mean_loss=mean_loss,
        hessian=evaluation.hessian,
        estimable=descent.objective.free & ~separated,
    )


@dataclass(frozen=True)
class _Descent:
    """One descent on one face: where it ended, or the separating direction it met."""

    objective: Objective
    evaluation: Evaluation
    status: Status
    bound: float
    scans: int
    path: tuple[PathPoint, ...]
    direction: FloatArray | None = None


def _approach(
    objective: Objective,
    sample: Block,
    beta: FloatArray,
    *,
    tol: float,
    max_scans: int,
    watch: Watch | None,
) -> tuple[FloatArray, tuple[PathPoint, ...]]:
    """Go most of the way in light scans; where that fails, Newton starts at `beta`."""
    path: list[PathPoint] = []

    def tell(state: quasi_newton.State) -> None:
        path.append(PathPoint(state.scans, state.evaluation.value, math.inf, state.step))
        if watch is not None:
            watch(path[-1])

    most = max_scans - 1  # one is left for a Gram matrix
    state = quasi_newton.descend(objective, sample, beta, tol=tol, most=most, tell=tell)
    return (beta if state is None else state.evaluation.beta), tuple(path)


def _descend(
    objective: Objective,
    beta: FloatArray,
    *,
    tol: float,
    max_scans: int,
    watch: Watch | None,
    scans: int = 0,
    path: tuple[PathPoint, ...] = (),
) -> _Descent:
    """Go down until the certificate holds, a separation is proved, or nothing helps."""
    evaluation = objective.evaluate(beta, curvature=True)
    assert evaluation.hessian is not None
    dependent, used = dependent_columns(objective, evaluation.hessian)
    free = objective.free & ~dependent
    objective = replace(objective, free=free)
    state = newton.at(objective, evaluation, scans=scans + 1 + used)
    may_separate = bool(np.any(free)) and not np.any(objective.penalty[free])
    slow = idle = 0
    while True:
        state = replace(state, stalled=state.stalled or idle >= _IDLE)
        bound, used, rounded = certify(objective, state, tol)
        state = replace(state, scans=state.scans + used, stalled=state.stalled or rounded)
        path = (*path, PathPoint(state.scans, state.evaluation.value, bound, state.step))
        if watch is not None:
            watch(path[-1])
        end = _Descent(objective, state.evaluation, Status.CONVERGED, bound, state.scans, path)
        if bound <= tol:
            return replace(end, evaluation=_polished(objective, state))
        if may_separate:
            last_chance = state.stalled or distance(objective, state) <= tol
            direction, used, decided = _separating(objective, state, slow >= 2, last_chance)
            may_separate = not decided
            state = replace(state, scans=state.scans + used)
            if direction is not None:
                return replace(end, direction=direction, scans=state.scans)
        if state.stalled or state.scans >= max_scans:
            status = Status.STALLED if state.stalled else Status.MAX_SCANS
            return replace(end, status=status, scans=state.scans)
        before = state
        state = newton.step(objective, state, max_scans)
        slow = slow + 1 if state.decrement > _SLOW * before.decrement else 0
        idle = idle + 1 if _idle(before, state) else 0


def _idle(before: newton.State, after: newton.State) -> bool:
    """Whether a step gained nothing that rounding could not give."""
    least = before.evaluation.value - _ROUNDING * (1.0 + abs(before.evaluation.value))
    return after.evaluation.value > least and after.decrement > 0.5 * before.decrement


def _polished(objective: Objective, state: newton.State) -> Evaluation:
    """Take a last Newton step without a scan.

    Where the certificate holds it holds there too: its bound is of where this step leads, or of
    here, and then F cannot rise along it, as its second derivative less than doubles; the
    distance to the optimum is squared. F itself follows from the quadratic model, to the third
    order of the distance.
    """
    beta = state.evaluation.beta + state.direction
    value = state.evaluation.value - 0.5 * state.decrement**2
    ridge = 0.5 * float(objective.penalty * beta @ beta)
    return replace(state.evaluation, beta=beta, value=value, mean_loss=value - ridge)


def _start(objective: Objective) -> FloatArray:
    """All coefficients 0, the intercept at the log-odds of the base rate, less the mean offset."""
    beta, columns = np.zeros(objective.columns.layout.size), objective.columns
    if objective.free[0] and not objective.faces:
        beta[0] = special.logit(columns.base_rate) - columns.offset
    return beta


def _separating(
    objective: Objective, state: newton.State, slow: bool, last_chance: bool
) -> tuple[FloatArray | None, int, bool]:
    """Look for a separating direction where there is reason to.

    With the passes used, and whether it is decided that there is one or none.
    """
    beta, used, candidate = state.evaluation.beta, 0, None
    if state.evaluation.margin > 0:  # every row lies on its own side: β itself separates
        candidate, used = separation.suggest(objective, beta), 1
    if candidate is None and (slow or last_chance):
        candidate, used = separation.suggest(objective, state.direction), used + 1
    if candidate is None and not last_chance:
        return None, used, False
    direction, scans = separation.decide(objective, beta if candidate is None else candidate)
    return direction, used + scans, True


def _moving(objective: Objective, faces: tuple[FloatArray, ...]) -> npt.NDArray[np.bool_]:
    """Coefficients that a separating direction moves, in the user's units.

    Standardised columns are centred, so there the intercept always moves along.
    """
    moving = np.zeros(objective.columns.layout.size, bool)
    for face in faces:
        size = np.abs(face)
        size[0] = abs(objective.columns.to_user_units(face)[0])
        moving |= size > 1e-6 * size.max()
    return moving


def _move_out(objective: Objective, beta: FloatArray, faces: tuple[FloatArray, ...]) -> FloatArray:
    """Move the rows that each face left out to a margin where they are as good as certain."""
    for k in reversed(range(len(faces))):
        task = separation.ReachPass(
            objective.standard, beta, faces[k], _SEPARATED_MARGIN, faces[:k]
        )
        length = objective.engine.reduce(task, objective.source).length
        beta = beta + min(length, _LONGEST) * faces[k]
    return beta
