"""The only caller of the compiled core: one run of rows, the calling thread, sums out.

Arrays are one-dimensional, native-endian, and of bool, integers, float32 or float64; they
may be strided. Nothing is validated here but what the compiled code reports.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

try:
    from logloss import _core
except ImportError as error:  # pragma: no cover  (an unbuilt checkout)
    raise ImportError(
        "logloss's compiled core is missing: build it with `make demo` or `pip install .`"
    ) from error

FloatArray = npt.NDArray[np.floating]
Real = TypeVar("Real", bound=np.floating)
_KERNELS = _core.best_kernels()
_UNCLIPPED = (0.0, 1.0, math.inf)
#: Bytes of a huge page, and from which an array begins at one.
_HUGE_PAGE, _LARGE = 1 << 21, 1 << 24


class Faults(NamedTuple):
    """First rows that break a rule; −1 where none does."""

    label: int
    score: int
    weight: int


@dataclass(frozen=True)
class ExactSum:
    """A sum of doubles without error, rounded once when it is read: `math.fsum`, mergeable.

    It depends on nothing but the terms: not on their order, nor on how they were cut.

    Examples
    --------
    >>> (ExactSum.of(np.array([1e300, 1.0])) + ExactSum.of(np.array([-1e300]))).value
    1.0
    """

    _sum: Any

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Self:
        """Sum an array of shape (n,)."""
        total = _core.ExactSum()
        total.add(values)
        return cls(total)

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """Rebuild a sum from `to_bytes`; ValueError for anything of another length."""
        total = _core.ExactSum.__new__(_core.ExactSum)
        total.__setstate__(state)
        return cls(total)

    def to_bytes(self) -> bytes:
        """Return the state: 69 limbs of 32 bits in 64, and the counts of +inf, −inf and NaN."""
        return bytes(self._sum.__getstate__())

    def __add__(self, other: Self, /) -> Self:
        total = _core.ExactSum()
        total.merge(self._sum)
        total.merge(other._sum)
        return type(self)(total)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactSum):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"ExactSum({self.value!r})"

    @property
    def value(self) -> float:
        """The sum, correctly rounded; inf and NaN as `math.fsum` gives them."""
        return float(self._sum.value)


def blank(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of any content, to be filled.

    The system clears memory when it is first touched, which takes longer than all else that is
    done to a large output. `np.empty` asks for huge pages too, but begins between two of them,
    so that both ends are cleared in small ones.
    """
    size = shape if isinstance(shape, int) else math.prod(shape)
    n_bytes = size * np.dtype(dtype).itemsize
    if n_bytes < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(shape, dtype)
    pages = -(-n_bytes // _HUGE_PAGE)
    memory = mmap.mmap(-1, pages * _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return np.ndarray(shape, dtype, memory)


def sum_rows(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Exact sum of each row of a matrix, rounded once; strides may be any."""
    out = np.empty(len(values))
    _core.sum_rows(values, out)
    return out


def losses_from_logits(y: npt.NDArray[Any], logits: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Loss of each row, in the dtype of the logits."""
    loss = blank(logits.shape, logits.dtype)
    _KERNELS.losses_from_logits(y, logits, None, None, 0.0, loss, None, None, None, 0.0)
    return loss


def loss_derivatives(
    y: npt.NDArray[Any], logits: npt.NDArray[Real]
) -> tuple[npt.NDArray[Real], npt.NDArray[Real], npt.NDArray[Real]]:
    """Loss of each row with its first and second derivative, sharing one exponential."""
    loss, gradient, hessian = (blank(logits.shape, logits.dtype) for _ in range(3))
    _KERNELS.losses_from_logits(y, logits, None, None, 0.0, loss, gradient, hessian, None, 0.0)
    return loss, gradient, hessian


def losses_from_probabilities(y: npt.NDArray[Any], p: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Loss of each row, in the dtype of the probabilities."""
    loss = blank(p.shape, p.dtype)
    _KERNELS.losses_from_probabilities(y, p, None, None, 0.0, loss, None, None, _UNCLIPPED)
    return loss


def sigmoid(x: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """1/(1 + exp(−x)) of each value."""
    out = blank(x.shape, x.dtype)
    _KERNELS.sigmoid(x, out)
    return out


def logit(p: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """log(p/(1 − p)) of each value."""
    out = blank(p.shape, p.dtype)
    _KERNELS.logit(p, out)
    return out


@dataclass(frozen=True)
class Rows:
    """One run of rows for the general entry points, all arrays of one length.

    Attributes
    ----------
    y, scores : ndarray of shape (n,)
        Labels, and logits or probabilities of float32 or float64.
    weight, pos_weight : ndarray of shape (n,), optional
    smoothing : float
    gamma : float
        For logits: the focusing parameter of the focal loss.
    clip : tuple of float
        For probabilities: lowest, highest, and the largest −log p.
    loss, gradient, hessian : ndarray of shape (n,), optional
        Contiguous outputs, of the scores' dtype.
    """

    y: npt.NDArray[Any]
    scores: FloatArray
    weight: npt.NDArray[Any] | None = None
    pos_weight: npt.NDArray[Any] | None = None
    smoothing: float = 0.0
    gamma: float = 0.0
    clip: tuple[float, float, float] = _UNCLIPPED
    loss: FloatArray | None = None
    gradient: FloatArray | None = None
    hessian: FloatArray | None = None


def evaluate_logits(rows: Rows, *, total: bool) -> tuple[ExactSum | None, Faults]:
    """Fill the outputs from logits; with `total`, sum the losses exactly."""
    accumulator = _core.ExactSum() if total else None
    faults = _KERNELS.losses_from_logits(
        rows.y,
        rows.scores,
        rows.weight,
        rows.pos_weight,
        rows.smoothing,
        rows.loss,
        rows.gradient,
        rows.hessian,
        accumulator,
        rows.gamma,
    )
    return None if accumulator is None else ExactSum(accumulator), Faults(*faults)


def evaluate_probabilities(rows: Rows, *, total: bool) -> tuple[ExactSum | None, Faults]:
    """Fill the outputs from probabilities; with `total`, sum the losses exactly."""
    accumulator = _core.ExactSum() if total else None
    faults = _KERNELS.losses_from_probabilities(
        rows.y,
        rows.scores,
        rows.weight,
        rows.pos_weight,
        rows.smoothing,
        rows.loss,
        rows.gradient,
        accumulator,
        rows.clip,
    )
    return None if accumulator is None else ExactSum(accumulator), Faults(*faults)


#: Mean loss of two plain arrays of one shape, within a microsecond; None where anything is out
#: of the ordinary, for the caller to go the long way, which says what.
quick_mean_from_logits = _KERNELS.quick_mean_from_logits
quick_mean_from_probabilities = _KERNELS.quick_mean_from_probabilities
#: The same of labels and logits at two addresses, each with the letter of its dtype in the buffer
#: protocol, with the gradient of the mean written to a third address unless that is 0, and with
#: the number of rows. The caller vouches that as many values of that type lie there, dense.
quick_mean_at = _KERNELS.quick_mean_at


#: Activations that dense layers know, in the order of the compiled core.
DENSE_ACTIVATIONS = ("relu", "tanh", "sigmoid")


class DenseLayer(NamedTuple):
    """A layer of m networks side by side, and where the gradients of its weights go.

    Attributes
    ----------
    weight, weight_gradient : ndarray of shape (m, inputs, units)
        float32 or float64, as are all arrays of a network; contiguous.
    bias, bias_gradient : ndarray of shape (m, 1, units)
    """

    weight: FloatArray
    bias: FloatArray
    weight_gradient: FloatArray
    bias_gradient: FloatArray


class DenseLayers:
    """Networks of dense layers side by side, their members, with their loss on the last one.

    Parameters
    ----------
    layers : sequence of DenseLayer
        The last is one unit wide, and has no activation.
    activation : {"relu", "tanh", "sigmoid"}
    """

    def __init__(self, layers: Sequence[DenseLayer], activation: str) -> None:
        number = DENSE_ACTIVATIONS.index(activation)
        self._layers = _core.DenseLayers(
            _KERNELS,
            number,
            [layer.weight for layer in layers],
            [layer.bias for layer in layers],
            [layer.weight_gradient for layer in layers],
            [layer.bias_gradient for layer in layers],
        )

    def evaluate(
        self,
        x: FloatArray,
        y: npt.NDArray[Any],
        weight: FloatArray,
        *,
        pos_weight: float,
        gamma: float,
        scale: float,
        logits: FloatArray,
        residual: FloatArray,
        x_gradient: FloatArray | None = None,
    ) -> float:
        """Go forward and back; return the sum of the weighted losses of all members.

        Parameters
        ----------
        x : ndarray of shape (n, inputs) or (m, n, inputs)
            What the first layer sees: of all members, or of each.
        y : ndarray of shape (n,)
        weight : ndarray of shape (m, n)
        pos_weight, gamma : float
        scale : float
            All gradients are those of the sum times this.
        logits : ndarray of shape (m, n)
            What the last layer gives is added to what is there.
        residual : ndarray of shape (m, n)
            Filled with the gradient by the logits.
        x_gradient : ndarray of shape (m, n, inputs), optional
            Filled with the gradient by `x`, of each member.
        """
        total: float = self._layers.pass_rows(
            x, y, weight, pos_weight, gamma, scale, logits, residual, x_gradient
        )
        return total


class AdamParameter(NamedTuple):
    """A parameter, its gradient, and what AdamW keeps of it: contiguous, of one shape and dtype.

    Attributes
    ----------
    value, gradient, mean, square : ndarray
        Of float32 or float64.
    decay : float
        Decoupled decay of the value.
    """

    value: FloatArray
    gradient: FloatArray
    mean: FloatArray
    square: FloatArray
    decay: float


class AdamW:
    """Steps of AdamW on all parameters of a network, in place.

    Parameters
    ----------
    parameters : sequence of AdamParameter
    steps : ndarray of one float32
        Steps taken, counted on.
    betas : tuple of float
        Of the means, and of those of squares.
    epsilon : float
    """

    def __init__(
        self,
        parameters: Sequence[AdamParameter],
        steps: npt.NDArray[np.float32],
        betas: tuple[float, float],
        epsilon: float,
    ) -> None:
        self._steps = _core.AdamW(
            _KERNELS,
            [p.value for p in parameters],
            [p.gradient for p in parameters],
            [p.mean for p in parameters],
            [p.square for p in parameters],
            [p.decay for p in parameters],
            steps,
            *betas,
            epsilon,
        )

    def step(self, rate: float, longest: float) -> None:
        """Take a step at a learning rate, with the whole gradient cut to a length."""
        self._steps.step(rate, longest)


class LinearRows(NamedTuple):
    """A block as scans of a linear predictor read it, all arrays of one length.

    Attributes
    ----------
    numbers, codes : ndarray of shape (n, p) and (n, k)
        float32 or float64, and int32; any strides.
    center : ndarray of shape (p,)
        What is taken from the numbers.
    starts : ndarray of shape (k,), int64
        Where each code column's levels start among the coefficients, which are the
        intercept, one for each number, and the levels.
    y, weight, offset : ndarray of shape (n,), optional
        Products need none of them, losses need `y`.
    """

    numbers: FloatArray
    codes: npt.NDArray[np.int32]
    center: npt.NDArray[np.float64]
    starts: npt.NDArray[np.int64]
    y: npt.NDArray[Any] | None = None
    weight: npt.NDArray[Any] | None = None
    offset: npt.NDArray[Any] | None = None


def linear_scan(
    rows: LinearRows,
    beta: npt.NDArray[np.float64],
    *,
    loss: ExactSum,
    gradient: tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]],
    gram: npt.NDArray[np.float64] | None = None,
    inverse_scale: npt.NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """Add a block's losses, gradient and Gram matrix, at β, to sums in the caller's hands.

    Parameters
    ----------
    rows : LinearRows
    beta : ndarray of shape (size,)
    loss : ExactSum
        Added to in place, as are the others.
    gradient : tuple of ndarray of shape (size,)
        Grids of the terms, and the two words of their sums; see `logistic.grids`.
    gram : ndarray of shape (size, size), optional
        Its upper triangle is added to.
    inverse_scale : ndarray of shape (p,), optional
        Asks for what is returned.

    Returns
    -------
    longest : float
        Largest squared length of a row whose numbers are scaled, over rows of positive weight.
    margin : float
        Smallest (2y − 1)·xᵀβ over them; −inf where a label is soft.
    """
    return _KERNELS.linear_scan(
        *rows[:4], beta, *rows[4:], loss._sum, *gradient, gram, inverse_scale
    )


def linear_trials(
    rows: LinearRows,
    beta: npt.NDArray[np.float64],
    direction: npt.NDArray[np.float64],
    steps: npt.NDArray[np.float64],
    *,
    losses: tuple[ExactSum, ...],
) -> None:
    """Add a block's losses at β + step·direction to the sum of each step, in place."""
    sums = [loss._sum for loss in losses]
    _KERNELS.linear_trials(*rows[:4], beta, direction, steps, *rows[4:], sums)


def linear_products(rows: LinearRows, beta: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """xᵀβ of each row; its bits depend on the row alone."""
    out = np.empty(len(rows.numbers))
    _KERNELS.linear_products(*rows[:4], beta, out)
    return out


class ColumnMoments(NamedTuple):
    """Moments of a block's numbers about a shift, over rows of positive weight, shape (p,) each.

    Attributes
    ----------
    first, second : ndarray
        Σw(x − shift) and Σw(x − shift)².
    low, high : ndarray
        Smallest and largest value; inf and −inf where there is no row.
    two_valued : ndarray of bool
        Whether no other value occurs.
    """

    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    two_valued: npt.NDArray[np.bool_]


def column_moments(
    numbers: FloatArray, shift: npt.NDArray[np.float64], weight: npt.NDArray[Any] | None
) -> ColumnMoments:
    """Sum the moments of a block's numbers, in one read."""
    first, second, low, high = (np.zeros(numbers.shape[1]) for _ in range(4))
    low += np.inf
    high -= np.inf
    two_valued = np.ones(numbers.shape[1], np.uint8)
    _KERNELS.moments(numbers, shift, weight, first, second, low, high, two_valued)
    return ColumnMoments(first, second, low, high, two_valued.view(bool))
