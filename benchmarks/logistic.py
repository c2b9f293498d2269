"""`python -m benchmarks.logistic`: logistic regression beside scikit-learn and glum.

Everyone minimises the same penalised mean loss. A peer counts at the loosest of its
tolerances with which it comes within a hundredth of a standard error of the optimum, and at
its best number of BLAS threads; one that is far slower than the fastest is timed once.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.timing import PAUSE, medians
from logloss import LogisticRegression
from logloss.design.block import Block, Layout, array_source
from logloss.design.design import learn_design
from logloss.design.encoding import plan_encoding
from logloss.design.target import learn_target
from logloss.logistic.fit import fit_logistic
from logloss.logistic.objective import LinearPass
from logloss.logistic.standard import Standard
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Pass
from logloss.rows.source import Source, open_source

FLIGHTS = Path(__file__).parents[1] / "examples" / "data" / "flights_train.parquet"
ROUNDS = 5
#: Distance from the optimum, in standard errors, within which a peer's answer counts; ours
#: are certified to a tenth of it.
NEAR = 1e-2
#: Peers that take so many times as long as the fastest are timed once, or tried no further.
FAR, HOPELESS = 2.0, 5.0
#: A fit that takes less is warmed up, and timed by so many in a row.
QUICK, REPEAT = 0.1, 20
#: Rows of which a peer's objective is evaluated at a time.
CHUNK = 1 << 17

FloatArray = npt.NDArray[np.floating]
#: Fits at a tolerance; coefficients and intercept.
Peer = Callable[[float], tuple[FloatArray, float]]


@dataclass(frozen=True)
class Task:
    """One set of rows, and how everyone is called on it.

    Attributes
    ----------
    X : ndarray or sparse array of shape (n, p)
        All columns, for peers and to evaluate answers.
    y : ndarray of shape (n,)
    alpha : float
        Strength of the penalty on the mean loss.
    ours : callable
        Fits, and returns coefficients and intercept.
    scans : callable
        Fits, and returns passes over all rows.
    peers : mapping
        Name → how it is called.
    """

    X: Any
    y: npt.NDArray[Any]
    alpha: float
    ours: Callable[[], tuple[FloatArray, float]]
    scans: Callable[[], int]
    peers: Mapping[str, Peer] = field(repr=False)

    def value(self, answer: tuple[FloatArray, float]) -> float:
        """Mean loss and penalty of an answer, by NumPy alone."""
        coefficients, intercept = np.asarray(answer[0], np.float64), float(answer[1])
        losses = []
        for start in range(0, len(self.y), CHUNK):
            rows = slice(start, start + CHUNK)
            z = np.asarray(self.X[rows] @ coefficients) + intercept
            losses.append(math.fsum(np.logaddexp(0, z) - self.y[rows] * z))
        penalty = 0.5 * self.alpha * float(coefficients @ coefficients)
        return math.fsum(losses) / len(self.y) + penalty


class Counting(LocalEngine):
    """Counts passes over all rows."""

    def __init__(self, n_rows: int) -> None:
        super().__init__()
        self.n_rows, self.passes = n_rows, 0

    def reduce(self, task: Pass[Any, Any], source: Source[Any]) -> Any:
        """Run a pass, counted if it is over all rows."""
        self.passes += source.n_rows == self.n_rows
        return super().reduce(task, source)


def scikit_learn(X: Any, y: Any, solver: str) -> Peer:
    """Call scikit-learn with C = 1, which is alpha = 1/n."""
    from sklearn.linear_model import LogisticRegression as Theirs

    def fit(tol: float) -> tuple[FloatArray, float]:
        model = Theirs(C=1.0, solver=solver, tol=tol, max_iter=2_000).fit(X, y)
        return model.coef_[0], model.intercept_[0]

    return fit


def glum(X: Any, y: Any) -> Peer:
    """Call glum; X may be one of its own matrices."""
    from glum import GeneralizedLinearRegressor

    target = y.astype(np.float32 if X.dtype == np.float32 else np.float64)

    def fit(tol: float) -> tuple[FloatArray, float]:
        model = GeneralizedLinearRegressor(
            family="binomial", alpha=1 / len(y), l1_ratio=0, gradient_tol=tol, max_iter=200
        ).fit(X, target)
        return model.coef_, model.intercept_

    return fit


def peers_of(X: Any, y: Any, for_glum: Any = None) -> dict[str, Peer]:
    """Everyone who can minimise this objective, those likely to be fast first."""
    solvers = ("newton-cholesky", "lbfgs", "newton-cg")
    found = {f"scikit-learn {solver}": scikit_learn(X, y, solver) for solver in solvers}
    return {"glum": glum(X if for_glum is None else for_glum, y)} | found


def dense_task(X: npt.NDArray[Any], y: npt.NDArray[Any]) -> Task:
    """Numbers alone, through the estimator."""
    alpha = 1 / len(y)

    def ours() -> tuple[FloatArray, float]:
        model = LogisticRegression(alpha=alpha).fit(X, y)
        return model.coef_[0], model.intercept_[0]

    def scans() -> int:
        engine = Counting(len(y))
        names = tuple(f"x{j}" for j in range(X.shape[1]))
        fit_logistic(array_source(X, y.astype(float)), Layout(names), engine, alpha=alpha)
        return engine.passes

    return Task(X, y, alpha, ours, scans, peers_of(X, y))


def labels(rng: np.random.Generator, z: FloatArray) -> npt.NDArray[np.int64]:
    """Draw a label for each logit."""
    return (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.int64)


def correlated(n: int, p: int, dtype: Any = np.float64) -> Task:
    """Correlated columns of very different scales, two of them almost alike."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p), dtype=dtype)
    mixing = np.eye(p) + 0.3 * rng.standard_normal((p, p)) / math.sqrt(p)
    X = X @ mixing.astype(dtype)
    X[:, 1] = 0.95 * X[:, 0] + math.sqrt(1 - 0.95**2) * X[:, 1]
    unit = np.exp(rng.standard_normal(p))
    slopes = rng.standard_normal(p) / math.sqrt(p)
    y = labels(rng, X @ slopes.astype(dtype) - 0.5)
    X *= unit.astype(dtype)
    return dense_task(X, y)


def rare_numbers(n: int = 1_000_000, p: int = 20) -> Task:
    """One row in a thousand is positive."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, p))
    slopes = 0.8 * rng.standard_normal(p) / math.sqrt(p)
    return dense_task(X, labels(rng, X @ slopes - 7.2))


def rare_one_hot(n: int = 1_000_000, p: int = 30) -> Task:
    """One row in a thousand is positive, and so are some of the columns of 0 and 1."""
    rng = np.random.default_rng(2)
    X = (rng.random((n, p)) < np.geomspace(0.001, 0.5, p)).astype(np.float64)
    return dense_task(X, labels(rng, X @ rng.normal(0, 0.7, p) - 7.2))


def flights() -> Task:
    """Late flights by numbers and categories: codes here, dummy columns and categoricals there."""
    import pandas as pd
    import tabmat

    engine = LocalEngine()
    rows = open_source(FLIGHTS)
    target = learn_target(rows, "late", engine=engine)
    design = learn_design(rows, target="late", engine=engine)
    plan = plan_encoding(rows, design, target, 1 << 34)
    with plan.encoded(engine) as encoded:
        blocks: list[Block] = list(encoded.blocks())
    layout = design.layout
    numbers = np.concatenate([block.numbers for block in blocks])
    codes = np.concatenate([block.codes for block in blocks])
    y = np.concatenate([block.y for block in blocks if block.y is not None])
    alpha = 1 / len(y)
    hot = [
        sparse.csr_array(
            (np.ones(len(y)), column, np.arange(len(y) + 1)), shape=(len(y), len(levels))
        )
        for column, levels in zip(codes.T, layout.levels, strict=True)
    ]
    one_hot = sparse.hstack([sparse.csr_array(numbers), *hot], format="csr")
    categorical = [
        tabmat.CategoricalMatrix(pd.Categorical.from_codes(column, list(levels)))
        for column, levels in zip(codes.T, layout.levels, strict=True)
    ]
    split = tabmat.SplitMatrix([tabmat.DenseMatrix(np.asfortranarray(numbers)), *categorical])

    def fit(engine: LocalEngine) -> tuple[FloatArray, float]:
        found = fit_logistic(encoded, layout, engine, alpha=alpha).predictor
        return found.coefficients, found.intercept

    def scans() -> int:
        engine = Counting(len(y))
        fit(engine)
        return engine.passes

    return Task(one_hot, y, alpha, lambda: fit(LocalEngine()), scans, peers_of(one_hot, y, split))


PROBLEMS: dict[str, Callable[[], Task]] = {
    "200 × 10": lambda: correlated(200, 10),
    "flights, 281,373, categories": flights,
    "1,000,000 × 50": lambda: correlated(1_000_000, 50),
    "100,000 × 500": lambda: correlated(100_000, 500),
    "10,000,000 × 20, float32": lambda: correlated(10_000_000, 20, np.float32),
    "1,000,000 × 20, 0.1 % positive": rare_numbers,
    "1,000,000 × 30 of 0 and 1, 0.1 % positive": rare_one_hot,
}


@dataclass(frozen=True)
class Contestant:
    """A peer with the settings at which it counts, and what one fit took."""

    name: str
    n_threads: int
    tol: float
    seconds: float
    call: Callable[[], Any] = field(repr=False)


def seconds_of(call: Callable[[], Any], repeat: int, n_threads: int | None = None) -> float:
    """Seconds of a call, with BLAS limited to so many threads; the mean of `repeat` calls."""
    with threadpool_limits(limits=n_threads):
        time.sleep(PAUSE)
        begin = time.perf_counter()
        for _ in range(repeat):
            call()
        return (time.perf_counter() - begin) / repeat


def contestants(task: Task, best: float, threads: Sequence[int], ours: float) -> list[Contestant]:
    """Find the settings at which each peer gets there, and what a fit takes."""
    found: list[Contestant] = []
    for name, peer in task.peers.items():
        for n_threads in threads:
            for tol in (1e-4, 1e-6, 1e-8, 1e-10):
                answers: list[Any] = []

                def call(peer: Peer = peer, tol: float = tol, into: list[Any] = answers) -> None:
                    into[:] = [peer(tol)]

                if ours < QUICK:
                    call()  # what is quick is warmed up
                seconds = seconds_of(call, 1, n_threads)
                gap = 2 * len(task.y) * (task.value(answers[0]) - best)
                if gap <= NEAR**2:
                    found.append(Contestant(name, n_threads, tol, seconds, call))
                    break
                fastest = min((each.seconds for each in found), default=math.inf)
                if seconds > HOPELESS * fastest:
                    break
    return found


def rows_of(task: Task, title: str, threads: Sequence[int]) -> Iterator[str]:
    """Run one problem; a line of the table."""
    task.ours()
    begin = time.perf_counter()
    mine = task.ours()
    took = time.perf_counter() - begin
    best = task.value(mine)
    found = contestants(task, best, threads, took)
    fastest = min((each.seconds for each in found), default=math.inf)
    repeat = REPEAT if took < QUICK else 1
    finalists = [each for each in found if each.seconds <= FAR * fastest]
    timed: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        timed.setdefault("ours", []).append(seconds_of(task.ours, repeat))
        for e in finalists:
            took = seconds_of(e.call, repeat, e.n_threads)
            timed.setdefault(f"{e.name} {e.n_threads}", []).append(took)
    seconds = {name: statistics.median(values) for name, values in timed.items()}
    cells = []
    for peer in task.peers:
        mine_only = {
            e: seconds.get(f"{e.name} {e.n_threads}", e.seconds) for e in found if e.name == peer
        }
        if not mine_only:
            cells.append("does not get there")
            continue
        winner = min(mine_only, key=lambda e: mine_only[e])
        ratio = mine_only[winner] / seconds["ours"]
        cells.append(f"{_time(mine_only[winner])} ({ratio:.1f}×)")
    head = [f"| {title}", _time(seconds["ours"]), str(task.scans())]
    yield " | ".join([*head, *cells]) + " |"


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms" if seconds < 0.01 else f"{seconds:.3f} s"


def scan_line(task: Task) -> str:
    """Say what one scan takes beside one read of the numbers: `X @ b`, or their largest value."""
    X, y = task.X, task.y.astype(np.float64)
    standard = Standard(
        X.mean(axis=0), X.std(axis=0), (), np.abs(X).max(axis=0) + np.abs(X.mean(axis=0))
    )
    source, engine = array_source(X, y), LocalEngine()
    task_ = LinearPass(standard, np.zeros(X.shape[1] + 1), curvature=False)
    ones = np.ones(X.shape[1], X.dtype)
    seconds = medians(
        {
            "scan": lambda: engine.reduce(task_, source),
            "product": lambda: X @ ones,
        },
        3 * ROUNDS,
    )
    return (
        f"One scan of 1,000,000 × 50 takes {1e3 * seconds['scan']:.0f} ms; reading it once, as "
        f"X @ b does, {1e3 * seconds['product']:.0f} ms: "
        f"{seconds['scan'] / seconds['product']:.1f}×."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the problems and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logistic", description=__doc__)
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of BLAS, for peers")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    names = ["glum", *(f"scikit-learn {s}" for s in ("newton-cholesky", "lbfgs", "newton-cg"))]
    print(f"Medians of {ROUNDS} interleaved fits; in brackets, how many times ours.\n")
    print(f"| | logloss | scans | {' | '.join(names)} |")
    print("| --- " * (len(names) + 3) + "|", flush=True)
    for title in chosen.problems:
        task = PROBLEMS[title]()
        for line in rows_of(task, title, chosen.threads):
            print(line, flush=True)
        if title == "1,000,000 × 50":
            said = scan_line(task)
    if "1,000,000 × 50" in chosen.problems:
        print(f"\n{said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
