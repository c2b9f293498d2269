"""How far the minimum can still be below: a bound that holds, not an estimate.

The loss of a linear predictor satisfies |φ'''| ≤ c·φ'' along any direction d with
dᵀHd = 1, where c = max‖x‖ in the norm of H⁻¹.  Integrating twice gives, with
λ² = gᵀH⁻¹g and cλ < 1,

    F(β) − F* ≤ λ/c + (1 − cλ)·log(1 − cλ)/c²,     which is λ²/2·(1 + cλ/3 + …).

F. Bach, "Self-concordant analysis for logistic regression", EJS 4 (2010), has the
inequality; the bound follows by minimising the lower bound of F along d.
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
