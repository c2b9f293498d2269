"""Binary cross-entropy of arrays: the public functions.

All losses are in nats. The mathematics is the kernel's, the checking of arrays `arrays`',
the cutting and summing of rows `reduction`'s.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.arrays import Operands, operands, warn_if_swapped
from logloss.clipping import Clip, check_clip, clip_bounds
from logloss.errors import ArgumentError, SwappedWarning
from logloss.formulas import check_options
from logloss.kernel import Rows
from logloss.outputs import blank
from logloss.reduction import Axis, Kind, Reduction, spread

FloatArray = npt.NDArray[np.floating]


def binary_cross_entropy(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    where: npt.ArrayLike | None = None,
    axis: Axis = None,
    reduction: Kind = "mean",
    clip: Clip = None,
    n_threads: int | None = None,
) -> Any:
    r"""Binary cross-entropy, or log loss, of probability forecasts.

    .. math:: \ell(y, p) = -\left(y \log p + (1 - y) \log(1 - p)\right)

    with :math:`0 \log 0 = 0`; nothing is clipped, so a forecast of 0 or 1 that is wrong
    costs infinity.

    Parameters
    ----------
    y_true : array-like
        Labels in [0, 1]: bool, integers or floats; soft labels are welcome.
    y_prob : array-like
        Probabilities of class 1, in [0, 1]. Shapes broadcast as in NumPy.
    sample_weight : array-like, optional
        Finite, at least 0, not all 0. The mean divides by their sum.
    pos_weight : array-like, optional
        Factor of the y = 1 term; it does not enter the denominator.
    label_smoothing : float, default=0
        s in [0, 1]: y becomes y(1 − s) + s/2, before `pos_weight` and `sample_weight`.
    where : array-like of bool, optional
        Entries to look at; the others are not even checked, and 0 in an unreduced result.
    axis : int or tuple of int, optional
        Axes to reduce; all by default.
    reduction : {"mean", "sum", "none"}, default="mean"
    clip : float or {"sklearn", "keras", "torch"}, optional
        A float moves p into [clip, 1 − clip]; a name does exactly as that library:
        scikit-learn clips at the dtype's eps, Keras at 1e-7, torch clamps logarithms at −100.
    n_threads : int, optional
        All processors by default. The result does not depend on it.

    Returns
    -------
    float or ndarray
        In nats. The exact sum of the rounded rows, rounded once: the same bits in any
        order. An array for ``reduction="none"`` or where `axis` leaves axes; its dtype is
        float32 for probabilities of at most 32 bits, else float64.

    Raises
    ------
    LabelError, ProbabilityError, WeightError
        If a value breaks its rule; the message names the first, with its index.
    ArgumentError
        If shapes do not broadcast, a dtype cannot be used, or an option is out of range.

    Warns
    -----
    SwappedWarning
        If `y_prob` is all 0 and 1 while `y_true` is not.

    Examples
    --------
    >>> from logloss import binary_cross_entropy
    >>> binary_cross_entropy([1, 0, 0, 1], [0.9, 0.1, 0.2, 0.35])
    0.37092167678213506
    >>> binary_cross_entropy([1, 0], [0.0, 0.0], reduction="none")
    array([inf,  0.])
    """
    if (
        sample_weight is pos_weight is where is axis is clip is n_threads is None
        and reduction == "mean"
        and not label_smoothing
    ):
        mean = kernel.quick_mean_from_probabilities(y_true, y_prob)
        if mean is not None:
            return mean
    check_clip(clip)
    how = Reduction(reduction, axis, n_threads)
    rows = _operands(
        y_true,
        y_prob,
        "y_prob",
        label_smoothing=label_smoothing,
        reduction=how,
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    if warn_if_swapped(rows):
        warnings.warn(
            "every y_prob is 0 or 1 while y_true is not: the arguments look swapped. The "
            "order is (y_true, y_prob).",
            SwappedWarning,
            stacklevel=2,
        )
    dtype = np.asarray(y_prob).dtype
    real = dtype if dtype == np.float16 else rows.scores.dtype
    bounds = clip_bounds(clip, real)
    base = replace(_rows(rows, label_smoothing), clip=bounds)
    return how.of(rows, base, kernel.evaluate_probabilities)


def binary_cross_entropy_with_logits(
    y_true: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: npt.ArrayLike | None = None,
    axis: Axis = None,
    reduction: Kind = "mean",
    n_threads: int | None = None,
) -> Any:
    r"""Binary cross-entropy of logits :math:`z = \log\frac{p}{1-p}`, right in both tails.

    .. math:: \ell(y, z) = c\,|z| + \log(1 + e^{-|z|}), \quad
              c = 1 - y \text{ if } z > 0 \text{ else } y

    two non-negative terms, so that nothing cancels. With `gamma` above 0 it is the focal
    loss [1]_, in which rows that are well told apart count less:

    .. math:: \ell_\gamma(y, z) = y\,\sigma(-z)^\gamma \log(1 + e^{-z})
              + (1 - y)\,\sigma(z)^\gamma \log(1 + e^z)

    for soft labels too: each class keeps its own weight.

    Parameters
    ----------
    y_true : array-like
        Labels in [0, 1].
    logits : array-like
        Any float but NaN; ±inf costs 0 on the right side and infinity on the wrong one.
    gamma : float, default=0
        Focusing parameter, in [0, 1e9].
    sample_weight, pos_weight, label_smoothing, where, axis, reduction, n_threads
        As in `binary_cross_entropy`.

    Returns
    -------
    float or ndarray
        In nats; see `binary_cross_entropy`.

    Raises
    ------
    LabelError, LogitError, WeightError, ArgumentError
        As in `binary_cross_entropy`.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal loss for dense object
       detection" (2017), https://arxiv.org/abs/1708.02002

    Examples
    --------
    >>> from logloss import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits([1, 0, 1], [2.0, -1.0, 0.5])
    0.3047555609137673
    >>> binary_cross_entropy_with_logits([0], [-100.0])
    3.720075976020836e-44
    """
    if (
        sample_weight is pos_weight is where is axis is n_threads is None
        and reduction == "mean"
        and not label_smoothing
        and not gamma
    ):
        mean = kernel.quick_mean_from_logits(y_true, logits)
        if mean is not None:
            return mean
    how = Reduction(reduction, axis, n_threads)
    rows = _operands(
        y_true,
        logits,
        "logits",
        label_smoothing=label_smoothing,
        reduction=how,
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    return how.of(rows, _rows(rows, label_smoothing, gamma), kernel.evaluate_logits)


def loss_gradient(
    y_true: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: npt.ArrayLike | None = None,
    axis: Axis = None,
    reduction: Kind = "mean",
    n_threads: int | None = None,
) -> tuple[Any, FloatArray]:
    r"""Loss from logits, and its gradient :math:`w(\sigma(z) - y)`, in one pass.

    Parameters
    ----------
    y_true, logits, sample_weight, pos_weight, label_smoothing, gamma, where, axis, reduction
        As in `binary_cross_entropy_with_logits`.
    n_threads : int, optional
        As in `binary_cross_entropy_with_logits`.

    Returns
    -------
    loss : float or ndarray
        As from `binary_cross_entropy_with_logits`.
    gradient : ndarray
        Elementwise, of the unreduced, weighted loss with respect to the logits; of the
        broadcast shape, 0 where masked.

    Examples
    --------
    >>> from logloss import loss_gradient
    >>> loss, gradient = loss_gradient([1, 0], [0.0, 0.0])
    >>> gradient
    array([-0.5,  0.5])
    """
    how = Reduction(reduction, axis, n_threads)
    rows = _operands(
        y_true,
        logits,
        "logits",
        label_smoothing=label_smoothing,
        reduction=how,
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    loss, gradient, _ = _with_derivatives(
        rows, how, _rows(rows, label_smoothing, gamma), hessian=False
    )
    return loss, gradient


def loss_gradient_hessian(
    y_true: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: npt.ArrayLike | None = None,
    axis: Axis = None,
    reduction: Kind = "mean",
    n_threads: int | None = None,
) -> tuple[Any, FloatArray, FloatArray]:
    r"""Loss, gradient and second derivative :math:`w\,\sigma(z)(1 - \sigma(z))`, in one pass.

    Parameters
    ----------
    y_true, logits, sample_weight, pos_weight, label_smoothing, gamma, where, axis, reduction
        As in `binary_cross_entropy_with_logits`.
    n_threads : int, optional
        As in `binary_cross_entropy_with_logits`.

    Returns
    -------
    loss : float or ndarray
    gradient, hessian : ndarray
        Elementwise, of the unreduced, weighted loss with respect to the logits; of the
        broadcast shape, 0 where masked.

    Examples
    --------
    >>> from logloss import loss_gradient_hessian
    >>> loss, gradient, hessian = loss_gradient_hessian([1, 0], [0.0, 0.0])
    >>> hessian
    array([0.25, 0.25])
    """
    how = Reduction(reduction, axis, n_threads)
    rows = _operands(
        y_true,
        logits,
        "logits",
        label_smoothing=label_smoothing,
        reduction=how,
        sample_weight=sample_weight,
        pos_weight=pos_weight,
        where=where,
    )
    loss, gradient, hessian = _with_derivatives(
        rows, how, _rows(rows, label_smoothing, gamma), hessian=True
    )
    assert hessian is not None
    return loss, gradient, hessian


def _operands(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    scores_name: str,
    *,
    label_smoothing: float,
    reduction: Reduction,
    **others: npt.ArrayLike | None,
) -> Operands:
    """Check the options, then let the arrays in."""
    if reduction.kind not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none'; got {reduction.kind!r}.")
    if reduction.n_threads is not None and not reduction.n_threads >= 1:
        raise ArgumentError(f"n_threads must be at least 1; got {reduction.n_threads!r}.")
    check_options(label_smoothing)
    return operands(y_true, scores, scores_name=scores_name, **others)


def _rows(rows: Operands, label_smoothing: float, gamma: float = 0.0) -> Rows:
    check_options(label_smoothing, gamma)
    return Rows(
        rows.y,
        rows.scores,
        rows.weight,
        rows.pos_weight,
        smoothing=float(label_smoothing),
        gamma=float(gamma),
    )


def _with_derivatives(
    rows: Operands, reduction: Reduction, base: Rows, *, hessian: bool
) -> tuple[Any, FloatArray, FloatArray | None]:
    base = replace(
        base,
        gradient=blank(len(rows.y), rows.scores.dtype),
        hessian=blank(len(rows.y), rows.scores.dtype) if hessian else None,
    )
    loss = reduction.of(rows, base, kernel.evaluate_logits)
    assert base.gradient is not None
    second = None if base.hessian is None else spread(rows, base.hessian)
    return loss, spread(rows, base.gradient), second
