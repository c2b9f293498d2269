"""The options that several verbs share, each with its words, and how they are read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="A Parquet, CSV, Arrow IPC or Feather file; a folder or Hive tree of them; "
        "a glob in quotes; a URL; or - for standard input.",
    ),
]
Target = Annotated[
    str,
    typer.Option(
        metavar="COL",
        show_default=False,
        help="The column to predict: two values of any type, or proportions in [0, 1].",
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE",
        help="The value of the target that counts as 1; needed when its values are text.",
    ),
]
Weight = Annotated[str | None, typer.Option(metavar="COL", help="Column of row weights, >= 0.")]
Prob = Annotated[
    str | None, typer.Option("--prob", metavar="COL", help="Column of probabilities to judge.")
]
Logit = Annotated[
    str | None, typer.Option("--logit", metavar="COL", help="Column of logits to judge.")
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model", metavar="MODEL", help="A model whose predictions to judge."),
]
Picture = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        show_default=False,
        help="The picture to write: .png, .svg or .pdf.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help='Answer in JSON; "inf", "-inf" and "nan" are strings.')
]


def split_names(text: str | None) -> tuple[str, ...]:
    """Read ``a,b`` as two column names; ``"a,b"``, quoted as in CSV, as one."""
    if text is None:
        return ()
    names = next(csv.reader([text], skipinitialspace=True), [])
    if not names or not all(names):
        raise typer.BadParameter(f"{text!r} is not a list of column names such as a,b")
    return tuple(names)
