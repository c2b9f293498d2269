"""From rows to a result: cut for threads, evaluate, sum exactly, spread back over the shape.

Which function is evaluated is the caller's choice; what a loss is, nobody here knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from logloss.arrays import Operands, place
from logloss.errors import ArgumentError, WeightError
from logloss.kernel import ExactSum, Faults, Rows, sum_rows
from logloss.outputs import blank
from logloss.threads import map_ordered

Kind = Literal["mean", "sum", "none"]
Axis = int | tuple[int, ...] | None
FloatArray = npt.NDArray[np.floating]
Evaluate = Callable[..., tuple[ExactSum | None, Faults]]

#: Fewest rows that one thread takes at a time: a task costs 20 µs, these a third of a ms.
_RUN = 1 << 17
#: Most runs that rows are cut into: enough that threads end together on a busy machine.
_MOST_RUNS = 16


@dataclass(frozen=True)
class Reduction:
    """How rows become a result: mean, sum or none, over which axes, on how many threads."""

    kind: str
    axis: Axis
    n_threads: int | None

    def of(self, rows: Operands, base: Rows, evaluate: Evaluate) -> Any:
        """Evaluate all rows and reduce them; fills the outputs that `base` names."""
        whole = self.kind != "none" and self.axis is None
        if not whole:
            base = replace(base, loss=blank(len(rows.y), rows.scores.dtype))
        total = self._evaluate(rows, base, evaluate, total=whole)
        weights = _total_weight(rows, self.axis) if self.kind == "mean" else None
        if whole:
            assert total is not None
            return total.value if weights is None else total.value / weights.item()
        assert base.loss is not None
        losses = spread(rows, base.loss)
        if self.kind == "none":
            return as_scalar(losses)
        sums = _sum_along(losses, self.axis)
        return as_scalar((sums if weights is None else sums / weights).astype(losses.dtype))

    def _evaluate(
        self, rows: Operands, base: Rows, evaluate: Evaluate, *, total: bool
    ) -> ExactSum | None:
        """Run the kernel over all rows, cut for threads, and raise for the first fault."""
        n = len(rows.y)
        if n <= _RUN:
            summed, faults = evaluate(base, total=total)
            rows.raise_for(faults)
            return summed
        run = max(_RUN, -(-n // _MOST_RUNS))
        starts = range(0, n, run)
        parts = map_ordered(
            lambda start: evaluate(_cut(base, slice(start, start + run)), total=total),
            starts,
            self.n_threads,
        )
        for start, (_, found) in zip(starts, parts, strict=True):
            rows.raise_for(Faults(*(fault + start if fault >= 0 else -1 for fault in found)))
        sums = [summed for summed, _ in parts if summed is not None]
        return reduce(lambda a, b: a + b, sums) if sums else None


def spread(rows: Operands, values: FloatArray) -> FloatArray:
    """Put entries back where they stand in the broadcast shape; 0 where masked."""
    if rows.kept is None:
        return values.reshape(rows.shape)
    out = np.zeros(math.prod(rows.shape), values.dtype)
    out[rows.kept] = values
    return out.reshape(rows.shape)


def as_scalar(values: FloatArray) -> Any:
    """Return a Python float for an array without axes, the array otherwise."""
    return values.item() if values.ndim == 0 else values


def _cut(rows: Rows, part: slice) -> Rows:
    def cut(array: Any) -> Any:
        return None if array is None else array[part]

    return replace(
        rows,
        y=rows.y[part],
        scores=rows.scores[part],
        weight=cut(rows.weight),
        pos_weight=cut(rows.pos_weight),
        loss=cut(rows.loss),
        gradient=cut(rows.gradient),
        hessian=cut(rows.hessian),
    )


def _total_weight(rows: Operands, axis: Axis) -> FloatArray:
    """Σw, or the number of entries, of each group that is averaged; all must be above 0."""
    if rows.weight is None and rows.kept is None:
        return np.asarray(math.prod(_reduced_lengths(rows.shape, axis)), np.float64)
    weight = np.ones(len(rows.y)) if rows.weight is None else rows.weight.astype(np.float64)
    if axis is None:
        total = np.asarray(ExactSum.of(weight).value)
    else:
        total = _sum_along(spread(rows, weight), axis)
    for index in map(tuple, np.argwhere(~((total > 0) & (total < math.inf)))[:1].tolist()):
        _refuse_mean(rows, index, total[index].item())
    return total


def _refuse_mean(rows: Operands, index: tuple[int, ...], weight: float) -> NoReturn:
    given = (("sample_weight", rows.weight), ("where", rows.kept))
    names = " and ".join(name for name, array in given if array is not None)
    raise WeightError(
        f"{names} must leave every mean a finite weight above 0; that of {place('mean', index)} "
        f"is {weight!r}. Leave its entries out, or take reduction='sum'.",
        index,
        weight,
    )


def _reduced_lengths(shape: tuple[int, ...], axis: Axis) -> list[int]:
    axes = range(len(shape)) if axis is None else _axes(len(shape), axis)
    return [shape[k] for k in axes]


def _axes(ndim: int, axis: int | tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.lib.array_utils.normalize_axis_tuple(axis, ndim, "axis")
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"axis must name axes of the {ndim} there are: {error}") from None


def _sum_along(values: FloatArray, axis: Axis) -> FloatArray:
    """Sum exactly along some axes; the others stay."""
    assert axis is not None
    axes = _axes(values.ndim, axis)
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    shape = moved.shape[: values.ndim - len(axes)]
    groups = moved.reshape(math.prod(shape), math.prod(moved.shape[len(shape) :]))
    return sum_rows(groups).reshape(shape)
