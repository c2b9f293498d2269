"""Training: minimise the weighted mean log loss of a network, all rows at a time.

Only the optimisation is here; what a row's loss is, `logloss.formulas` says, and
what the network is, `module`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from logloss.formulas import loss_from_logits
from logloss.network.module import SigmoidNetwork


@dataclass(frozen=True)
class Training:
    """What happened while a network was trained.

    Attributes
    ----------
    losses : tuple of float
        Weighted mean log loss, in nats, at each scan over the rows; the penalty
        is not in it.  The first is that of the untrained network.
    gradient : float
        Largest entry, in absolute value, of the objective's gradient at the end.
    """

    losses: tuple[float, ...]
    gradient: float


def train(
    network: SigmoidNetwork,
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor,
    *,
    alpha: float,
    tol: float,
    max_scans: int,
) -> Training:
    r"""Minimise :math:`\sum_i w_i\,\ell(y_i, z(x_i)) + \tfrac{\alpha}{2}(\|A\|^2 + \|v\|^2)`.

    The solver is L-BFGS with a strong Wolfe line search on all rows at once: a
    small network on standardised rows is smooth enough for it, it has no
    learning rate to choose, and no order of batches enters the answer.

    Parameters
    ----------
    network : SigmoidNetwork
        Where to start; changed in place.
    x : Tensor of shape (n, n_features)
        Standardised rows.
    y, weight : Tensor of shape (n,)
        Targets in [0, 1], and weights that sum to 1.
    alpha : float
        Strength of the penalty; the biases are free.
    tol : float
        Stop when no entry of the gradient is larger than this.
    max_scans : int
        Begin no further step after so many evaluations over all rows.
    """
    parameters = list(network.parameters())
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=max_scans,
        max_eval=max_scans,
        tolerance_grad=tol,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    losses: list[float] = []

    def evaluate() -> torch.Tensor:
        optimiser.zero_grad()
        loss = weight @ loss_from_logits(y, network.logits(x), torch)
        penalty = network.hidden_weight.square().sum() + network.output_weight.square().sum()
        objective = loss + 0.5 * alpha * penalty
        objective.backward()
        losses.append(loss.item())
        return objective

    optimiser.step(evaluate)
    # The line search may end on a point that it did not evaluate last.
    evaluate()
    gradient = max(parameter.grad.abs().max().item() for parameter in parameters)
    for parameter in parameters:
        parameter.grad = None
    return Training(tuple(losses), gradient)
