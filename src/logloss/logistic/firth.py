"""Firth's penalised likelihood: l(β) + ½ log|I(β)|, with I the information.

The penalty is Jeffreys' prior.  It takes away the first-order bias of maximum likelihood, and
its maximum is finite even where columns separate the classes.

D. Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80 (1993); G. Heinze and
M. Schemper, "A solution to the problem of separation in logistic regression", Statistics in
Medicine 21 (2002).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from logloss import kernel
from logloss.design.block import Block
from logloss.logistic.aliasing import dependent_columns
from logloss.logistic.gram import standardised
from logloss.logistic.minimise import PathPoint, Solution, Status, Watch
from logloss.logistic.objective import FloatArray, LinearPass, LinearSums, Objective
from logloss.logistic.standard import Standard

#: A step from within one standard error of the maximum that leaves more than this of the
#: distance shows that leverages must not lag behind.
_SLOW = 0.25
#: Within this distance, in standard errors, a step is not judged by the likelihood's last digits.
_NEAR = 0.01
#: Two values of the objective closer than this, relatively, are equal.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class PenalisedSums:
    """What one scan tells about the penalised likelihood at one point; a partial.

    Attributes
    ----------
    linear : LinearSums
        The loss, its gradient, and the information Σ w σ(1 − σ) x xᵀ.
    pull : ndarray of shape (size,)
        Σ w h(½ − σ(z))x, the gradient of ½ log|I|; h = σ(1 − σ)·xᵀI⁻¹x.
    """

    linear: LinearSums
    pull: FloatArray

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.linear + other.linear, self.pull + other.pull)

    def information(self, standard: Standard) -> FloatArray:
        """Σ w σ(1 − σ) x xᵀ in standardised columns."""
        assert self.linear.gram is not None
        return standardised(self.linear.gram, standard.units)


@dataclass(frozen=True)
class PenalisedBatch:
    """`PenalisedSums` at several points; a partial."""

    sums: tuple[PenalisedSums, ...]

    def __add__(self, other: Self, /) -> Self:
        return type(self)(tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)))


@dataclass(frozen=True)
class Asked:
    """A point, and what leverages are measured by.

    Attributes
    ----------
    beta : ndarray of shape (size,)
    root : ndarray of shape (size, m), or None
        With root·rootᵀ = I⁻¹ of a point nearby; without it there is no pull.
    """

    beta: FloatArray
    root: FloatArray | None


@dataclass(frozen=True)
class PenalisedPass:
    """Blocks → `PenalisedBatch` at the points asked for, all from one reading of the rows."""

    standard: Standard
    asked: tuple[Asked, ...]

    def __call__(self, blocks: Iterable[Block], /) -> PenalisedBatch:
        """Sum over these blocks."""
        size = self.standard.size
        scans = [LinearPass(self.standard, asked.beta, curvature=True) for asked in self.asked]
        total = PenalisedBatch(tuple(PenalisedSums(scan(()), np.zeros(size)) for scan in scans))
        for block in blocks:
            dense = None
            if any(asked.root is not None for asked in self.asked):
                dense = self.standard.dense(block)
            total = total + PenalisedBatch(
                tuple(
                    PenalisedSums(scan((block,)), self._pull(asked, dense, block))
                    for scan, asked in zip(scans, self.asked, strict=True)
                )
            )
        return total

    def _pull(self, asked: Asked, dense: FloatArray | None, block: Block) -> FloatArray:
        """Σ w h(½ − σ(z))x of one block."""
        if asked.root is None or dense is None:
            return np.zeros(self.standard.size)
        z = self.standard.products(block, asked.beta)
        if block.offset is not None:
            z = z + block.offset
        p = kernel.sigmoid(z)
        weight = p * kernel.sigmoid(-z) * (0.5 - p)
        if block.weight is not None:
            weight *= block.weight
        products = self.standard.product(dense, block.codes, asked.root)
        leverages = np.einsum("ij,ij->i", products, products)
        return self.standard.transposed(dense, block.codes, weight * leverages)


@dataclass(frozen=True)
class Point:
    """A point, with the likelihood there and its derivatives in the free coefficients.

    Attributes
    ----------
    beta : ndarray of shape (size,)
    loss : float
        Σwℓ, in nats.
    value : float
        The log-likelihood, Firth's penalty included; −inf where no information is left.
    score : ndarray of shape (m,)
        Gradient of `value`.
    root : ndarray of shape (size, m)
        With root·rootᵀ the inverse of the information.
    inverse : ndarray of shape (m, m)
        What is taken for the inverse of the negative Hessian of `value`: that of the
        information at first, with secants of the score learned later.
    exact : bool
        Whether leverages are those of this very point.  Else they are by the information of
        the point before, which costs one scan less and is as good where steps are short.
    """

    beta: FloatArray
    loss: float
    value: float
    score: FloatArray
    root: FloatArray
    inverse: FloatArray
    exact: bool

    @property
    def distance(self) -> float:
        """√(UᵀI⁻¹U): the length of a step to the maximum, in standard errors."""
        return math.sqrt(max(float(self.score @ self.inverse @ self.score), 0.0))

    def learning_from(self, other: Self) -> Self:
        """Take the other point's inverse, with the secant from there (Broyden et al. 1970)."""
        free = np.any(self.root != 0, axis=1)
        step, fall = (self.beta - other.beta)[free], other.score - self.score
        curvature = float(step @ fall)
        if curvature <= 1e-12 * float(np.linalg.norm(step) * np.linalg.norm(fall)):
            return replace(self, inverse=other.inverse)
        left = np.eye(len(step)) - np.outer(step, fall) / curvature
        return replace(
            self, inverse=left @ other.inverse @ left.T + np.outer(step, step) / curvature
        )


def evaluate(
    objective: Objective,
    asked: Sequence[tuple[FloatArray, FloatArray | None]],
    *,
    penalised: bool = True,
    exact: bool = False,
) -> list[Point]:
    """Scan the rows once for the likelihood at several (beta, root)."""
    task = PenalisedPass(objective.standard, tuple(Asked(*each) for each in asked))
    batch = objective.engine.reduce(task, objective.source).sums
    return [
        _point(objective, beta, sums, penalised=penalised, exact=exact or not penalised)
        for (beta, _), sums in zip(asked, batch, strict=True)
    ]


def _point(
    objective: Objective,
    beta: FloatArray,
    sums: PenalisedSums,
    *,
    penalised: bool,
    exact: bool,
) -> Point:
    free, standard = objective.free, objective.standard
    information = sums.information(standard)[np.ix_(free, free)]
    loss, penalty = sums.linear.loss.value, 0.0
    score = -(sums.linear.gradient.value / standard.units)[free]
    root = np.zeros((len(free), len(score)))
    try:
        unit = np.sqrt(np.diag(information))
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = linalg.cholesky(information / np.outer(unit, unit), lower=True)
    except (linalg.LinAlgError, ValueError):  # too far out: nothing is uncertain any more
        return Point(beta, loss, -math.inf, score, root, np.zeros_like(information), exact)
    upper = linalg.solve_triangular(factor, np.eye(len(factor)), lower=True).T
    root[free] = upper / unit[:, np.newaxis]
    if penalised:
        score = score + sums.pull[free]
        penalty = float(np.log(np.diag(factor)).sum() + np.log(unit).sum())
    return Point(beta, loss, penalty - loss, score, root, root[free] @ root[free].T, exact)


@dataclass(frozen=True)
class FirthSolution:
    """Where the maximisation ended.

    Attributes
    ----------
    solution : Solution
        Its `bound` is √(UᵀI⁻¹U), the length of a further step in standard errors: an
        estimate of the distance, as the penalised likelihood has no certificate.
    point : Point
        The likelihood there.
    objective : Objective
        With the coefficients that are free in the end.
    """

    solution: Solution
    point: Point
    objective: Objective

    @property
    def penalised_log_likelihood(self) -> float:
        """Return l + ½ log|I|, with I in the user's units."""
        free, scale = self.objective.free, self.objective.columns.scale
        return self.point.value + float(np.log(scale[free[1 : 1 + len(scale)]]).sum())


def maximise(
    objective: Objective, *, tol: float, max_scans: int, watch: Watch | None = None
) -> FirthSolution:
    """Maximise the penalised likelihood.

    Fisher scoring takes one scan a step: leverages are by the information of the step
    before.  Where that is too slow, among few rows, each point is scanned twice, and
    secants make up for what the information does not know of the penalty's curvature.

    Parameters
    ----------
    objective : Objective
        Without a penalty of its own.
    tol : float
        Length of a further step at which to stop, in standard errors.
    max_scans : int
    watch : callable, optional
    """
    objective, here, aliased, scans = _start(objective)
    path: tuple[PathPoint, ...] = ()
    length, lagging, stalled = 0.0, True, False
    while True:
        if not path or length:
            mean = -here.value / objective.columns.weight
            path = (*path, PathPoint(scans, mean, here.distance, length))
            if watch is not None:
                watch(path[-1])
        if here.distance <= tol and here.exact:
            status = Status.CONVERGED
            break
        if stalled or scans >= max_scans:
            status = Status.STALLED if stalled else Status.MAX_SCANS
            break
        if not here.exact and (here.distance <= tol or not lagging):
            (here,) = evaluate(objective, [(here.beta, here.root)], exact=True)
            scans, length = scans + 1, 0.0
            continue
        there, length, used = _step(objective, here, max_scans - scans)
        scans, stalled = scans + used, length == 0 and here.exact
        if lagging and (length == 0 or 1 > here.distance < there.distance / _SLOW):
            lagging = False
        elif not lagging and length:
            (there,) = evaluate(objective, [(there.beta, there.root)], exact=True)
            there, scans = there.learning_from(here), scans + 1
        here = there
    free, weight = objective.free, objective.columns.weight
    hessian = np.zeros((len(free), len(free)))
    hessian[np.ix_(free, free)] = linalg.inv(here.root[free] @ here.root[free].T) / weight
    solution = Solution(
        beta=here.beta,
        status=status,
        bound=here.distance,
        scans=scans,
        path=path,
        aliased=aliased,
        separated=np.zeros(len(free), bool),
        mean_loss=here.loss / weight,
        hessian=hessian,
        estimable=free,
    )
    return FirthSolution(solution, here, objective)


def _start(
    objective: Objective,
) -> tuple[Objective, Point, npt.NDArray[np.bool_], int]:
    """Find which columns are free, and the likelihood where all coefficients are 0."""
    beta = np.zeros(objective.columns.layout.size)
    if objective.free[0] and not objective.columns.has_offset:
        beta[0] = special.logit(objective.columns.base_rate)
    task = PenalisedPass(objective.standard, (Asked(beta, None),))
    sums = objective.engine.reduce(task, objective.source).sums[0]
    dependent, used = dependent_columns(objective, sums.information(objective.standard))
    independent = replace(objective, free=objective.free & ~dependent)
    here = _point(independent, beta, sums, penalised=True, exact=False)
    return independent, here, objective.free & dependent, 1 + used


def _step(objective: Objective, here: Point, scans: int) -> tuple[Point, float, int]:
    """Go towards the maximum as far as the likelihood rises.

    Returns
    -------
    there : Point
        `here`, if it does not rise.
    length : float
        As a fraction of the whole step; 0 if it does not rise.
    used : int
        Scans.
    """
    direction = here.inverse @ here.score
    floor = here.value - _ROUNDING * (1 + abs(here.value))
    shortest = 1e-6 if here.exact or here.distance > 1 else 1.0
    length, used = 1.0, 0
    while used < scans and length >= shortest:
        beta = here.beta.copy()
        beta[objective.free] += length * direction
        (there,) = evaluate(objective, [(beta, here.root)])
        used += 1
        if there.value >= floor or (here.distance <= _NEAR and math.isfinite(there.value)):
            return there, length, used
        length /= 2
    return here, 0.0, used
