"""Arithmetic on unevaluated sums of two doubles, about 104 bits, over NumPy arrays.

Addition, product, quotient, exp(−a) and log1p(x)/x. What the losses are made of them, and how
exact that is, stands elsewhere.

References: Dekker, Numerische Mathematik 18 (1971); Knuth, TAOCP 2, 4.2.2.
"""

from __future__ import annotations

from typing import NamedTuple

import mpmath
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_mp = mpmath.mp.clone()
_mp.dps = 60
_SPLITTER = 2.0**27 + 1


class Double(NamedTuple):
    """high + low, unevaluated, |low| at most half an ulp of high."""

    high: Doubles
    low: Doubles


def constant(value: mpmath.mpf) -> tuple[float, float]:
    """Split a number of 60 digits into two doubles."""
    high = float(value)
    return high, float(value - high)


def _table(values: list[mpmath.mpf]) -> Double:
    high, low = zip(*map(constant, values), strict=True)
    return Double(np.array(high), np.array(low))


def exact_sum(x: Doubles, y: Doubles) -> Double:
    """Sum of two doubles, without error."""
    high = x + y
    taken = high - x
    return Double(high, (x - (high - taken)) + (y - taken))


def _ordered_sum(x: Doubles, y: Doubles) -> Double:
    """Sum of two doubles, without error where |x| >= |y| or x = 0."""
    high = x + y
    return Double(high, y - (high - x))


def _halves(x: Doubles) -> tuple[Doubles, Doubles]:
    scaled = _SPLITTER * x
    high = scaled - (scaled - x)
    return high, x - high


def exact_product(x: Doubles, y: Doubles) -> Double:
    """Product of two doubles, without error far from overflow and underflow."""
    product = x * y
    (xh, xl), (yh, yl) = _halves(x), _halves(y)
    return Double(product, ((xh * yh - product) + xh * yl + xl * yh) + xl * yl)


def add(x: Double, y: Double) -> Double:
    """Sum; terms of opposite signs lose no more than a Double holds."""
    high, low = exact_sum(x.high, y.high)
    tail, rest = exact_sum(x.low, y.low)
    high, low = _ordered_sum(high, low + tail)
    return _ordered_sum(high, low + rest)


def multiply(x: Double, y: Double) -> Double:
    """Product."""
    high, low = exact_product(x.high, y.high)
    return _ordered_sum(high, low + (x.high * y.low + x.low * y.high))


def divide(x: Double, y: Double) -> Double:
    """Quotient, by three steps of long division."""
    first = x.high / y.high
    rest = _minus_multiple(x, first, y)
    second = rest.high / y.high
    rest = _minus_multiple(rest, second, y)
    third = rest.high / y.high
    high, low = _ordered_sum(first, second)
    return _ordered_sum(high, low + third)


def _minus_multiple(x: Double, factor: Doubles, y: Double) -> Double:
    product = multiply(Double(factor, np.zeros_like(factor)), y)
    return add(x, Double(-product.high, -product.low))


def times_power_of_two(x: Double, exponent: npt.NDArray[np.int64] | int) -> Double:
    """Product with 2^exponent, exact but where it underflows."""
    return Double(np.ldexp(x.high, exponent), np.ldexp(x.low, exponent))


# exp(−a) = 2^−n · 2^(−j/64) · exp(t), |t| <= ln2/128, with a = (64n + j)·ln2/64 − t. The first
# two parts of ln2/64 end in zeros, so that their multiples by 64n + j < 2^17 are exact.
_PER_OCTAVE = 64
_STEP = _mp.log(2) / _PER_OCTAVE
_STEP_1 = float(_mp.floor(_STEP * 2**41) / 2**41)
_STEP_2 = float(_mp.floor((_STEP - _STEP_1) * 2**76) / 2**76)
_STEP_3 = float(_STEP - _STEP_1 - _STEP_2)
_ROOTS = _table([_mp.mpf(2) ** (-_mp.mpf(j) / _PER_OCTAVE) for j in range(_PER_OCTAVE)])
_FACTORIALS = _table([1 / _mp.factorial(j) for j in range(12)])


def exp_negative(a: Doubles) -> tuple[Double, npt.NDArray[np.int64]]:
    """exp(−a) for 0 <= a <= 1400, as m and n with exp(−a) = m·2^−n and ½ < m <= 1.01.

    Taylor's series to t^11 leaves 2^−119; what stands before t^6 is in plain doubles, where
    their roundings are below 2^−106.
    """
    steps = np.rint(a / float(_STEP))
    t = exact_sum(steps * _STEP_1, -a)
    t = add(t, Double(steps * _STEP_2, np.zeros_like(a)))
    t = add(t, exact_product(steps, np.full_like(a, _STEP_3)))
    value = _series(_FACTORIALS, t, doubles_from=6)
    whole = steps.astype(np.int64)
    n, j = whole >> 6, whole & 63
    return multiply(value, Double(_ROOTS.high[j], _ROOTS.low[j])), n


# Σ s^2j/(2j + 1) = artanh(s)/s; 35 terms leave 2^−113 for |s| <= 1/3.
_ODD_RECIPROCALS = _table([1 / _mp.mpf(2 * j + 1) for j in range(35)])


def log1p_ratio(x: Double) -> Double:
    """log1p(x)/x for −½ <= x <= 1, as 2·artanh(s)/x with s = x/(2 + x)."""
    two = np.full_like(x.high, 2.0)
    denominator = add(Double(two, np.zeros_like(two)), x)
    s = divide(x, denominator)
    series = _series(_ODD_RECIPROCALS, multiply(s, s), doubles_from=16)
    return divide(times_power_of_two(series, 1), denominator)


def _series(coefficients: Double, x: Double, *, doubles_from: int) -> Double:
    """Σ cⱼ·xʲ by Horner, its small high powers in plain doubles."""
    high = np.full_like(x.high, coefficients.high[-1])
    for c in coefficients.high[-2 : doubles_from - 1 : -1]:
        high = high * x.high + c
    total = Double(high, np.zeros_like(high))
    for j in range(doubles_from - 1, -1, -1):
        c = Double(*(np.full_like(high, part[j]) for part in coefficients))
        total = add(multiply(total, x), c)
    return total
