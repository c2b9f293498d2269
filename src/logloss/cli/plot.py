"""`logloss plot`: the curves themselves, a reliability diagram, the path of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import logloss
from logloss.cli.options import Data, Logit, ModelFile, Picture, Positive, Prob, Target, Weight
from logloss.cli.score import require_one
from logloss.cli.terminal import Answer

app = typer.Typer(
    rich_markup_mode=None,
)


@app.callback(
    invoke_without_command=True,
    epilog="\b\nExample:\n  logloss plot sigmoid -o out/sigmoid.png",
)
def overview(context: typer.Context) -> None:
    """Draw curves, a reliability diagram, a fit."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="\b\nExample:\n  logloss plot sigmoid -o out/sigmoid.png")
def sigmoid(output: Picture) -> Answer:
    """Draw the sigmoid on [-10, 10] with its asymptotes."""
    logloss.plot_sigmoid(output=output)
    return _done(output)


@app.command(epilog="\b\nExample:\n  logloss plot loss -o out/loss.png")
def loss(output: Picture) -> Answer:
    """Draw the loss and its gradient.

    Against the probability for each label, and against the logit.
    """
    logloss.plot_loss(output=output)
    return _done(output)


@app.command(
    epilog="\b\nExample:\n"
    "  logloss plot reliability out/predictions.parquet --target late \\\n"
    "      --prob probability -o out/reliability.png"
)
def reliability(
    data: Data,
    *,
    target: Target,
    output: Picture,
    prob: Prob = None,
    logit: Logit = None,
    model: ModelFile = None,
    weight: Weight = None,
    positive: Positive = None,
) -> Answer:
    """Draw what was said against what happened."""
    require_one(prob=prob, logit=logit, model=model)
    from logloss.plot.style import check_output  # brings NumPy, which --help does without

    check_output(output)
    result = logloss.score(
        data, target, prob=prob, logit=logit, model=model, weight=weight, positive=positive
    )
    logloss.ReliabilityDisplay.from_score(result, output=output)
    return _done(output)


@app.command(epilog="\b\nExample:\n  logloss plot training out/model.json -o out/training.png")
def training(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that fit wrote.")
    ],
    output: Picture,
) -> Answer:
    """Draw the path of a fit.

    Objective and certified distance to the optimum, scan by scan.
    """
    from logloss.plot.style import check_output  # brings NumPy, which --help does without

    check_output(output)
    logloss.plot_training(logloss.load(model), output=output)
    return _done(output)


def _done(output: Path) -> Answer:
    return Answer(f"picture: {output}")
