"""Random numbers that belong to the row, not to the file's layout.

A draw is a hash of a seed and a global row number: the same for any cut into
blocks, order of reading, thread or engine.  There is no other randomness.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Constants of SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom
# number generators", OOPSLA 2014; the mixing function is D. Stafford's variant 13.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return a bijection of 64-bit words under which close words land far apart."""
    words = words ^ (words >> np.uint64(30))
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


def bits(seed: int, rows: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Return 64 random bits for each row.

    Parameters
    ----------
    seed : int
        Any integer; its lowest 64 bits count.
    rows : array-like of int
        Global row numbers.

    Returns
    -------
    ndarray of uint64, of the shape of `rows`
    """
    # Row r of SplitMix64's sequence, which starts at a place that the seed is hashed to.
    start = mix(mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64) + _GOLDEN))
    return mix(np.asarray(rows).astype(np.uint64) * _GOLDEN + start)


def uniform(seed: int, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return one uniform draw from [0, 1) for each row.

    Parameters
    ----------
    seed : int
        Any integer; its lowest 64 bits count.
    rows : array-like of int
        Global row numbers.

    Returns
    -------
    ndarray of float64, of the shape of `rows`
        Multiples of 2⁻⁵³.

    Examples
    --------
    >>> bool((uniform(0, [5, 6]) == uniform(0, [4, 5, 6])[1:]).all())
    True
    """
    return (bits(seed, rows) >> np.uint64(11)).astype(np.float64) * 2.0**-53
