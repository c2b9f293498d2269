"""Make the pictures of README and the documentation; `make figures` runs this.

Each is what the package draws: this script only brings the data.  The same data give
the same files, byte for byte, with one version of matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import make_moons

import logloss

ROOT = Path(__file__).resolve().parents[1]
FLIGHTS = ROOT / "examples" / "data"
FIGURES = ROOT / "docs" / "figures"

Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.int_]]


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


def draw_surfaces() -> None:
    """Draw what a line and a network make of three questions that no line answers."""
    corners, label = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    draw_beside_line("xor", (corners, label), (corners, label))
    moons = [make_moons(n, noise=0.25, random_state=seed) for seed, n in enumerate((1000, 300))]
    draw_beside_line("moons", *moons)
    draw_beside_line("checkerboard", checkerboard(0, 2000), checkerboard(1, 400))


def draw_beside_line(name: str, train: Points, shown: Points) -> None:
    """Draw the surfaces of a line and of a network, both with their defaults."""
    estimators = {
        "Logistic regression": logloss.LogisticRegression(),
        "Network": logloss.NetworkClassifier(random_state=0),
    }
    fitted = {kind: estimator.fit(*train) for kind, estimator in estimators.items()}
    logloss.plot_decision_surface(fitted, *shown, output=FIGURES / f"{name}.png")


def checkerboard(seed: int, n: int) -> Points:
    """Return points of the square of side 4, labelled by the colour of their field."""
    points = np.random.default_rng(seed).uniform(0, 4, size=(n, 2))
    return points, np.floor(points).sum(axis=1).astype(int) % 2


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    draw_curves()
    draw_flights()
    draw_surfaces()
    for picture in sorted(FIGURES.glob("*.png")):
        print(picture.relative_to(ROOT))
