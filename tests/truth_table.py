"""One table of truth for the loss of logits, wherever it is computed: values, slopes, limits.

Every entry comes from the formulas of the loss at 60 digits, rounded once to a double; NumPy,
torch and JAX are all held to it. Labels, options and logits are exact in float32, so that a
difference is the fault of the arithmetic and not of the input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.exact import Real, mp, number

INF = math.inf

LABELS = (0.0, 0.25, 0.5, 1.0)
#: In the middle, around ln 2, where 1 + exp(−z) becomes 1 in float32 (17) and float64 (37),
#: and in the tails. Compare with an absolute tolerance of the smallest normal number as well:
#: float32 ends before some focal values do, and JAX takes subnormals for 0.
_SIZES = (
    0.0,
    2.0**-100,
    2.0**-10,
    0.25,
    0.693359375,
    1.0,
    2.5,
    10.0,
    16.625,
    17.0,
    20.0,
    37.0,
    80.0,
)
#: Beyond float32's range of exp.
FAR = (100.0, 700.0)

OPTIONS: tuple[Mapping[str, float], ...] = (
    {},
    {"pos_weight": 3.0},
    {"pos_weight": 0.25},
    {"label_smoothing": 0.125},
    {"label_smoothing": 1.0},
    {"pos_weight": 3.0, "label_smoothing": 0.25},
    {"gamma": 2.0},
    {"gamma": 0.5},
    {"gamma": 1.0, "pos_weight": 3.0, "label_smoothing": 0.125},
)


class Case(NamedTuple):
    """One entry of the table.

    Attributes
    ----------
    y, z : float
        Label and logit.
    options : mapping
        Keyword arguments of the loss: pos_weight, label_smoothing, gamma.
    loss, gradient, hessian : float
        The loss in nats and its derivatives with respect to the logit.
    scale : tuple of float
        For each of the three, the size of the terms that are added up in it. Rounding errors
        are measured against it where terms of both signs may cancel.
    """

    y: float
    z: float
    options: Mapping[str, float]
    loss: float
    gradient: float
    hessian: float
    scale: tuple[float, float, float]

    @property
    def name(self) -> str:
        """What a failing test is called."""
        options = ", ".join(f"{key}={value:g}" for key, value in self.options.items())
        return f"y={self.y:g} z={self.z:g} {options}".strip()


class _Terms(NamedTuple):
    """Terms of σ(t)^γ·softplus(t) and of its first and second derivative."""

    loss: tuple[Real, ...]
    gradient: tuple[Real, ...]
    hessian: tuple[Real, ...]


def cases(*, far: bool = False) -> Iterator[Case]:
    """Yield the table; with `far`, logits beyond the range of float32's exponential too."""
    sizes = (*_SIZES, *FAR) if far else _SIZES
    for options in OPTIONS:
        for y in LABELS:
            for size in sizes:
                yield _finite(y, size, options)
                if size:
                    yield _finite(y, -size, options)
            for z in (INF, -INF):
                yield _infinite(y, z, options)


def _finite(y: float, z: float, options: Mapping[str, float]) -> Case:
    positive, negative = _masses(y, options)
    gamma = options.get("gamma", 0.0)
    right, left = _terms(number(z), gamma), _terms(-number(z), gamma)
    # the loss is A·f(−z) + B·f(z): odd derivatives change their sign with z
    sums = []
    scales = []
    for of_right, of_left, sign in zip(right, left, (1, -1, 1), strict=True):
        terms = [negative * term for term in of_right]
        terms += [sign * positive * term for term in of_left]
        sums.append(float(mp.fsum(terms)))
        scales.append(float(mp.fsum(abs(term) for term in terms)))
    return Case(y, z, options, *sums, tuple(scales))


def _infinite(y: float, z: float, options: Mapping[str, float]) -> Case:
    """Limits: the right side costs nothing, the wrong one infinity, with slope of its mass."""
    positive, negative = (float(mass) for mass in _masses(y, options))
    wrong = negative if z > 0 else positive
    loss = INF if wrong else 0.0
    gradient = negative if z > 0 else -positive
    return Case(y, z, options, loss, gradient, 0.0, (loss, wrong, 0.0))


def _masses(y: float, options: Mapping[str, float]) -> tuple[Real, Real]:
    """Weights of the two terms: smoothing first, then pos_weight on the first."""
    smoothing = number(options.get("label_smoothing", 0.0))
    smooth = number(y) * (1 - smoothing) + smoothing / 2
    return smooth * number(options.get("pos_weight", 1.0)), 1 - smooth


def _terms(t: Real, gamma: float) -> _Terms:
    g = number(gamma)
    softplus = mp.log1p(mp.exp(t)) if t < 0 else t + mp.log1p(mp.exp(-t))
    sigma, rest = 1 / (1 + mp.exp(-t)), 1 / (1 + mp.exp(t))
    power = sigma**g
    return _Terms(
        (power * softplus,),
        (power * g * rest * softplus, power * sigma),
        (
            power * rest * g * g * rest * softplus,
            -power * rest * g * sigma * softplus,
            power * rest * (2 * g + 1) * sigma,
        ),
    )
