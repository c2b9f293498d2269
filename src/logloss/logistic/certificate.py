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
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg

from logloss.design.block import Block
from logloss.logistic.objective import FloatArray, on_face
from logloss.logistic.standard import Standard


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
