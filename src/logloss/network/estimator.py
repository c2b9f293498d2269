"""`NetworkClassifier`: the network with the manners of scikit-learn.

Checks of what comes in, and the names that scikit-learn expects of what goes
out; the arithmetic is in `module` and `training`.
"""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from logloss import kernel
from logloss.design.labels import encode_labels
from logloss.errors import ArgumentError, ConvergenceWarning, WeightError
from logloss.network.module import first_network
from logloss.network.training import train


class NetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Binary classifier with one hidden layer of sigmoid units.

    It models the log-odds of the second class as

    .. math:: z(x) = c + \sum_{j=1}^{h} v_j\,\sigma(a_j^\top \tilde x + b_j)

    where :math:`\tilde x` are the standardised features, and minimises the
    weighted mean log loss plus :math:`\tfrac{\alpha}{2}(\|A\|^2 + \|v\|^2)`.
    With the hidden layer it learns what no linear predictor can, such as the
    exclusive or.

    Parameters
    ----------
    hidden : int, default=16
        Number of hidden units.
    alpha : float, default=1e-3
        Strength of the penalty on the weights, on the scale of the mean loss in
        nats.  Biases are not penalised.
    tol : float, default=1e-4
        Training stops when no entry of the gradient is larger than this.
    max_scans : int, default=1000
        No further step is begun after so many evaluations over all rows.
    random_state : int, RandomState or None, default=None
        Seed of the hidden units' first weights, the only thing that is random.
        The same seed gives the same bits on the same machine type and thread
        count.  Global generators, torch's among them, are never touched.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two classes; the second is the positive one.
    network_ : torch.nn.Module
        The trained module: rows in the user's units in, logits out.
    training_loss_ : ndarray of shape (n_scans,)
        Mean log loss, in nats and without the penalty, at each scan.  The first
        is the entropy of the base rate.
    n_iter_ : int
        Number of evaluations over all rows.
    status_ : str
        ``"converged"``, or ``"max_scans"`` when training stopped before `tol` held.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, when `fit` was given a table with text headings.

    Warns
    -----
    ConvergenceWarning
        When `max_scans` ends training before `tol` holds.

    See Also
    --------
    LogisticRegression : The same loss with a linear predictor.

    Notes
    -----
    Training starts from the best constant: the output weights are zero and the
    output bias is the log-odds of the base rate.  All rows are used at every
    step (L-BFGS), in float64, so the answer does not depend on an order of
    batches.

    References
    ----------
    .. [1] D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning
       representations by back-propagating errors", Nature 323, 533-536 (1986).
       https://doi.org/10.1038/323533a0

    Examples
    --------
    The exclusive or, which no straight line separates:

    >>> from logloss import NetworkClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> network = NetworkClassifier(random_state=0).fit(X, [0, 1, 1, 0])
    >>> network.predict(X)
    array([0, 1, 1, 0])
    >>> network.predict_proba(X)[:, 1].round(2)
    array([0.02, 0.98, 0.98, 0.02])
    """

    def __init__(
        self,
        hidden: int = 16,
        *,
        alpha: float = 1e-3,
        tol: float = 1e-4,
        max_scans: int = 1000,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.alpha = alpha
        self.tol = tol
        self.max_scans = max_scans
        self.random_state = random_state

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Train on rows and their classes.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Finite numbers, in any units.
        y : array-like of shape (n,)
            Two values of any type, or proportions: floats in [0, 1].
        sample_weight : array-like of shape (n,), optional
            Finite, not negative; a row of weight 2 counts as two rows.

        Returns
        -------
        self : NetworkClassifier

        Raises
        ------
        ArgumentError
            An option is out of its domain.
        ValueError
            From scikit-learn: `X` or `y` is not numbers, not finite, of the
            wrong shape, or `y` has other than two classes.
        WeightError
            A weight is negative, or all are zero.
        """
        self._check_options()
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        self.classes_, target = encode_labels(labels)
        weight = _weights_that_sum_to_one(sample_weight, rows)
        base_rate = float(weight @ target)
        if not 0.0 < base_rate < 1.0:
            raise ArgumentError(
                "y: all rows with weight are of one class; training needs two classes"
            )

        random = check_random_state(self.random_state)
        network = first_network(rows, weight, base_rate, int(self.hidden), random)
        training = train(
            network,
            network.standardise(torch.tensor(rows)),  # a copy: X may be read-only
            torch.from_numpy(target),
            torch.from_numpy(weight),
            alpha=float(self.alpha),
            tol=float(self.tol),
            max_scans=int(self.max_scans),
        )
        self.network_ = network
        self.training_loss_ = np.array(training.losses)
        self.n_iter_ = len(training.losses)
        self.status_ = "converged" if training.gradient <= self.tol else "max_scans"
        if self.status_ != "converged":
            warnings.warn(
                f"the network stopped after {self.n_iter_} scans with a gradient of "
                f"{training.gradient:.1e}, above tol={self.tol:g}; raise max_scans or tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logits, shape (n,): log-odds of the second class, in nats."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        with torch.inference_mode():
            logits: npt.NDArray[np.float64] = self.network_(torch.tensor(rows)).numpy()
        return logits

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probabilities of both classes, shape (n, 2), in the order of `classes_`."""
        logits = self.decision_function(X)
        return np.column_stack([kernel.sigmoid(-logits), kernel.sigmoid(logits)])

    def predict_log_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logarithm of `predict_proba`, right in the tails, shape (n, 2)."""
        logits = self.decision_function(X)
        zeros, ones = np.zeros_like(logits), np.ones_like(logits)
        return np.column_stack(
            [-kernel.losses_from_logits(zeros, logits), -kernel.losses_from_logits(ones, logits)]
        )

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the more probable class of each row, shape (n,)."""
        positive = (self.decision_function(X) > 0).astype(np.intp)
        labels: npt.NDArray[Any] = self.classes_[positive]
        return labels

    def _check_options(self) -> None:
        for name in ("hidden", "max_scans"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")
        for name in ("alpha", "tol"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= float(value) < np.inf:
                raise ArgumentError(f"{name} must be a finite number of at least 0, not {value!r}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _weights_that_sum_to_one(
    sample_weight: npt.ArrayLike | None, X: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return checked row weights on the scale of a mean."""
    if sample_weight is None:
        return np.full(len(X), 1.0 / len(X))
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.ndim != 1:
        raise ValueError(f"sample_weight must be 1D; it has {weight.ndim} dimensions")
    check_consistent_length(X, weight)
    if weight.min() < 0:
        index = int(weight.argmin())
        raise WeightError(
            f"sample_weight must not be negative; row {index} has {weight[index]:g}",
            index,
            weight[index],
        )
    total = weight.sum()
    if total == 0:
        raise WeightError("sample_weight must have a positive sum; all weights are zero")
    shares: npt.NDArray[np.float64] = weight / total
    return shares
