"""`LogLoss`: the mean loss as it comes in, with its standard error; mergeable, to the bit."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from logloss.arrays import operands
from logloss.errors import ArgumentError, ModelError
from logloss.kernel import ExactSum, Rows, evaluate_logits, evaluate_probabilities

FloatArray = npt.NDArray[Any]

_MAGIC = b"logloss.LogLoss\x00"
_VERSION = 2
_HEADER = struct.Struct("<16sHQI")  # magic, version, rows, checksum of rows and sums
#: Σwℓ, Σw, Σw²ℓ², Σw²ℓ, Σw²: what a weighted mean and its variance are made of.
_N_SUMS = 5


class LogLoss:
    """Mean log loss of rows that come in pieces, from any number of workers.

    The sums are exact, so that the value depends on nothing but the rows: not on how they
    were cut, nor in which order pieces were merged.

    Examples
    --------
    >>> from logloss import LogLoss
    >>> first = LogLoss().update([1, 0], [0.9, 0.2])
    >>> second = LogLoss().update([1], logits=[-0.4])
    >>> round(first.merge(second).value, 4)
    0.4138
    >>> LogLoss.from_bytes(first.to_bytes()).n_rows
    3
    """

    def __init__(self) -> None:
        self._n_rows = 0
        self._sums: tuple[ExactSum, ...] = (ExactSum.of(np.empty(0)),) * _N_SUMS

    def update(
        self,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike | None = None,
        *,
        logits: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Take in some rows; changes this object and returns it.

        Parameters
        ----------
        y_true : array-like
            Labels in [0, 1].
        y_prob, logits : array-like
            Exactly one of them.
        sample_weight : array-like, optional
            Finite, at least 0.

        Raises
        ------
        ArgumentError
            If both or none of `y_prob` and `logits` are given, or shapes do not fit.
        LabelError, ProbabilityError, LogitError, WeightError
            If a value breaks its rule; nothing is taken in then.
        """
        if (y_prob is None) == (logits is None):
            raise ArgumentError("give exactly one of y_prob and logits.")
        name, scores = ("logits", logits) if y_prob is None else ("y_prob", y_prob)
        assert scores is not None
        rows = operands(y_true, scores, scores_name=name, sample_weight=sample_weight)
        weighted = np.empty(len(rows.y), rows.scores.dtype)
        given = Rows(rows.y, rows.scores, rows.weight, loss=weighted)
        evaluate = evaluate_logits if y_prob is None else evaluate_probabilities
        total, faults = evaluate(given, total=True)
        rows.raise_for(faults)
        assert total is not None
        self._add(total, weighted.astype(np.float64), rows.weight)
        return self

    @np.errstate(over="ignore")  # losses and weights beyond 1e154 have no standard error
    def _add(self, total: ExactSum, weighted: FloatArray, weight: FloatArray | None) -> None:
        """Add the sums of some rows: wℓ is given, and weighs the squares as it is."""
        factor = np.ones(len(weighted)) if weight is None else weight.astype(np.float64)
        parts = (factor, weighted * weighted, factor * weighted, factor * factor)
        added = (total, *map(ExactSum.of, parts))
        self._sums = tuple(old + new for old, new in zip(self._sums, added, strict=True))
        self._n_rows += len(weighted)

    def merge(self, other: LogLoss) -> Self:
        """Take in all rows of another; changes this object and returns it."""
        self._sums = tuple(a + b for a, b in zip(self._sums, other._sums, strict=True))
        self._n_rows += other._n_rows
        return self

    @property
    def n_rows(self) -> int:
        """Rows seen."""
        return self._n_rows

    @property
    def value(self) -> float:
        """Mean loss, Σwℓ/Σw, in nats; NaN while the weights sum to 0."""
        loss, weight = self._sums[:2]
        return loss.value / weight.value if weight.value > 0 else math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of `value` for independent rows, in nats.

        NaN below two rows, and where squares of losses or weights leave the doubles.
        """
        n, mean = self._n_rows, self.value
        weight, squares, crossed, weights = (part.value for part in self._sums[1:])
        if n < 2 or not math.isfinite(mean):
            return math.nan
        about_mean = squares - 2 * mean * crossed + mean * mean * weights
        if not math.isfinite(about_mean):
            return math.nan
        return math.sqrt(max(about_mean, 0.0) * n / (n - 1)) / weight

    def to_bytes(self) -> bytes:
        """Return the state, versioned and checksummed, for `from_bytes` on any machine."""
        body = b"".join(part.to_bytes() for part in self._sums)
        return _HEADER.pack(_MAGIC, _VERSION, self._n_rows, _checksum(self._n_rows, body)) + body

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """Rebuild a metric from `to_bytes`; nothing in it is executed.

        Raises
        ------
        ModelError
            If the bytes are not a state, damaged, or of another version.
        """
        if len(state) < _HEADER.size or not state.startswith(_MAGIC):
            raise ModelError("these bytes are not the state of a LogLoss")
        _, version, n_rows, checksum = _HEADER.unpack_from(state)
        if version != _VERSION:
            raise ModelError(
                f"this state has version {version}; this logloss reads {_VERSION}: "
                "write and read it with the same one"
            )
        body = state[_HEADER.size :]
        size = len(ExactSum.of(np.empty(0)).to_bytes())
        if len(body) != _N_SUMS * size or _checksum(n_rows, body) != checksum:
            raise ModelError("damaged LogLoss state: its checksum does not fit")
        made = cls()
        made._n_rows = n_rows
        made._sums = tuple(
            ExactSum.from_bytes(body[k * size : (k + 1) * size]) for k in range(_N_SUMS)
        )
        return made

    def __repr__(self) -> str:
        return f"LogLoss(n_rows={self.n_rows}, value={self.value:.6g})"


def _checksum(n_rows: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(n_rows.to_bytes(8, "little")))
