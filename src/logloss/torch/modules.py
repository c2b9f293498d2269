"""The losses as modules: torch's own, with another forward."""

from __future__ import annotations

from torch import Tensor, nn

from logloss.torch.autograd import quick_mean
from logloss.torch.functional import binary_cross_entropy, binary_cross_entropy_with_logits


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):  # type: ignore[misc]
    """Binary cross-entropy of logits, in place of `torch.nn.BCEWithLogitsLoss`.

    Parameters
    ----------
    weight, size_average, reduce, reduction, pos_weight, label_smoothing, gamma
        As in `binary_cross_entropy_with_logits`. `weight` and `pos_weight` are buffers, as in
        torch.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import BCEWithLogitsLoss
    >>> loss = BCEWithLogitsLoss(label_smoothing=0.1)
    >>> loss(torch.zeros(3), torch.tensor([0, 1, 1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        gamma: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction, pos_weight)
        self.label_smoothing = label_smoothing
        self.gamma = gamma

    def forward(self, input: Tensor, target: Tensor, *, where: Tensor | None = None) -> Tensor:
        """Return the loss of logits; see `binary_cross_entropy_with_logits`."""
        weights = self._buffers
        if (
            where is None
            and self.reduction == "mean"
            and not self.label_smoothing
            and not self.gamma
            and weights.get("weight", self) is None
            and weights.get("pos_weight", self) is None
        ):
            loss = quick_mean(input, target)
            if loss is not None:
                return loss
        return binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            label_smoothing=self.label_smoothing,
            gamma=self.gamma,
            where=where,
        )

    def extra_repr(self) -> str:
        """Show the options that are on."""
        options = {"label_smoothing": self.label_smoothing, "gamma": self.gamma}
        return ", ".join(f"{name}={value}" for name, value in options.items() if value)


class BCELoss(nn.BCELoss):  # type: ignore[misc]
    """Binary cross-entropy of probabilities, in place of `torch.nn.BCELoss`.

    Parameters
    ----------
    weight, size_average, reduce, reduction, label_smoothing
        As in `binary_cross_entropy`. `weight` is a buffer, as in torch.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import BCELoss
    >>> BCELoss()(torch.tensor([0.9, 0.2]), torch.tensor([1, 0]))
    tensor(0.1643)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        *,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor, *, where: Tensor | None = None) -> Tensor:
        """Return the loss of probabilities; see `binary_cross_entropy`."""
        return binary_cross_entropy(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            where=where,
        )

    def extra_repr(self) -> str:
        """Show the options that are on."""
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
