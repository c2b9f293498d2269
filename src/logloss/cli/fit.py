"""`logloss fit`: a table and its target to a model file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import logloss
from logloss.cli.options import Data, Json, Positive, Weight, split_names
from logloss.cli.terminal import Answer, steps_progress, to_json

EXAMPLE = (
    "\b\nExample:\n"
    "  logloss fit examples/data/flights_train.parquet --target late \\\n"
    "      --drop month,day -o out/model.json"
)


class Method(StrEnum):
    """What is maximised."""

    MLE = "mle"
    FIRTH = "firth"


class Intervals(StrEnum):
    """How far a coefficient may be from its estimate."""

    WALD = "wald"
    PROFILE = "profile"


class Covariance(StrEnum):
    """Where standard errors come from."""

    MODEL = "model"
    HC0 = "HC0"
    HC1 = "HC1"


class Weighting(StrEnum):
    """What a weight means."""

    FREQUENCY = "frequency"
    SAMPLING = "sampling"


class Kind(StrEnum):
    """What is fitted."""

    LOGISTIC = "logistic"
    NETWORK = "network"


class Quality(StrEnum):
    """How much work a network may be."""

    FAST = "fast"
    DEFAULT = "default"
    BEST = "best"


class Prior(StrEnum):
    """What is known of the coefficients before the data."""

    AUTO = "auto"
    WEAK = "weak"
    NONE = "none"


def fit(
    data: Data,
    *,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="The column to predict: two values of any type, or proportions in [0, 1]; "
            "needed unless it stands on the left of --formula.",
        ),
    ] = None,
    formula: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What to use of the columns, such as 'late ~ hour + C(carrier) + log(distance)'.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MODEL", help="The model file to write (JSON)."),
    ],
    model: Annotated[
        Kind,
        typer.Option(
            help="logistic: a line, with standard errors; network: hidden layers, for what no "
            "line can say (extra torch; the model is a safetensors file).",
        ),
    ] = Kind.LOGISTIC,
    quality: Annotated[
        Quality, typer.Option(help="How much work a network may be.")
    ] = Quality.DEFAULT,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Most passes of a network over the rows, where --quality is not to say: millions "
            "of rows need few.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of a network.")] = 0,
    features: Annotated[
        str | None,
        typer.Option(metavar="COL,COL", help="Columns to use; by default all that are left."),
    ] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="COL,COL", help="Columns to leave out.")
    ] = None,
    weight: Weight = None,
    offset: Annotated[
        str | None, typer.Option(metavar="COL", help="Column of fixed additions to the logit.")
    ] = None,
    positive: Positive = None,
    prior: Annotated[
        Prior,
        typer.Option(
            help="weak: coefficients are N(0, 2.5²), numbers scaled to a standard deviation of ½; "
            "none: maximum likelihood; auto: weak, but none for --method firth.",
        ),
    ] = Prior.AUTO,
    alpha: Annotated[
        float, typer.Option(metavar="A", min=0, help="Strength of an additional L2 penalty.")
    ] = 0.0,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory to keep to, such as 2GB; by default a quarter of the machine's. "
            "Rows that take more go to a temporary file.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that keeps what every scan found, or how far a network has come: where a "
            "fit was killed, the same call goes on from there. Removed at the end.",
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="mle: the likelihood (with its prior); firth: Firth's penalised likelihood, for "
            "few rows and separated classes.",
        ),
    ] = Method.MLE,
    intervals: Annotated[
        Intervals,
        typer.Option(help="wald: 1.96 standard errors; profile: what the likelihood allows."),
    ] = Intervals.WALD,
    base_rate: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help="Share of positives in the population, where rows were chosen or weighted by "
            "their class: forecasts are corrected for it.",
        ),
    ] = None,
    covariance: Annotated[
        Covariance,
        typer.Option(help="Standard errors: as the model has them, or robust (HC0, HC1)."),
    ] = Covariance.MODEL,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="COL,COL",
            help="Columns whose values together name rows that depend on each other: standard "
            "errors are robust to that.",
        ),
    ] = None,
    weighting: Annotated[
        Weighting,
        typer.Option(
            help="What a weight means: how many rows a row stands for, or one over the chance "
            "that it was drawn.",
        ),
    ] = Weighting.FREQUENCY,
    json: Json = False,
) -> Answer:
    """Fit a logistic regression, or a network, to a table.

    The table is read straight from where it lies, in pieces: numbers and categories,
    missing values and all.
    """
    if target is None and formula is None:
        raise typer.BadParameter("name the column to predict: --target COL, or --formula 'COL ~ …'")
    from logloss.files import check_writable  # brings NumPy, which --help does without

    check_writable(output)
    with steps_progress("fit") as (watch, progress):
        fitted = logloss.fit(
            data,
            target,
            model=model.value,
            quality=quality.value,
            epochs=epochs,
            random_state=seed,
            formula=formula,
            features=split_names(features) or None,
            drop=split_names(drop),
            weight=weight,
            offset=offset,
            positive=positive,
            prior=None if prior is Prior.NONE else prior.value,
            alpha=alpha,
            method=method.value,
            intervals=intervals.value,
            base_rate=base_rate,
            covariance=covariance.value,
            cluster=split_names(cluster),
            weighting=weighting.value,
            memory=memory,
            checkpoint=checkpoint,
            watch=watch,
            progress=progress,
        )
    fitted.save(output)
    if json:
        return Answer(to_json({"model": str(output), **fitted.describe()}))
    return Answer(f"{fitted}\nmodel: {output}")
