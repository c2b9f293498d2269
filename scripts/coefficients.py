"""Print the polynomial coefficients of cpp/bernoulli.hpp, with their error bounds.

Each is the interpolant at Chebyshev nodes, computed to 60 digits and rounded to double:
within a factor of two of the best polynomial, and reproducible by anyone with mpmath.
"""

from collections.abc import Callable

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


def largest_error(
    coefficients: list[float], function: Callable[[mpf], mpf], low: mpf, high: mpf
) -> mpf:
    """Largest relative error of the rounded polynomial on 2,001 points."""
    worst = mpf(0)
    for k in range(2001):
        x = low + (high - low) * k / 2000
        value = mp.polyval([mpf(c) for c in reversed(coefficients)], x)
        worst = max(worst, abs(value / function(x) - 1))
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


TABLES = {
    "exp(r), |r| <= ln2/2": (mp.exp, -mp.log(2) / 2, mp.log(2) / 2, 7),
    "2 artanh(s)/s by s^2, 0 <= s <= 1/3": (two_artanh, mpf(0), mpf(1) / 9, 6),
    "log1p(e)/e, 0 <= e <= 1": (log1p_over, mpf(0), mpf(1), 12),
}

if __name__ == "__main__":
    for title, (function, low, high, degree) in TABLES.items():
        rounded = [float(c) for c in interpolate(function, low, high, degree)]
        error = largest_error(rounded, function, low, high)
        print(f"{title}: relative error 2^{float(mp.log(error, 2)):.1f}")
        print("  " + ", ".join(c.hex() for c in rounded))
