"""A linear layer and its loss in one: no more than a chunk of the logits is ever in memory.

The loss needs no sum over a row, so the gradient of a logit is known as soon as the logit is:
it overwrites it, goes into the gradients of inputs and weights, and is forgotten.
"""

from __future__ import annotations

import torch
from torch import Tensor

from logloss.errors import ArgumentError
from logloss.torch.fused import Labels, Layer, fused_loss
from logloss.torch.operands import Options, check_float, check_options, result_dtype

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
        Factor of the y = 1 term; one number, or anything that broadcasts to (n, k).
    label_smoothing, gamma
        As in `binary_cross_entropy_with_logits`.
    where : Tensor of bool and shape (..., k), optional
        Entries that have a label; the others cost 0, and do not count in the mean.
    reduction : {"mean", "sum"}, default="mean"
        The mean is over all entries.
    chunk : int, default=4194304
        How many logits are in memory at a time.

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
    `bias` is taken in the forward pass. Derivatives beyond the first, forward mode and
    `torch.func` compose the layer and its loss, with all logits.

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
    check_options(label_smoothing, gamma, where)
    if reduction not in ("mean", "sum"):
        raise ArgumentError(
            f"reduction must be 'mean' or 'sum', since no chunk's losses are kept; "
            f"got {reduction!r}."
        )
    _check(x, weight, bias, chunk)
    n_labels = len(weight)
    if targets.shape != (*x.shape[:-1], n_labels):
        raise ArgumentError(
            f"targets must have the shape {(*x.shape[:-1], n_labels)}, of x and weight; "
            f"their shape is {tuple(targets.shape)}."
        )
    shape = (targets.shape[:-1].numel(), n_labels)
    masses, mask = (
        _lines(name, tensor, targets, shape)
        for name, tensor in (("pos_weight", pos_weight), ("where", where))
    )
    loss = fused_loss(
        Layer(x.reshape(shape[0], x.shape[-1]), weight, bias),
        Labels(targets.reshape(shape), masses, mask),
        Options(float(label_smoothing), float(gamma), "sum"),
        divisor=targets.numel() if reduction == "mean" and mask is None else 1,
        chunk=chunk,
    )
    if mask is not None and reduction == "mean":
        loss = loss / mask.sum()
    return loss.to(result_dtype(x))


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
    scale : Tensor of shape () or float
        t itself, not its logarithm.
    bias : Tensor of shape () or float
        b.
    chunk : int, default=4194304
        How many pairs are in memory at a time.

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
    if image.ndim != 2:
        raise ArgumentError(f"image must have the shape (n, d); its shape is {tuple(image.shape)}.")
    _check(image, text, None, chunk, names=("image", "text"))
    # the chain rule through scale and bias is torch's own: these products are small
    loss = fused_loss(
        Layer(image * scale, text, _number(bias, image).expand(len(text))),
        Labels(),
        Options(reduction="sum"),
        divisor=len(image),
        chunk=chunk,
    )
    return loss.to(result_dtype(image))


def _check(
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
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ArgumentError(
            f"bias must have the shape {tuple(weight.shape[:1])}; its shape is {tuple(bias.shape)}."
        )
    if chunk < 1:
        raise ArgumentError(f"chunk must be at least 1; got {chunk!r}.")


def _number(value: Tensor | float, like: Tensor) -> Tensor:
    """Return a tensor of shape (1,) that is still differentiable by `value`."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(1)


def _lines(
    name: str, tensor: Tensor | None, targets: Tensor, shape: tuple[int, int]
) -> Tensor | None:
    """Broadcast to the targets, in lines of one row each; a view where one is enough."""
    if tensor is None:
        return None
    if tensor.ndim <= 1:
        targets = targets.reshape(shape)
    try:
        return tensor.expand(targets.shape).reshape(shape)
    except RuntimeError as error:
        raise ArgumentError(
            f"{name} must broadcast to the shape of targets, {tuple(targets.shape)}; "
            f"its shape is {tuple(tensor.shape)}."
        ) from error
