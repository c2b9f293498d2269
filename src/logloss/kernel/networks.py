"""Steps of networks of dense layers: forward, back, and AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from logloss.kernel import level
from logloss.kernel.level import _core

FloatArray = npt.NDArray[np.floating]

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
        self.core = _core.AdamW(
            level.KERNELS,
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
        self.core.step(rate, longest)


class Batches(NamedTuple):
    """Batches of rows, one after the other, and how a step is taken on each.

    Attributes
    ----------
    rows : ndarray of shape (n,), int64
        Which rows of `x` they are.
    y : ndarray of shape (n,)
        Their labels, in the same order and the dtype of the network.
    weight : ndarray of shape (members * n,)
        Weights of each batch's rows, (members, size), one batch after the other.
    sizes, trained : ndarray of shape (batches,), int64
        Rows of each batch, and how many of them, over all members, are trained on.
    rates : ndarray of shape (batches,)
        Learning rates.
    """

    rows: npt.NDArray[np.int64]
    y: FloatArray
    weight: FloatArray
    sizes: npt.NDArray[np.int64]
    trained: npt.NDArray[np.int64]
    rates: npt.NDArray[np.float64]


class DenseLayers:
    """Networks of dense layers side by side, their members, with their loss on the last one.

    Parameters
    ----------
    layers : sequence of DenseLayer
        The last is one unit wide, and has no activation.
    activations : sequence of {"relu", "tanh", "sigmoid"}
        Of each layer but the last.
    """

    def __init__(self, layers: Sequence[DenseLayer], activations: Sequence[str]) -> None:
        self._layers = _core.DenseLayers(
            level.KERNELS,
            [DENSE_ACTIVATIONS.index(name) for name in activations],
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

    def train(
        self,
        adamw: AdamW,
        x: FloatArray,
        batches: Batches,
        *,
        pos_weight: float,
        gamma: float,
        longest: float,
    ) -> list[float]:
        """Go forward and back, and take a step, for batch after batch.

        Parameters
        ----------
        adamw : AdamW
            Of the parameters of these layers, and their gradients.
        x : ndarray of shape (n_x, inputs)
            What the first layer of all members sees, of the batches' rows and of others.
        batches : Batches
        pos_weight, gamma : float
        longest : float
            See `AdamW.step`.

        Returns
        -------
        list of float
            Loss of each batch before its step, per row that a member trains on. Training ends
            with the first that is not finite.

        Raises
        ------
        IndexError
            If a batch has a row that is not in `x`.
        ValueError
            If the sizes of batches are not those of their rows, or rates are missing.
        """
        losses: list[float] = self._layers.train(
            adamw.core,
            x,
            batches.rows,
            batches.y,
            batches.weight,
            batches.sizes,
            batches.trained,
            batches.rates,
            pos_weight,
            gamma,
            longest,
        )
        return losses
