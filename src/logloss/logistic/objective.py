"""The penalised mean loss of a linear predictor, evaluated by one pass over the rows.

F(β) = (1/Σw) Σ w ℓ(y, xᵀβ + offset) + ½ Σ aⱼβⱼ²  in standardised columns.  How
to go down from here is the solvers' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from logloss import kernel
from logloss.design.block import Block
from logloss.logistic.columns import Columns
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

FloatArray = npt.NDArray[np.float64]

#: |xᵀd| below this is zero for a direction d whose largest |xᵀd| is 1: far above the
#: rounding of a linear program's vertex, far below what separates rows in practice.
FACE_TOLERANCE = 1e-8
#: Standard deviation of the weakly informative normal prior (Gelman et al. 2008).
PRIOR_SCALE = 2.5


@dataclass(frozen=True)
class Standard:
    """How a block's columns are laid out and standardised: what every linear pass carries."""

    center: FloatArray
    scale: FloatArray
    n_levels: tuple[int, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each code column's levels start in the coefficient vector."""
        first = 1 + len(self.center)
        return tuple(first + sum(self.n_levels[:k]) for k in range(len(self.n_levels)))

    @property
    def size(self) -> int:
        """Number of coefficients, the intercept included."""
        return 1 + len(self.center) + sum(self.n_levels)

    def dense(self, block: Block) -> FloatArray:
        """Intercept and standardised numbers, shape (n, 1 + p)."""
        matrix = np.empty((len(block), 1 + len(self.center)))
        matrix[:, 0] = 1.0
        np.subtract(block.numbers, self.center, out=matrix[:, 1:])
        matrix[:, 1:] /= self.scale
        return matrix

    def product(
        self, dense: FloatArray, codes: npt.NDArray[np.int32], beta: FloatArray
    ) -> FloatArray:
        """X·β for one block; β is a vector, or a matrix of several."""
        z: FloatArray = dense @ beta[: dense.shape[1]]
        for k, (start, n) in enumerate(zip(self.starts, self.n_levels, strict=True)):
            z += beta[start : start + n][codes[:, k]]
        return z

    def transposed(
        self, dense: FloatArray, codes: npt.NDArray[np.int32], rows: FloatArray
    ) -> FloatArray:
        """Xᵀ·rows for one block."""
        parts = [rows @ dense]
        for k, n in enumerate(self.n_levels):
            parts.append(np.asarray(np.bincount(codes[:, k], rows, minlength=n), np.float64))
        return np.concatenate(parts)

    def gram(self, dense: FloatArray, codes: npt.NDArray[np.int32], rows: FloatArray) -> FloatArray:
        """XᵀWX for one block, without ever storing a dummy column."""
        q = dense.shape[1]
        gram = np.empty((self.size, self.size))
        weighted = dense * rows[:, None]
        gram[:q, :q] = dense.T @ weighted
        one_hot = [
            sparse.csr_array(
                (np.ones(len(rows)), codes[:, k], np.arange(len(rows) + 1)), shape=(len(rows), n)
            )
            for k, n in enumerate(self.n_levels)
        ]
        for k, (start, n) in enumerate(zip(self.starts, self.n_levels, strict=True)):
            mine = slice(start, start + n)
            gram[mine, :q] = one_hot[k].T @ weighted
            gram[:q, mine] = gram[mine, :q].T
            for j in range(k + 1):
                other = slice(self.starts[j], self.starts[j] + self.n_levels[j])
                pair = codes[:, k].astype(np.int64) * self.n_levels[j] + codes[:, j]
                counts = np.bincount(pair, rows, minlength=n * self.n_levels[j])
                gram[mine, other] = counts.reshape(n, self.n_levels[j])
                gram[other, mine] = gram[mine, other].T
        return gram


@dataclass(frozen=True)
class LinearSums:
    """What one scan tells about the loss at β; a partial.

    Attributes
    ----------
    loss : ExactSum
        Σ fl(w·ℓ), in nats.
    gradient : ndarray of shape (size,)
        Σ w(σ(z) − y)x.
    gram : ndarray of shape (size, size) or None
        Σ w σ(1 − σ) x xᵀ, when curvature was asked for.
    row_norm : float
        Largest squared length of a row, one-hot levels counted as 1 each.
    margin : float
        Smallest (2y − 1)·xᵀβ over rows of positive weight; −inf where a label is soft.
    """

    loss: kernel.ExactSum
    gradient: FloatArray
    gram: FloatArray | None
    row_norm: float
    margin: float

    def __add__(self, other: Self, /) -> Self:
        both = self.gram is not None and other.gram is not None
        return type(self)(
            loss=self.loss + other.loss,
            gradient=self.gradient + other.gradient,
            gram=self.gram + other.gram if both else None,  # type: ignore[operator]
            row_norm=max(self.row_norm, other.row_norm),
            margin=min(self.margin, other.margin),
        )


@dataclass(frozen=True)
class LinearPass:
    """Blocks → `LinearSums` at `beta`; with `curvature`, the Gram matrix too.

    Rows on which any of `faces` is not zero are left out: they are the rows that
    a proven separation predicts perfectly.
    """

    standard: Standard
    beta: FloatArray
    curvature: bool
    faces: tuple[FloatArray, ...] = ()

    def __call__(self, blocks: Iterable[Block], /) -> LinearSums:
        """Sum loss, gradient and, when asked for, curvature over these blocks."""
        size = self.standard.size
        total = LinearSums(
            loss=kernel.ExactSum.of(np.empty(0)),
            gradient=np.zeros(size),
            gram=np.zeros((size, size)) if self.curvature else None,
            row_norm=0.0,
            margin=np.inf,
        )
        for block in blocks:
            total = total + self._of(block)
        return total

    def _of(self, block: Block) -> LinearSums:
        standard, codes, y = self.standard, block.codes, block.y
        assert y is not None, "a fit needs a target"
        dense = standard.dense(block)
        linear = standard.product(dense, codes, self.beta)
        z = linear if block.offset is None else linear + block.offset
        loss, gradient, hessian = kernel.loss_derivatives(y, z)
        weight = on_face(standard, dense, block, self.faces)
        if weight is not None:
            loss, gradient, hessian = loss * weight, gradient * weight, hessian * weight
        used = slice(None) if weight is None else weight > 0
        hard = (y == 0) | (y == 1)
        margins = np.where(hard, (2 * y - 1) * linear, -np.inf)[used]
        norms = np.einsum("ij,ij->i", dense, dense)[used]
        return LinearSums(
            loss=kernel.ExactSum.of(loss),
            gradient=standard.transposed(dense, codes, gradient),
            gram=standard.gram(dense, codes, hessian) if self.curvature else None,
            row_norm=float(norms.max(initial=0.0)) + len(standard.n_levels),
            margin=float(margins.min(initial=np.inf)),
        )


def on_face(
    standard: Standard, dense: FloatArray, block: Block, faces: tuple[FloatArray, ...]
) -> FloatArray | None:
    """Weights of a block's rows, 0 off the faces; None where all rows weigh 1."""
    weight = block.weight
    for face in faces:
        off = np.abs(standard.product(dense, block.codes, face)) > FACE_TOLERANCE
        weight = np.where(off, 0.0, 1.0 if weight is None else weight)
    return weight


@dataclass(frozen=True)
class Objective:
    """F(β), its gradient and Hessian, in standardised columns.

    Attributes
    ----------
    source, engine, columns
        The rows, what runs passes over them, and their standard.
    penalty : ndarray of shape (size,)
        aⱼ; 0 for the intercept.
    free : ndarray of shape (size,), bool
        Coefficients that may move; the others stay at zero.
    faces : tuple of ndarray
        Proven directions of separation; only rows orthogonal to them count.
    """

    source: Source[Block]
    engine: Engine
    columns: Columns
    penalty: FloatArray
    free: npt.NDArray[np.bool_]
    faces: tuple[FloatArray, ...] = ()

    @property
    def standard(self) -> Standard:
        """Layout and standardisation, as passes carry them."""
        columns = self.columns
        return Standard(columns.center, columns.scale, tuple(map(len, columns.layout.levels)))

    def evaluate(self, beta: FloatArray, *, curvature: bool) -> Evaluation:
        """Scan the rows once and return F and its derivatives at β."""
        task = LinearPass(self.standard, beta, curvature, self.faces)
        sums = self.engine.reduce(task, self.source)
        weight = self.columns.weight
        ridge = self.penalty * beta
        return Evaluation(
            beta=beta,
            mean_loss=sums.loss.value / weight,
            value=sums.loss.value / weight + 0.5 * float(ridge @ beta),
            gradient=sums.gradient / weight + ridge,
            hessian=None if sums.gram is None else sums.gram / weight + np.diag(self.penalty),
            row_norm=sums.row_norm,
            margin=sums.margin,
        )


@dataclass(frozen=True)
class Evaluation:
    """F at β, with gradient and Hessian in all coefficients; in nats per unit of weight."""

    beta: FloatArray
    mean_loss: float
    value: float
    gradient: FloatArray
    hessian: FloatArray | None
    row_norm: float
    margin: float


def penalty_weights(
    columns: Columns, *, alpha: float = 0.0, prior: str | None = None
) -> FloatArray:
    """Return aⱼ for every coefficient; the intercept's is 0.

    `alpha` counts ½·alpha·β² on the mean loss in the user's units.  ``prior="weak"``
    adds N(0, 2.5²) for numbers scaled to a standard deviation of ½, for two-valued
    numbers scaled to a span of 1, and for levels as they are.

    References
    ----------
    .. [1] A. Gelman, A. Jakulin, M. G. Pittau, Y.-S. Su, "A weakly informative default
       prior distribution for logistic and other regression models", Ann. Appl. Stat. 2 (2008).
    """
    penalty = np.full(columns.layout.size, alpha)
    numbers = slice(1, 1 + len(columns.scale))
    penalty[numbers] /= np.square(columns.scale)
    if prior == "weak":
        # per user's unit: an input of sd ½ is (x − m)/(2s); a two-valued one is x/span
        unit = np.where(columns.two_valued, columns.span, 2.0 * columns.scale)
        unit = np.where(unit > 0, unit, 1.0)
        precision = 1.0 / (PRIOR_SCALE**2 * columns.weight)
        penalty[numbers] += precision * np.square(unit / columns.scale)
        penalty[numbers.stop :] += precision
    penalty[0] = 0.0
    return penalty
