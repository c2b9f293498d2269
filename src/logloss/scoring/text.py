"""A `Score` as text for a terminal and as HTML for a notebook; no figure is made here."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from logloss.files import counted, printable
from logloss.scoring.estimates import Estimate

if TYPE_CHECKING:
    from logloss.scoring.result import Score
    from logloss.scoring.segments import Segment

#: How much of a long list is shown; all of it is in `Score.to_dict`.
_SHOWN_LEVELS, _SHOWN_ROWS = 20, 3
#: Below this many clusters a sandwich is known to be too narrow (Cameron and Miller, "A
#: Practitioner's Guide to Cluster-Robust Inference", 2015, call 20 to 50 few).
_FEW_CLUSTERS = 20

_LEVEL_TITLES = ("rows", "share of loss", "log loss", "95 %", "said", "happened")


def as_text(score: Score) -> str:
    """Return the figures, the worst rows and the levels, in under 100 columns."""
    lines = [_title(score)]
    names = [name for name, *_ in _main_rows(score)]
    width = max(map(len, names))
    for name, value, interval, note in _main_rows(score):
        lines.append(f"  {name:{width}}  {value:>8}   {interval:17}  {note}".rstrip())
    lines += [f"  {line}" for line in _remarks(score)]
    if score.worst:
        lines.append("  worst rows")
        for row in score.worst[:_SHOWN_ROWS]:
            head = (
                f"    row {row.row:,}: said {_percent(row.probability)}, was {row.y:g}, "
                f"loss {_number(row.loss)} · "
            )
            lines.append(head + _cut(_cells(row.columns, score), 100 - len(head)))
    for column in dict.fromkeys(segment.column for segment in score.by):
        lines += ["", *_level_table(column, [s for s in score.by if s.column == column])]
    return "\n".join(lines)


def as_html(score: Score) -> str:
    """Return the same as tables; everything that came from data is escaped."""
    rows = [(name, value, interval, note) for name, value, interval, note in _main_rows(score)]
    parts = [
        _table(("", "value", "95 %", ""), rows, _title(score)),
        "".join(f"<p>{html.escape(line)}</p>" for line in _remarks(score)),
    ]
    if score.worst:
        cells = [
            (
                f"{row.row:,}", _percent(row.probability), f"{row.y:g}", _number(row.loss),
                _cells(row.columns, score),
            )
            for row in score.worst
        ]  # fmt: skip
        parts.append(_table(("row", "said", "was", "loss", ""), cells, "worst rows"))
    for column in dict.fromkeys(segment.column for segment in score.by):
        levels = [s for s in score.by if s.column == column]
        body = [(_text(s.level), *_level_cells(s)) for s in levels[:_SHOWN_LEVELS]]
        parts.append(_table((column, *_LEVEL_TITLES), body, _hidden(levels)))
    return "".join(parts)


def _title(score: Score) -> str:
    clusters = f"{counted(score.n_clusters, 'cluster')} of {', '.join(score.cluster)}"
    source = f" from {clusters}" if score.cluster else ""
    weight = "" if score.weight == score.n else f" · Σw {score.weight:,.6g}"
    return (
        f"logloss score · {_text(score.target)} by {_text(score.forecast)} · "
        f"{counted(score.n, 'row')}{weight} · 95 % intervals{source}"
    )


def _main_rows(score: Score) -> list[tuple[str, str, str, str]]:
    origin = {"training": "training rate", "observed": "observed rate", "given": "given rate"}
    said = f"always saying {_percent(score.baseline_rate)}"
    return [
        ("log loss", _number(score.log_loss.value), _interval(score.log_loss), "nats"),
        (origin[score.baseline_origin], _number(score.baseline.value), "", said),
        ("gain", _number(score.gain.value), _interval(score.gain), verdict(score)),
    ]


def verdict(score: Score) -> str:
    """Return, in words, whether the forecasts beat the constant."""
    gain, skill = score.gain, score.skill.value
    if math.isnan(gain.value):
        return ""
    if score.infinite.n:
        return "worse than the constant: some certainty was wrong"
    shown = "" if math.isnan(skill) else f": skill {_percent(skill)}"
    if math.isnan(gain.low):
        return shown.removeprefix(": ")
    if gain.low > 0:
        size = "large" if skill >= 0.5 else "good" if skill >= 0.2 else "modest"
        return f"real, {size if skill >= 0.02 else 'small'}{shown}"
    if gain.high < 0:
        return f"worse than the constant{shown}"
    return f"no clear difference from the constant{shown}"


def _remarks(score: Score) -> list[str]:
    lines = [
        f"{_text(score.target)}=0 {_number(score.log_loss_y0.value)} · "
        f"{_text(score.target)}=1 {_number(score.log_loss_y1.value)} · "
        f"Brier {_number(score.brier.value)} · AUC {_auc(score.auc)}",
        f"said {_percent(score.mean_probability.value)}, happened "
        f"{_percent(score.base_rate.value)}{_bias(score.bias)}",
    ]
    if score.infinite.n:
        n, rows = score.infinite.n, score.infinite.rows
        named = ", ".join(f"{row:,}" for row in rows) + (" …" if n > len(rows) else "")
        lines.append(
            f"infinite loss on {counted(n, 'row')} ({named}): called impossible, "
            f"and happened; without, the log loss is {_number(score.infinite.log_loss_without)}"
        )
    if score.clip is not None:
        lines.append(f"clip {score.clip!r} changed {counted(score.n_clipped, 'row')}")
    if 0 < score.n_clusters < _FEW_CLUSTERS:
        few = counted(score.n_clusters, "cluster")
        lines.append(f"only {few}: take the intervals as a rough guide")
    return lines


def _bias(bias: Estimate) -> str:
    if math.isnan(bias.low):
        return ""
    if bias.low <= 0 <= bias.high:
        return " (no clear difference)"
    return f" (difference {_points(bias.low)} to {_points(bias.high)} points)"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _level_table(column: str, levels: Sequence[Segment]) -> list[str]:
    rows = [(_cut(_text(s.level), 24), *_level_cells(s)) for s in levels[:_SHOWN_LEVELS]]
    table = [(_cut(_text(column), 24), *_LEVEL_TITLES), *rows]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = [
        "  " + f"{head:{widths[0]}}" + "".join(
            f"  {cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)
        )
        for head, *cells in table
    ]  # fmt: skip
    hidden = _hidden(levels)
    return [*lines, f"  {hidden}"] if hidden else lines


def _hidden(levels: Sequence[Segment]) -> str:
    more = len(levels) - _SHOWN_LEVELS
    return f"… and {more:,} more in to_dict()" if more > 0 else ""


def _level_cells(segment: Segment) -> tuple[str, ...]:
    return (
        f"{segment.n:,}",
        _percent(segment.share),
        _number(segment.log_loss.value),
        _interval(segment.log_loss),
        _percent(segment.mean_probability),
        _percent(segment.base_rate),
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    head = "".join(_cell("th", title) for title in titles)
    body = "".join(
        f"<tr>{_cell('th', first)}{''.join(_cell('td', cell) for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _cell(tag: str, content: str) -> str:
    return f"<{tag}>{html.escape(content)}</{tag}>"


def _cells(columns: Mapping[str, Any], score: Score) -> str:
    known = (score.target, score.forecast)
    return " ".join(f"{_text(k)}={_text(v)}" for k, v in columns.items() if k not in known)


def _text(value: object) -> str:
    """Show a value from the data on one line, without what could steer a terminal."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(str(value))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _number(value: float) -> str:
    """Four decimals, or three digits where four decimals would show too little."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value).replace("-", "−")
    shown = f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"
    return shown.replace("-", "−", 1) if value < 0 else shown


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"{_number(estimate.low)} – {_number(estimate.high)}"


def _auc(auc: Estimate) -> str:
    if math.isnan(auc.value):
        return "–"
    digits = 4 if auc.high - auc.low < 5e-4 else 3 if auc.high - auc.low < 5e-3 else 2
    return f"{auc.value:.{digits}f}"


def _percent(share: float) -> str:
    """One decimal, or two digits for a share so small or so near 1 that it would vanish."""
    if not math.isfinite(share):
        return "–" if math.isnan(share) else str(share).replace("-", "−")
    percent = 100 * share
    if 0 < abs(percent) < 0.1:
        shown = f"{percent:.2g}"
    elif 99.9 < percent < 100:
        shown = f"{percent:.6g}"
    else:
        shown = f"{percent:.1f}"
    return f"{shown.replace('-', '−', 1)} %"
