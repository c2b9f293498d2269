"""`python -m benchmarks.network_speed`: a network of ours beside scikit-learn's and a bare loop.

The same architecture, batches and epochs, on the same columns, in one thread: 19,020 rows of 10
numbers, and flights as columns of numbers and levels. The three take turns; medians count. The
bare loop is what one writes with `torch.nn` and a fused optimiser, without a DataLoader.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional

from benchmarks.__main__ import processor
from benchmarks.network import flights
from benchmarks.timing import medians
from logloss import NetworkClassifier
from logloss.design.design import learn_design
from logloss.rows.source import open_source

BATCH = 200
ROUNDS = 3
Array = npt.NDArray[np.float64]


def synthetic() -> tuple[Array, Array]:
    """Draw a table of the form of the MAGIC telescope's, with interactions in it."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(19_020, 10))
    logits = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3]
    return X, (draw.random(len(X)) < 1 / (1 + np.exp(-logits))).astype(float)


def of_flights(n_rows: int) -> tuple[Array, Array]:
    """Return flights as a matrix: numbers, and a column for each level."""
    table = flights("train").slice(0, n_rows)
    design = learn_design(open_source(table), target="y")
    X = np.vstack([design.dense(batch)[0] for batch in open_source(table).blocks()])
    return StandardScaler().fit_transform(X), np.asarray(table["y"]).astype(float)


def ours(X: Array, y: Array, hidden: tuple[int, ...], epochs: int) -> None:
    NetworkClassifier(
        hidden,
        activation="relu",
        members=1,
        numbers="robust",
        linear=False,
        batch_size=BATCH,
        epochs=epochs,
        validation_fraction=0.0,
        random_state=0,
    ).fit(X, y)


def theirs(X: Array, y: Array, hidden: tuple[int, ...], epochs: int) -> None:
    options = {"batch_size": BATCH, "max_iter": epochs, "n_iter_no_change": epochs, "tol": 0.0}
    MLPClassifier(hidden, random_state=0, **options).fit(X, y)


def bare(X: Array, y: Array, hidden: tuple[int, ...], epochs: int) -> None:
    torch.manual_seed(0)
    widths = (X.shape[1], *hidden, 1)
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    x, target = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        permuted, labels = x.index_select(0, order), target.index_select(0, order)
        for rows, of_rows in zip(permuted.split(BATCH), labels.split(BATCH), strict=True):
            logits = network(rows).squeeze(-1)
            loss = functional.binary_cross_entropy_with_logits(logits, of_rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


FITS: dict[str, Callable[[Array, Array, tuple[int, ...], int], None]] = {
    "ours": ours,
    "scikit-learn": theirs,
    "bare torch": bare,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each table and architecture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network_speed", description=__doc__)
    parser.add_argument("--steps", type=int, default=4000, help="of each training, about")
    parser.add_argument("--flights", type=int, default=60_000, help="rows of them")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # scikit-learn's words on convergence
    torch.set_num_threads(1)
    threadpool_limits(1)
    print(f"{processor()} · 1 thread · batches of {BATCH} · torch {torch.__version__}\n")
    print("| table | hidden | steps | ours, ms a step | scikit-learn | bare torch |")
    print("| --- " * 6 + "|")
    for name, (X, y) in {"synthetic": synthetic(), "flights": of_flights(chosen.flights)}.items():
        for hidden in ((100,), (64, 64)):
            title = f"{name}, {X.shape[0]:,} × {X.shape[1]} | {'-'.join(map(str, hidden))}"
            print(f"| {title} | {line(X, y, hidden, chosen.steps)} |", flush=True)


def line(X: Array, y: Array, hidden: tuple[int, ...], steps: int) -> str:
    """Return the steps, our milliseconds a step, and the others', as multiples of ours too."""
    n_batches = -(-len(X) // BATCH)
    epochs = max(1, round(steps / n_batches))
    ours(X[:BATCH], y[:BATCH], hidden, 1)  # what the first call of all loads
    calls = {kind: partial(fit, X, y, hidden, epochs) for kind, fit in FITS.items()}
    seconds = medians(calls, ROUNDS)
    mine, *others = (1e3 * taken / (epochs * n_batches) for taken in seconds.values())
    cells = [f"{taken:.3f} ({taken / mine:.1f}×)" for taken in others]
    return " | ".join([f"{epochs * n_batches:,}", f"{mine:.3f}", *cells])


if __name__ == "__main__":
    main()
