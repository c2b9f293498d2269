"""Scans of a linear predictor over a block: losses, gradients, Gram matrices, products, moments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from logloss.kernel import level
from logloss.kernel.sums import ExactSum

FloatArray = npt.NDArray[np.floating]


class LinearRows(NamedTuple):
    """A block as scans of a linear predictor read it, all arrays of one length.

    Attributes
    ----------
    numbers, codes : ndarray of shape (n, p) and (n, k)
        float32 or float64, and int32; any strides.
    center : ndarray of shape (p,)
        What is taken from the numbers.
    starts : ndarray of shape (k,), int64
        Where each code column's levels start among the coefficients, which are the
        intercept, one for each number, and the levels.
    y, weight, offset : ndarray of shape (n,), optional
        Products need none of them, losses need `y`.
    """

    numbers: FloatArray
    codes: npt.NDArray[np.int32]
    center: npt.NDArray[np.float64]
    starts: npt.NDArray[np.int64]
    y: npt.NDArray[Any] | None = None
    weight: npt.NDArray[Any] | None = None
    offset: npt.NDArray[Any] | None = None


def linear_scan(
    rows: LinearRows,
    beta: npt.NDArray[np.float64],
    *,
    loss: ExactSum,
    gradient: tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]],
    gram: npt.NDArray[np.float64] | None = None,
    inverse_scale: npt.NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """Add a block's losses, gradient and Gram matrix, at β, to sums in the caller's hands.

    Parameters
    ----------
    rows : LinearRows
    beta : ndarray of shape (size,)
    loss : ExactSum
        Added to in place, as are the others.
    gradient : tuple of ndarray of shape (size,)
        Grids of the terms, and the two words of their sums; see `logistic.grids`.
    gram : ndarray of shape (size, size), optional
        Its upper triangle is added to.
    inverse_scale : ndarray of shape (p,), optional
        Asks for what is returned.

    Returns
    -------
    longest : float
        Largest squared length of a row whose numbers are scaled, over rows of positive weight.
    margin : float
        Smallest (2y − 1)·xᵀβ over them; −inf where a label is soft.
    """
    return level.KERNELS.linear_scan(
        *rows[:4], beta, *rows[4:], loss._sum, *gradient, gram, inverse_scale
    )


def linear_trials(
    rows: LinearRows,
    beta: npt.NDArray[np.float64],
    direction: npt.NDArray[np.float64],
    steps: npt.NDArray[np.float64],
    *,
    losses: tuple[ExactSum, ...],
) -> None:
    """Add a block's losses at β + step·direction to the sum of each step, in place."""
    sums = [loss._sum for loss in losses]
    level.KERNELS.linear_trials(*rows[:4], beta, direction, steps, *rows[4:], sums)


def linear_products(rows: LinearRows, beta: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """xᵀβ of each row; its bits depend on the row alone."""
    out = np.empty(len(rows.numbers))
    level.KERNELS.linear_products(*rows[:4], beta, out)
    return out


class ColumnMoments(NamedTuple):
    """Moments of a block's numbers about a shift, over rows of positive weight, shape (p,) each.

    Attributes
    ----------
    first, second : ndarray
        Σw(x − shift) and Σw(x − shift)².
    low, high : ndarray
        Smallest and largest value; inf and −inf where there is no row.
    two_valued : ndarray of bool
        Whether no other value occurs.
    """

    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    two_valued: npt.NDArray[np.bool_]


def column_moments(
    numbers: FloatArray, shift: npt.NDArray[np.float64], weight: npt.NDArray[Any] | None
) -> ColumnMoments:
    """Sum the moments of a block's numbers, in one read."""
    first, second, low, high = (np.zeros(numbers.shape[1]) for _ in range(4))
    low += np.inf
    high -= np.inf
    two_valued = np.ones(numbers.shape[1], np.uint8)
    level.KERNELS.moments(numbers, shift, weight, first, second, low, high, two_valued)
    return ColumnMoments(first, second, low, high, two_valued.view(bool))
