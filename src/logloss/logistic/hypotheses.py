"""Tests of hypotheses on coefficients: Wald, likelihood ratio, score.

All three are χ² under the hypothesis and agree in large samples.  Wald needs the fit alone,
the likelihood ratio two fits, the score only the smaller of the two.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from logloss.design.block import Block, Layout
from logloss.errors import ArgumentError
from logloss.logistic.columns import learn_columns
from logloss.logistic.covariance import ScoresPass, inverse
from logloss.logistic.objective import FloatArray
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

#: What a column adds to those before it, as a share of its information: below this it is a
#: combination of them.
_DEPENDENT = 1e-9


@dataclass(frozen=True)
class HypothesisTest:
    """What a test found.

    Attributes
    ----------
    kind : str
        "Wald", "likelihood ratio" or "score".
    hypothesis : tuple of str
        What was tested, such as ``"x0 = 0"``.
    statistic : float
        χ² with `df` degrees of freedom if the hypothesis holds.
    df : int
    p_value : float
        Chance of a statistic this large, or larger, if the hypothesis holds.
    """

    kind: str
    hypothesis: tuple[str, ...]
    statistic: float
    df: int
    p_value: float

    def __str__(self) -> str:
        more = f" and {len(self.hypothesis) - 5} more" if len(self.hypothesis) > 5 else ""
        return (
            f"{self.kind} test of {', '.join(self.hypothesis[:5])}{more}: "
            f"χ²({self.df}) = {self.statistic:.4g}, p = {self.p_value:.3g}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, names and lists."""
        return asdict(self)


def restrictions(
    names: Sequence[str],
    hypothesis: str | Sequence[str] | npt.ArrayLike,
    value: npt.ArrayLike,
    aliased: Sequence[str] = (),
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the matrix of a hypothesis on the terms `names`, and its rows in words.

    A column stands for its levels, but for those that are aliased: the others are then
    differences from them.

    Raises
    ------
    ArgumentError
        If there is no such term, or shapes do not fit.
    """
    given = [hypothesis] if isinstance(hypothesis, str) else hypothesis
    if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        chosen = [j for name in given for j in _terms(names, str(name), aliased)]
        matrix = np.eye(len(names))[chosen]
    else:
        matrix = np.atleast_2d(np.asarray(given, np.float64))
    if not len(matrix) or matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise ArgumentError(
            f"hypothesis must be names of terms, or a matrix with a column for each of the "
            f"{len(names)} terms and at least one row; its shape is {np.shape(given)}."
        )
    wanted = np.asarray(value, np.float64)
    if wanted.shape not in ((), (len(matrix),)):
        raise ArgumentError(
            f"value must be one number, or one for each of the {len(matrix)} restrictions; "
            f"its shape is {wanted.shape}."
        )
    said = tuple(
        f"{_combination(names, row)} = {number:g}"
        for row, number in zip(matrix, np.broadcast_to(wanted, len(matrix)), strict=True)
    )
    return matrix, said


def _terms(names: Sequence[str], wanted: str, aliased: Sequence[str]) -> list[int]:
    """Find a term, or the levels of a column."""
    found = [j for j, name in enumerate(names) if name == wanted]
    if not found:
        levels = [j for j, name in enumerate(names) if name.startswith(f"{wanted}=")]
        found = [j for j in levels if names[j] not in aliased]
    if not found:
        raise ArgumentError(
            f"hypothesis: there is no term {wanted!r}; there are {', '.join(names[:20])}."
        )
    return found


def _combination(names: Sequence[str], row: FloatArray) -> str:
    parts = [(factor, names[j]) for j, factor in enumerate(row) if factor]
    return " + ".join(name if factor == 1 else f"{factor:g}·{name}" for factor, name in parts)


def wald(
    coefficients: FloatArray,
    covariance: FloatArray,
    matrix: FloatArray,
    value: npt.ArrayLike,
    said: tuple[str, ...],
) -> HypothesisTest:
    """(Rβ − r)ᵀ(R C Rᵀ)⁻¹(Rβ − r).

    Raises
    ------
    ArgumentError
        If the restrictions depend on each other.
    """
    distance = matrix @ coefficients - np.asarray(value, np.float64)
    spread = matrix @ covariance @ matrix.T
    unit = np.sqrt(np.diag(spread))
    scaled = spread / np.outer(unit, unit)
    if not np.isfinite(scaled).all() or linalg.eigvalsh(scaled)[0] <= _DEPENDENT:
        raise ArgumentError(
            "hypothesis: its restrictions depend on each other, or there are more of them than "
            "the covariance (of few clusters, perhaps) can tell apart. Leave some out."
        )
    direction = linalg.solve(scaled, distance / unit, assume_a="pos")
    return _tested("Wald", said, float(direction @ (distance / unit)), len(matrix))


def likelihood_ratio(
    full: float, restricted: float, df: int, said: tuple[str, ...]
) -> HypothesisTest:
    """2(L − L₀), for log-likelihoods in nats.

    Raises
    ------
    ArgumentError
        If the smaller model has no fewer coefficients.
    """
    if df < 1:
        raise ArgumentError("restricted must have fewer coefficients than this model.")
    return _tested("likelihood ratio", said, max(2 * (full - restricted), 0.0), df)


def score(
    source: Source[Block],
    layout: Layout,
    engine: Engine,
    coefficients: FloatArray,
    *,
    own: npt.NDArray[np.bool_],
    extra: npt.NDArray[np.bool_],
) -> HypothesisTest:
    """Test whether columns that a fit did not have would improve it: uᵀV⁻¹u.

    u is the gradient of the log-likelihood in the added columns at the fit, less what the
    fit's own columns explain of it, and V its variance.

    Parameters
    ----------
    source : Source of Block
        Rows with all columns.
    layout : Layout
        Of all coefficients.
    engine : Engine
    coefficients : ndarray of shape (size,)
        Of the fit, in the user's units; 0 for columns that it did not have.
    own, extra : ndarray of shape (size,), bool
        What the fit estimated, and the columns to test.

    Raises
    ------
    ArgumentError
        If the added columns add nothing to those of the fit.
    """
    columns = learn_columns(source, layout, engine, fit_intercept=bool(own[0]))
    beta = np.asarray(linalg.solve(columns.to_user_units_matrix(), coefficients))
    scores = engine.reduce(ScoresPass(columns.standard, beta), source)
    bread, gradient = scores.bread(columns.standard), scores.gradient(columns.standard)
    across = bread[np.ix_(extra, own)] @ inverse(bread[np.ix_(own, own)])
    rest = gradient[extra] - across @ gradient[own]
    whole = bread[np.ix_(extra, extra)]
    variance = whole - across @ bread[np.ix_(own, extra)]
    unit = np.sqrt(np.diag(whole))
    unit[unit == 0] = 1.0
    values, vectors = linalg.eigh(variance / np.outer(unit, unit))
    told = values > _DEPENDENT
    if not told.any():
        raise ArgumentError(
            "the added columns are combinations of those in the model: there is nothing to test."
        )
    along = vectors[:, told].T @ (rest / unit)
    names = ("intercept", *layout.names)
    said = tuple(f"{names[j]} = 0" for j in np.flatnonzero(extra))
    return _tested("score", said, float(np.sum(along**2 / values[told])), int(told.sum()))


def _tested(kind: str, said: tuple[str, ...], statistic: float, df: int) -> HypothesisTest:
    return HypothesisTest(kind, said, statistic, df, float(special.chdtrc(df, statistic)))
