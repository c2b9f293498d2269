"""The losses for PyTorch: drop-in for torch's own, exact in the tails, fused with linear layers.

On the processor they are the compiled kernel's, on tensors read where they lie; on other
devices, and while torch traces, those of `logloss.formulas`.
"""

from __future__ import annotations

from logloss.errors import MissingExtraError

try:
    import torch as _  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"logloss.torch needs {error.name}, which is not installed. "
        "Install the extra 'torch': pip install '.[torch]' in a clone of logloss.",
        name=error.name,
    ) from error

from logloss.torch.functional import binary_cross_entropy, binary_cross_entropy_with_logits
from logloss.torch.linear import linear_binary_cross_entropy, pairwise_sigmoid_loss
from logloss.torch.modules import BCELoss, BCEWithLogitsLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "linear_binary_cross_entropy",
    "pairwise_sigmoid_loss",
]
