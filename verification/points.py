"""Where floats are tried: every regime of the formulas, their seams, and draws between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from tests.exact import mp

from verification.double_double import Doubles

Seed = int | Sequence[int]

_LN2 = float(mp.log(2))


def patterns(n: int, seed: int) -> npt.NDArray[np.uint32]:
    """Draw about `n` magnitudes of finite float32, as many of each exponent, as bit patterns.

    The ends and the middle of every binade are among them.
    """
    rng = np.random.default_rng(seed)
    middle, end = 1 << 22, 1 << 23
    edges = np.array([0, 1, 2, middle - 1, middle, middle + 1, end - 2, end - 1])
    drawn = rng.integers(0, end, (255, max(n // 255 - len(edges), 0)))
    mantissas = np.concatenate([np.broadcast_to(edges, (255, len(edges))), drawn], axis=1)
    return (np.arange(255)[:, None] * end + mantissas).astype(np.uint32).ravel()


def logits(n: int, seed: Seed) -> Iterator[tuple[str, Doubles]]:
    """Yield about `n` magnitudes of logits, regime by regime.

    exp(−|z|) is reduced by multiples of ln 2 or a fraction of it; log1p changes its form
    where e is ½; the tails end where e or its square underflows; and the unit in the last
    place halves or doubles where a result passes a power of two.
    """
    rng = np.random.default_rng(seed)
    share = n // 10
    halves = rng.integers(1, 2160, share) * (_LN2 / 2)
    yield "odd and even multiples of ln2/2, and beside them", _beside(halves, rng)
    fractions = rng.integers(1, 2 << 19, share) * (_LN2 / 2.0 ** rng.integers(4, 10, share))
    yield "multiples of fractions of ln2, and beside them", _beside(fractions, rng)
    binary = rng.integers(1, 1 << 13, share) / 2.0 ** rng.integers(0, 12, share)
    yield "binary fractions, and beside them", _beside(binary, rng)
    yield "where a result passes a power of two", _beside(rng.choice(_seams(), share), rng)
    yield "every exponent", _patterns(rng.integers(0, 0x7FF0 << 48, share, dtype=np.uint64))
    yield "around 0", np.exp2(rng.uniform(-70, 0, share))
    yield "0 to 2", rng.uniform(0, 2, share)
    yield "2 to 40", rng.uniform(2, 40, share)
    yield "40 to 708", rng.uniform(40, 708, share)
    yield "708 to 750, where results are subnormal", rng.uniform(708, 750, n - 9 * share)


def probabilities(n: int, seed: Seed) -> Iterator[tuple[str, Doubles]]:
    """Yield about `n` probabilities inside (0, 1), regime by regime."""
    rng = np.random.default_rng(seed)
    share = n // 6
    one = 0x3FF0 << 48
    yield "every exponent, subnormals too", _patterns(rng.integers(1, one, share, dtype=np.uint64))
    subnormal = rng.integers(1, 1 << 53, share, dtype=np.uint64)
    yield "subnormal and least normal", _patterns(subnormal)
    yield "near 1", 1 - np.exp2(rng.uniform(-53, -1, share))
    yield "0 to 1", rng.uniform(2.0**-60, 1 - 2.0**-53, share)
    binary = rng.integers(1, 1024, share) / 1024
    seams = np.concatenate([2.0 ** -np.arange(1.0, 54), 0.5 ** np.arange(0.5, 20), [1 - 0.5**0.5]])
    yield "binary fractions, and beside them", _below_1(_beside(binary, rng))
    passing = np.concatenate([seams, np.exp(-seams), -np.expm1(-seams)])
    yield (
        "where a result passes a power of two",
        _below_1(_beside(rng.choice(passing, n - 5 * share), rng)),
    )


@cache
def _seams() -> Doubles:
    """|z| where one of the five quantities is a power of two."""
    powers = [mp.mpf(2) ** -k for k in range(1, 1074)]
    quarter = [p for p in powers if p < mp.mpf(1) / 4]
    places = [
        *(-mp.log(mp.expm1(p)) for p in powers),  # log1p(e)
        *(mp.log(mp.expm1(mp.mpf(2) ** k)) for k in range(10)),  # |z| + log1p(e)
        *(mp.log((1 - p) / p) for p in powers[1:]),  # e/(1 + e)
        *(2 * mp.acosh(1 / (2 * mp.sqrt(p))) for p in quarter),  # e/(1 + e)²
    ]
    return np.array([float(place) for place in places])


def _beside(places: Doubles, rng: np.random.Generator) -> Doubles:
    """Move each place by a few units, or by any power of two of its size; a third stay."""
    n = len(places)
    units = rng.integers(-3, 4, n).astype(np.int64)
    near = _patterns((places.view(np.int64) + units).view(np.uint64))
    far = places * (1 + rng.choice([-1.0, 1.0], n) * np.exp2(rng.uniform(-52, -4, n)))
    return np.where(rng.integers(0, 2, n) == 0, near, far)


def _below_1(p: Doubles) -> Doubles:
    return np.minimum(p, 1 - 2.0**-53)


def _patterns(bits: npt.NDArray[np.uint64]) -> Doubles:
    return bits.view(np.float64)
