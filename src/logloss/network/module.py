"""The network as a PyTorch module: one hidden layer of sigmoid units, a logit out.

Here are the architecture and its first weights.  Nothing here knows a loss or
an optimiser.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


class SigmoidNetwork(nn.Module):  # type: ignore[misc]
    r"""One hidden layer of sigmoid units between the features and a logit.

    .. math:: z(x) = c + v^\top \sigma\bigl(A\,\tfrac{x - m}{s} + b\bigr)

    The output has no sigmoid of its own: the loss takes the logit, where
    nothing is lost to rounding.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_features,)
        `m` and `s`: centre and unit of each feature.
    hidden_weight : ndarray of shape (hidden, n_features)
        First value of `A`.
    hidden_bias : ndarray of shape (hidden,)
        First value of `b`.
    output_bias : float
        First value of `c`; `v` starts at zero.
    """

    def __init__(
        self,
        mean: npt.NDArray[np.float64],
        scale: npt.NDArray[np.float64],
        hidden_weight: npt.NDArray[np.float64],
        hidden_bias: npt.NDArray[np.float64],
        output_bias: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.hidden_weight = nn.Parameter(torch.from_numpy(hidden_weight))
        self.hidden_bias = nn.Parameter(torch.from_numpy(hidden_bias))
        self.output_weight = nn.Parameter(torch.zeros_like(self.hidden_bias))
        self.output_bias = nn.Parameter(torch.tensor(output_bias, dtype=torch.float64))

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """Return features in units of their spread, centred."""
        return (x - self.mean) / self.scale

    def logits(self, standardised: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape (n,), of rows that are already standardised."""
        activations = torch.sigmoid(
            torch.addmm(self.hidden_bias, standardised, self.hidden_weight.T)
        )
        return activations @ self.output_weight + self.output_bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape (n,), of rows in the user's units."""
        return self.logits(self.standardise(x))


def first_network(
    X: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    base_rate: float,
    hidden: int,
    random: np.random.RandomState,
) -> SigmoidNetwork:
    """Return a network that predicts the base rate for every row.

    The output weights are zero and the output bias is the log-odds of the base
    rate, so the first loss is the entropy of the base rate: training starts
    from the best constant and can only improve on it.  The hidden units are
    drawn, because equal units would stay equal.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Features in the user's units.
    weight : ndarray of shape (n,)
        Row weights that sum to 1.
    base_rate : float
        Weighted mean of the target, inside (0, 1).
    hidden : int
        Number of hidden units.
    random : RandomState
        Source of all randomness; torch's own generators are left alone.
    """
    mean = weight @ X
    scale = np.sqrt(weight @ np.square(X - mean))
    # A spread at the level of rounding belongs to a constant column.
    scale[scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)] = 1.0
    # Standardised rows have squared length n_features on average: dividing by
    # its root keeps the units in the bent part of the sigmoid for any width.
    hidden_weight = random.standard_normal((hidden, X.shape[1])) / np.sqrt(X.shape[1])
    hidden_bias = random.standard_normal(hidden)
    return SigmoidNetwork(
        mean, scale, hidden_weight, hidden_bias, float(np.log(base_rate) - np.log1p(-base_rate))
    )
