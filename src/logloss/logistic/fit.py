"""From encoded rows to a predictor and its summary: the room's one entry."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import special

from logloss.design.block import Block, Layout
from logloss.errors import ArgumentError, ConvergenceWarning, SeparationWarning
from logloss.files import counted
from logloss.logistic import firth
from logloss.logistic.columns import Columns, learn_columns
from logloss.logistic.covariance import Inference
from logloss.logistic.inference import LogisticSummary, summarise
from logloss.logistic.minimise import Solution, Status, Watch, minimise
from logloss.logistic.objective import FloatArray, Objective, penalty_weights
from logloss.logistic.predictor import LinearPredictor
from logloss.logistic.profile import Profile, profile
from logloss.logistic.sample import first_scan
from logloss.recalibration import PriorCorrection
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

#: Scans after which a fit gives up; a healthy one takes fewer than ten.
MAX_SCANS = 100

#: Certified distance to the optimum at which a fit stops, as a fraction of a standard error.
TOL = 1e-3

#: A profile may take this many times `max_scans`: few rows can have ends far out, where the
#: likelihood is all but flat.
_PROFILE_SHARE = 5


@dataclass(frozen=True)
class LogisticFit:
    """A fitted predictor, and what is known about it."""

    predictor: LinearPredictor
    summary: LogisticSummary
    recalibration: PriorCorrection | None = None


def fit_logistic(
    source: Source[Block],
    layout: Layout,
    engine: Engine,
    *,
    alpha: float = 0.0,
    prior: str | None = None,
    fit_intercept: bool = True,
    tol: float = TOL,
    max_scans: int = MAX_SCANS,
    watch: Watch | None = None,
    method: str = "mle",
    inference: Inference | None = None,
    base_rate: float | None = None,
) -> LogisticFit:
    """Fit a logistic regression to encoded rows.

    Parameters
    ----------
    source : Source of Block
        The rows, with a target each.
    layout : Layout
        Names and order of the coefficients.
    engine : Engine
        What runs passes over the rows.
    alpha : float, default=0
        Strength of ½·alpha·β² on the weighted mean loss, in the user's units.
    prior : {None, "weak"}
        The weakly informative normal prior; see `penalty_weights`.
    fit_intercept : bool, default=True
    tol : float, default=1e-3
        Certified distance to the optimum at which to stop, as a fraction of a standard error.
    max_scans : int, default=100
    watch : callable, optional
        Called with a `PathPoint` after every step.
    method : {"mle", "firth"}
        Maximum (penalised) likelihood, or Firth's; see `firth`.
    inference : Inference, optional
        What to say about the coefficients; by default their covariance as the model has it.
    base_rate : float, optional
        Share of positives in the population, where the rows were chosen by their class.

    Returns
    -------
    LogisticFit

    Raises
    ------
    ArgumentError
        If an option is out of range, or the rows hold one class only.
    WeightError
        If weights are negative, not finite, or all zero.

    Warns
    -----
    SeparationWarning
        If columns separate the classes; names them.
    ConvergenceWarning
        If the fit ended before its certificate held.
    """
    inference = inference or Inference()
    inference.check()
    _check_options(alpha, prior, tol, max_scans, method)
    objective, sample = _problem(
        source,
        layout,
        engine,
        alpha=alpha,
        prior=prior,
        fit_intercept=fit_intercept,
        samples=method != "firth",
    )
    columns = objective.columns
    recalibration = None
    if base_rate is not None:
        if not fit_intercept:
            raise ArgumentError(
                "base_rate corrects the intercept, and fit_intercept=False leaves none: drop one "
                "of the two."
            )
        recalibration = PriorCorrection(base_rate, columns.base_rate)
    penalised = alpha > 0 or prior is not None
    likelihood = math.nan
    if method == "firth":
        found = firth.maximise(objective, tol=tol, max_scans=max_scans, watch=watch)
        solution, likelihood = found.solution, found.penalised_log_likelihood
    else:
        solution = minimise(
            objective,
            tol=tol,
            max_scans=max_scans,
            watch=watch,
            sample=sample,
        )
    profiled = None
    if inference.intervals == "profile":
        profiled = _profiled(
            objective, solution, method, penalised, recalibration, tol=tol, max_scans=max_scans
        )
    summary = summarise(
        objective,
        solution,
        inference,
        null_log_likelihood=_null_log_likelihood(objective, tol, fit_intercept=fit_intercept),
        fit_intercept=fit_intercept,
        penalised=penalised or method == "firth",
        prior_shift=0.0 if recalibration is None else recalibration.shift,
        penalised_log_likelihood=likelihood,
        profiled=profiled,
    )
    _warn(summary)
    return LogisticFit(_predictor(columns, solution), summary, recalibration)


def best_line(
    source: Source[Block],
    layout: Layout,
    engine: Engine,
    *,
    near: LinearPredictor | None = None,
    max_scans: int = MAX_SCANS,
) -> LinearPredictor:
    """Fit a logistic regression with the weak prior, of which only forecasts are wanted.

    Parameters
    ----------
    source, layout, engine, max_scans
        See `fit_logistic`.
    near : LinearPredictor, optional
        That of nearly the same rows: where to begin.

    Raises
    ------
    ArgumentError
        If the rows hold one class only.
    ColumnError, WeightError
        If squares of numbers or of weights cannot be summed.
    """
    objective, sample = _problem(source, layout, engine, prior="weak", samples=near is None)
    start = None if near is None else _standardised(near, objective.columns)
    solution = minimise(objective, tol=TOL, max_scans=max_scans, sample=sample, start=start)
    return _predictor(objective.columns, solution)


def _problem(
    source: Source[Block],
    layout: Layout,
    engine: Engine,
    *,
    alpha: float = 0.0,
    prior: str | None = None,
    fit_intercept: bool = True,
    samples: bool = True,
) -> tuple[Objective, Block | None]:
    """Return what is to be minimised, and a sample of the rows where that is worth it."""
    moments, sample = first_scan(source, layout, engine) if samples else (None, None)
    columns = learn_columns(source, layout, engine, fit_intercept=fit_intercept, moments=moments)
    if columns.constant_target:
        raise ArgumentError(
            "y must hold at least two different values among rows of positive weight; "
            f"it holds only one class: {columns.base_rate:g}. Check how rows were selected."
        )
    free = np.ones(layout.size, bool)
    free[0] = fit_intercept
    penalty = penalty_weights(columns, alpha=alpha, prior=prior)
    objective = Objective(source, engine, columns, penalty, free)
    return objective, None if sample is None else sample.block()


def _check_options(
    alpha: float, prior: str | None, tol: float, max_scans: int, method: str
) -> None:
    if not 0 <= alpha < math.inf:
        raise ArgumentError(f"alpha must be finite and at least 0; got {alpha!r}.")
    if prior not in (None, "weak"):
        raise ArgumentError(f"prior must be None or 'weak'; got {prior!r}.")
    if not tol > 0:
        raise ArgumentError(f"tol must be above 0; got {tol!r}.")
    if not max_scans >= 1:
        raise ArgumentError(f"max_scans must be at least 1; got {max_scans!r}.")
    if method not in ("mle", "firth"):
        raise ArgumentError(f"method must be 'mle' or 'firth'; got {method!r}.")
    if method == "firth" and (alpha > 0 or prior is not None):
        raise ArgumentError(
            "method='firth' is a penalty of its own: fit with prior=None and alpha=0."
        )


def _profiled(
    objective: Objective,
    solution: Solution,
    method: str,
    penalised: bool,
    recalibration: PriorCorrection | None,
    *,
    tol: float,
    max_scans: int,
) -> Profile | None:
    """Find profile intervals; None where classes are separated, so that some have no end."""
    if penalised:
        raise ArgumentError(
            "intervals='profile' needs a likelihood, Firth's or the plain one: fit with prior=None "
            "and alpha=0."
        )
    if solution.status is Status.SEPARATED:
        return None
    return profile(
        objective,
        solution,
        penalised=method == "firth",
        prior_shift=0.0 if recalibration is None else recalibration.shift,
        tol=tol,
        max_scans=_PROFILE_SHARE * max_scans,
    )


def _predictor(columns: Columns, solution: Solution) -> LinearPredictor:
    user = columns.to_user_units(solution.beta)
    layout = columns.layout
    return LinearPredictor(
        layout=layout,
        base=float(solution.beta[0]),
        coefficients=user[1:],
        center=columns.center,
        unseen=np.array(
            [
                shares @ user[levels]
                for shares, levels in zip(columns.level_shares, layout.level_slices, strict=True)
            ]
        ),
    )


def _standardised(line: LinearPredictor, columns: Columns) -> FloatArray:
    """Return a line's coefficients in standardised columns, which have centres of their own."""
    beta = np.concatenate(([line.base], line.coefficients))
    beta[0] += line.coefficients[: len(line.center)] @ (columns.center - line.center)
    return beta * columns.standard.units


def _null_log_likelihood(objective: Objective, tol: float, *, fit_intercept: bool) -> float:
    """Σw log p(y) with the intercept and the offset alone."""
    columns = objective.columns
    if not columns.has_offset and fit_intercept:
        rate = columns.base_rate
        return -columns.weight * float(special.entr(rate) + special.entr(1 - rate))
    free = np.zeros(columns.layout.size, bool)
    free[0] = fit_intercept
    null = Objective(
        objective.source, objective.engine, columns, np.zeros(columns.layout.size), free
    )
    return -columns.weight * minimise(null, tol=tol, max_scans=MAX_SCANS).mean_loss


def _warn(summary: LogisticSummary) -> None:
    if summary.status is Status.SEPARATED:
        named = ", ".join(summary.separated[:10]) or "the intercept alone"
        more = f" and {len(summary.separated) - 10} more" if len(summary.separated) > 10 else ""
        warnings.warn(
            f"the classes are separated by {named}{more}: the maximum likelihood estimate of "
            "these coefficients is infinite, and finite stand-ins were returned. Use "
            "prior='weak', a penalty (alpha > 0), or drop the columns.",
            SeparationWarning,
            stacklevel=4,
        )
    elif summary.status is not Status.CONVERGED:
        warnings.warn(
            f"the fit stopped after {counted(summary.scans, 'scan')}, at {summary.bound:.2g} "
            f"standard errors from the optimum at most: {summary.status.message}.",
            ConvergenceWarning,
            stacklevel=4,
        )
    lost = [
        term.name
        for term in summary.terms
        if summary.intervals == "profile"
        and term.name not in summary.aliased
        and np.isnan([term.low, term.high, term.p_value]).any()
    ]
    if lost:
        warnings.warn(
            f"the profile likelihood of {', '.join(lost[:10])} was not followed to its end: what "
            "is missing is NaN. Raise max_scans or tol.",
            ConvergenceWarning,
            stacklevel=4,
        )
