"""The losses as functions, with torch's arguments in torch's order."""

from __future__ import annotations

from torch import Tensor

from logloss.torch.autograd import loss_of_logits, loss_of_probabilities, quick_mean
from logloss.torch.operands import as_given, operands_of, options_of


def binary_cross_entropy_with_logits(  # noqa: PLR0917  (torch's order)
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of logits, in place of torch's function of the same name.

    .. math:: \ell = w\left(A\,\sigma(-z)^\gamma \log(1 + e^{-z})
              + B\,\sigma(z)^\gamma \log(1 + e^{z})\right)

    with :math:`A = \text{pos\_weight} \cdot y` and :math:`B = 1 - y`, after smoothing.

    Parameters
    ----------
    input : Tensor of shape (...)
        Logits, of any float dtype. ±inf costs 0 on the right side and infinity on the wrong
        one.
    target : Tensor of shape (...)
        Labels, usually in [0, 1]: bool, integers or floats. Not checked, as in torch.
    weight : Tensor, optional
        Factor of each loss; broadcasts against `input`. It does not enter the denominator of
        the mean. An entry of weight 0 costs 0, even where its loss is infinite.
    size_average, reduce : bool, optional
        torch's deprecated words for `reduction`.
    reduction : {"mean", "sum", "none"}, default="mean"
        The mean divides by the number of entries.
    pos_weight : Tensor, optional
        Factor of the y = 1 term; broadcasts against `input`.
    label_smoothing : float, default=0
        s in [0, 1]: y becomes y(1 − s) + s/2, before `pos_weight`.
    gamma : float, default=0
        Focusing parameter of the focal loss (Lin et al. 2017), in [0, 1e9].
    where : Tensor of bool, optional
        Entries that count; broadcasts against `input`. The others cost 0, whatever they hold,
        and the mean divides by the number of those that count.

    Returns
    -------
    Tensor
        In nats, of the dtype of `input`; float32 for half precision under autocast.

    Raises
    ------
    ArgumentError
        If shapes or dtypes do not fit, or an option is out of range. It is a ValueError, too.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import binary_cross_entropy_with_logits
    >>> z = torch.tensor([2.0, -1.0, float("inf")], requires_grad=True)
    >>> loss = binary_cross_entropy_with_logits(z, torch.tensor([1, 0, 1]))
    >>> loss.backward()
    >>> loss.item()
    0.14672990143299103
    >>> z.grad[:2], z.grad[2] == 0
    (tensor([-0.0397,  0.0896]), tensor(True))
    """
    bare = weight is None and pos_weight is None and where is None
    if bare and reduction == "mean" and size_average is None and reduce is None:
        loss = None if label_smoothing or gamma else quick_mean(input, target)
        if loss is not None:
            return loss
    options = options_of(
        reduction, label_smoothing, gamma, size_average=size_average, reduce=reduce
    )
    given = operands_of(input, target, weight, pos_weight, where)
    return as_given(loss_of_logits(given, options), input)


def binary_cross_entropy(  # noqa: PLR0917  (torch's order)
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    label_smoothing: float = 0.0,
    where: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of probabilities, in place of torch's function of the same name.

    .. math:: \ell = -w\left(y \max(\log p, -100) + (1 - y) \max(\log(1 - p), -100)\right)

    Where there are logits, `binary_cross_entropy_with_logits` is better: probabilities forget
    what logits know.

    Parameters
    ----------
    input : Tensor of shape (...)
        Probabilities in [0, 1], of any float dtype.
    target : Tensor of shape (...)
        Labels in [0, 1]: bool, integers or floats.
    weight, size_average, reduce, reduction, label_smoothing, where
        As in `binary_cross_entropy_with_logits`.

    Returns
    -------
    Tensor
        In nats, of the dtype of `input`; float32 for half precision under autocast.

    Raises
    ------
    ProbabilityError, LabelError
        If a value lies outside [0, 1] (eager code on the processor; else as torch does).
    ArgumentError
        If shapes or dtypes do not fit, or an option is out of range.

    Notes
    -----
    The gradient is torch's: :math:`g\,w\,(p - y)/\max((1 - p)\,p, 10^{-12})`.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import binary_cross_entropy
    >>> binary_cross_entropy(torch.tensor([0.9, 0.0]), torch.tensor([True, True]), reduction="none")
    tensor([  0.1054, 100.0000])
    """
    options = options_of(reduction, label_smoothing, size_average=size_average, reduce=reduce)
    given = operands_of(input, target, weight, None, where)
    return as_given(loss_of_probabilities(given, options), input)
