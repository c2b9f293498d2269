"""Networks beside peers: held-out log loss on real tables, defaults only, mean of five seeds.

`make bench-network DATA=folder` reads every Parquet file of a folder whose target is `y`. Each
seed holds out a random 30 % of the rows; differences are paired by seed.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import logloss
from logloss.design.design import learn_design
from logloss.rows.source import open_source

SEEDS = range(5)
MOST_ROWS = 20_000
Forecast = npt.NDArray[np.float64]


def ours(kind: str) -> Callable[[pa.Table, pa.Table, int], Forecast]:
    """Return a fit of ours with its defaults."""

    def forecast(train: pa.Table, test: pa.Table, seed: int) -> Forecast:
        model = logloss.fit(train, "y", model=kind, random_state=seed)
        predicted = model.predict(test)
        assert isinstance(predicted, pa.Table)
        return np.asarray(predicted["probability"])

    return forecast


def peer(make: Callable[[int], object]) -> Callable[[pa.Table, pa.Table, int], Forecast]:
    """Return a fit of scikit-learn's on the explicit design matrix, levels as columns."""

    def forecast(train: pa.Table, test: pa.Table, seed: int) -> Forecast:
        design = learn_design(open_source(train), target="y")
        X, Z = (
            np.vstack([design.dense(batch)[0] for batch in open_source(table).blocks()])
            for table in (train, test)
        )
        estimator = make(seed).fit(X, np.asarray(train["y"]))
        return np.asarray(estimator.predict_proba(Z)[:, 1])

    return forecast


METHODS = {
    "network": ours("network"),
    "logistic": ours("logistic"),
    "MLPClassifier": peer(
        lambda seed: make_pipeline(StandardScaler(), MLPClassifier(random_state=seed))
    ),
    "HistGradientBoosting": peer(lambda seed: HistGradientBoostingClassifier(random_state=seed)),
}


def halves(table: pa.Table, seed: int) -> tuple[pa.Table, pa.Table]:
    """Cut a table at random into 70 % and 30 %, of at most `MOST_ROWS` rows."""
    order = np.random.default_rng(seed).permutation(len(table))[:MOST_ROWS]
    cut = len(order) * 7 // 10
    return table.take(np.sort(order[:cut])), table.take(np.sort(order[cut:]))


def interval(differences: Forecast) -> str:
    """Return the mean of paired differences and its 95 % interval."""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    reach = student.ppf(0.975, len(differences) - 1) * error
    return f"{differences.mean():+.4f} ± {reach:.4f}"


def main(folder: str, *names: str) -> None:
    """Print a line for each table and method."""
    warnings.simplefilter("ignore")  # peers' words on convergence
    print(f"{'table':12} {'method':21} {'log loss':>8} {'network less it':>17} {'seconds':>8}")
    for path in sorted(Path(folder).glob("*.parquet")):
        table = pq.read_table(path)
        if (names and path.stem not in names) or "y" not in table.column_names:
            continue
        losses, seconds = {}, {}
        for name, method in METHODS.items():
            start = time.perf_counter()
            found = []
            for seed in SEEDS:
                train, test = halves(table, seed)
                said = method(train, test, seed)
                # a peer that is sure and wrong loses without bound: 1e-15 keeps it in the table
                found.append(logloss.binary_cross_entropy(np.asarray(test["y"]), said, clip=1e-15))
            losses[name], seconds[name] = np.array(found), time.perf_counter() - start
        for name, found in losses.items():
            less = "" if name == "network" else interval(losses["network"] - found)
            mean, each = np.mean(found), seconds[name] / len(SEEDS)
            print(f"{path.stem:12} {name:21} {mean:8.4f} {less:>17} {each:8.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
