"""A fitted linear predictor: encoded rows → logits, the same bits however the rows are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from logloss.design.block import Block, Layout
from logloss.errors import ModelError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearPredictor:
    """logit = base + Σ βⱼ(xⱼ − centerⱼ) + Σ effect(level) + offset.

    Attributes
    ----------
    layout : Layout
        Names and order of the coefficients.
    base : float
        Logit of a row whose numbers are all at their centres, without level effects.
    coefficients : ndarray of shape (size − 1,)
        In the user's units: numbers, then levels.
    center : ndarray of shape (p,)
        Subtracted from the numbers first, so that a large offset costs no digits.
    unseen : ndarray of shape (k,)
        Effect of a level never seen in training: the weighted mean of its column's.
    """

    layout: Layout
    base: float
    coefficients: FloatArray
    center: FloatArray
    unseen: FloatArray

    @property
    def intercept(self) -> float:
        """Logit of a row whose numbers are all 0, without level effects."""
        return self.base - float(self.coefficients[: len(self.center)] @ self.center)

    def logits(self, block: Block) -> FloatArray:
        """Return the logit of every row, shape (n,); sums run column by column."""
        z = np.full(len(block), self.base)
        for j, center in enumerate(self.center):
            if self.coefficients[j] != 0:
                z += self.coefficients[j] * (block.numbers[:, j] - center)
        for k, levels in enumerate(self.layout.level_slices):
            effects = self.coefficients[levels.start - 1 : levels.stop - 1]
            z += np.append(effects, self.unseen[k])[block.codes[:, k]]
        if block.offset is not None:
            z += block.offset
        return z

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {
            "kind": "linear",
            "base": self.base,
            "numbers": list(self.layout.numbers),
            "levels": [list(column) for column in self.layout.levels],
            "coefficients": self.coefficients.tolist(),
            "center": self.center.tolist(),
            "unseen": self.unseen.tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a predictor; ModelError if the record does not hold one."""
        try:
            layout = Layout(
                tuple(map(str, record["numbers"])),
                tuple(tuple(map(str, column)) for column in record["levels"]),
            )
            predictor = cls(
                layout=layout,
                base=float(record["base"]),
                coefficients=np.array(record["coefficients"], np.float64),
                center=np.array(record["center"], np.float64),
                unseen=np.array(record["unseen"], np.float64),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's coefficients cannot be read: {error!r}") from error
        shapes = (predictor.coefficients.shape, predictor.center.shape, predictor.unseen.shape)
        wanted = ((layout.size - 1,), (len(layout.numbers),), (len(layout.levels),))
        finite = np.isfinite(predictor.base) and all(
            np.isfinite(part).all()
            for part in (predictor.coefficients, predictor.center, predictor.unseen)
        )
        if shapes != wanted or not finite:
            raise ModelError(
                f"the model's coefficients do not fit its columns: shapes {shapes}, "
                f"expected {wanted}, all finite"
            )
        return predictor
