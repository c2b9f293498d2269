"""Columns that are linear combinations of columns before them, found from a Gram matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: A column whose squared residual on the columns before it is below this fraction of its
#: squared length is dependent: Gram entries of standardised columns carry errors of about
#: p·2⁻⁵³, so below p·1e-15 nothing can be told; R's `lm` uses 1e-7 on the length, 1e-14 here.
TOLERANCE = 1e-11


def aliased_columns(
    gram: npt.NDArray[np.float64], tolerance: float = TOLERANCE
) -> npt.NDArray[np.bool_]:
    """Return which columns depend linearly on the columns before them.

    Parameters
    ----------
    gram : ndarray of shape (p, p)
        XᵀWX, of columns in order.
    tolerance : float, default=1e-11
        Relative to each column's own squared length.

    Returns
    -------
    ndarray of shape (p,), bool
        True for each column that a Cholesky factorisation in column order leaves with
        nothing of its own.
    """
    size = len(gram)
    aliased = np.zeros(size, bool)
    factor = np.zeros((size, size))
    for j in range(size):
        residual = gram[j, j] - factor[j, :j] @ factor[j, :j]
        if residual <= tolerance * gram[j, j]:
            aliased[j] = True  # its column of the factor stays zero
            continue
        below = gram[j:, j] - factor[j:, :j] @ factor[j, :j]
        factor[j:, j] = below / np.sqrt(residual)
    return aliased
