"""The main job on real flights: fit, predict, score, draw, and say what was found.

`make demo` runs this, and `make demo MODEL=network` with a network in place of the line;
everything it makes goes to out/.
"""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import logloss

ROOT = Path(__file__).resolve().parents[1]
TRAIN = ROOT / "examples" / "data" / "flights_train.parquet"
TEST = ROOT / "examples" / "data" / "flights_test.parquet"
OUT = ROOT / "out"

#: A level is shown among the drivers if at least this share of the flights has it.
COMMON = 0.01


def main(kind: str = "logistic") -> None:
    """Do the main job with a line or a network, and print a page about it."""
    OUT.mkdir(exist_ok=True)
    print(
        f"logloss {logloss.__version__} · will a New York flight be 15 minutes late, or not arrive?"
    )
    model = fit(kind)
    predictions = predict(model)
    result = logloss.score(predictions, "late", logit="logit", cluster=["month", "day"])
    show_score(result)
    if kind == "logistic":  # a network has no coefficients that could be read
        show_drivers(model)
    show_worst(result)
    pictures = draw(model, result)
    say("files", " ".join(map(shown, (model_file(kind), predictions))), " ".join(pictures))
    say(
        "next",
        f"{shown(Path(sys.executable).with_name('logloss'))} score {shown(predictions)} "
        "--target late --prob probability --by carrier",
    )


def model_file(kind: str) -> Path:
    """Return where the model goes."""
    return OUT / ("model.json" if kind == "logistic" else "model.safetensors")


def fit(kind: str) -> logloss.Model:
    """Fit January to October; the date itself would only tell what never comes back."""
    start = time.perf_counter()
    model = logloss.fit(TRAIN, "late", drop=["month", "day"], model=kind, quality="fast")
    seconds = time.perf_counter() - start
    model.save(model_file(kind))

    say("fit", *f"{model}, {seconds:.1f} s".splitlines())
    return model


def predict(model: logloss.Model) -> Path:
    """Predict November and December, and pass on what the model warns of."""
    output = OUT / "predictions.parquet"
    with warnings.catch_warnings(record=True, action="always") as caught:
        n_rows = model.predict(TEST, output)
    say("predict", f"{n_rows:,} flights Nov–Dec", *(f"note: {w.message}" for w in caught))
    return output


def show_score(result: logloss.Score) -> None:
    """Print the loss, what a constant would have lost, and whether the gain is real."""
    loss, baseline, gain = result.log_loss, result.baseline, result.gain
    verdict = "real" if gain.low > 0 else "not clear"
    skill = f"{verdict}: skill {percent(result.skill.value, 0)}"
    print(f"{'score':28} 95 %, clustered by {result.n_clusters} days")
    print(f"  log loss        {loss.value:.3f}      {loss.low:.2f} – {loss.high:.2f} nats")
    print(f"  training rate   {baseline.value:.3f}")
    print(f"  gain            {gain.value:.3f}      {gain.low:.2f} – {gain.high:.2f}    {skill}")
    print(
        f"  on time {result.log_loss_y0.value:.2f} · late {result.log_loss_y1.value:.2f} · "
        f"Brier {result.brier.value:.3f} · AUC {result.auc.value:.2f}"
    )
    print(
        f"  said {percent(result.mean_probability.value)}, "
        f"happened {percent(result.base_rate.value)}"
    )


def show_drivers(model: logloss.Model) -> None:
    """Print what multiplies the odds of a late flight most."""
    numbers = sorted(number_drivers(model), key=lambda driver: -abs(driver[0]))[:4]
    levels = sorted(level_drivers(model))
    say(
        "drivers",
        "odds " + " · ".join(f"× {math.exp(effect):.2f} per {what}" for effect, what in numbers),
        "odds "
        + " · ".join(f"× {math.exp(effect):.2f} {what}" for effect, what in levels[:-3:-1])
        + " · "
        + " · ".join(f"× {math.exp(effect):.2f} {what}" for effect, what in levels[:2])
        + ", against the average flight",
    )


def number_drivers(model: logloss.Model) -> Iterator[tuple[float, str]]:
    """Yield the change of the logit per standard deviation of each number, and its words."""
    coefficients = {term.name: term.coefficient for term in model.summary().terms}
    for column in model.design.numbers:
        if column.name in coefficients:
            yield coefficients[column.name] * column.scale, f"+{column.scale:.2g} {column.name}"


def level_drivers(model: logloss.Model) -> Iterator[tuple[float, str]]:
    """Yield the logit of each common level less that of the average one, and its name."""
    coefficients = {term.name: term.coefficient for term in model.summary().terms}
    for column, average in zip(model.design.categories, model.predictor.unseen, strict=True):
        for name, share in zip(column.names, column.shares, strict=True):
            if share >= COMMON:
                yield coefficients[name] - average, name


def show_worst(result: logloss.Score) -> None:
    """Print the flight that cost most, in words."""
    worst = result.worst[0]
    flight = worst.columns
    day = date(2013, flight["month"], flight["day"])
    outcome = "late" if worst.y == 1 else "on time"
    say(
        "worst",
        f"{day.day} {day:%b} {flight['carrier']} {flight['origin']}–{flight['dest']}: "
        f"said {percent(worst.probability)}, {outcome} (loss {worst.loss:.1f})",
    )


def draw(model: logloss.Model, result: logloss.Score) -> list[str]:
    """Draw the sigmoid, the loss, the reliability and the path of the fit; return the files."""
    files = {name: OUT / f"{name}.png" for name in ("sigmoid", "loss", "reliability", "training")}
    logloss.plot_sigmoid(output=files["sigmoid"])
    logloss.plot_loss(output=files["loss"])
    logloss.ReliabilityDisplay.from_score(result, output=files["reliability"])
    logloss.plot_training(model, output=files["training"])
    return [shown(path) for path in files.values()]


def say(topic: str, first: str, *more: str) -> None:
    """Print one line with its topic, and further ones under it."""
    print(f"{topic:8} {first}")
    for line in more:
        print(f"{'':8} {line}")


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def shown(path: Path) -> str:
    """Return a path as one would type it here."""
    return os.path.relpath(path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
