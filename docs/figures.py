"""Make the pictures of README and the documentation; `make figures` runs this.

Each is what the package draws: this script only brings the data.  The same data give
the same files, byte for byte, with one version of matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import logloss

ROOT = Path(__file__).resolve().parents[1]
FLIGHTS = ROOT / "examples" / "data"
FIGURES = ROOT / "docs" / "figures"


def draw_curves() -> None:
    """Draw the sigmoid and the loss."""
    logloss.plot_sigmoid(output=FIGURES / "sigmoid.png")
    logloss.plot_loss(output=FIGURES / "loss.png")


def draw_flights() -> None:
    """Fit the flights; draw the path of the fit and how reliable its forecasts were."""
    model = logloss.fit(FLIGHTS / "flights_train.parquet", "late", drop=["month", "day"])
    score = logloss.score(FLIGHTS / "flights_test.parquet", "late", model=model)
    logloss.plot_training(model, output=FIGURES / "training.png")
    logloss.ReliabilityDisplay.from_score(
        score, name="Flights of November and December", output=FIGURES / "reliability.png"
    )


def draw_exclusive_or() -> None:
    """Draw what a line and a network make of the exclusive or."""
    corners, label = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    estimators = {
        "Logistic regression": logloss.LogisticRegression(),
        "Network": logloss.NetworkClassifier(random_state=0),
    }
    fitted = {name: estimator.fit(corners, label) for name, estimator in estimators.items()}
    logloss.plot_decision_surface(fitted, corners, label, output=FIGURES / "xor.png")


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    draw_curves()
    draw_flights()
    draw_exclusive_or()
    for picture in sorted(FIGURES.glob("*.png")):
        print(picture.relative_to(ROOT))
