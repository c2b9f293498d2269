"""`logloss plot`: the curves themselves, a reliability diagram, the path of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import logloss
from logloss.cli.options import Data, Logit, ModelFile, Picture, Positive, Prob, Target, Weight
from logloss.cli.score import require_one
from logloss.cli.terminal import Answer
from logloss.errors import ArgumentError

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Draw curves, a reliability diagram, a fit.",
    epilog="\b\nExample:\n  logloss plot sigmoid -o out/sigmoid.png",
)

FORMATS = (".png", ".svg", ".pdf")


@app.command(epilog="\b\nExample:\n  logloss plot sigmoid -o out/sigmoid.png")
def sigmoid(output: Picture) -> Answer:
    """Draw the sigmoid on [-10, 10] with its asymptotes."""
    return _save(logloss.plot_sigmoid(), output)


@app.command(epilog="\b\nExample:\n  logloss plot loss -o out/loss.png")
def loss(output: Picture) -> Answer:
    """Draw the loss and its gradient.

    Against the probability for each label, and against the logit.
    """
    return _save(logloss.plot_loss(), output)


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
    result = logloss.score(
        data, target, prob=prob, logit=logit, model=model, weight=weight, positive=positive
    )
    return _save(logloss.ReliabilityDisplay.from_score(result).plot().ax_, output)


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
    return _save(logloss.plot_training(logloss.load(model)), output)


def _save(axes: Any, output: Path) -> Answer:
    if output.suffix.lower() not in FORMATS:
        raise ArgumentError(f"a picture's name ends in one of {', '.join(FORMATS)}; got {output}")
    from logloss import files  # brings NumPy, which --help does without

    with files.whole(output) as draft:
        axes.figure.savefig(draft, dpi=150)
    return Answer(f"picture: {output}")
