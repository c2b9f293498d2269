"""`logloss info`: what a model file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import logloss
from logloss.cli.options import Json
from logloss.cli.terminal import Answer, to_json

EXAMPLE = "\b\nExample:\n  logloss info out/model.json"


def info(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that fit wrote.")
    ],
    json: Json = False,
) -> Answer:
    """Show what a model file holds.

    Its target and columns, the coefficients with their standard errors, and how the fit ended.
    """
    loaded = logloss.load(model)
    if json:
        return Answer(to_json(loaded.describe()))
    return Answer(f"{loaded}\n\n{loaded.summary()}")
