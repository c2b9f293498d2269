"""The mathematics at 60 digits, and how far a float is from it, in units in the last place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
import numpy.typing as npt

mp = mpmath.mp.clone()
mp.dps = 60

Real = Any  # mpmath's numbers have no types
FloatArray = npt.NDArray[np.floating]


class Bernoulli(NamedTuple):
    """Loss and its derivatives with respect to the logit."""

    loss: Real
    gradient: Real
    hessian: Real


def number(value: Real) -> Real:
    """Take a float as exactly what it is; leave what has 60 digits alone."""
    return value if isinstance(value, mp.mpf) else mp.mpf(float(value))


def sigmoid(z: Real) -> Real:
    """1/(1 + exp(−z))."""
    return 1 / (1 + mp.exp(-number(z)))


def logit(p: Real) -> Real:
    """log(p/(1 − p))."""
    p = number(p)
    return mp.log(p) - mp.log1p(-p)


def bernoulli(y: Real, z: Real) -> Bernoulli:
    """y·log(1 + exp(−z)) + (1 − y)·log(1 + exp(z)), and its derivatives."""
    y, z = number(y), number(z)
    e = mp.exp(-abs(z))
    wrong = 1 - y if z > 0 else y
    loss = wrong * abs(z) + mp.log1p(e)
    error = (1 - y) - y * e if z >= 0 else (1 - y) * e - y
    return Bernoulli(loss, error / (1 + e), e / (1 + e) ** 2)


def loss_from_probability(y: Real, p: Real) -> Real:
    """−y·log p − (1 − y)·log(1 − p), with 0·log 0 = 0."""
    y, p = number(y), number(p)
    of_positive = -y * mp.log(p) if y else mp.zero
    of_negative = -(1 - y) * mp.log1p(-p) if y != 1 else mp.zero
    return of_positive + of_negative


def ulps(values: FloatArray, exact: Sequence[Real]) -> FloatArray:
    """Distance of each value from the exact one, in units in the last place of its dtype."""
    info = np.finfo(values.dtype)

    def distance(value: float, true: Real) -> float:
        _, exponent = mp.frexp(true)
        last_place = max(exponent - info.nmant - 1, info.minexp - info.nmant)
        return float(mp.ldexp(abs(number(value) - true), -int(last_place)))

    return np.array([distance(*pair) for pair in zip(values, exact, strict=True)])


def assert_close(
    values: FloatArray, exact: Iterable[Real], at: Sequence[Any], *, within: float
) -> None:
    """Assert that every value is `within` so many ulp, or name the worst place."""
    errors = ulps(values, list(exact))
    worst = int(np.argmax(errors))
    assert errors[worst] <= within, (
        f"{errors[worst]:.3f} ulp at {at[worst]!r}: got {values[worst]!r}"
    )


def neighbours(values: Iterable[float], dtype: type[np.floating], steps: int = 2) -> list[float]:
    """Each value in `dtype` and the next few floats on both sides."""
    out = []
    for value in values:
        below = above = dtype(value)
        out.append(float(below))
        for _ in range(steps):
            below, above = np.nextafter(below, dtype(-np.inf)), np.nextafter(above, dtype(np.inf))
            out += [float(below), float(above)]
    return out


def hard_logits(dtype: type[np.floating]) -> FloatArray:
    """Tails, subnormals, both zeros, branch points and rounding boundaries, of both signs.

    e = exp(−|z|) is ½ at log 2, where log1p takes another branch; the argument of exp is
    reduced by multiples of log 2, so it is worst at odd multiples of log(2)/2; exp(−708)
    is the last normal double, exp(−745) the last of all; 87.3 and 103.9 are float32's.
    """
    info = np.finfo(dtype)
    half_log2 = float(mp.log(2) / 2)
    random = np.random.default_rng(1)
    places = [
        *neighbours(
            [half_log2 * k for k in (*range(1, 121), *range(121, 2160, 97))], dtype, steps=1
        ),
        *neighbours([2.0**k for k in range(-60, 10)], dtype, steps=1),
        *neighbours([float(info.tiny), float(info.smallest_subnormal), 1e-30], dtype, steps=1),
        *neighbours([16.6, 17, 36.04, 36.7, 37, 87.34, 88.7, 103.97, 104, 150], dtype),
        *np.arange(707, 748.25, 0.25),
        *np.linspace(0, 40, 81),
        *np.exp(random.uniform(-20, 7, 150)),
        1e4,
        1e30,
        float(info.max),
    ]
    logits = np.unique(np.abs(np.array(places, dtype)))
    return np.concatenate([logits, -logits]).astype(dtype)


def hard_probabilities(dtype: type[np.floating]) -> FloatArray:
    """From the smallest subnormal to the last float below 1, dense at ¼, ½, ¾ and at both ends."""
    info = np.finfo(dtype)
    random = np.random.default_rng(2)
    places = [
        *neighbours([0.25, 0.5, 0.75, float(info.tiny), 1e-30, 1e-10, 1e-3], dtype),
        *(2.0**-k for k in range(1, 149 if dtype is np.float32 else 1074, 7)),
        *(1 - 2.0**-k for k in range(1, info.nmant + 2)),
        float(info.smallest_subnormal),
        *np.linspace(0.01, 0.99, 99),
        *np.exp(-np.exp(random.uniform(-10, 4, 200))),
    ]
    return np.unique(np.array(places, dtype))


def derivative(function: Callable[[Real], Real], at: Real, *, step: float = 1e-20) -> Real:
    """Central difference at 60 digits: right to about 1e-40 of the third derivative."""
    at, step = number(at), number(step)
    return (function(at + step) - function(at - step)) / (2 * step)
