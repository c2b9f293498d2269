"""How a network sees numbers: maps from the user's units that are learned without the target.

Each is a module of buffers, in float64, and belongs to the network: it travels and is saved with
it.  What is learned here is weighted, so that a row of weight 2 counts as two rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from torch import Tensor, nn

FloatArray = npt.NDArray[np.float64]

#: Most rows that are encoded or evaluated at a time, and most numbers that they may become on
#: the way, so that memory grows neither with the table nor with its columns.
_TILE_ROWS, _TILE_NUMBERS, _FEWEST_TILE_ROWS = 4096, 1 << 21, 256

#: Knots of a quantile map, which is to follow the distribution.
_QUANTILE_KNOTS = 64

#: Pieces of a piecewise map: one for so many rows, within bounds.
_ROWS_PER_PIECE, _FEWEST_PIECES, _MOST_PIECES = 100, 4, 16

#: Pieces of all columns together, since a layer has weights for each: at least so many, or one
#: for so many rows.
_PIECES_IN_ALL, _ROWS_PER_PIECE_IN_ALL = 128, 40


class Robust(nn.Module):  # type: ignore[misc]
    r"""Numbers in units of their middle half, with far ones drawn in.

    .. math:: t = (x - \text{median}) / (q_{.75} - q_{.25}), \qquad t / \sqrt{1 + (t/3)^2}

    A column whose middle half is one value is measured by half its range [1]_.

    Parameters
    ----------
    center, scale : Tensor of shape (p,), float64
        Subtracted from the numbers, and multiplied with the difference.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default", NeurIPS 2024,
       https://arxiv.org/abs/2407.04491
    """

    fields: ClassVar[tuple[str, ...]] = ("center", "scale")

    def __init__(self, center: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)

    @property
    def n_encoded(self) -> int:
        """Number of columns that come out."""
        return len(self.center)

    @classmethod
    def of(cls, *tensors: Tensor) -> Robust:
        """Rebuild it from its tensors, in the order of `fields`."""
        return cls(*tensors)

    @classmethod
    def learn(cls, X: FloatArray, weight: FloatArray) -> Robust:
        """Learn from rows (n, p) and their weights (n,), all positive."""
        low, first, center, third, high = _quantiles(X, weight, np.array([0, 0.25, 0.5, 0.75, 1]))
        width = np.where(third > first, third - first, (high - low) / 2)
        scale = np.where(width > 0, 1 / np.where(width > 0, width, 1), 0)
        return cls(torch.from_numpy(center), torch.from_numpy(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers (..., p) to (..., p)."""
        t = (x - self.center).mul_(self.scale)
        return t / (t / 3).square_().add_(1).sqrt_()


class Quantile(nn.Module):  # type: ignore[misc]
    """Numbers as normal quantiles of their ranks, linear between knots, constant outside.

    Parameters
    ----------
    start, per_unit, rise : Tensor of shape (p, pieces), float64
        Left end of each piece, one over its width, and what it adds.
    base : Tensor of shape (p,), float64
        Value at the first knot.
    """

    fields: ClassVar[tuple[str, ...]] = ("start", "per_unit", "rise", "base")

    def __init__(self, start: Tensor, per_unit: Tensor, rise: Tensor, base: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start)
        self.register_buffer("per_unit", per_unit)
        self.register_buffer("rise", rise)
        self.register_buffer("base", base)

    @property
    def n_encoded(self) -> int:
        """Number of columns that come out."""
        return len(self.base)

    @classmethod
    def of(cls, *tensors: Tensor) -> Quantile:
        """Rebuild it from its tensors, in the order of `fields`."""
        return cls(*tensors)

    @classmethod
    def learn(cls, X: FloatArray, weight: FloatArray) -> Quantile:
        """Learn from rows (n, p) and their weights (n,), all positive."""
        knots = _quantiles(X, weight, np.linspace(0, 1, _QUANTILE_KNOTS)).T
        values = np.empty_like(knots)
        for j, column in enumerate(X.T):
            values[j] = ndtri(_middle_ranks(column, weight, knots[j]))
        start, per_unit = _pieces_between(knots)
        network = cls(start, per_unit, torch.from_numpy(np.diff(values)), torch.zeros(len(knots)))
        network.base = torch.from_numpy(values[:, 0].copy())
        # scaled to mean 0 and standard deviation 1, which ties would spoil
        seen = np.concatenate([network(tile).numpy() for tile, _ in _tiles(network, X, weight)])
        mean = np.average(seen, axis=0, weights=weight)
        spread = np.sqrt(np.average((seen - mean) ** 2, axis=0, weights=weight))
        spread = torch.from_numpy(np.where(spread > 0, spread, 1))
        network.rise /= spread[:, None]
        network.base = (network.base - torch.from_numpy(mean)) / spread
        return network

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers (..., p) to (..., p)."""
        return self.base + (_passed(x, self.start, self.per_unit) * self.rise).sum(-1)


class Piecewise(nn.Module):  # type: ignore[misc]
    """Each number as how far it has come through pieces of its range, between 0 and 1 [1]_.

    A layer on top of it is linear in every piece, with bends between them.

    Parameters
    ----------
    start, per_unit : Tensor of shape (p, pieces), float64
        Left end of each piece, and one over its width.
    kept : Tensor of shape (columns,), int64
        Pieces that have a width, numbered column after column.
    mean : Tensor of shape (columns,), float64
        Subtracted from what they say.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in
       tabular deep learning", NeurIPS 2022, https://arxiv.org/abs/2203.05556
    """

    fields: ClassVar[tuple[str, ...]] = ("start", "per_unit", "kept", "mean")

    def __init__(self, start: Tensor, per_unit: Tensor, kept: Tensor, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start)
        self.register_buffer("per_unit", per_unit)
        self.register_buffer("kept", kept)
        self.register_buffer("mean", mean)

    @property
    def n_encoded(self) -> int:
        """Number of columns that come out."""
        return len(self.kept)

    @classmethod
    def of(cls, *tensors: Tensor) -> Piecewise:
        """Rebuild it from its tensors, in the order of `fields`."""
        return cls(*tensors)

    @classmethod
    def learn(cls, X: FloatArray, weight: FloatArray) -> Piecewise:
        """Learn from rows (n, p) and their weights (n,), all positive."""
        n_rows, n_columns = int(max(weight.sum(), len(X))), max(1, X.shape[1])
        in_all = max(_PIECES_IN_ALL, n_rows // _ROWS_PER_PIECE_IN_ALL)
        n_pieces = min(n_rows // _ROWS_PER_PIECE, in_all // n_columns)
        n_pieces = min(max(n_pieces, _FEWEST_PIECES), _MOST_PIECES)
        knots = _quantiles(X, weight, np.linspace(0, 1, n_pieces + 1)).T
        start, per_unit = _pieces_between(knots)
        kept = torch.from_numpy(np.flatnonzero(per_unit.numpy().ravel() > 0))
        network = cls(start, per_unit, kept, torch.zeros(len(kept), dtype=torch.float64))
        total = sum(share @ network(tile).numpy() for tile, share in _tiles(network, X, weight))
        network.mean = torch.from_numpy(total / weight.sum())
        return network

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers (..., p) to (..., columns)."""
        passed = _passed(x, self.start, self.per_unit).flatten(-2)
        return passed.index_select(-1, self.kept) - self.mean


class Both(nn.Module):  # type: ignore[misc]
    """Pieces, which tell what is apart, beside ranks, along which what is learned goes on.

    Parameters
    ----------
    pieces : Piecewise
        The first columns.
    ranks : Quantile
        The last ones, one for each number.
    """

    fields: ClassVar[tuple[str, ...]] = (
        *(f"pieces.{name}" for name in Piecewise.fields),
        *(f"ranks.{name}" for name in Quantile.fields),
    )

    def __init__(self, pieces: Piecewise, ranks: Quantile) -> None:
        super().__init__()
        self.pieces, self.ranks = pieces, ranks

    @property
    def n_encoded(self) -> int:
        """Number of columns that come out."""
        n_encoded: int = self.pieces.n_encoded + self.ranks.n_encoded
        return n_encoded

    @classmethod
    def learn(cls, X: FloatArray, weight: FloatArray) -> Both:
        """Learn from rows (n, p) and their weights (n,), all positive."""
        return cls(Piecewise.learn(X, weight), Quantile.learn(X, weight))

    @classmethod
    def of(cls, *tensors: Tensor) -> Both:
        """Rebuild it from its tensors, in the order of `fields`."""
        cut = len(Piecewise.fields)
        return cls(Piecewise.of(*tensors[:cut]), Quantile.of(*tensors[cut:]))

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers (..., p) to (..., columns)."""
        return torch.cat([self.pieces(x), self.ranks(x)], -1)


Numbers = Robust | Quantile | Piecewise | Both

#: Names of the maps.
NUMBERS: dict[str, type[Robust] | type[Quantile] | type[Piecewise] | type[Both]] = {
    "both": Both,
    "piecewise": Piecewise,
    "quantile": Quantile,
    "robust": Robust,
}


def tile_rows(numbers: nn.Module) -> int:
    """Return how many rows are encoded or evaluated at a time: a power of two."""
    made, rows = max(buffer.numel() for buffer in numbers.buffers()), _TILE_ROWS
    while rows > _FEWEST_TILE_ROWS and rows * made > _TILE_NUMBERS:
        rows //= 2
    return rows


def _quantiles(X: FloatArray, weight: FloatArray, shares: FloatArray) -> FloatArray:
    """Return weighted quantiles, shape (len(shares), p): values that occur, the lowest of each."""
    found = np.empty((len(shares), X.shape[1]))
    if weight.min() == weight.max():  # then sorting the values alone will do
        at = _places(weight, shares)
        for j, column in enumerate(X.T):
            found[:, j] = np.sort(column)[at]
        return found
    for j, column in enumerate(X.T):
        order = np.argsort(column)
        found[:, j] = column[order[_places(weight[order], shares)]]
    return found


def _places(weight: FloatArray, shares: FloatArray) -> npt.NDArray[np.intp]:
    """Return the first row, of rows in order, at which each share of the weight is reached."""
    reached = np.cumsum(weight)
    # what rounding adds to a sum must not push a share over to the next value
    at = np.searchsorted(reached, shares * reached[-1] * (1 - 1e-12))
    places: npt.NDArray[np.intp] = np.minimum(at, len(weight) - 1)
    return places


def _middle_ranks(column: FloatArray, weight: FloatArray, knots: FloatArray) -> FloatArray:
    """Return the share of weight below each knot, and half of that at it."""
    order = np.argsort(column, kind="stable")
    ordered = column[order]
    reached = np.concatenate([[0.0], np.cumsum(weight[order])])
    below = reached[np.searchsorted(ordered, knots, side="left")]
    through = reached[np.searchsorted(ordered, knots, side="right")]
    middle: FloatArray = (below + through) / (2 * reached[-1])
    return middle


def _tiles(
    numbers: nn.Module, X: FloatArray, weight: FloatArray
) -> Iterator[tuple[Tensor, FloatArray]]:
    """Cut rows into tiles, so that what is made of them does not fill the memory."""
    step = tile_rows(numbers)
    for first in range(0, len(X), step):
        part = slice(first, first + step)
        yield torch.tensor(X[part]), weight[part]


def _pieces_between(knots: FloatArray) -> tuple[Tensor, Tensor]:
    """Return the left ends of the pieces, and one over their widths; 0 for those without."""
    widths = np.diff(knots)
    per_unit = np.where(widths > 0, 1 / np.where(widths > 0, widths, 1), 0)
    return torch.from_numpy(knots[:, :-1].copy()), torch.from_numpy(per_unit)


def _passed(x: Tensor, start: Tensor, per_unit: Tensor) -> Tensor:
    """Return how much of each piece lies below x, shape (..., p, pieces)."""
    return ((x.unsqueeze(-1) - start) * per_unit).clamp(0, 1)
