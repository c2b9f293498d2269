"""The penalised mean loss of a linear predictor, evaluated by one pass over the rows.

F(β) = (1/Σw) Σ w ℓ(y, xᵀβ + offset) + ½ Σ aⱼβⱼ²  in standardised columns.  How
to go down from here is the solvers' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.design.block import Block
from logloss.logistic.columns import Columns
from logloss.logistic.grids import GridSum
from logloss.logistic.standard import Standard
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

FloatArray = npt.NDArray[np.float64]

#: |xᵀd| below this leaves a row on the face of a direction d whose largest |xᵀd| is 1: far above
#: the rounding of centred columns. A row that is separated by less is met again on the face.
FACE_TOLERANCE = 1e-8
#: Standard deviation of the weakly informative normal prior (Gelman et al. 2008).
PRIOR_SCALE = 2.5


@dataclass(frozen=True)
class LinearSums:
    """What one scan tells about the loss at β; a partial.

    Attributes
    ----------
    loss : ExactSum
        Σ fl(w·ℓ), in nats.
    gradient : GridSum
        Σ w(σ(z) − y)x, in centred but unscaled columns.
    gram : ndarray of shape (size, size) or None
        Upper triangle of Σ w σ(1 − σ) x xᵀ in the same columns, when curvature was asked for.
    row_norm : float
        Largest squared length of a standardised row, one-hot levels counted as 1 each; 0
        without curvature.
    margin : float
        Smallest (2y − 1)·xᵀβ over rows of positive weight; −inf where a label is soft, and
        inf without curvature.
    """

    loss: kernel.ExactSum
    gradient: GridSum
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
        size, units = self.standard.size, self.standard.units
        beta, loss = self.beta / units, kernel.ExactSum.of(np.empty(0))
        gradient = GridSum.zero(self.standard.grid)
        gram = np.zeros((size, size)) if self.curvature else None
        inverse_scale = 1.0 / self.standard.scale if self.curvature else None
        row_norm, margin = 0.0, np.inf
        for block in blocks:
            assert block.y is not None, "a fit needs a target"
            rows = self.standard.rows(block)._replace(
                weight=on_face(self.standard, block, self.faces)
            )
            longest, smallest = kernel.linear_scan(
                rows,
                beta,
                loss=loss,
                gradient=(gradient.grid, gradient.high, gradient.low),
                gram=gram,
                inverse_scale=inverse_scale,
            )
            row_norm, margin = max(row_norm, longest), min(margin, smallest)
        return LinearSums(loss, gradient, gram, row_norm, margin)


@dataclass(frozen=True)
class TrialLosses:
    """Σ fl(w·ℓ) at each of several steps along a direction, in nats; a partial."""

    losses: tuple[kernel.ExactSum, ...]

    def __add__(self, other: Self, /) -> Self:
        return type(self)(tuple(a + b for a, b in zip(self.losses, other.losses, strict=True)))


@dataclass(frozen=True)
class TrialPass:
    """Blocks → `TrialLosses` at ``beta + step·direction`` for each step, from one read."""

    standard: Standard
    beta: FloatArray
    direction: FloatArray
    steps: tuple[float, ...]
    faces: tuple[FloatArray, ...] = ()

    def __call__(self, blocks: Iterable[Block], /) -> TrialLosses:
        """Sum the losses over these blocks."""
        units = self.standard.units
        beta, direction, steps = self.beta / units, self.direction / units, np.array(self.steps)
        losses = tuple(kernel.ExactSum.of(np.empty(0)) for _ in self.steps)
        for block in blocks:
            assert block.y is not None, "a fit needs a target"
            rows = self.standard.rows(block)._replace(
                weight=on_face(self.standard, block, self.faces)
            )
            kernel.linear_trials(rows, beta, direction, steps, losses=losses)
        return TrialLosses(losses)


def on_face(standard: Standard, block: Block, faces: tuple[FloatArray, ...]) -> FloatArray | None:
    """Weights of a block's rows, 0 off the faces; None where all rows weigh 1."""
    weight = block.weight
    for face in faces:
        off = np.abs(standard.products(block, face)) > FACE_TOLERANCE
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
        return self.columns.standard

    def evaluate(self, beta: FloatArray, *, curvature: bool) -> Evaluation:
        """Scan the rows once and return F and its derivatives at β."""
        task = LinearPass(self.standard, beta, curvature, self.faces)
        sums = self.engine.reduce(task, self.source)
        weight, units = self.columns.weight, self.standard.units
        ridge, hessian = self.penalty * beta, None
        if sums.gram is not None:
            gram = np.triu(sums.gram) / (weight * np.outer(units, units))
            hessian = gram + np.triu(gram, 1).T + np.diag(self.penalty)
        mean_loss = sums.loss.value / weight
        return Evaluation(
            beta=beta,
            mean_loss=mean_loss,
            value=mean_loss + 0.5 * float(ridge @ beta),
            gradient=sums.gradient.value / (weight * units) + ridge,
            hessian=hessian,
            row_norm=sums.row_norm,
            margin=sums.margin,
        )

    def values_along(
        self, beta: FloatArray, direction: FloatArray, steps: Sequence[float]
    ) -> FloatArray:
        """F at ``beta + step·direction`` for each step, from one scan."""
        task = TrialPass(self.standard, beta, direction, tuple(steps), self.faces)
        trials = self.engine.reduce(task, self.source).losses
        points = [beta + step * direction for step in steps]
        return np.array(
            [
                trial.value / self.columns.weight + 0.5 * float(self.penalty * point @ point)
                for trial, point in zip(trials, points, strict=True)
            ]
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
