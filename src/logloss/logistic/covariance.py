"""Covariance of the coefficients: as the model says, or as the rows themselves say.

The model says the inverse of the information B = Σ w σ(1 − σ) x xᵀ, which is right where the
model is.  The sandwich B⁻¹ M B⁻¹ needs less: M is the sum of squares of what each row, or
each cluster of rows, adds to the gradient.

H. White, "Maximum likelihood estimation of misspecified models", Econometrica 50 (1982);
K.-Y. Liang and S. Zeger, "Longitudinal data analysis using generalized linear models",
Biometrika 73 (1986).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from logloss import kernel
from logloss.design.block import Block
from logloss.errors import ArgumentError
from logloss.logistic.columns import Columns
from logloss.logistic.gram import add_gram, standardised
from logloss.logistic.minimise import Solution
from logloss.logistic.objective import FloatArray, LinearPass, LinearSums, Objective
from logloss.logistic.standard import Standard

Meat = Literal["none", "frequency", "sampling", "cluster"]

#: Reciprocal condition below which eigenvalues decide which directions have information.
_SINGULAR = 1e-10
#: Numbers that the scores of all clusters may take: a gigabyte.
_MOST_SCORES = 2**27


@dataclass(frozen=True)
class Inference:
    """What a fit is asked to say about its coefficients.

    Attributes
    ----------
    covariance : {"model", "HC0", "HC1"}
    weighting : {"frequency", "sampling"}
        Whether a weight counts rows, or mends how rows were chosen.
    clustered : bool
        Whether blocks carry clusters.
    intervals : {"wald", "profile"}
    """

    covariance: str = "model"
    weighting: str = "frequency"
    clustered: bool = False
    intervals: str = "wald"

    def check(self) -> None:
        """Raise ArgumentError for a value that is out of range, or a pair that clashes."""
        if self.covariance not in ("model", "HC0", "HC1"):
            raise ArgumentError(
                f"covariance must be 'model', 'HC0' or 'HC1'; got {self.covariance!r}."
            )
        if self.weighting not in ("frequency", "sampling"):
            raise ArgumentError(
                f"weighting must be 'frequency' or 'sampling'; got {self.weighting!r}."
            )
        if self.intervals not in ("wald", "profile"):
            raise ArgumentError(f"intervals must be 'wald' or 'profile'; got {self.intervals!r}.")
        if self.intervals == "profile" and self.kind != "model":
            raise ArgumentError(
                f"intervals='profile' takes the model for right, and the covariance asked for, "
                f"{self.kind!r}, does not: give one of the two."
            )
        if self.clustered and self.covariance != "model":
            raise ArgumentError(
                f"covariance={self.covariance!r} takes rows for independent, and clusters say that "
                "they are not: give one of the two."
            )
        if self.weighting == "sampling" and self.kind == "model":
            raise ArgumentError(
                "weighting='sampling' leaves the model without a count of rows, so its own "
                "covariance means nothing: ask for covariance='HC1', or give clusters."
            )

    @property
    def kind(self) -> str:
        """What the covariance is called: "model", "HC0", "HC1" or "cluster"."""
        return "cluster" if self.clustered else self.covariance


@dataclass(frozen=True)
class ClusterScores:
    """Σ w(σ(z) − y)x of each cluster; a partial.

    Attributes
    ----------
    names : ndarray of shape (g,), int64
        Numbers of the clusters, ascending.
    sums : ndarray of shape (g, size)
    """

    names: npt.NDArray[np.int64]
    sums: FloatArray

    def __add__(self, other: Self, /) -> Self:
        if np.array_equal(self.names, other.names):
            return type(self)(self.names, self.sums + other.sums)
        names = np.union1d(self.names, other.names)
        width = self.sums.shape[1]
        if len(names) * width > _MOST_SCORES:
            raise ArgumentError(
                f"clusters: {len(names):,} clusters of {width:,} coefficients each need more than "
                "a gigabyte. Name larger clusters, or ask for covariance='HC1'."
            )
        sums = np.zeros((len(names), width))
        sums[np.searchsorted(names, self.names)] = self.sums
        sums[np.searchsorted(names, other.names)] += other.sums
        return type(self)(names, sums)


@dataclass(frozen=True)
class Scores:
    """What the rows say about the certainty of coefficients; a partial.

    Attributes
    ----------
    linear : LinearSums
        The gradient, and Σ w σ(1 − σ) x xᵀ.
    meat : ndarray of shape (size, size) or None
        Upper triangle of Σ w(σ(z) − y)² x xᵀ, with w² for sampling weights, in unscaled
        columns.
    clusters : ClusterScores or None
    """

    linear: LinearSums
    meat: FloatArray | None
    clusters: ClusterScores | None

    def __add__(self, other: Self, /) -> Self:
        meat, clusters = self.meat, self.clusters
        if meat is not None and other.meat is not None:
            meat = meat + other.meat
        if clusters is not None and other.clusters is not None:
            clusters = clusters + other.clusters
        return type(self)(self.linear + other.linear, meat, clusters)

    def gradient(self, standard: Standard) -> FloatArray:
        """Σ w(σ(z) − y)x in standardised columns."""
        return self.linear.gradient.value / standard.units

    def bread(self, standard: Standard) -> FloatArray:
        """Σ w σ(1 − σ) x xᵀ in standardised columns."""
        assert self.linear.gram is not None
        return standardised(self.linear.gram, standard.units)


@dataclass(frozen=True)
class ScoresPass:
    """Blocks → `Scores` at `beta`."""

    standard: Standard
    beta: FloatArray
    meat: Meat = "none"

    def __call__(self, blocks: Iterable[Block], /) -> Scores:
        """Sum over these blocks."""
        size = self.standard.size
        linear = LinearPass(self.standard, self.beta, curvature=True)
        meat = np.zeros((size, size)) if self.meat in ("frequency", "sampling") else None
        clusters = None
        if self.meat == "cluster":
            clusters = ClusterScores(np.empty(0, np.int64), np.empty((0, size)))
        total = linear(())
        for block in blocks:
            total = total + linear((block,))
            if meat is not None:
                residual, weight = self._residuals(block)
                power = weight if self.meat == "frequency" else np.square(weight)
                add_gram(meat, self.standard, block, power * np.square(residual))
            elif clusters is not None:
                residual, weight = self._residuals(block)
                clusters = clusters + _by_cluster(self.standard, block, weight, residual)
        return Scores(total, meat, clusters)

    def _residuals(self, block: Block) -> tuple[FloatArray, FloatArray]:
        """σ(z) − y and the weight of each row."""
        assert block.y is not None, "a fit needs a target"
        z = self.standard.products(block, self.beta)
        if block.offset is not None:
            z = z + block.offset
        _, residual, _ = kernel.loss_derivatives(block.y, z)
        return residual, np.ones(len(z)) if block.weight is None else block.weight


def _by_cluster(
    standard: Standard, block: Block, weight: FloatArray, residual: FloatArray
) -> ClusterScores:
    """Σ w(σ(z) − y)x of each cluster of one block; rows of weight 0 make no cluster."""
    assert block.cluster is not None, "clusters were promised"
    used = np.flatnonzero(weight)
    names, member = np.unique(block.cluster[used], return_inverse=True)
    rows = weight[used] * residual[used]
    gather = sparse.csr_array((rows, (member, used)), shape=(len(names), len(weight)))
    sums = np.empty((len(names), standard.size))
    dense = standard.dense(block)
    sums[:, : dense.shape[1]] = gather @ dense
    for k, (start, n) in enumerate(zip(standard.starts, standard.n_levels, strict=True)):
        pair = member * n + block.codes[used, k]
        counts = np.bincount(pair, rows, minlength=len(names) * n)
        sums[:, start : start + n] = counts.reshape(len(names), n)
    return ClusterScores(names, sums)


@dataclass(frozen=True)
class Covariance:
    """Covariance of the coefficients in the user's units.

    Attributes
    ----------
    matrix : ndarray of shape (size, size)
        Rows and columns of aliased coefficients are 0; variances of separated ones infinite.
    kind : str
        "model", "HC0", "HC1" or "cluster".
    n_clusters : int
        0 where rows are independent.
    scans : int
        Passes that it took.
    """

    matrix: FloatArray
    kind: str
    n_clusters: int = 0
    scans: int = 0


def covariance(objective: Objective, solution: Solution, inference: Inference) -> Covariance:
    """Estimate the covariance of a solution's coefficients.

    Raises
    ------
    ArgumentError
        If there are fewer than two clusters, or too many to hold.
    """
    columns, kept = objective.columns, np.flatnonzero(solution.estimable)
    if inference.kind == "model":
        inner = inverse(columns.weight * solution.hessian[np.ix_(kept, kept)])
        return Covariance(_in_user_units(columns, solution, inner), "model")
    meat: Meat = "frequency" if inference.weighting == "frequency" else "sampling"
    task = ScoresPass(objective.standard, solution.beta, "cluster" if inference.clustered else meat)
    scores = objective.engine.reduce(task, objective.source)
    n = columns.n_effective if inference.weighting == "frequency" else float(columns.n)
    factor, n_clusters = 1.0, 0
    if scores.clusters is not None:
        n_clusters = len(scores.clusters.names)
        if n_clusters < 2:
            raise ArgumentError(
                f"clusters must be at least two; there is {n_clusters}. Give one name per group "
                "of rows that depend on each other."
            )
        middle = scores.clusters.sums.T @ scores.clusters.sums
        factor = n_clusters / (n_clusters - 1) * _correction(n - 1, n - len(kept))
    else:
        assert scores.meat is not None
        middle = standardised(scores.meat, objective.standard.units)
        if inference.kind == "HC1":
            factor = _correction(n, n - len(kept))
    bread = scores.bread(objective.standard) + columns.weight * np.diag(objective.penalty)
    outer = inverse(bread[np.ix_(kept, kept)])
    inner = outer @ middle[np.ix_(kept, kept)] @ outer
    matrix = _in_user_units(columns, solution, factor * inner)
    return Covariance(matrix, inference.kind, n_clusters, scans=1)


def _correction(n: float, freedom: float) -> float:
    """n/freedom; NaN where there are no more rows than coefficients."""
    return n / freedom if freedom > 0 else math.nan


def inverse(information: FloatArray) -> FloatArray:
    """Invert a positive semidefinite matrix, scaled to a unit diagonal first.

    A rare level costs no digits that way; directions without information get none.
    """
    if not len(information):
        return information
    unit = np.sqrt(np.diag(information))
    unit[unit == 0] = 1.0
    result: FloatArray = _pseudo_inverse(information / np.outer(unit, unit)) / np.outer(unit, unit)
    return result


def _pseudo_inverse(matrix: FloatArray) -> FloatArray:
    """Invert by Cholesky's factors; by eigenvalues, which take long, where those are no use."""
    factor, failed = linalg.lapack.dpotrf(matrix, lower=1)
    norm = float(np.abs(matrix).sum(axis=0).max())
    if not failed and linalg.lapack.dpocon(factor, norm, uplo="L")[0] > _SINGULAR:
        inverse_factor = np.tril(linalg.lapack.dtrtri(factor, lower=1)[0])
        return np.asarray(inverse_factor.T @ inverse_factor)
    return np.asarray(linalg.pinvh(matrix))


def _in_user_units(columns: Columns, solution: Solution, inner: FloatArray) -> FloatArray:
    """Put the covariance of the estimable, standardised coefficients into the user's units."""
    size, kept = columns.layout.size, np.flatnonzero(solution.estimable)
    whole = np.zeros((size, size))
    whole[np.ix_(kept, kept)] = inner
    jacobian = columns.to_user_units_matrix()
    result: FloatArray = jacobian @ whole @ jacobian.T
    separated = np.flatnonzero(solution.separated)
    result[separated, separated] = np.inf
    return result
