"""Sixty digits: how far the truths themselves are from them, and how far a worst case is.

mpmath is far too slow for every float, and good enough to judge what judges them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tests import exact
from tests.exact import Real, mp

from logloss import kernel
from verification import float32, points, truth
from verification.double_double import Doubles
from verification.findings import Worst, computing_at
from verification.truth import Scaled


def error_of_logits(n: int, seed: int) -> float:
    """Largest relative error of the five quantities of float64 logits."""
    a = np.concatenate([part for _, part in points.logits(n, seed)])
    a = a[a < 1400]  # beyond, e is 0 to a thousand bits
    return max(
        _relative_error(scaled, true)
        for scaled, true in zip(truth.sides(a), _true_sides(a), strict=True)
    )


def error_of_probabilities(n: int, seed: int) -> float:
    """Largest relative error of −log1p(−p) and −log p of float64 probabilities."""
    p = np.concatenate([part for _, part in points.probabilities(n, seed)])
    return max(
        _relative_error(scaled, [exact.loss_from_probability(y, value) for value in p])
        for y, scaled in enumerate((truth.minus_log1p(p), truth.minus_log(p)))
    )


def error_of_doubles(n: int, seed: int) -> float:
    """Largest error, in ulp of float32, of the doubles that float32 is held to."""
    values = points.patterns(n, seed).view(np.float32)
    truths = float32.truths_of_logits(values.astype(np.float64))
    right_loss, wrong_loss, right_gradient, wrong_gradient, hessian = _true_sides(values)
    p = values[(values > 0) & (values < 1)]
    pairs = [
        (truths["loss", True], right_loss),
        (truths["loss", False], wrong_loss),
        (truths["gradient", True], right_gradient),
        (truths["gradient", False], wrong_gradient),
        (truths["hessian", True], hessian),
        *(
            (
                float32.truth_of_probabilities(y, p),
                [exact.loss_from_probability(y, value) for value in p],
            )
            for y in (0, 1)
        ),
    ]
    return max(
        float(abs(mp.mpf(float(value)) - number) / float(unit))
        for of_one, true in pairs
        for value, unit, number in zip(of_one.value, of_one.unit, true, strict=True)
    )


def _true_sides(a: Iterable[float]) -> list[list[Real]]:
    """Compute the five quantities of `truth.Sides` for each |z|."""
    rows = [(exact.bernoulli(1, z), exact.bernoulli(0, z)) for z in a]
    return [
        [right.loss for right, _ in rows],
        [wrong.loss for _, wrong in rows],
        [-right.gradient for right, _ in rows],
        [wrong.gradient for _, wrong in rows],
        [right.hessian for right, _ in rows],
    ]


def _relative_error(scaled: Scaled, true: list[Real]) -> float:
    (high, low), exponent = scaled
    parts = zip(high, low, np.broadcast_to(exponent, high.shape), true, strict=True)
    return max(
        float(abs(mp.ldexp(mp.mpf(float(h)) + mp.mpf(float(w)), int(k)) / t - 1))
        for h, w, k, t in parts
    )


def measured(quantity: str, scores: str, dtype: type[np.floating], worst: Worst) -> Worst:
    """Measure a worst case again, at 60 digits."""
    at = np.array([worst.at], dtype)
    labels = np.array([worst.y or 0])
    with computing_at(worst.level):
        if scores == "probability":
            got: Doubles = kernel.losses_from_probabilities(labels, at)
        elif quantity == "sigmoid":
            got = kernel.sigmoid(at)
        else:
            names = ("loss", "gradient", "hessian")
            got = kernel.loss_derivatives(labels, at)[names.index(quantity)]
    if scores == "probability":
        true = exact.loss_from_probability(worst.y, worst.at)
    elif quantity == "sigmoid":
        true = exact.sigmoid(worst.at)
    else:
        true = getattr(exact.bernoulli(worst.y, worst.at), quantity)
    return worst._replace(ulp=float(exact.ulps(got, [true])[0]))
