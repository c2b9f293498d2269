"""What the losses are, to about 100 bits: the truth that float64 is held to.

Every quantity of label and logit is one of five of a = |z|, e = exp(−a): on the right side
log1p(e), e/(1 + e), e/(1 + e)²; on the wrong side a + log1p(e), 1/(1 + e).
Nothing here is taken from the kernels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tests import exact

from verification import double_double as dd
from verification.double_double import Double, Doubles


class Scaled(NamedTuple):
    """(high + low)·2^exponent, so that a subnormal result is known to 100 bits too."""

    value: Double
    exponent: npt.NDArray[np.int64] | int = 0

    def ulps(self, got: npt.NDArray[np.floating]) -> Doubles:
        """Distance of `got` from the truth, in units in the last place of the truth in its dtype.

        A true 0 has the smallest subnormal for its unit, as all below the normal range have.
        """
        info = np.finfo(got.dtype)
        high, low = self.value
        error = np.ldexp(got.astype(np.float64), -np.asarray(self.exponent))
        error -= high
        error -= low
        binade = _binade(np.where(low < 0, np.nextafter(high, 0.0), high))
        smallest = np.ldexp(1.0, int(info.minexp - info.nmant) - np.asarray(self.exponent))
        return np.abs(error) / np.maximum(binade * float(info.eps), smallest)


class Sides(NamedTuple):
    """The five quantities of |z|; `Scaled` or plain doubles."""

    right_loss: Scaled
    wrong_loss: Scaled
    right_gradient: Scaled
    wrong_gradient: Scaled
    hessian: Scaled


def _binade(x: Doubles) -> Doubles:
    """Take the power of two at or below |x|."""
    bits = np.ascontiguousarray(x).view(np.uint64) & np.uint64(0x7FF0_0000_0000_0000)
    return bits.view(np.float64)


def _ones(like: Doubles) -> Double:
    return Double(np.ones_like(like), np.zeros_like(like))


def sides(a: Doubles) -> Sides:
    """Compute the five quantities at |z| = a, to about 100 bits."""
    m, n = dd.exp_negative(np.minimum(a, 1400.0))  # where they are 0 or a, long since
    e = dd.times_power_of_two(m, -n)
    inverse = dd.divide(_ones(a), dd.add(_ones(a), e))
    right_gradient = dd.multiply(m, inverse)
    logarithm = dd.multiply(m, dd.log1p_ratio(e))
    wrong_loss = dd.add(Double(a, np.zeros_like(a)), dd.times_power_of_two(logarithm, -n))
    return Sides(
        Scaled(logarithm, -n),
        Scaled(wrong_loss),
        Scaled(right_gradient, -n),
        Scaled(inverse),
        Scaled(dd.multiply(right_gradient, inverse), -n),
    )


def minus_log(p: Doubles) -> Scaled:
    """−log p for 0 < p <= 1, to about 100 bits."""
    one = np.ones_like(p)
    near = p > 0.7
    x = Double(np.where(near, p - one, 0.0), np.zeros_like(p))  # exact from ½ on
    of_near = dd.multiply(Double(-x.high, -x.low), dd.log1p_ratio(x))
    of_far = _minus_log_of(Double(np.where(near, 0.5, p), np.zeros_like(p)))
    return Scaled(_choose(near, of_near, of_far))


def minus_log1p(p: Doubles) -> Scaled:
    """−log1p(−p) for 0 <= p < 1, to about 100 bits."""
    small = p < 0.29
    x = Double(np.where(small, -p, 0.0), np.zeros_like(p))
    fraction, exponent = np.frexp(np.where(small, p, 0.0))
    of_small = dd.multiply(Double(fraction, np.zeros_like(p)), dd.log1p_ratio(x))
    rest = dd.exact_sum(np.ones_like(p), -np.where(small, 0.5, p))
    of_large = _minus_log_of(rest)
    return Scaled(_choose(small, of_small, of_large), np.where(small, exponent, 0))


_LN2 = dd.constant(exact.mp.log(2))


def _minus_log_of(u: Double) -> Double:
    """−log u for 0 < u < 0.75: u = m·2^k with ½√2 < m <= √2, then 2·artanh((m − 1)/(m + 1))."""
    k = np.frexp(u.high * np.sqrt(2.0))[1].astype(np.int64) - 1
    m = dd.times_power_of_two(u, -k)
    x = dd.add(m, Double(-np.ones_like(u.high), np.zeros_like(u.high)))
    of_m = dd.multiply(x, dd.log1p_ratio(x))
    octaves = Double(k.astype(np.float64), np.zeros_like(u.high))
    ln2 = Double(*(np.full_like(u.high, part) for part in _LN2))
    total = dd.add(dd.multiply(octaves, ln2), of_m)
    return Double(-total.high, -total.low)


def _choose(where: npt.NDArray[np.bool_], x: Double, y: Double) -> Double:
    return Double(np.where(where, x.high, y.high), np.where(where, x.low, y.low))
