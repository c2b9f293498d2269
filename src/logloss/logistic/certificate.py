"""How far the minimum can still be below: a bound that holds, not an estimate.

The loss of a linear predictor satisfies |φ'''| ≤ c·φ'' along any direction d with
dᵀHd = 1, where c = max‖x‖ in the norm of H⁻¹.  Integrating twice gives, with
λ² = gᵀH⁻¹g and cλ < 1,

    F(β) − F* ≤ λ/c + (1 − cλ)·log(1 − cλ)/c²,     which is λ²/2·(1 + cλ/3 + …).

A step s with c·‖s‖ = κ, in the norm of H, moves no row by more than κ, and σ' of a row moved
by κ changes by a factor of at most e^κ: so H changes by no more.  After Newton's step, where
κ = cλ, the gradient is ∫(H(β + td) − H)d dt, which is at most λ·((e^κ − 1)/κ − 1).

F. Bach, "Self-concordant analysis for logistic regression", EJS 4 (2010), has the
inequalities; the bound follows by minimising the lower bound of F along d.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg

from logloss.design.block import Block
from logloss.logistic import newton
from logloss.logistic.objective import Evaluation, FloatArray, Objective, on_face
from logloss.logistic.standard import Standard

#: Grids of a gradient that many times as coarse show what its own grids have rounded away, and
#: more than that, to spare.
_COARSER = 4.0


def gap_bound(decrement: float, leverage: float) -> float:
    """Bound F(β) − F* from λ and c; infinite where cλ ≥ 1, as nothing can be said there.

    Parameters
    ----------
    decrement : float
        λ = √(gᵀH⁻¹g), of the mean objective.
    leverage : float
        c, the largest √(xᵀH⁻¹x) over the rows, or anything above it.
    """
    product = decrement * leverage
    if product >= 1:
        return math.inf
    if product < 1e-4:  # the series keeps all digits where the difference would cancel
        return 0.5 * decrement**2 * (1 + product / 3 + product**2 / 6 + product**3)
    return decrement / leverage + (1 - product) * math.log1p(-product) / leverage**2


def after_newton(decrement: float, leverage: float) -> tuple[float, float]:
    """Bound λ and c where Newton's whole step leads; λ is infinite where cλ ≥ 1.

    Parameters
    ----------
    decrement, leverage : float
        λ and c before the step, as in `gap_bound`.
    """
    moved = decrement * leverage
    if moved >= 1:
        return math.inf, math.inf
    share = math.expm1(moved) / moved - 1 if moved > 1e-4 else 0.5 * moved * (1 + moved)
    growth = math.exp(0.5 * moved)
    return growth * share * decrement, growth * leverage


@dataclass(frozen=True)
class Largest:
    """The largest value seen; a partial."""

    value: float

    def __add__(self, other: Self, /) -> Self:
        return type(self)(max(self.value, other.value))


@dataclass(frozen=True)
class LeveragePass:
    """Blocks → largest xᵀH⁻¹x, for the lower Cholesky factor of H in the free coefficients."""

    standard: Standard
    factor: FloatArray
    free: npt.NDArray[np.bool_]
    faces: tuple[FloatArray, ...] = ()

    def __call__(self, blocks: Iterable[Block], /) -> Largest:
        """Find the largest leverage among these blocks."""
        total = Largest(0.0)
        inverse = linalg.solve_triangular(self.factor, np.eye(len(self.factor)), lower=True)
        wide = np.zeros((self.standard.size, len(self.factor)))
        wide[self.free] = inverse.T
        for block in blocks:
            dense = self.standard.dense(block)
            weight = on_face(self.standard, block, self.faces)
            products = self.standard.product(dense, block.codes, wide)
            leverage = np.einsum("ij,ij->i", products, products)
            if weight is not None:
                leverage = leverage[weight > 0]
            total = total + Largest(float(leverage.max(initial=0.0)))
        return total


def distance(objective: Objective, state: newton.State) -> float:
    """√N·λ: Newton's own estimate of the distance to the optimum, in standard errors."""
    return math.sqrt(objective.columns.n_effective) * state.decrement


def certify(objective: Objective, state: newton.State, tol: float) -> tuple[float, int, bool]:
    """Bound √(2N(F − F*)) from above, with what rounding has done to the gradient.

    The bound holds after the last step, which takes no scan. The largest leverage is first
    bounded by the longest row times the trace of H⁻¹, and the rounding by that of a term times
    their number, which needs no pass; each is measured only where that decides.

    Returns
    -------
    bound : float
    used : int
        Passes that it took.
    rounded : bool
        Whether rounding alone keeps the bound above `tol`.
    """
    if state.damped:
        return math.inf, 0, False
    inverse, used = newton.inverse_factor(state.factor), 0
    leverage = math.sqrt(state.evaluation.row_norm) * float(np.linalg.norm(inverse))
    rounding = _most_rounding(objective, inverse)
    bound = _bound(objective, state, leverage, tol, rounding)
    if bound <= tol or (distance(objective, state) > tol and not state.stalled):
        return bound, 0, False
    if _bound(objective, state, leverage, tol, 0.0) > tol:
        leverage, used = _leverage(objective, state), used + 1
    exact = _bound(objective, state, leverage, tol, 0.0)
    if exact <= tol or state.stalled:
        measured = _rounding(objective, state.evaluation, inverse)
        rounding, used = min(rounding, measured), used + 1
    bound = _bound(objective, state, leverage, tol, rounding)
    return bound, used, exact <= tol < bound


def _bound(
    objective: Objective, state: newton.State, leverage: float, tol: float, rounding: float
) -> float:
    """√(2N(F − F*)): here; or where the last step leads, if H is within `tol` of its own there.

    For standard errors come from the Hessian here. Near enough, rounding the gradient, which
    `rounding` bounds in the norm of H⁻¹, and the coefficients is all that keeps them from the
    optimum.
    """
    unit = math.sqrt(2 * objective.columns.n_effective)
    decrement = state.decrement + rounding
    bound = unit * math.sqrt(gap_bound(decrement, leverage))
    if bound <= tol or math.expm1(min(decrement * leverage, 1.0)) > tol:
        return bound
    beta = (state.evaluation.beta + state.direction)[objective.free]
    own = np.finfo(float).eps * float(np.linalg.norm(state.factor.T @ beta))
    gap = gap_bound(*after_newton(decrement, leverage))
    return unit * (math.sqrt(gap) + own + rounding / math.sqrt(2))


def _leverage(objective: Objective, state: newton.State) -> float:
    """Measure the largest √(xᵀH⁻¹x) over the rows; in one pass."""
    task = LeveragePass(objective.standard, state.factor, objective.free, objective.faces)
    return math.sqrt(objective.engine.reduce(task, objective.source).value)


def _most_rounding(objective: Objective, inverse: FloatArray) -> float:
    """Bound √(eᵀH⁻¹e) for the errors e of a gradient's sums: half a grid for each row."""
    columns, free = objective.columns, objective.free
    units = columns.weight * objective.standard.units
    most = 0.5 * columns.n * objective.standard.grid / units
    return float(np.linalg.norm(inverse, axis=0) @ most[free])


def _rounding(objective: Objective, evaluation: Evaluation, inverse: FloatArray) -> float:
    """Measure √(eᵀH⁻¹e), with room to spare, by the gradient on coarser grids; in one scan."""
    heaviest = _COARSER * objective.columns.heaviest
    coarser = replace(objective, columns=replace(objective.columns, heaviest=heaviest))
    gradient = coarser.evaluate(evaluation.beta, curvature=False).gradient
    return float(np.linalg.norm(inverse @ (gradient - evaluation.gradient)[objective.free]))
