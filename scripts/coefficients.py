"""Print the polynomial coefficients of exponentials.hpp and probabilities.hpp, with error bounds.

Each is the interpolant at Chebyshev nodes, computed to 60 digits and rounded to the precision
that evaluates it: near the best polynomial, and reproducible by anyone with mpmath.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpmath import mp, mpf

mp.dps = 60


def interpolate(function: Callable[[mpf], mpf], low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Coefficients, lowest power first, of the interpolant at degree + 1 Chebyshev nodes."""
    nodes = [
        (low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * degree + 2))
        for k in range(degree + 1)
    ]
    matrix = mp.matrix([[node**j for j in range(degree + 1)] for node in nodes])
    return list(mp.lu_solve(matrix, mp.matrix([function(node) for node in nodes])))


def largest_error(table: "Table", coefficients: list[float]) -> mpf:
    """Largest error of the rounded polynomial on 2,001 points, times the table's scale there."""
    worst = mpf(0)
    for k in range(2001):
        x = table.low + (table.high - table.low) * k / 2000
        value = mp.polyval([mpf(c) for c in reversed(coefficients)], x)
        worst = max(worst, abs(value - table.function(x)) * table.scale(x))
    return worst


def two_artanh(square: mpf) -> mpf:
    """2·artanh(s)/s as a function of s²; log(x) = s times this, with s = (x − 1)/(x + 1)."""
    if square == 0:
        return mpf(2)
    s = mp.sqrt(square)
    return 2 * mp.atanh(s) / s


def log1p_over(e: mpf) -> mpf:
    """log1p(e)/e."""
    return mp.log1p(e) / e if e else mpf(1)


def without_two_terms(series: Callable[[mpf], mpf]) -> Callable[[mpf], mpf]:
    """(series(x) − its constant and linear terms)/x², for exp and log1p."""
    limit = {mp.exp: mpf(1) / 2, mp.log1p: -mpf(1) / 2}[series]
    constant = series(mpf(0))
    return lambda x: (series(x) - constant - x) / x**2 if abs(x) > mpf(10) ** -15 else limit


def log_cosh_over(square: mpf) -> mpf:
    """log(cosh(a/2))/a² as a function of a²."""
    return mp.log(mp.cosh(mp.sqrt(square) / 2)) / square if square > mpf(10) ** -15 else mpf(1) / 8


@dataclass(frozen=True)
class Table:
    """A function on an interval, and what an error of it is multiplied with to matter."""

    title: str
    function: Callable[[mpf], mpf]
    low: mpf
    high: mpf
    degree: int
    precision: type[np.floating]
    scale: Callable[[mpf], mpf]


def relative(function: Callable[[mpf], mpf]) -> Callable[[mpf], mpf]:
    """Return the scale that makes errors relative to the function itself."""
    return lambda x: 1 / abs(function(x))


def share_of_log1p(x: mpf) -> mpf:
    """Return the scale of an error of w in x + x²·w(x), relative to log1p(x)."""
    return abs(x**2 / mp.log1p(x)) if abs(x) > mpf(10) ** -15 else mpf(0)


HALF_LN2, ROOT, NEAR = mp.log(2) / 2, mp.sqrt(2), mpf("0.85")
SINGLE, DOUBLE = np.float32, np.float64
TABLES = [
    Table(
        "float32: (exp(u) - 1 - u)/u^2, |u| <= ln2/2",
        without_two_terms(mp.exp),
        -HALF_LN2,
        HALF_LN2,
        4,
        SINGLE,
        lambda u: u**2 / mp.exp(u),
    ),
    Table(
        "float32: (log1p(e) - e)/e^2, 0 <= e <= exp(-0.85)",
        without_two_terms(mp.log1p),
        mpf(0),
        mp.exp(-NEAR),
        6,
        SINGLE,
        share_of_log1p,
    ),
    Table(
        "float32: log(cosh(a/2))/a^2 by a^2, 0 <= a <= 0.85",
        log_cosh_over,
        mpf(0),
        NEAR**2,
        3,
        SINGLE,
        lambda x: x / mp.log1p(mp.exp(-mp.sqrt(x))),
    ),
    Table(
        "float32: (log1p(f) - f)/f^2, sqrt(1/2) <= 1 + f <= sqrt(2)",
        without_two_terms(mp.log1p),
        1 / ROOT - 1,
        ROOT - 1,
        8,
        SINGLE,
        share_of_log1p,
    ),
    Table("double: exp(r), |r| <= ln2/2", mp.exp, -HALF_LN2, HALF_LN2, 7, DOUBLE, relative(mp.exp)),
    Table(
        "double: 2 artanh(s)/s by s^2, 0 <= s <= 1/3",
        two_artanh,
        mpf(0),
        mpf(1) / 9,
        6,
        DOUBLE,
        relative(two_artanh),
    ),
    Table(
        "double: log1p(e)/e, 0 <= e <= 1",
        log1p_over,
        mpf(0),
        mpf(1),
        12,
        DOUBLE,
        relative(log1p_over),
    ),
]

if __name__ == "__main__":
    for table in TABLES:
        exact = interpolate(table.function, table.low, table.high, table.degree)
        rounded = [float(table.precision(float(c))) for c in exact]
        error = largest_error(table, rounded)
        print(f"{table.title}: error 2^{float(mp.log(error, 2)):.1f}")
        print("  " + ", ".join(c.hex() for c in rounded))
