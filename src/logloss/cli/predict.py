"""`logloss predict`: a model and a table to a file with probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import logloss
from logloss.cli.options import Data
from logloss.cli.terminal import Answer, rows_progress

EXAMPLE = (
    "\b\nExample:\n"
    "  logloss predict out/model.json examples/data/flights_test.parquet \\\n"
    "      -o out/predictions.parquet"
)


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that fit wrote.")
    ],
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, help="The Parquet file to write."
        ),
    ],
) -> Answer:
    """Add a probability and a logit to each row.

    The columns of the input are kept; the file appears whole or not at all.
    """
    from logloss.files import counted  # brings NumPy, which --help does without

    loaded = logloss.load(model)
    with rows_progress("predict") as progress:
        n_rows = loaded.predict(data, output, progress=progress)
    return Answer(f"{counted(n_rows, 'row')} with probability and logit: {output}")
