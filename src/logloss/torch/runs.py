"""Tensors → the kernel: views without a copy, runs for threads, exact sums.

What a loss is, the kernel says; what torch makes of it, `autograd`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch._C import _len_torch_dispatch_stack

from logloss import kernel
from logloss.kernel import ExactSum, Faults, Rows
from logloss.threads import map_ordered
from logloss.torch.operands import HALF, Operands, Options

Array = npt.NDArray[Any]
Evaluate = Callable[..., tuple[ExactSum | None, Faults]]

#: Fewest entries that one thread takes at a time: handing them out costs a tenth of the work.
_RUN = 1 << 17
#: Most runs that entries are cut into: enough that threads end together on a busy machine.
_MOST_RUNS = 16
_PLAIN = (Tensor, torch.nn.Parameter)
_UNCLIPPED = (0.0, 1.0, math.inf)
_NO_FAULT = Faults(-1, -1, -1)

#: The sum of no terms.
NOTHING = ExactSum.of(np.empty(0))


def readable(given: Operands) -> bool:
    """Whether the kernel can read all tensors where they lie, and nothing is being traced."""
    for tensor in given:
        if tensor is not None and not (
            tensor.is_cpu and type(tensor) in _PLAIN and tensor.layout is torch.strided
        ):
            return False
    return not _len_torch_dispatch_stack()


def evaluate_tensors(
    given: Operands,
    options: Options,
    evaluate: Evaluate = kernel.evaluate_logits,
    *,
    gradient: bool = False,
    clip: tuple[float, float, float] = _UNCLIPPED,
) -> tuple[Tensor, Tensor | None, Faults]:
    """Let the kernel evaluate readable tensors, each where it lies.

    Returns
    -------
    loss : Tensor
        Reduced; the sum is exact and rounded once.
    gradient : Tensor of the scores' shape, or None
        Of weight times loss, of each entry.
    faults : Faults
        First entries that break a rule.
    """
    scores = given.scores
    # channels_last and its like stay as they are, if the target lies in the same order
    order = "K" if given.bare and scores.stride() == given.target.stride() else "C"
    layout = torch.preserve_format if order == "K" else torch.contiguous_format
    slopes = torch.empty_like(scores, memory_format=layout) if gradient else None
    unreduced = options.reduction == "none"
    losses = torch.empty_like(scores, memory_format=layout) if unreduced else None
    total, faults = run_kernel(
        given,
        options,
        evaluate,
        order,
        loss=losses,
        gradient=slopes,
        total=not unreduced,
        clip=clip,
    )
    if losses is not None:
        return losses, slopes, faults
    value = total.value
    if options.reduction == "mean":
        value = value / scores.numel() if scores.numel() else math.nan
    return scalar(value, scores.dtype), slopes, faults


def run_kernel(
    given: Operands,
    options: Options,
    evaluate: Evaluate = kernel.evaluate_logits,
    order: str = "C",
    *,
    loss: Tensor | None = None,
    gradient: Tensor | None = None,
    overwrite: bool = False,
    total: bool = True,
    clip: tuple[float, float, float] = _UNCLIPPED,
) -> tuple[ExactSum, Faults]:
    """Evaluate all entries on torch's number of threads; sum the losses with `total`.

    With `overwrite` the gradient takes the place of the scores, run by run.
    """
    n, shape = given.scores.numel(), tuple(given.scores.shape)
    columns = _Columns(
        _numbers(given.target).ravel(order),
        _numbers(given.scores).ravel(order),
        _spread(_counted(given), shape),
        _spread(given.pos_weight, shape),
        None if loss is None else _numbers(loss).ravel(order),
        None if gradient is None else _numbers(gradient).ravel(order),
    )

    def evaluate_run(run: tuple[int, int]) -> tuple[ExactSum | None, Faults]:
        y, scores, weight, positive, out, slope = columns.cut(*run)
        if overwrite:  # the kernel's outputs must not overlap its inputs
            slope = np.empty_like(scores)
        rows = Rows(
            y=y,
            scores=scores,
            weight=weight,
            pos_weight=positive,
            smoothing=options.label_smoothing,
            gamma=options.gamma,
            clip=clip,
            loss=out,
            gradient=slope,
        )
        result = evaluate(rows, total=total)
        if overwrite:
            scores[:] = slope
        return result

    if n <= _RUN:
        summed, faults = evaluate_run((0, n))
        return (NOTHING if summed is None else summed), faults
    runs = list(_runs(n, columns.width))
    parts = map_ordered(evaluate_run, runs, torch.get_num_threads())
    sums = [summed for summed, _ in parts if summed is not None]
    return reduce(lambda a, b: a + b, sums, NOTHING), _first(runs, parts)


class _Columns(NamedTuple):
    """What `Rows` holds, of all entries; lines that are still to be laid out have two axes."""

    y: Array
    scores: Array
    weight: Array | None
    pos_weight: Array | None
    loss: Array | None
    gradient: Array | None

    @property
    def width(self) -> int:
        """Length of the lines that may not be cut."""
        return next((a.shape[1] for a in self if a is not None and a.ndim == 2), 1)

    def cut(self, first: int, last: int) -> _Columns:
        if first == 0 and last == len(self.scores) and self.width == 1:
            return self
        return _Columns(*(_cut(column, first, last) for column in self))


def scalar(value: float, dtype: torch.dtype) -> Tensor:
    """Return a tensor of shape () on the processor."""
    if dtype is torch.float32 and abs(value) < 3e38:  # NumPy warns of more
        return torch.from_numpy(np.array(value, np.float32))
    return torch.from_numpy(np.array(value)).to(dtype)


def _runs(n: int, width: int) -> Iterator[tuple[int, int]]:
    """Cut n entries into runs of whole lines of `width`."""
    step = max(1, max(_RUN, -(-n // _MOST_RUNS)) // width) * width
    return ((first, min(first + step, n)) for first in range(0, n, step))


def _first(runs: list[tuple[int, int]], parts: list[tuple[ExactSum | None, Faults]]) -> Faults:
    """Return the first fault of each kind, counted over all runs."""
    first = _NO_FAULT
    for (start, _), (_, found) in zip(runs, parts, strict=True):
        first = Faults(
            *(
                known if known >= 0 or new < 0 else start + new
                for known, new in zip(first, found, strict=True)
            )
        )
    return first


def _cut(column: Array | None, first: int, last: int) -> Any:
    if column is None:
        return None
    if column.ndim == 1:
        return column[first:last]
    width = column.shape[1]
    return column[first // width : last // width].reshape(-1)


def _numbers(tensor: Tensor) -> Array:
    """Return a NumPy view of a tensor; float16 and bfloat16, which the kernel lacks, are cast."""
    if tensor.dtype in HALF:
        tensor = tensor.float()
    array: Array = tensor.numpy(force=True)
    return array


def _spread(tensor: Tensor | None, shape: tuple[int, ...]) -> Array | None:
    """One line for a tensor of the shape or a single number; else lines that each run lays out.

    So a weight per column needs no array of the scores' size.
    """
    if tensor is None:
        return None
    array = _numbers(tensor)
    if array.size == 1:
        return np.broadcast_to(array.reshape(1), math.prod(shape))
    if array.shape == shape:
        return array.reshape(-1)
    return np.broadcast_to(array, shape).reshape(-1, shape[-1])


def _counted(given: Operands) -> Tensor | None:
    """Fold the mask into the weight: the kernel leaves entries of weight 0 out altogether."""
    if given.where is None or given.weight is None:
        return given.weight if given.where is None else given.where
    return torch.where(given.where, given.weight.detach(), 0)
