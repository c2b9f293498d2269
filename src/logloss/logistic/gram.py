"""Gram matrices with any weights, by the compiled scan that knows those of the loss."""

from __future__ import annotations

import numpy as np

from logloss import kernel
from logloss.design.block import Block
from logloss.logistic.grids import FloatArray
from logloss.logistic.standard import Standard


def add_gram(total: FloatArray, standard: Standard, block: Block, weight: FloatArray) -> None:
    """Add Σ wᵢ x xᵀ of a block to the upper triangle of `total`, in columns not yet scaled.

    At β = 0 every row has σ(1 − σ) = ¼, so the Hessian of the loss with weights 4w is it.

    Parameters
    ----------
    total : ndarray of shape (size, size)
        Changed in place.
    standard : Standard
    block : Block
    weight : ndarray of shape (n,)
        At least 0.
    """
    size = standard.size
    even = np.full(len(block), 0.5)  # labels for which the gradient is 0
    rows = standard.rows(block)._replace(y=even, weight=4.0 * weight, offset=None)
    words = np.zeros(size, np.int64), np.zeros(size, np.int64)
    kernel.linear_scan(
        rows,
        np.zeros(size),
        loss=kernel.ExactSum.of(np.empty(0)),
        gradient=(np.ones(size), *words),
        gram=total,
    )


def standardised(upper: FloatArray, units: FloatArray) -> FloatArray:
    """Return a whole Gram matrix of scaled columns from the upper triangle of unscaled ones."""
    half = np.triu(upper) / np.outer(units, units)
    result: FloatArray = half + np.triu(half, 1).T
    return result
