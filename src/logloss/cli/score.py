"""`logloss score`: how good forecasts were, and whether that is good enough."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import logloss
from logloss.cli.conditions import Condition
from logloss.cli.options import (
    Data,
    Json,
    Logit,
    ModelFile,
    Positive,
    Prob,
    Target,
    Weight,
    split_names,
)
from logloss.cli.terminal import Answer, rows_progress, to_json
from logloss.errors import ArgumentError

EXAMPLE = (
    "\b\nExample:\n"
    "  logloss score out/predictions.parquet --target late --prob probability \\\n"
    "      --cluster month,day --fail-if 'log_loss>0.6'"
)

#: Exit code when a --fail-if held.
FAILED = 1


def score(
    data: Data,
    *,
    target: Target,
    prob: Prob = None,
    logit: Logit = None,
    model: ModelFile = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Also score each value of this column; repeatable."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="COL,COL",
            help="Rows alike in these columns are not independent: intervals allow for it.",
        ),
    ] = None,
    weight: Weight = None,
    positive: Positive = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="EPS|POLICY",
            help="Clip probabilities: a number, or as sklearn, keras or torch do; "
            "by default not at all.",
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option(metavar="K", min=0, help="How many of the worst rows to show.")
    ] = 10,
    json: Json = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Exit with 1 if this holds, such as 'log_loss>0.4' or 'gain.low<=0'; repeatable.",
        ),
    ] = None,
) -> Answer:
    """Score predicted probabilities.

    Log loss with its 95 % interval, the gain over the base rate, Brier score, AUC, and the
    rows that cost most.
    """
    conditions = [Condition.parse(text) for text in fail_if or ()]
    require_one(prob=prob, logit=logit, model=model)

    with rows_progress("score") as progress:
        result = logloss.score(
            data,
            target,
            prob=prob,
            logit=logit,
            model=model,
            by=by or None,
            cluster=split_names(cluster) or None,
            weight=weight,
            positive=positive,
            clip=_clip(clip),
            worst=worst,
            engine=logloss.LocalEngine(progress=progress),
        )
    record = result.to_dict()
    held = [condition for condition in conditions if condition.holds(record)]
    for condition in held:
        print(
            f"logloss: failed: {condition.metric} is {condition.value(record):.6g}, "
            f"and --fail-if says {condition}",
            file=sys.stderr,
        )
    text = to_json(record) if json else str(result)
    return Answer(text, code=FAILED if held else 0)


def require_one(**forecasts: object) -> None:
    """Check that one source of forecasts is named, and only one."""
    if sum(value is not None for value in forecasts.values()) != 1:
        names = ", ".join(f"--{name}" for name in forecasts)
        raise ArgumentError(f"say what to judge with one of {names}")


def _clip(text: str | None) -> Any:
    """Read a number, or leave a policy's name to be judged by the library."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
