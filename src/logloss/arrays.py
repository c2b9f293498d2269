"""The one door for arrays: dtypes, shapes, masks, and what is wrong with them.

What comes through is a set of one-dimensional, native arrays of one length that the kernel
reads as they are; labels are never cast, strides are kept where they can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logloss.errors import ArgumentError, LabelError, LogitError, ProbabilityError, WeightError
from logloss.kernel import Faults

Array = npt.NDArray[Any]

_SWAPPED = "The order of the arguments is (y_true, {scores}); torch's is the reverse."


@dataclass(frozen=True)
class Operands:
    """Labels, scores and weights, broadcast to one shape, masked, and laid out in one row.

    Attributes
    ----------
    y, scores : ndarray of shape (n,)
        Entries that are not masked.
    weight, pos_weight : ndarray of shape (n,) or None
    shape : tuple of int
        The broadcast shape.
    shapes : dict of str to tuple of int
        Shape of each argument as the caller gave it.
    kept : ndarray of int or None
        Flat positions of the entries in `shape`; None where all are there.
    scores_name : str
        "logits" or "y_prob".
    """

    y: Array
    scores: npt.NDArray[np.floating]
    weight: Array | None
    pos_weight: Array | None
    shape: tuple[int, ...]
    shapes: dict[str, tuple[int, ...]]
    kept: npt.NDArray[np.intp] | None
    scores_name: str

    def index(self, name: str, position: int) -> tuple[int, ...]:
        """Where an entry stands in the argument as the caller gave it, before broadcasting."""
        flat = position if self.kept is None else int(self.kept[position])
        own = self.shapes[name]
        index = np.unravel_index(flat, self.shape)[len(self.shape) - len(own) :]
        return tuple(0 if n == 1 else int(k) for k, n in zip(index, own, strict=True))

    def raise_for(self, faults: Faults) -> None:
        """Raise the error that names the first entry to break a rule, if one does."""
        if faults.label >= 0:
            self._raise_label(faults.label)
        if faults.score >= 0:
            self._raise_score(faults.score)
        if faults.weight >= 0:
            self._raise_weight(faults.weight)

    def _raise_label(self, position: int) -> None:
        value, index = self.y[position].item(), self.index("y_true", position)
        raise LabelError(
            f"y_true must lie in [0, 1]; {place('y_true', index)} is {value!r}. "
            + _SWAPPED.format(scores=self.scores_name),
            index,
            value,
        )

    def _raise_score(self, position: int) -> None:
        value, index = self.scores[position].item(), self.index(self.scores_name, position)
        if self.scores_name == "logits":
            raise LogitError(
                f"logits must not be NaN; {place('logits', index)} is. Remove it, or mask it "
                "with `where`.",
                index,
                value,
            )
        raise ProbabilityError(
            f"y_prob must lie in [0, 1]; {place('y_prob', index)} is {value!r}. "
            + _SWAPPED.format(scores="y_prob")
            + " For logits use binary_cross_entropy_with_logits.",
            index,
            value,
        )

    def _raise_weight(self, position: int) -> None:
        for name, weight in (("sample_weight", self.weight), ("pos_weight", self.pos_weight)):
            if weight is not None and not 0 <= weight[position] < math.inf:
                value, index = weight[position].item(), self.index(name, position)
                raise WeightError(
                    f"{name} must be finite and at least 0; {place(name, index)} is {value!r}.",
                    index,
                    value,
                )


def operands(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    scores_name: str,
    sample_weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
) -> Operands:
    """Bring what the caller gave into the form that the kernel reads.

    Raises
    ------
    ArgumentError
        If a dtype cannot be used, shapes do not broadcast, or nothing is left to look at.
    """
    given = {
        "y_true": labels(y_true),
        scores_name: floats(scores, scores_name),
        "sample_weight": None if sample_weight is None else labels(sample_weight, "sample_weight"),
        "pos_weight": None if pos_weight is None else labels(pos_weight, "pos_weight"),
        "where": None if where is None else _mask(where),
    }
    shapes = {name: array.shape for name, array in given.items() if array is not None}
    shape = common_shape(shapes)
    flat = {name: _flat(array, shape) for name, array in given.items()}
    mask, kept = flat.pop("where"), None
    if mask is not None:
        kept = np.flatnonzero(mask)
        flat = {name: None if a is None else a[kept] for name, a in flat.items()}
    y, values = flat["y_true"], flat[scores_name]
    assert y is not None
    assert values is not None
    if len(y) == 0:
        raise ArgumentError(
            f"y_true and {scores_name} must hold at least one entry"
            + (" that `where` selects." if mask is not None else f"; their shape is {shape}.")
        )
    weight, pos_weight = flat["sample_weight"], flat["pos_weight"]
    return Operands(y, values, weight, pos_weight, shape, shapes, kept, scores_name)


def floats(values: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
    """Return an array of float32 or float64 to compute in.

    float32 and float64 are kept; float16 and bfloat16 become float32, all else float64.
    """
    array = labels(values, name)
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64)


def labels(values: npt.ArrayLike, name: str = "y_true") -> Array:
    """Return a native array of bool, integers, float32 or float64, without a cast where it is."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ArgumentError(f"{name} is a masked array; pass its data, and where=~{name}.mask.")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"{name} cannot be read as an array: {error}") from error
    kind, size = array.dtype.kind, array.dtype.itemsize
    if (kind == "f" and size == 2) or array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if kind not in "biuf":
        raise ArgumentError(
            f"{name} must be bool, integers or floats; its dtype is {array.dtype}. "
            "Convert it, for example with .astype(float)."
        )
    if size > 8:  # long double
        return array.astype(np.float64)
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()  # a field of packed records


def common_shape(
    shapes: dict[str, tuple[int, ...]],
    broadcast: Callable[..., tuple[int, ...]] = np.broadcast_shapes,
) -> tuple[int, ...]:
    """Return the shape that all broadcast to, or raise ArgumentError with each by name."""
    try:
        return broadcast(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ArgumentError(f"shapes must broadcast to one; they are {listed}.") from None


def place(name: str, index: tuple[int, ...]) -> str:
    """Return an entry as one would write it, ``y_true[3, 1]``; a scalar has no brackets."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def warn_if_swapped(rows: Operands) -> bool:
    """Whether every y_prob is 0 or 1 while some y_true is neither."""
    y, p = rows.y, rows.scores
    if y.dtype.kind != "f" or not _all_hard(p[:16]):
        return False
    return not _all_hard(y) and _all_hard(p)


def _all_hard(values: Array) -> bool:
    return bool(np.all((values == 0) | (values == 1)))


def _mask(where: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    mask = np.asarray(where)
    if mask.dtype != np.bool_:
        raise ArgumentError(f"where must be a boolean mask; its dtype is {mask.dtype}.")
    return mask


def _flat(array: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Broadcast and lay out in one row; a view wherever strides allow one."""
    if array is None:
        return None
    if array.size == 1:
        return np.broadcast_to(array.reshape(1), (math.prod(shape),))
    return np.broadcast_to(array, shape).reshape(-1)
