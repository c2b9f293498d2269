"""A line beside a network: a logistic regression of the same rows, and its share of the logit.

Where the truth is close to a line, a network says it with more noise than a line does.  How much
of either to take is learned from rows that neither was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from logloss import kernel
from logloss.design.block import Block, Layout
from logloss.errors import ArgumentError, ColumnError, ModelError, WeightError
from logloss.logistic.fit import best_line
from logloss.logistic.predictor import LinearPredictor
from logloss.network.stream import Stream
from logloss.network.training import Judged
from logloss.recalibration import Temperature
from logloss.rows.local import LocalEngine
from logloss.rows.source import Source

FloatArray = npt.NDArray[np.float64]

#: Standard deviation of a prior on the factor of logits; about 1, as they are.
SPREAD = 0.5

#: Scans from the line of all rows to that without a fold: enough for its forecasts, and it needs
#: no certificate.
_SCANS = 4


@dataclass(frozen=True)
class Line:
    """A line and its share of the logit.

    Attributes
    ----------
    predictor : LinearPredictor
        Of the rows, those held out by a network among them.
    share : float
        The logit is ``(1 - share) * network + share * line``.
    """

    predictor: LinearPredictor = field(repr=False)
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ModelError(f"the share of the line must be in (0, 1]; got {self.share!r}")

    @property
    def n_columns(self) -> tuple[int, ...]:
        """How many numbers it has, and the levels of each code column."""
        layout = self.predictor.layout
        return len(layout.numbers), *map(len, layout.levels)

    def mixed(self, logits: FloatArray, lines: FloatArray) -> FloatArray:
        """Mix the logits of a network and of a line."""
        mixed: FloatArray = (1 - self.share) * logits + self.share * lines
        return mixed

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return {"predictor": self.predictor.to_dict(), "share": self.share}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a line; ModelError if the record does not hold one."""
        try:
            return cls(LinearPredictor.from_dict(record["predictor"]), float(record["share"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the line beside the network cannot be read: {error!r}") from error


@dataclass(frozen=True)
class PartWithout:
    """The rows of one part of a stream, those of one fold with no weight; a shard."""

    stream: Stream
    number: int
    fold: int

    @property
    def origin(self) -> str:
        """Name of the table."""
        return self.stream.parts.shards[self.number].origin

    @property
    def first_row(self) -> int:
        """Number of the first row, as the parts lie one after the other."""
        return self.stream.parts.shards[self.number].first_row

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.stream.parts.shards[self.number].n_rows

    def blocks(self) -> Iterator[Block]:
        """Read the part, as one block."""
        block, fold = self.stream.dealt(self.number)
        assert block.weight is not None, "rows that count have a weight"
        yield replace(block, weight=block.weight * (fold != self.fold))


def learn_line(stream: Stream, held_out: Judged, layout: Layout) -> tuple[Line | None, Judged]:
    """Fit a line to the rows of the first parts, and learn its share of the logit.

    What a line says of a row held out is said by one that was fitted without the row's fold, as
    with the network's members.

    Parameters
    ----------
    stream : Stream
        What the network was trained on.
    held_out : Judged
        What it says of rows that it was not trained on.
    layout : Layout
        Names of the columns.

    Returns
    -------
    line : Line or None
        None where it would have no share, or cannot be fitted: where squares of the numbers
        overflow, or one class lies in one fold.
    mixed : Judged
        The rows held out, with mixed logits.
    """
    engine = LocalEngine(1)  # one part in memory at a time, as in training

    def without(fold: int) -> Source[Block]:
        shards = tuple(PartWithout(stream, number, fold) for number in _parts(held_out))
        return Source(shards, name=stream.parts.name)

    try:
        of_all = best_line(without(stream.n_folds), layout, engine)  # a fold that no row is in
        of_folds = [
            best_line(without(fold), layout, engine, near=of_all, max_scans=_SCANS)
            for fold in stream.folds_held_out
        ]
    except (ArgumentError, ColumnError, WeightError):
        return None, held_out
    lines = _said(stream, held_out, of_folds)
    share = learn_share(held_out.y, held_out.logits, lines, held_out.weight, spread=SPREAD)
    if share == 0:
        return None, held_out
    line = Line(of_all, share)
    return line, replace(held_out, logits=line.mixed(held_out.logits, lines))


def learn_share(
    y_true: npt.ArrayLike,
    logits: npt.ArrayLike,
    others: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    spread: float = math.inf,
) -> float:
    r"""Find the share of other logits of which a mixture has the least log loss.

    The mixture is :math:`((1 - s)\,z + s\,z') / T`, with s in [0, 1] and the temperature T that
    suits it [1]_.  A share is kept only where it lowers the summed loss of the rows by more than
    one nat, which is what a number that is learned must gain to be worth it on other rows [2]_;
    else it is 0.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels in [0, 1], of rows that neither model was trained on.
    logits, others : array-like of shape (n,)
        What the models say of them; finite.
    sample_weight : array-like of shape (n,), optional
        Not negative.
    spread : float, default=inf
        Of the temperature; see `Temperature.learn`.

    References
    ----------
    .. [1] D. H. Wolpert, "Stacked generalization", Neural Networks 5 (1992),
       https://doi.org/10.1016/S0893-6080(05)80023-1
    .. [2] H. Akaike, "A new look at the statistical model identification", IEEE Transactions on
       Automatic Control 19 (1974), https://doi.org/10.1109/TAC.1974.1100705

    Examples
    --------
    >>> import numpy as np
    >>> from logloss.network.line import learn_share
    >>> y = np.tile([0, 0, 0, 1, 1, 1, 1, 0], 10)
    >>> learn_share(y, logits=np.zeros(80), others=np.where(np.arange(80) % 8 < 4, -1, 1))
    1.0
    """
    z, other, y = (np.asarray(values, np.float64) for values in (logits, others, y_true))
    weight = np.ones_like(z) if sample_weight is None else np.asarray(sample_weight, np.float64)

    def cost(factors: FloatArray) -> tuple[float, FloatArray]:
        mixed, apart = factors[0] * z + factors[1] * other, (factors.sum() - 1) / spread
        residual = weight * (kernel.sigmoid(mixed) - y)
        slope = np.array([residual @ z, residual @ other]) + apart / spread
        loss = weight @ kernel.losses_from_logits(y, mixed)
        return (float(loss) + apart**2 / 2) / scale, slope / scale

    # convex in the two factors, which are (1 - s)/T and s/T
    scale = float(weight.sum())
    found = minimize(
        cost,
        np.array([0.0, 1.0]),
        jac=True,
        bounds=[(0, 8)] * 2,
        method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-9},
    )
    alone = 1 / Temperature.learn(y, z, weight, spread=spread).temperature
    gain = scale * (cost(np.array([alone, 0.0]))[0] - found.fun)
    return float(found.x[1] / found.x.sum()) if gain > 1 and found.x[1] > 0 else 0.0


def _parts(held_out: Judged) -> list[int]:
    """Return the numbers of the parts that rows are in."""
    numbers: list[int] = np.unique(held_out.part).tolist()
    return numbers


def _said(stream: Stream, held_out: Judged, of_folds: Sequence[LinearPredictor]) -> FloatArray:
    """Return what the lines without their folds say of rows held out."""
    said = np.empty(len(held_out))
    for number in _parts(held_out):
        block, fold = stream.dealt(number)
        logits = np.zeros(len(block))
        for k, predictor in enumerate(of_folds):
            logits = np.where(fold == k, predictor.logits(block), logits)
        here = held_out.part == number
        said[here] = logits[held_out.row[here]]
    return said
