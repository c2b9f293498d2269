"""`Score`, the answer of `score`, and how it is made from a finished pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from logloss.clipping import Clip
from logloss.scoring import text
from logloss.scoring.estimates import Estimate, Form, Ratios, constant_loss
from logloss.scoring.histogram import Histogram
from logloss.scoring.segments import Segment
from logloss.scoring.state import ScoreState

_ONE: Form = {"one": 1.0}
_LOSS: Form = {"loss_y1": 1.0, "loss_y0": 1.0}


@dataclass(frozen=True)
class WorstRow:
    """One row of great loss.

    Attributes
    ----------
    row : int
        Its number in the table, from 0.
    y, probability, loss : float
        What happened, what was said, what that cost in nats.
    columns : dict
        The row as it stands in the table.
    """

    row: int
    y: float
    probability: float
    loss: float
    columns: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text."""
        return {**vars(self), "columns": {k: _plain(v) for k, v in self.columns.items()}}


@dataclass(frozen=True)
class InfiniteLoss:
    """Rows that were called impossible and happened.

    Attributes
    ----------
    n : int
        How many.
    rows : tuple of int
        The first of them.
    log_loss_without : float
        Log loss of all other rows.
    """

    n: int
    rows: tuple[int, ...]
    log_loss_without: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {**vars(self), "rows": list(self.rows)}


@dataclass(frozen=True)
class Score:
    """How good probabilities are.  All losses are in nats.

    Attributes
    ----------
    target, forecast : str
        What was scored: the columns' names.
    n, weight : int, float
        Rows, and Σw.
    log_loss : Estimate
        Mean loss, with its 95 % interval.
    baseline : Estimate
        Log loss of always saying `baseline_rate`.
    gain, skill : Estimate
        Baseline less log loss, row by row, and the gain as a part of the baseline.
    log_loss_y1, log_loss_y0 : Estimate
        Mean loss where y = 1 and where y = 0 (proportions count for both, by their size).
    brier, auc : Estimate
        Mean squared error; area under the ROC curve, whose bounds are not an interval
        but the range that fits bins of 1/128 of a logit.
    mean_probability, base_rate, bias : Estimate
        Claimed rate, realised rate, and the first less the second.
    baseline_rate, baseline_origin : float, str
        The constant forecast, and whether it is the "training" rate, the "observed" one
        or was "given".
    infinite : InfiniteLoss
        Rows of infinite loss.
    worst : tuple of WorstRow
        Rows of greatest loss, the greatest first.
    by : tuple of Segment
        Levels of the columns split by, the greatest share of the loss first.
    cluster, n_clusters : tuple of str, int
        What named the clusters, and how many there are; (), 0 for independent rows.
    clip, n_clipped : float, str or None, int
        Clip policy, and how many rows it changed.
    histogram : Histogram
        Logit × class, from which `ReliabilityDisplay.from_score` draws.
    """

    target: str
    forecast: str
    n: int
    weight: float
    log_loss: Estimate
    baseline: Estimate
    gain: Estimate
    skill: Estimate
    log_loss_y1: Estimate
    log_loss_y0: Estimate
    brier: Estimate
    auc: Estimate
    mean_probability: Estimate
    base_rate: Estimate
    bias: Estimate
    baseline_rate: float
    baseline_origin: str
    infinite: InfiniteLoss
    worst: tuple[WorstRow, ...]
    by: tuple[Segment, ...]
    cluster: tuple[str, ...]
    n_clusters: int
    clip: Clip
    n_clipped: int
    histogram: Histogram = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, text and lists, ready for JSON but for inf and nan."""
        record: dict[str, Any] = {"format": "logloss-score", "version": 1}
        for name, value in vars(self).items():
            if name == "histogram":
                continue
            if name in ("worst", "by"):
                record[name] = [part.to_dict() for part in value]
            elif isinstance(value, Estimate | InfiniteLoss):
                record[name] = value.to_dict()
            else:
                record[name] = list(value) if isinstance(value, tuple) else value
        for segment in record["by"]:
            segment["level"] = _plain(segment["level"])
        return record

    def __str__(self) -> str:
        return text.as_text(self)

    def _repr_html_(self) -> str:
        return text.as_html(self)


def make_score(
    state: ScoreState,
    *,
    target: str,
    forecast: str,
    cluster: tuple[str, ...],
    baseline_rate: float,
    baseline_origin: str,
    segments: tuple[Segment, ...],
    columns: Sequence[Mapping[str, Any]],
    clip: Clip,
) -> Score:
    """Turn a finished pass into a `Score`; `columns` are the worst rows as they stand."""
    ratios = Ratios(state)
    log_loss, without = _log_loss(state, ratios)
    rate = min(max(ratios.ratio({"y": 1.0}, _ONE).value, 0.0), 1.0)
    baseline, gain, skill = _against_constant(ratios, log_loss, baseline_rate, rate)
    low, high = state.histogram.auc_bounds()
    auc = Estimate(0.5 * (low + high), low, high, "exact" if low == high else "bounded")
    infinite, worst = state.infinite, state.worst
    y1 = _known(math.inf) if infinite.n_y1 else None
    y0 = _known(math.inf) if infinite.n_y0 else None
    return Score(
        target=target,
        forecast=forecast,
        n=state.n_rows,
        weight=state.totals["one"].value,
        log_loss=log_loss,
        baseline=baseline,
        gain=gain,
        skill=skill,
        log_loss_y1=y1 or ratios.ratio({"loss_y1": 1.0}, {"y": 1.0}, state.n_y1),
        log_loss_y0=y0 or ratios.ratio({"loss_y0": 1.0}, {"one": 1.0, "y": -1.0}, state.n_y0),
        brier=ratios.ratio({"square": 1.0}, _ONE),
        auc=auc,
        mean_probability=ratios.ratio({"probability": 1.0}, _ONE),
        base_rate=ratios.ratio({"y": 1.0}, _ONE),
        bias=ratios.ratio({"probability": 1.0, "y": -1.0}, _ONE),
        baseline_rate=baseline_rate,
        baseline_origin=baseline_origin,
        infinite=InfiniteLoss(infinite.n_y1 + infinite.n_y0, infinite.rows, without),
        worst=tuple(
            WorstRow(int(row), float(y), float(p), float(loss), shown)
            for row, loss, y, p, shown in zip(
                worst.row, worst.loss, worst.y, worst.probability, columns, strict=True
            )
        ),
        by=segments,
        cluster=cluster,
        n_clusters=0 if state.clusters is None else len(state.clusters),
        clip=clip,
        n_clipped=state.n_clipped,
        histogram=state.histogram,
    )


def _known(value: float) -> Estimate:
    """Return a number about whose error nothing can be said."""
    return Estimate(value, math.nan, math.nan)


def _log_loss(state: ScoreState, ratios: Ratios) -> tuple[Estimate, float]:
    """Return the log loss, and the log loss of the rows whose loss is finite."""
    total, weight = state.totals["loss"].value, state.totals["one"].value
    infinite = state.infinite
    if infinite.n_y1 or infinite.n_y0:
        finite = weight - infinite.weight.value
        return _known(math.inf), total / finite if finite > 0 else math.nan
    estimate = ratios.ratio(_LOSS, _ONE)
    # the sum over both labels is rounded once more than the exact one
    return replace(estimate, value=total / weight), total / weight


def _against_constant(
    ratios: Ratios, log_loss: Estimate, said: float, observed: float
) -> tuple[Estimate, Estimate, Estimate]:
    """Return the loss of always saying `said`, the gain over it, and the skill."""
    if not 0 < said < 1:
        baseline = _known(constant_loss(observed, said))
    else:
        against_y1, against_y0 = -math.log(said), -math.log1p(-said)
        form = {"one": against_y0, "y": against_y1 - against_y0}
        baseline = ratios.ratio(form, _ONE)
        if math.isfinite(log_loss.value):
            paired = {**form, "loss_y1": -1.0, "loss_y0": -1.0}
            return baseline, ratios.ratio(paired, _ONE), ratios.ratio(paired, form)
    gain = baseline.value - log_loss.value
    skill = gain / baseline.value if 0 < baseline.value < math.inf else math.nan
    return baseline, _known(gain), _known(skill)


def _plain(value: Any) -> Any:
    """Return what JSON knows; anything else as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
