"""`logloss info`: what a model file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import logloss
from logloss.cli.options import Json, split_names
from logloss.cli.terminal import Answer, to_json

EXAMPLE = "\b\nExample:\n  logloss info out/model.json"


def info(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that fit wrote.")
    ],
    wald: Annotated[
        str | None,
        typer.Option(
            metavar="COL,COL",
            help="Test whether the coefficients of these columns, levels and all, are 0.",
        ),
    ] = None,
    json: Json = False,
) -> Answer:
    """Show what a model file holds.

    Its target and columns, the coefficients with their standard errors, and how the fit ended.
    """
    loaded = logloss.load(model)
    test = None if wald is None else loaded.summary().wald_test(list(split_names(wald)))
    if json:
        found = {} if test is None else {"wald_test": test.to_dict()}
        return Answer(to_json(loaded.describe() | found))
    lines = [f"{loaded}\n", str(loaded.summary())]
    return Answer("\n".join(lines if test is None else [*lines, "", str(test)]))
