"""scikit-learn's interface to the logistic fit: validation in, attributes out, no arithmetic."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression as Peer
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from logloss import kernel
from logloss.design.block import Layout, array_source
from logloss.design.labels import encode_labels
from logloss.errors import ArgumentError, ColumnError
from logloss.logistic.covariance import Inference
from logloss.logistic.fit import MAX_SCANS, fit_logistic
from logloss.logistic.hypotheses import HypothesisTest, score
from logloss.logistic.inference import LogisticSummary
from logloss.rows.local import LocalEngine

FloatArray = npt.NDArray[np.float64]


class LogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression, at a certified optimum of the log loss.

    Minimises F(β) = (1/Σw) Σ w ℓ(y, xᵀβ) + ½ alpha Σ βⱼ², with the intercept never
    penalised, until a bound on √(2N(F − F*)) is at most `tol`: a fraction of a standard
    error, whatever the units of the columns and the number of rows. By default there is no
    penalty: maximum likelihood.

    Parameters
    ----------
    alpha : float, default=0
        Strength of the L2 penalty on the weighted mean loss, in the units of the columns
        (scikit-learn's ``C`` is 1/(alpha·Σw)).
    prior : {None, "weak"}, default=None
        "weak" adds N(0, 2.5²) for coefficients of numbers scaled to a standard deviation
        of ½, and of two-valued columns scaled to a span of 1 [1]_.
    method : {"mle", "firth"}, default="mle"
        "firth" maximises the likelihood times √|I|, with I the information [4]_: estimates
        have less bias among few rows, and are finite where columns separate the classes. It
        takes no other penalty, and its `tol` is an estimate, not a certificate.
    fit_intercept : bool, default=True
    tol : float, default=1e-3
        Certified distance to the optimum at which to stop, in standard errors.
    max_scans : int, default=100
        Passes over the rows after which to give up, with a `ConvergenceWarning`.
    covariance : {"model", "HC0", "HC1"}, default="model"
        Where standard errors come from: the inverse of the observed information, or a
        sandwich that holds where the model does not [2]_; HC1 is HC0 times n/(n − k).
        Clusters given to `fit` make it robust to dependence within them [3]_.
    intervals : {"wald", "profile"}, default="wald"
        "profile" follows the likelihood to where it is ½·3.84 below its maximum, and makes
        p-values of likelihood ratios: right where the likelihood is lopsided, as it is after
        `method="firth"` among few rows. It costs a scan of all coefficients at once for each
        step, ten or so.
    weighting : {"frequency", "sampling"}, default="frequency"
        What `sample_weight` means: how many rows a row stands for, or one over the chance
        that it was drawn. Coefficients are the same, robust standard errors are not.
    base_rate : float, optional
        Share of positives in the population, where rows were chosen or weighted by their
        class: cases and controls, undersampled negatives, balanced weights. The intercept
        is corrected for it, as by `PriorCorrection`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The second is the positive class. For proportions, ``[0, 1]``.
    coef_ : ndarray of shape (1, n_features)
    intercept_ : ndarray of shape (1,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.
    n_iter_ : ndarray of shape (1,)
        Scans of the data.
    status_ : str
        "converged", "separated", "max_scans" or "stalled".
    aliased_, separated_ : tuple of str
        Columns that depend on columns before them (coefficient 0), and columns that
        separate the classes (no finite estimate; stand-ins are returned).

    References
    ----------
    .. [1] A. Gelman, A. Jakulin, M. G. Pittau, Y.-S. Su, "A weakly informative default
       prior distribution for logistic and other regression models", Ann. Appl. Stat. 2
       (2008), https://doi.org/10.1214/08-AOAS191
    .. [2] H. White, "Maximum likelihood estimation of misspecified models", Econometrica 50
       (1982), https://doi.org/10.2307/1912526
    .. [3] K.-Y. Liang, S. L. Zeger, "Longitudinal data analysis using generalized linear
       models", Biometrika 73 (1986), https://doi.org/10.1093/biomet/73.1.13
    .. [4] D. Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80 (1993),
       https://doi.org/10.1093/biomet/80.1.27

    Examples
    --------
    >>> from logloss import LogisticRegression
    >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]
    >>> y = [0, 0, 1, 0, 1, 1]
    >>> model = LogisticRegression().fit(X, y)
    >>> model.status_
    'converged'
    >>> model.predict_proba([[2.5]]).round(3)
    array([[0.5, 0.5]])
    """

    def __init__(
        self,
        alpha: float = 0.0,
        *,
        prior: str | None = None,
        method: str = "mle",
        fit_intercept: bool = True,
        tol: float = 1e-3,
        max_scans: int = MAX_SCANS,
        covariance: str = "model",
        intervals: str = "wald",
        weighting: str = "frequency",
        base_rate: float | None = None,
    ) -> None:
        self.alpha = alpha
        self.prior = prior
        self.method = method
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_scans = max_scans
        self.covariance = covariance
        self.intervals = intervals
        self.weighting = weighting
        self.base_rate = base_rate

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        offset: npt.ArrayLike | None = None,
        clusters: npt.ArrayLike | None = None,
    ) -> Self:
        """Fit the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float32 and float64 are read as they are, without a copy. Tables of pandas,
            polars and pyarrow give the columns their names.
        y : array-like of shape (n_samples,)
            Two values of any type, of which the second in order is positive; or
            proportions in [0, 1].
        sample_weight : array-like of shape (n_samples,), optional
            Finite and at least 0.
        offset : array-like of shape (n_samples,), optional
            Added to each row's logit as it stands.
        clusters : array-like of shape (n_samples,), optional
            Names, of any type, of groups of rows that depend on each other.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where scikit-learn's own validation objects.
        WeightError, ArgumentError
            If weights or options are out of range.

        Warns
        -----
        SeparationWarning
            If columns separate the classes.
        """
        # whether numbers are finite is seen in the first scan
        numbers, labels = validate_data(
            self, X, y, dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        self.classes_, target = encode_labels(labels)
        weight = shift = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, numbers, dtype=np.float64)
        if offset is not None:
            shift = check_array(offset, ensure_2d=False, dtype=np.float64, input_name="offset")
            check_consistent_length(numbers, shift)
        groups = None if clusters is None else _numbered(clusters, numbers)
        try:
            fitted = fit_logistic(
                array_source(numbers, target, weight, shift, groups),
                Layout(self._names(numbers)),
                LocalEngine(),
                alpha=self.alpha,
                prior=self.prior,
                fit_intercept=self.fit_intercept,
                tol=self.tol,
                max_scans=self.max_scans,
                method=self.method,
                inference=Inference(
                    self.covariance, self.weighting, groups is not None, self.intervals
                ),
                base_rate=self.base_rate,
            )
        except ColumnError:  # scikit-learn has its own words for NaN and infinity
            assert_all_finite(numbers, estimator_name=type(self).__name__, input_name="X")
            raise
        summary = fitted.summary
        self.coef_ = fitted.predictor.coefficients[np.newaxis, :]
        self.intercept_ = np.array([fitted.predictor.intercept + summary.prior_shift])
        self.n_iter_ = np.array([summary.scans])
        self.status_ = str(summary.status)
        self.aliased_, self.separated_ = summary.aliased, summary.separated
        self._summary = summary
        return self

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """Return the logit of the positive class for each row, shape (n_samples,)."""
        check_is_fitted(self)
        numbers = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return np.asarray(numbers @ self.coef_[0] + self.intercept_[0], np.float64)

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return σ(−logit) and σ(logit) for each row, shape (n_samples, 2)."""
        logits = self.decision_function(X)
        return np.column_stack([kernel.sigmoid(-logits), kernel.sigmoid(logits)])

    def predict_log_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the logarithm of `predict_proba`, right in the tails, shape (n_samples, 2)."""
        logits = self.decision_function(X)
        ones = np.ones_like(logits)
        negative = kernel.losses_from_logits(np.zeros_like(logits), logits)
        return np.column_stack([-negative, -kernel.losses_from_logits(ones, logits)])

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the class with probability above ½ for each row, shape (n_samples,)."""
        positive = self.decision_function(X) > 0
        return np.asarray(self.classes_[positive.astype(np.intp)])

    def summary(self) -> LogisticSummary:
        """Return coefficients with errors and intervals, likelihoods, scans, certificate.

        Its `wald_test` and `likelihood_ratio_test` test hypotheses on the coefficients.
        """
        check_is_fitted(self)
        return self._summary

    def score_test(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        extra: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        offset: npt.ArrayLike | None = None,
    ) -> HypothesisTest:
        """Test whether columns that this fit did not have would improve it, without fitting them.

        uᵀV⁻¹u, with u the gradient of the log-likelihood in the added columns at this fit and
        V its variance: χ² with as many degrees of freedom as columns that tell something new.

        Parameters
        ----------
        X, y, sample_weight, offset
            The rows that this model was fitted to.
        extra : array-like of shape (n_samples, n_extra)
            The columns to test.

        Returns
        -------
        HypothesisTest

        Raises
        ------
        ArgumentError
            If this fit is penalised, or `extra` tells nothing new.

        Examples
        --------
        >>> from logloss import LogisticRegression
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]
        >>> y = [0, 0, 1, 0, 1, 1]
        >>> extra = [[1.0], [0.0], [2.0], [1.0], [3.0], [1.0]]
        >>> print(LogisticRegression().fit(X, y).score_test(X, y, extra))
        score test of extra0 = 0: χ²(1) = 2.172, p = 0.141
        """
        found = self.summary()
        if found.penalised:
            raise ArgumentError(
                "score_test needs a maximum likelihood fit, and this one is penalised: its "
                "gradient is not 0. Fit with prior=None and alpha=0."
            )
        numbers, labels = validate_data(self, X, y, dtype=np.float64, reset=False)
        names = getattr(extra, "columns", getattr(extra, "column_names", None))
        more = check_array(extra, dtype=np.float64, input_name="extra")
        check_consistent_length(numbers, more)
        weight = shift = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, numbers, dtype=np.float64)
        if offset is not None:
            shift = check_array(offset, ensure_2d=False, dtype=np.float64, input_name="offset")
            check_consistent_length(numbers, shift)
        if names is None:
            names = [f"extra{j}" for j in range(more.shape[1])]
        own = [self.fit_intercept, *(name not in self.aliased_ for name in self._names(numbers))]
        return score(
            array_source(np.hstack([numbers, more]), encode_labels(labels)[1], weight, shift),
            Layout((*self._names(numbers), *map(str, names))),
            LocalEngine(),
            np.r_[self.intercept_ - found.prior_shift, self.coef_[0], np.zeros(more.shape[1])],
            own=np.array([*own, *[False] * more.shape[1]]),
            extra=np.arange(len(own) + more.shape[1]) >= len(own),
        )

    def to_sklearn(self) -> Peer:
        """Return a fitted `sklearn.linear_model.LogisticRegression` with the same predictions.

        For what only knows that class: exports to ONNX or PMML, explainers, stored pipelines.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            With these `coef_`, `intercept_`, `classes_`, `n_iter_` and names of columns. Its
            ``C`` is this `alpha`, ∞ where that is 0; a prior or Firth's penalty has no
            counterpart there, so fitting it again gives another model.

        Examples
        --------
        >>> from logloss import LogisticRegression
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]
        >>> twin = LogisticRegression().fit(X, [0, 0, 1, 0, 1, 1]).to_sklearn()
        >>> twin.predict_proba([[2.5]]).round(3)
        array([[0.5, 0.5]])
        """
        check_is_fitted(self)
        strength = self.alpha * self._summary.weight
        twin = Peer(
            C=1 / strength if strength else np.inf,
            fit_intercept=self.fit_intercept,
            tol=self.tol,
            max_iter=self.max_scans,
        )
        for name in ("coef_", "intercept_", "classes_"):
            setattr(twin, name, getattr(self, name).copy())
        twin.n_iter_ = self.n_iter_.astype(np.int32)
        twin.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            twin.feature_names_in_ = self.feature_names_in_
        return twin

    def _names(self, numbers: npt.NDArray[Any]) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(numbers.shape[1])])
        return tuple(map(str, names))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _numbered(clusters: npt.ArrayLike, numbers: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Give each cluster a number."""
    named = column_or_1d(clusters)
    check_consistent_length(numbers, named)
    return np.unique(named, return_inverse=True)[1].astype(np.int64)
