"""The only caller of the compiled core: one run of rows, the calling thread, sums out.

Arrays are one-dimensional, native-endian, and of bool, integers, float32 or float64; they
may be strided. Nothing is validated here but what the compiled code reports. The files are
those of `cpp/bind_*.cpp`.
"""

from logloss.kernel.linear import (
    ColumnMoments,
    LinearRows,
    column_moments,
    linear_products,
    linear_scan,
    linear_trials,
)
from logloss.kernel.losses import (
    Faults,
    Rows,
    evaluate_logits,
    evaluate_probabilities,
    logit,
    loss_derivatives,
    losses_from_logits,
    losses_from_probabilities,
    quick_mean_at,
    quick_mean_from_logits,
    quick_mean_from_probabilities,
    sigmoid,
)
from logloss.kernel.networks import (
    DENSE_ACTIVATIONS,
    AdamParameter,
    AdamW,
    Batches,
    DenseLayer,
    DenseLayers,
)
from logloss.kernel.sums import (
    ExactSum,
    sum_rows,
)

__all__ = [
    "DENSE_ACTIVATIONS",
    "AdamParameter",
    "AdamW",
    "Batches",
    "ColumnMoments",
    "DenseLayer",
    "DenseLayers",
    "ExactSum",
    "Faults",
    "LinearRows",
    "Rows",
    "column_moments",
    "evaluate_logits",
    "evaluate_probabilities",
    "linear_products",
    "linear_scan",
    "linear_trials",
    "logit",
    "loss_derivatives",
    "losses_from_logits",
    "losses_from_probabilities",
    "quick_mean_at",
    "quick_mean_from_logits",
    "quick_mean_from_probabilities",
    "sigmoid",
    "sum_rows",
]
