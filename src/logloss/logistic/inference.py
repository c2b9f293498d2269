"""What a fit says about its coefficients: standard errors, tests, intervals, likelihoods."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from logloss.errors import ArgumentError, ModelError
from logloss.files import counted, printable
from logloss.logistic.covariance import Inference, covariance
from logloss.logistic.hypotheses import HypothesisTest, likelihood_ratio, restrictions, wald
from logloss.logistic.minimise import PathPoint, Solution, Status
from logloss.logistic.objective import Objective
from logloss.logistic.profile import Profile

FloatArray = npt.NDArray[np.float64]

#: Two-sided 95 % quantile of the standard normal distribution.
_QUANTILE = float(stats.norm.ppf(0.975))
#: Terms whose covariance a model's file holds: ten megabytes.
_MOST_KEPT = 1000
_COVARIANCES = {
    "HC0": "robust (HC0)",
    "HC1": "robust (HC1)",
    "cluster": "robust to dependence within each",
}


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
        Intercept first. Standard errors are the square roots of the diagonal of
        `covariance_matrix`; infinite for separated columns, NaN for aliased ones.
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
        Certified distance to the optimum, √(2N(F − F*)), in standard errors; under "firth"
        an estimate of it.
    aliased, separated : tuple of str
        Columns that depend on columns before them (coefficient 0), and columns that
        separate the classes (no finite estimate).
    penalised : bool
        Whether a prior or a penalty took part.
    path : tuple of PathPoint
        The fit after each step.
    covariance : str
        Where standard errors come from: "model" is the inverse of the observed information,
        the penalty's included; "HC0", "HC1" and "cluster" are sandwiches around it.
    n_clusters : int
        0 where rows are independent.
    method : str
        "mle", or "firth" for Firth's penalised likelihood.
    penalised_log_likelihood : float
        Under "firth", the log-likelihood and ½ log|I|, with the information I in the user's
        units; else NaN.
    intervals : str
        "wald": the coefficient and 1.96 standard errors to both sides; "profile": where the
        likelihood, maximised over all other coefficients, is within ½·3.84 of its maximum,
        with p-values of likelihood-ratio tests.
    prior_shift : float
        What the intercept was corrected by for the base rate of the population; the
        likelihoods are those of the rows, without it.
    covariance_matrix : ndarray of shape (n_terms, n_terms) or None
        Covariance of the terms' coefficients; None where it was too large to be kept.
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
    covariance: str = "model"
    n_clusters: int = 0
    method: str = "mle"
    penalised_log_likelihood: float = math.nan
    intervals: str = "wald"
    prior_shift: float = 0.0
    covariance_matrix: FloatArray | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        names = [printable(term.name) for term in self.terms]
        width = max(map(len, names))
        lines = [
            f"logistic regression · {counted(self.n, 'row')} · base rate {self.base_rate:.4f} · "
            f"{self.status}: {counted(self.scans, 'scan')}, {_distance(self.bound, self.method)}",
            f"log-likelihood {self.log_likelihood:.6g} (null {self.null_log_likelihood:.6g}) · "
            f"McFadden R² {self.mcfadden_r2:.4f} · AIC {self.aic:.6g} · BIC {self.bic:.6g}",
            *self._notes(),
            "",
            f"{'':{width}}  {'coef':>11} {'std err':>10} {'z':>8} {'p':>9} "
            f"{'2.5 %':>11} {'97.5 %':>11} {'odds ×':>10}",
        ]
        for name, t in zip(names, self.terms, strict=True):
            lines.append(
                f"{name:{width}}  {t.coefficient:11.5g} {t.standard_error:10.4g} {t.z:8.2f} "
                f"{_p(t.p_value):>9} {t.low:11.5g} {t.high:11.5g} {t.odds_ratio:10.4g}"
            )
        if self.aliased:
            lines.append(f"aliased (coefficient 0): {', '.join(self.aliased)}")
        if self.separated:
            lines.append(f"separated (no finite estimate): {', '.join(self.separated)}")
        if self.status is not Status.CONVERGED:
            lines.append(f"{self.status}: {self.status.message}")
        return "\n".join(map(printable, lines))

    def _notes(self) -> list[str]:
        """Say what is not as usual."""
        notes = []
        if self.method == "firth":
            value = self.penalised_log_likelihood
            notes.append(f"Firth's penalised likelihood: {value:.6g}")
        if self.intervals == "profile":
            notes.append("intervals and p-values: of the profile likelihood")
        if self.covariance != "model":
            of = f" of {counted(self.n_clusters, 'cluster')}" if self.n_clusters else ""
            notes.append(f"standard errors: {_COVARIANCES[self.covariance]}{of}")
        if self.prior_shift:
            notes.append(f"intercept corrected by {self.prior_shift:+.4g} for the base rate")
        return notes

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

    def wald_test(
        self, hypothesis: str | Sequence[str] | npt.ArrayLike, value: npt.ArrayLike = 0.0
    ) -> HypothesisTest:
        """Test whether coefficients have given values, by their distance in standard errors.

        W = (Rβ − r)ᵀ(R C Rᵀ)⁻¹(Rβ − r), with the covariance C of this summary, so it is robust
        where the standard errors are.  Under the hypothesis it is χ² with as many degrees of
        freedom as R has rows.

        Parameters
        ----------
        hypothesis : str, sequence of str, or array-like of shape (m, n_terms)
            Names of terms, or of columns whose levels are all meant; or the matrix R, whose
            columns are the terms in order, the intercept first.
        value : float or array-like of shape (m,), default=0
            r, what the coefficients (or their combinations) are under the hypothesis.

        Returns
        -------
        HypothesisTest

        Raises
        ------
        ArgumentError
            If there is no such term, or it has no finite estimate; if restrictions
            depend on each other; if the covariance was not kept.

        Examples
        --------
        >>> from logloss import LogisticRegression
        >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0], [4.0, 3.0], [5.0, 1.0]]
        >>> found = LogisticRegression().fit(X, [0, 1, 1, 0, 0, 1]).summary()
        >>> print(found.wald_test(["x0", "x1"]))
        Wald test of x0 = 0, x1 = 0: χ²(2) = 1.068, p = 0.586
        """
        if self.covariance_matrix is None:
            raise ArgumentError(
                "hypothesis cannot be tested: this model's covariance was too large to be kept "
                "in its file. Test before saving."
            )
        names = tuple(term.name for term in self.terms)
        matrix, said = restrictions(names, hypothesis, value, self.aliased)
        coefficients = np.array([term.coefficient for term in self.terms])
        errors = np.array([term.standard_error for term in self.terms])
        used = np.any(matrix != 0, axis=0)
        for name, needed, error in zip(names, used, errors, strict=True):
            if needed and not math.isfinite(error):
                raise ArgumentError(
                    f"hypothesis: {name!r} has no finite estimate with an error of its own "
                    "(it is aliased or separated). Leave it out."
                )
        kept = self.covariance_matrix[np.ix_(used, used)]
        return wald(coefficients[used], kept, matrix[:, used], value, said)

    def likelihood_ratio_test(self, restricted: LogisticSummary) -> HypothesisTest:
        """Test whether a smaller model of the same rows says as much: 2(L − L₀).

        Parameters
        ----------
        restricted : LogisticSummary
            Of a maximum likelihood fit to the same rows, with some of these terms only.

        Returns
        -------
        HypothesisTest
            χ² with as many degrees of freedom as coefficients fewer.

        Raises
        ------
        ArgumentError
            If the models are not nested, saw other rows, or are penalised.
        """
        for name, one in (("this summary", self), ("restricted", restricted)):
            if one.penalised:
                raise ArgumentError(
                    f"{name} is of a penalised fit, whose likelihood is not at its maximum. "
                    "Fit with method='mle', prior=None and alpha=0."
                )
        same = math.isclose(self.weight, restricted.weight, rel_tol=1e-9) and math.isclose(
            self.base_rate, restricted.base_rate, rel_tol=1e-9
        )
        if self.n != restricted.n or not same:  # sums of weights may differ in their last digits
            raise ArgumentError(
                f"restricted must be fitted to the same rows: it saw {restricted.n:,}, of base "
                f"rate {restricted.base_rate:g}, and this one {self.n:,}, of {self.base_rate:g}."
            )
        mine = [term.name for term in self.terms]
        strange = [term.name for term in restricted.terms if term.name not in mine]
        if strange:
            raise ArgumentError(
                f"restricted must be nested in this model: it has {strange[0]!r}, which this has "
                "not."
            )
        theirs = {term.name for term in restricted.terms}
        return likelihood_ratio(
            self.log_likelihood,
            restricted.log_likelihood,
            len(self.terms) - len(self.aliased) - len(restricted.terms) + len(restricted.aliased),
            tuple(f"{name} = 0" for name in mine if name not in theirs),
        )

    def to_dict(self, *, matrix: bool = False) -> dict[str, Any]:
        """Return plain numbers, names and lists.

        Parameters
        ----------
        matrix : bool, default=False
            Whether to add the lower triangle of the covariance, unless it is of more than a
            thousand terms.
        """
        record = asdict(self)
        record["status"] = self.status.value
        whole = record.pop("covariance_matrix")
        if matrix and whole is not None and len(whole) <= _MOST_KEPT:
            record["covariance_matrix"] = [row[: j + 1].tolist() for j, row in enumerate(whole)]
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
            if values["covariance_matrix"] is not None:
                values["covariance_matrix"] = _symmetric(
                    values["covariance_matrix"], len(values["terms"])
                )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's summary cannot be read: {error!r}") from error
        return cls(**values)


def summarise(
    objective: Objective,
    solution: Solution,
    inference: Inference,
    *,
    null_log_likelihood: float,
    fit_intercept: bool,
    penalised: bool,
    prior_shift: float = 0.0,
    penalised_log_likelihood: float = math.nan,
    profiled: Profile | None = None,
) -> LogisticSummary:
    """Put a solution into the user's units, with its standard errors and likelihoods."""
    columns = objective.columns
    coefficient = columns.to_user_units(solution.beta)
    coefficient[0] += prior_shift
    found = covariance(objective, solution, inference)
    error = np.sqrt(np.diag(found.matrix))
    error[~solution.estimable & ~solution.separated] = np.nan
    z = np.divide(coefficient, error, out=np.full(len(error), np.nan), where=np.isfinite(error))
    p_value = 2 * special.ndtr(-np.abs(z))
    low, high = coefficient - _QUANTILE * error, coefficient + _QUANTILE * error
    if profiled is not None:
        low, high, p_value = profiled.low, profiled.high, profiled.p_value
    names = ("intercept", *columns.layout.names)
    shown = range(0 if fit_intercept else 1, len(names))
    terms = tuple(
        Term(
            name=names[j],
            coefficient=float(coefficient[j]),
            standard_error=float(error[j]),
            z=float(z[j]),
            p_value=float(p_value[j]),
            low=float(low[j]),
            high=float(high[j]),
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
        scans=solution.scans + found.scans + (profiled.scans if profiled else 0),
        bound=solution.bound,
        aliased=tuple(names[j] for j in np.flatnonzero(solution.aliased)),
        separated=tuple(names[j] for j in np.flatnonzero(solution.separated) if j > 0),
        penalised=penalised,
        path=solution.path,
        covariance=found.kind,
        n_clusters=found.n_clusters,
        method="mle" if math.isnan(penalised_log_likelihood) else "firth",
        penalised_log_likelihood=penalised_log_likelihood,
        intervals="wald" if profiled is None else "profile",
        prior_shift=prior_shift,
        covariance_matrix=found.matrix[shown.start :, shown.start :],
    )


def _typed(kind: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Pick a dataclass's fields out of a record; "inf" and "nan" become numbers again."""
    makers = {"float": float, "int": int, "str": str, "bool": bool}
    return {
        f.name: makers.get(str(f.type), _same)(record[f.name])
        if f.name in record or f.default is MISSING  # files of before it have no such field
        else f.default
        for f in fields(kind)
    }


def _symmetric(lower: Any, size: int) -> FloatArray:
    """Rebuild a symmetric matrix from the rows of its lower triangle."""
    if [len(row) for row in lower] != list(range(1, size + 1)):
        raise ValueError(f"covariance_matrix is not the lower triangle of {size} terms")
    matrix = np.zeros((size, size))
    for j, row in enumerate(lower):
        matrix[j, : j + 1] = matrix[: j + 1, j] = [float(value) for value in row]
    return matrix


def _same(value: Any) -> Any:
    return value


def _odds(coefficient: float) -> float:
    return math.exp(coefficient) if coefficient < 709 else math.inf


def _p(p_value: float) -> str:
    return "<1e-16" if p_value < 1e-16 else f"{p_value:.3g}"


def _distance(bound: float, method: str) -> str:
    """Say how far the optimum can be."""
    if math.isinf(bound):
        return "distance to the optimum unknown"
    return f"{'at most' if method == 'mle' else 'about'} {bound:.1g} SE from the optimum"
