"""Columns that are linear combinations of columns before them, and that no penalty tells apart.

A Cholesky factorisation of the Gram matrix, in column order, finds the candidates; one
pass over the rows then measures what each has of its own, free of the Gram matrix's errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg

from logloss.design.block import Block
from logloss.logistic.objective import FloatArray, Objective, on_face
from logloss.logistic.standard import Standard

BoolArray = npt.NDArray[np.bool_]

#: A column whose squared residual is below this fraction of its squared length is looked at:
#: sums over rows put errors of 1e-11 of all rows into a level that one row in 10⁵ has.
_CANDIDATE = 1e-5
#: And is dependent below this, measured on the rows: R's `lm` draws its line at a relative
#: length of 1e-7 too.
_DEPENDENT = 1e-14
#: So many directions are multiplied one by one, by compiled scans of the rows where they lie.
_FEW = 8


@dataclass(frozen=True)
class Squares:
    """Σ w(xᵀv)² for each direction v; a partial."""

    sums: FloatArray

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.sums + other.sums)


@dataclass(frozen=True)
class SquaresPass:
    """Blocks → `Squares` of the columns of `directions`, shape (size, m)."""

    standard: Standard
    directions: FloatArray
    faces: tuple[FloatArray, ...] = ()

    def __call__(self, blocks: Iterable[Block], /) -> Squares:
        """Sum the squares over these blocks."""
        total = Squares(np.zeros(self.directions.shape[1]))
        for block in blocks:
            weight = on_face(self.standard, block, self.faces)
            squares = np.square(self._products(block))
            total = total + Squares(
                squares.sum(axis=0) if weight is None else np.asarray(weight @ squares)
            )
        return total

    def _products(self, block: Block) -> FloatArray:
        """X·directions; for many of them a copy of the standardised numbers is worth its time."""
        if self.directions.shape[1] > _FEW:
            return self.standard.product(self.standard.dense(block), block.codes, self.directions)
        each = [self.standard.products(block, direction) for direction in self.directions.T]
        return np.column_stack(each)


def dependent_columns(objective: Objective, gram: FloatArray) -> tuple[BoolArray, int]:
    """Find the free columns that depend linearly on free columns before them.

    Parameters
    ----------
    objective : Objective
        Its rows, and which columns are free.
    gram : ndarray of shape (size, size)
        XᵀWX of all columns, for any positive weights, plus the penalty.

    Returns
    -------
    dependent : ndarray of shape (size,), bool
    scans : int
        Passes that it took: none where there is no candidate.
    """
    free = np.flatnonzero(objective.free)
    independent, scans = np.zeros(len(free), bool), 0
    while True:
        found, residuals = candidates(gram[np.ix_(free, free)], independent)
        if found.any():
            wide = np.zeros((len(gram), 2 * len(residuals)))
            wide[free, : len(residuals)] = residuals.T
            wide[free[found], range(len(residuals), wide.shape[1])] = 1.0
            # a penalty gives a column a curvature of its own, so that it has an optimum
            weight = objective.columns.weight
            curvature = weight * (objective.penalty @ np.square(wide))
            own, length = np.split(curvature, 2)
            settled = own > _DEPENDENT * (weight + length)  # a standard column's squares sum to Σw
            if settled.any():
                independent[np.flatnonzero(found)[settled]] = True
                continue
            task = SquaresPass(objective.standard, wide, objective.faces)
            sums = objective.engine.reduce(task, objective.source).sums
            scans += 1
            own, length = np.split(sums + curvature, 2)
            rejected = own > _DEPENDENT * length
        if not found.any() or not rejected.any():
            dependent = np.zeros(len(gram), bool)
            dependent[free[found]] = True
            return dependent, scans
        independent[np.flatnonzero(found)[rejected]] = True


def candidates(gram: FloatArray, independent: BoolArray) -> tuple[BoolArray, FloatArray]:
    """Find columns that have next to nothing of their own, by Cholesky in column order.

    Parameters
    ----------
    gram : ndarray of shape (p, p)
    independent : ndarray of shape (p,), bool
        Columns known to be no candidates.

    Returns
    -------
    found : ndarray of shape (p,), bool
    residuals : ndarray of shape (m, p)
        For each candidate j, the direction eⱼ − Σ cₖeₖ over kept columns before j.
    """
    size = len(gram)
    if _plainly_independent(gram):
        return np.zeros(size, bool), np.empty((0, size))
    found, factor = np.zeros(size, bool), np.zeros((size, size))
    for j in range(size):
        residual = gram[j, j] - factor[j, :j] @ factor[j, :j]
        if residual <= _CANDIDATE * gram[j, j] and not independent[j]:
            found[j] = True  # its column of the factor stays zero
            continue
        pivot = np.sqrt(max(residual, np.finfo(float).eps * gram[j, j]))
        factor[j + 1 :, j] = (gram[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]) / pivot
        factor[j, j] = pivot
    residuals = np.zeros((int(found.sum()), size))
    for row, j in zip(residuals, map(int, np.flatnonzero(found)), strict=True):
        kept = np.flatnonzero(~found[:j])
        row[j] = 1.0
        row[kept] = -linalg.solve_triangular(
            factor[np.ix_(kept, kept)], factor[j, kept], lower=True, trans=1
        )
    return found, residuals


def _plainly_independent(gram: FloatArray) -> bool:
    """Whether LAPACK's Cholesky, which is fast, leaves each column enough of its own."""
    if not len(gram):
        return True
    factor, failed = linalg.lapack.dpotrf(gram, lower=1)
    own = np.square(np.diag(factor))
    return not failed and bool(np.all(own > 2 * _CANDIDATE * np.diag(gram)))
