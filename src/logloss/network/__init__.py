"""Networks with sigmoid units, trained on the log loss with PyTorch.

The module, its training and the scikit-learn face stand in a file each.
Mathematics of the loss lives in `logloss.formulas`, not here.
"""

from logloss.network.estimator import NetworkClassifier

__all__ = ["NetworkClassifier"]
