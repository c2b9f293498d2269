"""Networks beside peers: held-out log loss on real tables, defaults only, mean of five seeds.

`make bench-network DATA=folder` reads every Parquet file of a folder whose target is `y`, and the
flights of the examples; `SETS="spambase credit"` names some of them. Each seed draws at most
20,000 rows and holds out 30 % of them; differences are paired by seed. The flights are held out
in two ways: a fifth of all training months, or the two months after them. The best of six
settings of scikit-learn's network is chosen by what is held out, in its favour.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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

FLIGHTS = Path(__file__).parents[1] / "examples" / "data"
SEEDS = range(5)
MOST_ROWS = 20_000
Forecast = npt.NDArray[np.float64]
Halves = tuple[pa.Table, pa.Table]
Method = Callable[[pa.Table, pa.Table, int], Forecast]
Cut = Callable[[int], Halves]


# --- methods ----------------------------------------------------------------------------------


def ours(train: pa.Table, test: pa.Table, seed: int, **options: str) -> Forecast:
    """Forecast with a fit of ours."""
    model = logloss.fit(train, "y", random_state=seed, **options)
    predicted = model.predict(test)
    assert isinstance(predicted, pa.Table)
    return np.asarray(predicted["probability"])


def peer(make: Callable[[int], object]) -> Method:
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


def perceptron(**options: object) -> Method:
    """Return scikit-learn's network behind the scaling that it asks for."""
    return peer(
        lambda seed: make_pipeline(StandardScaler(), MLPClassifier(random_state=seed, **options))
    )


#: The first is scikit-learn's default: one layer of 100 units.
PERCEPTRONS = {
    "default": perceptron(),
    "early stopping": perceptron(early_stopping=True),
    "alpha=1": perceptron(alpha=1.0),
    "64-64": perceptron(hidden_layer_sizes=(64, 64)),
    "64-64, early stopping": perceptron(hidden_layer_sizes=(64, 64), early_stopping=True),
    "64-64, alpha=1": perceptron(hidden_layer_sizes=(64, 64), alpha=1.0),
}

METHODS: dict[str, Method] = {
    "network": partial(ours, model="network"),
    "network, best": partial(ours, model="network", quality="best"),
    "logistic": ours,
    **{f"MLP {name}": method for name, method in PERCEPTRONS.items()},
    "gradient boosting": peer(lambda seed: HistGradientBoostingClassifier(random_state=seed)),
}


# --- sets -------------------------------------------------------------------------------------


def tables(folder: Path | None, names: Sequence[str]) -> Iterator[tuple[str, Cut]]:
    """Yield the sets by name, each as a function from a seed to its halves."""
    for path in sorted(folder.glob("*.parquet")) if folder else ():
        schema = pq.read_schema(path)
        flat = not any(pa.types.is_nested(field.type) for field in schema)
        if "y" in schema.names and flat and (not names or path.stem in names):
            yield path.stem, partial(halves, pq.read_table(path))
    for name, cut in (("flights, a fifth", a_fifth), ("flights, later", later)):
        if not names or "flights" in names or name in names:
            yield name, cut


def halves(table: pa.Table, seed: int) -> Halves:
    """Cut a table at random into 70 % and 30 %, of at most `MOST_ROWS` rows."""
    order = np.random.default_rng(seed).permutation(len(table))[:MOST_ROWS]
    cut = len(order) * 7 // 10
    return table.take(np.sort(order[:cut])), table.take(np.sort(order[cut:]))


def flights(part: str) -> pa.Table:
    """Read the flights without their date, which would only tell what never comes back."""
    table = pq.read_table(FLIGHTS / f"flights_{part}.parquet").drop_columns(["month", "day"])
    return table.rename_columns(["y" if name == "late" else name for name in table.column_names])


def a_fifth(seed: int) -> Halves:
    """Hold out a random fifth of the training months."""
    table = flights("train")
    order = np.random.default_rng(seed).permutation(len(table))
    cut, n_train = len(order) // 5, MOST_ROWS * 7 // 10
    return table.take(np.sort(order[cut : cut + n_train])), table.take(np.sort(order[:cut]))


def later(seed: int) -> Halves:
    """Hold out the two months that follow."""
    table = flights("train")
    order = np.random.default_rng(seed).permutation(len(table))[: MOST_ROWS * 7 // 10]
    return table.take(np.sort(order)), flights("test")


# --- results ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Held-out losses of a method on a set, by seed, and the seconds of a fit."""

    losses: Forecast
    seconds: float


def held_out(method: Method, cut: Cut) -> Found:
    """Fit and score a method once for each seed."""
    losses, seconds = [], 0.0
    for seed in SEEDS:
        train, test = cut(seed)
        start = time.perf_counter()
        said = method(train, test, seed)
        seconds += time.perf_counter() - start
        # a peer that is sure and wrong loses without bound: 1e-15 keeps it in the table
        losses.append(logloss.binary_cross_entropy(np.asarray(test["y"]), said, clip=1e-15))
    return Found(np.array(losses), seconds / len(SEEDS))


def interval(differences: Forecast) -> str:
    """Return the mean of paired differences and its 95 % interval."""
    if not differences.any():
        return ""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    reach = student.ppf(0.975, len(differences) - 1) * error
    return f"{differences.mean():+.4f} ± {reach:.4f}"


def lines(found: dict[str, Found]) -> Iterator[str]:
    """Yield a set's lines: of scikit-learn's networks the default and the best."""
    settings = [name for name in found if name.startswith("MLP")]
    best = min(settings, key=lambda name: found[name].losses.mean(), default="")
    for name, of_it in found.items():
        if name in settings and name not in (settings[0], best):
            continue
        cells = [name, f"{of_it.losses.mean():.4f}"]
        cells += [interval(found[own].losses - of_it.losses) for own in list(METHODS)[:2]]
        yield " | ".join([*cells, f"{of_it.seconds:.1f}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each table and method."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="of Parquet files")
    parser.add_argument("names", nargs="*", help="of sets; all by default")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # peers' words on convergence
    print("| set | method | log loss | network less it | network, best, less it | seconds |")
    print("| --- " * 6 + "|")
    for name, cut in tables(chosen.folder, chosen.names):
        found = {method: held_out(METHODS[method], cut) for method in METHODS}
        for line in lines(found):
            print(f"| {name} | {line} |", flush=True)


if __name__ == "__main__":
    main()
