"""What a fit says about its coefficients: standard errors, tests, intervals, likelihoods."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, special, stats

from logloss.errors import ModelError
from logloss.logistic.columns import Columns
from logloss.logistic.minimise import PathPoint, Solution, Status

FloatArray = npt.NDArray[np.float64]

#: Two-sided 95 % quantile of the standard normal distribution.
_QUANTILE = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Term:
    """One coefficient, in the user's units (the logit's change per unit of the column)."""

    name: str
    coefficient: float
    standard_error: float
    z: float
    p_value: float
    low: float
    high: float
    odds_ratio: float


@dataclass(frozen=True)
class LogisticSummary:
    """A fitted logistic regression, in figures.

    Attributes
    ----------
    terms : tuple of Term
        Intercept first. Standard errors come from the inverse of the observed
        information, the penalty's included; infinite for separated columns, NaN for aliased ones.
    n, weight, base_rate : int, float, float
        Rows of positive weight, Σw, and Σwy/Σw.
    log_likelihood, null_log_likelihood : float
        Σw log p(y) at the coefficients, and with the intercept (and offset) alone; in nats.
    mcfadden_r2, aic, bic : float
        1 − L/L₀;  2k − 2L;  k·log N − 2L, with k the coefficients that were estimated
        and N = max(Σw, rows).
    status : Status
        Why the fit ended.
    scans : int
        Passes over all rows.
    bound : float
        Certified distance to the optimum, √(2N(F − F*)), in standard errors.
    aliased, separated : tuple of str
        Columns that depend on columns before them (coefficient 0), and columns that
        separate the classes (no finite estimate).
    penalised : bool
        Whether a prior or a penalty took part.
    path : tuple of PathPoint
        The fit after each step.
    """

    terms: tuple[Term, ...]
    n: int
    weight: float
    base_rate: float
    log_likelihood: float
    null_log_likelihood: float
    mcfadden_r2: float
    aic: float
    bic: float
    status: Status
    scans: int
    bound: float
    aliased: tuple[str, ...]
    separated: tuple[str, ...]
    penalised: bool
    path: tuple[PathPoint, ...]

    def __str__(self) -> str:
        width = max(len(term.name) for term in self.terms)
        lines = [
            f"logistic regression · {self.n:,} rows · base rate {self.base_rate:.4f} · "
            f"{self.status}: {self.scans} scans, {_distance(self.bound)}",
            f"log-likelihood {self.log_likelihood:.6g} (null {self.null_log_likelihood:.6g}) · "
            f"McFadden R² {self.mcfadden_r2:.4f} · AIC {self.aic:.6g} · BIC {self.bic:.6g}",
            "",
            f"{'':{width}}  {'coef':>11} {'std err':>10} {'z':>8} {'p':>9} "
            f"{'2.5 %':>11} {'97.5 %':>11} {'odds ×':>10}",
        ]
        for t in self.terms:
            lines.append(
                f"{t.name:{width}}  {t.coefficient:11.5g} {t.standard_error:10.4g} {t.z:8.2f} "
                f"{_p(t.p_value):>9} {t.low:11.5g} {t.high:11.5g} {t.odds_ratio:10.4g}"
            )
        if self.aliased:
            lines.append(f"aliased (coefficient 0): {', '.join(self.aliased)}")
        if self.separated:
            lines.append(f"separated (no finite estimate): {', '.join(self.separated)}")
        if self.status is not Status.CONVERGED:
            lines.append(f"{self.status}: {self.status.message}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th>{title}</th>"
            for title in ("", "coef", "std err", "z", "p", "2.5 %", "97.5 %", "odds ×")
        )
        rows = "".join(
            f"<tr><th>{html.escape(t.name)}</th><td>{t.coefficient:.5g}</td>"
            f"<td>{t.standard_error:.4g}</td><td>{t.z:.2f}</td><td>{html.escape(_p(t.p_value))}</td>"
            f"<td>{t.low:.5g}</td><td>{t.high:.5g}</td><td>{t.odds_ratio:.4g}</td></tr>"
            for t in self.terms
        )
        caption = html.escape(str(self).split("\n\n", maxsplit=1)[0])
        return (
            f"<table><caption style='white-space: pre-line; text-align: left'>{caption}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, names and lists."""
        record = asdict(self)
        record["status"] = self.status.value
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a summary; ModelError if the record does not hold one."""
        try:
            values = _typed(cls, record)
            values["terms"] = tuple(Term(**_typed(Term, term)) for term in values["terms"])
            values["path"] = tuple(
                PathPoint(**_typed(PathPoint, point)) for point in values["path"]
            )
            values["status"] = Status(values["status"])
            for name in ("aliased", "separated"):
                values[name] = tuple(map(str, values[name]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's summary cannot be read: {error!r}") from error
        return cls(**values)


def summarise(
    columns: Columns,
    solution: Solution,
    *,
    null_log_likelihood: float,
    fit_intercept: bool,
    penalised: bool,
) -> LogisticSummary:
    """Put a solution into the user's units, with its standard errors and likelihoods."""
    coefficient = columns.to_user_units(solution.beta)
    error = np.sqrt(np.diag(covariance(columns, solution)))
    error[~solution.estimable & ~solution.separated] = np.nan
    z = np.divide(coefficient, error, out=np.full(len(error), np.nan), where=np.isfinite(error))
    p_value = 2 * special.ndtr(-np.abs(z))
    reach = _QUANTILE * error
    names = ("intercept", *columns.layout.names)
    shown = range(0 if fit_intercept else 1, len(names))
    terms = tuple(
        Term(
            name=names[j],
            coefficient=float(coefficient[j]),
            standard_error=float(error[j]),
            z=float(z[j]),
            p_value=float(p_value[j]),
            low=float(coefficient[j] - reach[j]),
            high=float(coefficient[j] + reach[j]),
            odds_ratio=_odds(float(coefficient[j])),
        )
        for j in shown
    )
    log_likelihood = -solution.mean_loss * columns.weight
    k = len(shown) - int(solution.aliased.sum())
    return LogisticSummary(
        terms=terms,
        n=columns.n,
        weight=columns.weight,
        base_rate=columns.base_rate,
        log_likelihood=log_likelihood,
        null_log_likelihood=null_log_likelihood,
        mcfadden_r2=1 - log_likelihood / null_log_likelihood if null_log_likelihood else math.nan,
        aic=2 * k - 2 * log_likelihood,
        bic=k * math.log(columns.n_effective) - 2 * log_likelihood,
        status=solution.status,
        scans=solution.scans,
        bound=solution.bound,
        aliased=tuple(names[j] for j in np.flatnonzero(solution.aliased)),
        separated=tuple(names[j] for j in np.flatnonzero(solution.separated) if j > 0),
        penalised=penalised,
        path=solution.path,
    )


def covariance(columns: Columns, solution: Solution) -> FloatArray:
    """Return the inverse of Σw·H in the user's units, shape (size, size).

    Rows and columns of aliased coefficients are 0; variances of separated ones infinite.
    """
    size = columns.layout.size
    kept = np.flatnonzero(solution.estimable)
    inverse = np.zeros((size, size))
    if len(kept):
        information = columns.weight * solution.hessian[np.ix_(kept, kept)]
        unit = np.sqrt(np.diag(information))  # to unit diagonal: a rare level costs no digits
        scaled = linalg.pinvh(information / np.outer(unit, unit))
        inverse[np.ix_(kept, kept)] = scaled / np.outer(unit, unit)
    jacobian = columns.to_user_units_matrix()
    result: FloatArray = jacobian @ inverse @ jacobian.T
    separated = np.flatnonzero(solution.separated)
    result[separated, separated] = np.inf
    return result


def _typed(kind: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Pick a dataclass's fields out of a record; "inf" and "nan" become numbers again."""
    makers = {"float": float, "int": int, "str": str, "bool": bool}
    return {f.name: makers.get(str(f.type), _same)(record[f.name]) for f in fields(kind)}


def _same(value: Any) -> Any:
    return value


def _odds(coefficient: float) -> float:
    return math.exp(coefficient) if coefficient < 709 else math.inf


def _p(p_value: float) -> str:
    return "<1e-16" if p_value < 1e-16 else f"{p_value:.3g}"


def _distance(bound: float) -> str:
    """Say how far the optimum can be."""
    if math.isinf(bound):
        return "distance to the optimum unknown"
    return f"at most {bound:.1g} SE from the optimum"
