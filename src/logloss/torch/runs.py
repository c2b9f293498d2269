"""Tensors → the kernel: views without a copy, runs for threads, exact sums.

What a loss is, the kernel says; what torch differentiates, `autograd`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from logloss import kernel
from logloss.clipping import TORCH_LIMIT
from logloss.kernel import ExactSum, Faults, Rows
from logloss.outputs import blank
from logloss.threads import map_ordered
from logloss.torch.operands import Operands, Options, full_precision

Array = npt.NDArray[Any]
Kernel = Callable[..., tuple[ExactSum | None, Faults]]

#: Fewest entries that one thread takes at a time: handing them out costs a tenth of the work.
_RUN = 1 << 17
#: Most runs that entries are cut into: enough that threads end together on a busy machine.
_MOST_RUNS = 16
#: What torch does to probabilities: their logarithms end at −100. Logits know no clip.
_CLIP = (0.0, 1.0, TORCH_LIMIT)
transforms = torch._C._are_functorch_transforms_active
jit_traces = torch._C._is_tracing
modes = torch._C._len_torch_dispatch_stack
CPU = torch.device("cpu")
#: Means beyond this may round to what float32 cannot hold.
LARGE = 3e38
#: Types of tensors that the kernel reads: what torch subclasses it may also reinterpret.
PLAIN = (Tensor, torch.nn.Parameter)
#: Dtypes that the kernel reads, by their letters in the buffer protocol.
LETTERS = {
    torch.float32: "f",
    torch.float64: "d",
    torch.bool: "?",
    torch.uint8: "B",
    torch.int8: "b",
    torch.int16: "h",
    torch.int32: "i",
    torch.int64: "q",
}


class Outcome(NamedTuple):
    """What the kernel says of all entries.

    Attributes
    ----------
    loss : Tensor
        Reduced; sums are exact, and rounded once.
    gradient : Tensor of the scores' shape, or None
        Of each loss, or of the mean.
    faulty : bool
        Whether a label or a probability lies outside [0, 1], or a score is NaN.
    """

    loss: Tensor
    gradient: Tensor | None
    faulty: bool = False


def readable(scores: Tensor, *constants: Tensor | None) -> bool:
    """Whether the kernel can read all tensors, and give what is asked for.

    It gives values, and first derivatives by the scores backwards; nothing that torch traces
    or transforms.
    """
    if is_compiling() or transformed() or modes():
        return False
    for tensor in (scores, *constants):
        if tensor is not None and not (
            tensor.is_cpu
            and type(tensor) in PLAIN
            and tensor.layout is torch.strided
            and (tensor is scores or not tensor.requires_grad or not torch.is_grad_enabled())
        ):
            return False
    return True


def transformed() -> bool:
    """Whether `torch.func`, forward mode or a trace of torch.jit is at work."""
    return bool(transforms() or forward_ad._current_level >= 0 or torch.jit.is_tracing())


def evaluate_logits(given: Operands, options: Options, gradient: bool) -> Outcome:
    """Let the kernel evaluate readable tensors, each where it lies, on torch's many threads."""
    return _evaluate(kernel.evaluate_logits, given, options, gradient)


def evaluate_probabilities(given: Operands, options: Options) -> Outcome:
    """Do the same for probabilities, logarithms clamped as torch does; without a gradient."""
    return _evaluate(kernel.evaluate_probabilities, given, options, False)


def _evaluate(function: Kernel, given: Operands, options: Options, gradient: bool) -> Outcome:
    columns = _columns(given)
    scores = columns.scores
    reduced, mean = options.reduction != "none", options.reduction == "mean"
    count = int(given.count) if mean else 1
    losses = None if reduced else blank(scores.shape, scores.dtype)
    slopes = blank(scores.shape, scores.dtype) if gradient else None

    def evaluate_run(run: slice) -> tuple[ExactSum | None, Faults]:
        slope = _cut(slopes, run)
        rows = Rows(
            columns.target[run].reshape(-1),
            scores[run].reshape(-1),
            _cut(columns.weight, run),
            _cut(columns.pos_weight, run),
            smoothing=options.label_smoothing,
            gamma=options.gamma,
            clip=_CLIP,
            loss=_cut(losses, run),
            gradient=slope,
        )
        result = function(rows, total=reduced)
        if slope is not None and count > 1:
            np.divide(slope, count, out=slope)
        return result

    parts = map_ordered(evaluate_run, _runs(scores), torch.get_num_threads())
    if losses is None:
        total = reduce(add, (part for part, _ in parts if part is not None)).value
        loss = scalar(total / count if count else math.nan, given.scores.dtype)
    else:
        loss = _shaped(losses, given.scores)
    return Outcome(
        loss,
        None if slopes is None else _shaped(slopes, given.scores),
        any(faults.label >= 0 or faults.score >= 0 for _, faults in parts),
    )


class _Columns(NamedTuple):
    """Arrays of one shape: of one axis, or of several of which runs are cut from the first."""

    scores: Array
    target: Array
    weight: Array | None
    pos_weight: Array | None


def _columns(given: Operands) -> _Columns:
    """Lay out the tensors: without a copy, where they are contiguous.

    What is not, or is broadcast, is copied run by run: a weight a column needs no array of the
    scores' size.
    """
    weight = given.weight
    if given.where is not None:  # the kernel leaves out what has weight 0
        weight = given.where if weight is None else torch.where(given.where, weight, 0)
    scores, target = _numbers(given.scores), _numbers(given.target)
    weights = [None if t is None else _numbers(t) for t in (weight, given.pos_weight)]
    views = [view for view in (scores, target, *weights) if view is not None]
    if all(view.shape == scores.shape and view.flags.c_contiguous for view in views):
        shape: tuple[int, ...] = (scores.size,)
        scores, target = scores.reshape(shape), target.reshape(shape)
        weights = [None if w is None else w.reshape(shape) for w in weights]
    else:
        shape = scores.shape
        weights = [None if w is None else np.broadcast_to(w, shape) for w in weights]
    return _Columns(scores, target, *weights)


def _numbers(tensor: Tensor) -> Array:
    """Return a NumPy view of a tensor; of half precision, which the kernel lacks, a copy."""
    array: Array = full_precision(tensor).numpy(force=True)
    return array


def _runs(scores: Array) -> list[slice]:
    """Cut the first axis into runs."""
    if scores.size <= _RUN:
        return [slice(None)]
    size = max(_RUN, -(-scores.size // _MOST_RUNS))
    step = max(1, size * len(scores) // scores.size)
    return [slice(first, first + step) for first in range(0, len(scores), step)]


def _cut(column: Array | None, run: slice) -> Array | None:
    return None if column is None else column[run].reshape(-1)


def _shaped(array: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(array.reshape(like.shape))


def scalar(value: float, dtype: torch.dtype) -> Tensor:
    """Return a tensor without axes, on the processor whatever torch's default device is."""
    if dtype is torch.float64 or abs(value) <= LARGE:
        return torch.scalar_tensor(value, dtype=dtype, device=CPU)
    return torch.scalar_tensor(value, dtype=torch.float64, device=CPU).to(dtype)
