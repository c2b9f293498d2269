"""Standardised columns of a block, and products with them; no dummy column is ever stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.design.block import Block
from logloss.logistic.grids import FloatArray, grid_for


@dataclass(frozen=True)
class Standard:
    """How a block's columns are laid out and standardised: what every linear pass carries.

    Attributes
    ----------
    center, scale : ndarray of shape (p,)
        What is taken from each number, and what it is then divided by.
    n_levels : tuple of int
        Levels of each code column.
    reach : ndarray of shape (p,), optional
        Largest |x − center| of each number, over rows of positive weight; sums of gradients
        need it.
    heaviest : float
        Largest weight of a row.
    """

    center: FloatArray
    scale: FloatArray
    n_levels: tuple[int, ...]
    reach: FloatArray | None = None
    heaviest: float = 1.0

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each code column's levels start in the coefficient vector."""
        first = 1 + len(self.center)
        return tuple(first + sum(self.n_levels[:k]) for k in range(len(self.n_levels)))

    @cached_property
    def size(self) -> int:
        """Number of coefficients, the intercept included."""
        return 1 + len(self.center) + sum(self.n_levels)

    def dense(self, block: Block) -> FloatArray:
        """Intercept and standardised numbers, shape (n, 1 + p)."""
        matrix = np.empty((len(block), 1 + len(self.center)))
        matrix[:, 0] = 1.0
        np.subtract(block.numbers, self.center, out=matrix[:, 1:])
        matrix[:, 1:] /= self.scale
        return matrix

    def product(
        self, dense: FloatArray, codes: npt.NDArray[np.int32], beta: FloatArray
    ) -> FloatArray:
        """X·β for one block; β is a vector, or a matrix of several."""
        z: FloatArray = dense @ beta[: dense.shape[1]]
        for k, (start, n) in enumerate(zip(self.starts, self.n_levels, strict=True)):
            z += beta[start : start + n][codes[:, k]]
        return z

    def transposed(
        self, dense: FloatArray, codes: npt.NDArray[np.int32], rows: FloatArray
    ) -> FloatArray:
        """Xᵀ·rows for one block."""
        parts = [rows @ dense]
        for k, n in enumerate(self.n_levels):
            parts.append(np.asarray(np.bincount(codes[:, k], rows, minlength=n), np.float64))
        return np.concatenate(parts)

    @cached_property
    def units(self) -> FloatArray:
        """Scale of each coefficient's column, shape (size,): 1 but for numbers."""
        units = np.ones(self.size)
        units[1 : 1 + len(self.scale)] = self.scale
        return units

    @cached_property
    def grid(self) -> FloatArray:
        """Grids for the terms of a gradient in unscaled columns, shape (size,)."""
        assert self.reach is not None, "sums of gradients need the reach of each number"
        bound = np.full(self.size, self.heaviest)
        bound[1 : 1 + len(self.reach)] *= self.reach
        return grid_for(bound)

    def rows(self, block: Block) -> kernel.LinearRows:
        """Return a block as compiled scans read it.

        They take centres from numbers as they read them and know no scales: those are in
        their coefficients, so that no copy of the numbers is made.
        """
        return kernel.LinearRows(
            block.numbers,
            block.codes,
            self.center,
            np.array(self.starts, np.int64),
            block.y,
            block.weight,
            block.offset,
        )

    def products(self, block: Block, beta: FloatArray) -> FloatArray:
        """X·β for one block, by a compiled scan; a row's bits depend on the row alone."""
        return kernel.linear_products(self.rows(block), beta / self.units)
