"""A linear layer and its loss in one: no more than a chunk of the logits is ever in memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from logloss.errors import ArgumentError
from logloss.torch.fused import Labels, Layer, summed_loss
from logloss.torch.operands import (
    Options,
    as_given,
    autocasts,
    check_broadcast,
    check_float,
    check_mask,
    check_real,
    options_of,
)

#: Logits in memory at a time: 16 MiB of float32, enough for matrix products at full speed.
CHUNK = 1 << 22


def linear_binary_cross_entropy(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    *,
    pos_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
    where: Tensor | None = None,
    reduction: str = "mean",
    chunk: int = CHUNK,
) -> Tensor:
    r"""Binary cross-entropy of the logits :math:`x W^\top + b`, which are never all in memory.

    For heads with many labels: the same as a linear layer and the loss of its output, in as
    many operations, with memory for `chunk` logits instead of n·k and their gradients.

    Parameters
    ----------
    x : Tensor of shape (..., d)
        What goes into the layer; n rows.
    weight : Tensor of shape (k, d)
    bias : Tensor of shape (k,) or None
    targets : Tensor of shape (..., k)
        Labels: bool, integers or floats; bytes and bools take the least memory.
    pos_weight : Tensor of shape (k,), optional
        Factor of the y = 1 term; or one number for all.
    label_smoothing, gamma
        As in `binary_cross_entropy_with_logits`.
    where : Tensor of bool and shape (..., k), optional
        Entries that have a label; the others cost 0, and do not count in the mean.
    reduction : {"mean", "sum"}, default="mean"
        The mean is over all entries that count.
    chunk : int, default=4194304
        How many logits are in memory at a time, but at least one row or column of them.

    Returns
    -------
    Tensor of shape ()
        In nats. Differentiable by `x`, `weight` and `bias`.

    Raises
    ------
    ArgumentError
        If shapes or dtypes do not fit, or an option is out of range.

    Notes
    -----
    The gradients are computed with the loss, and kept: memory for those of `x`, `weight` and
    `bias` is taken in the forward pass. Derivatives beyond the first, forward mode,
    `torch.func`, and derivatives by `targets` or `pos_weight` take all logits at once.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import linear_binary_cross_entropy
    >>> x, weight = torch.ones(2, 3), torch.zeros(4, 3, requires_grad=True)
    >>> loss = linear_binary_cross_entropy(x, weight, None, torch.eye(2, 4) > 0)
    >>> loss.backward()
    >>> loss.item(), weight.grad[:, 0]
    (0.6931471824645996, tensor([0.0000, 0.0000, 0.1250, 0.1250]))
    """
    if reduction == "none":
        raise ArgumentError("reduction must be 'mean' or 'sum', since no chunk's losses are kept.")
    options = options_of(reduction, label_smoothing, gamma)
    _check_layer(x, weight, bias, chunk)
    check_real("targets", targets)
    k = weight.shape[0]
    if targets.shape != (*x.shape[:-1], k):
        raise ArgumentError(
            f"targets must have the shape {(*x.shape[:-1], k)}, of x and weight; "
            f"their shape is {tuple(targets.shape)}."
        )
    if pos_weight is not None:
        check_real("pos_weight", pos_weight)
        check_broadcast("pos_weight", pos_weight, "a row of targets", weight.shape[:1])
    if where is not None:
        check_mask(where)
        check_broadcast("where", where, "targets", targets.shape)
        where = where.expand(targets.shape)
    n = math.prod(x.shape[:-1])
    labels = Labels(
        targets.reshape(n, k),
        None if pos_weight is None else pos_weight.expand(k),
        None if where is None else where.reshape(n, k),
    )
    layer = Layer(x.reshape(n, x.shape[-1]), weight, bias)
    loss = summed_loss(layer, labels, options._replace(reduction="sum"), chunk)
    if reduction == "mean":
        loss = _mean(loss, targets.numel() if where is None else where.sum())
    return as_given(loss, x)


def pairwise_sigmoid_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    bias: Tensor | float,
    *,
    chunk: int = CHUNK,
) -> Tensor:
    r"""Sigmoid loss of all pairs of images and texts (SigLIP), a chunk of pairs at a time.

    .. math:: -\frac{1}{n} \sum_{i,j} \log \sigma\left(l_{ij}
              (t\, x_i \cdot y_j + b)\right), \quad l_{ij} = 1 \text{ if } i = j \text{ else } -1

    Parameters
    ----------
    image : Tensor of shape (n, d)
        Embeddings, usually of length 1.
    text : Tensor of shape (m, d)
        Row i belongs to image i; rows beyond n belong to none.
    scale : Tensor of one entry, or float
        t itself, not its logarithm.
    bias : Tensor of one entry, or float
        b.
    chunk : int, default=4194304
        How many pairs are in memory at a time, but at least all of one image or text.

    Returns
    -------
    Tensor of shape ()
        In nats per image. Differentiable by all four.

    Raises
    ------
    ArgumentError
        If shapes or dtypes do not fit.

    References
    ----------
    Zhai et al. (2023), Sigmoid Loss for Language Image Pre-Training.

    Examples
    --------
    >>> import torch
    >>> from logloss.torch import pairwise_sigmoid_loss
    >>> pairwise_sigmoid_loss(torch.eye(4), torch.eye(4), 10.0, -10.0)
    tensor(0.6933)
    """
    _check_layer(image, text, None, chunk, names=("image", "text"))
    if image.ndim != 2:
        raise ArgumentError(f"image must have the shape (n, d); its shape is {tuple(image.shape)}.")
    factor, shift = (_one_entry(n, v, image) for n, v in (("scale", scale), ("bias", bias)))
    # the chain rule through both is torch's own: these products are small
    n, m = image.shape[0], text.shape[0]  # `len` would have an export fix both
    layer = Layer(image * factor, text, shift.expand(m))
    loss = summed_loss(layer, Labels(), Options("sum"), chunk)
    return as_given(_mean(loss, n), image)


def _check_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    chunk: int,
    names: tuple[str, str] = ("x", "weight"),
) -> None:
    """Raise ArgumentError unless the tensors make a linear layer, and a chunk is a number."""
    for name, tensor in zip(names, (x, weight), strict=True):
        check_float(name, tensor)
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ArgumentError(
            f"{names[0]} and {names[1]} must have the shapes (..., d) and (k, d); "
            f"they are {tuple(x.shape)} and {tuple(weight.shape)}."
        )
    if bias is not None:
        check_float("bias", bias)
        if bias.shape != weight.shape[:1]:
            raise ArgumentError(
                f"bias must have the shape {tuple(weight.shape[:1])}; "
                f"its shape is {tuple(bias.shape)}."
            )
    for name, tensor in ((names[1], weight), ("bias", bias)):
        if tensor is not None and tensor.dtype is not x.dtype and not autocasts(x):
            raise ArgumentError(
                f"{names[0]} and {name} must be of one dtype; they are of {x.dtype} "
                f"and {tensor.dtype}."
            )
    if not isinstance(chunk, int | torch.SymInt) or chunk < 1:
        raise ArgumentError(f"chunk must be an integer of at least 1; got {chunk!r}.")


def _mean(total: Tensor, count: Tensor | int) -> Tensor:
    """Divide; over nothing the mean is NaN, and moves nothing: 0/0 in the slopes would spread."""
    if isinstance(count, Tensor):
        return torch.where(count > 0, total / count.clamp(min=1), math.nan)
    return total / count if count else 0 * total + math.nan


def _one_entry(name: str, value: Tensor | float, like: Tensor) -> Tensor:
    """Return a tensor of shape (1,) that is still differentiable by `value`."""
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if tensor.numel() != 1:
        raise ArgumentError(f"{name} must be one number; its shape is {tuple(tensor.shape)}.")
    return tensor.reshape(1)
