"""Networks for tables, trained on the log loss with PyTorch.

The module, its view of numbers, its training, the line beside it and the scikit-learn face stand
in a file each.  Mathematics of the loss lives in `logloss.torch`, not here.
"""

from logloss.network.estimator import NetworkClassifier
from logloss.network.module import Architecture, TableNetwork
from logloss.network.numbers import Both, Piecewise, Quantile, Robust

__all__ = [
    "Architecture",
    "Both",
    "NetworkClassifier",
    "Piecewise",
    "Quantile",
    "Robust",
    "TableNetwork",
]
