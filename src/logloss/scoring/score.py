"""`score`: how good probabilities are, from a table to a `Score`; nothing here sums rows."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from logloss import files
from logloss.clipping import Clip, check_clip
from logloss.design.target import Target, TargetPass, is_positive, learn_target
from logloss.errors import ArgumentError, SwappedWarning, TargetError, WeightError
from logloss.models import Model, load
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch, Engine
from logloss.rows.source import Source, open_source
from logloss.scoring.passes import ScorePass
from logloss.scoring.reading import RowReader, check_columns, refuse_many, values_of
from logloss.scoring.result import Score, make_score
from logloss.scoring.segments import segments_of
from logloss.scoring.state import ScoreState

__all__ = ["Score", "score"]


def score(
    source: Any,
    target: str,
    *,
    prob: str | None = None,
    logit: str | None = None,
    model: Model | str | os.PathLike[str] | None = None,
    by: str | Sequence[str] | None = None,
    weight: str | None = None,
    cluster: str | Sequence[str] | None = None,
    positive: Any = None,
    base_rate: float | None = None,
    worst: int = 10,
    clip: Clip = None,
    engine: Engine | None = None,
) -> Score:
    """Score probabilities against what happened, in one pass over a table.

    Parameters
    ----------
    source : path, table or stream
        As for `fit`.
    target : str
        The column that says what happened: two values of any type, or proportions; with
        a `model`, the values that it was fitted on, whatever the column's name was.
    prob, logit : str, optional
        The column of forecasts, as probabilities or as logits.  Logits keep what
        probabilities round away: σ(37) is stored as 1.
    model : Model or path, optional
        A model to score on these rows.  Exactly one of `prob`, `logit` and `model`.
    by : str or sequence of str, optional
        Columns to split the loss by, each by itself.
    weight : str, optional
        Column of sample weights: finite, 0 or more.
    cluster : str or sequence of str, optional
        Columns that together name rows which depend on each other, such as the flights
        of one day.  Intervals are then made from clusters, not rows.
    positive : object, optional
        Which of the target's two values counts as 1; required for text.  A model
        brings its own, which this must not contradict.
    base_rate : float, optional
        What the constant forecast that serves as the baseline says.  By default the
        training rate, where `model` or the file's metadata tell it, else the rate
        observed here.
    worst : int, default=10
        How many rows of greatest loss to keep.
    clip : float or {"sklearn", "keras", "torch"}, optional
        What to do with probabilities near 0 and 1; by default nothing, so that a
        certainty that was wrong costs infinitely much.  The number of rows that it
        changed stands in the result.
    engine : Engine, optional
        What runs the pass; threads of this process by default.

    Returns
    -------
    Score
        Log loss Σw·ℓ/Σw in nats, exactly summed, so that order, cut and threads do not
        change a bit; its baseline, gain and skill; loss by class; Brier score, AUC;
        claimed and realised rate; the worst rows; with 95 % intervals from the
        linearised variance of ratios (Student's t with units − 1 degrees of freedom).

    Raises
    ------
    ArgumentError, ColumnError, SourceError
        If the call or the table is wrong.
    ProbabilityError, LogitError, WeightError, LabelError, TargetError
        If a value is, with the number of its row.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from logloss import score
    >>> table = pa.table({"rain": [0, 1, 1, 0], "said": [0.2, 0.7, 0.9, 0.4]})
    >>> result = score(table, "rain", prob="said")
    >>> round(result.log_loss.value, 4)
    0.299
    >>> result.worst[0].row, result.worst[0].probability
    (3, 0.4)
    """
    _check_forecasts(prob, logit, model)
    _check_options(worst, base_rate)
    check_clip(clip, prob)
    fitted = load(model) if isinstance(model, str | os.PathLike) else model
    if fitted is not None:
        fitted = _for_target(fitted, target, positive)
    rows = open_source(source) if fitted is None else fitted.open(source)
    if rows.n_rows == 0:
        raise ArgumentError(f"{rows.name} has no rows to score")
    engine = LocalEngine() if engine is None else engine
    cluster, by = _names(cluster), _names(by)
    roles = [("target", target), ("prob", prob), ("logit", logit), ("weight", weight)]
    roles += [("cluster", name) for name in cluster] + [("by", name) for name in by]
    asked = [(role, name) for role, name in roles if name is not None]
    if rows.schema is not None:
        check_columns(rows.schema, asked, rows.name)
    reader = RowReader(
        target=_target(rows, target, positive, engine) if fitted is None else fitted.target,
        prob=prob,
        logit=logit,
        model=fitted,
        weight=weight,
        cluster=cluster,
        by=by,
    )
    state = engine.reduce(
        ScorePass(
            on_logits=prob is None,
            weighted=weight is not None,
            clustered=bool(cluster),
            n_by=len(by),
            n_worst=worst,
            clip=clip,
        ),
        rows.select(reader.columns).map(reader),
    )
    _check_state(state, weight, cluster)
    if reader.target.kind == "proportion" and state.histogram.is_hard:
        warnings.warn(
            f"every forecast in {prob or logit!r} is 0 or 1 while the target {target!r} is not: "
            "they look swapped",
            SwappedWarning,
            stacklevel=2,
        )
    rate, origin = _baseline(base_rate, fitted, rows, target, state)
    return make_score(
        state,
        target=target,
        forecast=prob or logit or "the model",
        cluster=cluster,
        baseline_rate=rate,
        baseline_origin=origin,
        segments=_segments(state, by),
        columns=_rows_as_values(rows, state.worst.row.tolist()),
        clip=clip,
    )


def _check_forecasts(prob: str | None, logit: str | None, model: object) -> None:
    given = {"prob": prob, "logit": logit, "model": model}
    named = [f"`{name}`" for name, value in given.items() if value is not None]
    if len(named) != 1:
        found = " and ".join(named) or "none"
        raise ArgumentError(f"give exactly one of `prob`, `logit` and `model`; got {found}")


def _check_options(worst: int, base_rate: float | None) -> None:
    if isinstance(worst, bool) or not isinstance(worst, int) or worst < 0:
        raise ArgumentError(f"`worst` must be a whole number, 0 or more; got {worst!r}")
    if base_rate is not None and not 0 <= base_rate <= 1:
        raise ArgumentError(f"`base_rate` must be in [0, 1]; got {base_rate!r}")


def _for_target(model: Model, column: str, positive: Any) -> Model:
    """Return the model as one of `column`, which holds the classes that it was fitted on."""
    classes = model.target.classes
    if positive is not None and (classes is None or not is_positive(positive, classes[1])):
        known = "a proportion" if classes is None else f"{classes[1]!r} as positive"
        raise ArgumentError(f"`positive` is {positive!r}, but the model was fitted to {known}")
    return replace(model, target=replace(model.target, name=column))


def _target(rows: Source[Batch], column: str, positive: Any, engine: Engine) -> Target:
    """Learn the target; to be scored, it may hold one of 0 and 1 alone."""
    try:
        return learn_target(rows, column, positive=positive, engine=engine)
    except TargetError:
        seen = engine.reduce(TargetPass(column), rows.select([column]))
        if positive is None and seen.first_null is None and seen.smallest in ((0,), (1,)):
            return Target(column, (0, 1))
        raise


def _names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def _check_state(state: ScoreState, weight: str | None, cluster: tuple[str, ...]) -> None:
    if not state.totals["one"].value > 0:
        raise WeightError(f"the weights of column {weight!r} sum to zero: nothing can be scored")
    if state.clusters is not None and len(state.clusters) < 2:
        raise ArgumentError(
            f"`cluster` {', '.join(map(repr, cluster))} has one value on all rows: an interval "
            "needs at least two clusters; name another column, or none"
        )


def _baseline(
    given: float | None, model: Model | None, rows: Source[Batch], target: str, state: ScoreState
) -> tuple[float, str]:
    """Return what the constant forecast says, and where that comes from."""
    if given is not None:
        return float(given), "given"
    if model is not None:
        return model.base_rate, "training"
    metadata = (rows.schema.metadata or {}) if rows.schema is not None else {}
    if b"logloss" in metadata:
        record = files.load_record(metadata[b"logloss"].decode(), "logloss-predictions", 1)
        rate = record.get("base_rate")
        if record.get("target") == target and isinstance(rate, int | float) and 0 <= rate <= 1:
            return float(rate), "training"
    rate = state.totals["y"].value / state.totals["one"].value
    return min(max(rate, 0.0), 1.0), "observed"


def _rows_as_values(rows: Source[Batch], numbers: list[int]) -> list[dict[str, Any]]:
    if not numbers:
        return []
    table = rows.take(numbers)
    columns = [values_of(column.combine_chunks()) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _segments(state: ScoreState, by: tuple[str, ...]) -> tuple[Any, ...]:
    found: list[Any] = []
    for name, sums in zip(by, state.by, strict=True):
        levels = segments_of(name, sums, clustered=state.clusters is not None)
        refuse_many(name, len(levels))
        found.extend(levels)
    return tuple(found)
