"""Every Pass of the package obeys the laws; a Pass that is not in the table fails a test."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import logloss
from logloss.design.design import Design, DriftPass, learn_design
from logloss.design.encoding import CachePass, DigestPass, Encoded, EncodePass, plan_encoding
from logloss.design.shuffled import ShufflePass
from logloss.design.summary import SummaryPass
from logloss.design.target import Target, TargetPass
from logloss.files import Scratch
from logloss.logistic.aliasing import SquaresPass
from logloss.logistic.certificate import LeveragePass
from logloss.logistic.columns import MomentsPass
from logloss.logistic.covariance import ScoresPass
from logloss.logistic.firth import Asked, PenalisedPass
from logloss.logistic.objective import LinearPass, TrialPass
from logloss.logistic.sample import First, FirstPass, Sample, SamplePass
from logloss.logistic.separation import MarginPass, ReachPass
from logloss.logistic.standard import Standard
from logloss.rows.cache import Cache, make_cache
from logloss.rows.frozen import freeze, thaw
from logloss.rows.shuffle import Shuffle
from logloss.rows.source import Source, open_source
from logloss.scoring.passes import ScorePass
from logloss.scoring.reading import RowReader
from tests.laws import Same, check_laws, closely, exactly

N_ROWS = 300


@cache
def table() -> Source[Any]:
    """Rows of every kind of column, with values missing, weights, offsets, and zero weights."""
    rng = np.random.default_rng(7)
    temp = rng.normal(50, 20, N_ROWS)
    temp[rng.random(N_ROWS) < 0.2] = np.nan
    carrier = np.array(["EV", "UA", "B6", None], object)[rng.integers(0, 4, N_ROWS)]
    return open_source(
        pa.table(
            {
                "late": rng.integers(0, 2, N_ROWS),
                "temp": temp,
                "hour": rng.integers(0, 24, N_ROWS),
                "night": rng.random(N_ROWS) < 0.3,
                "carrier": pa.array(carrier, pa.string()),
                "dest": pa.array(carrier, pa.string()).dictionary_encode(),
                "weight": rng.integers(0, 3, N_ROWS) * 0.1,
                "offset": rng.normal(0, 0.1, N_ROWS),
                "prob": rng.random(N_ROWS),
            }
        )
    )


def summary_pass() -> SummaryPass:
    columns = {"temp": "number", "hour": "number", "night": "bool", "dest": "category"}
    return SummaryPass(tuple(columns.items()), weight="weight", offset="offset")


def drift_pass() -> DriftPass:
    calm = open_source(table().take(range(20)))
    return DriftPass(learn_design(calm, features=["temp", "hour", "carrier"]))


LATE = Target("late", (0, 1))


@cache
def design() -> Design:
    features = ["temp", "hour", "night", "carrier"]
    names = {"weight": "weight", "offset": "offset", "cluster": ("hour", "dest")}
    return learn_design(table(), features=features, **names)


def encoded() -> Source[Any]:
    return table().map(partial(design().encode, target=LATE))


def joined(a: Encoded, b: Encoded) -> bool:
    """Compare blocks, which are cut where the rows were cut, by the rows that they hold."""
    return rows_of(a.blocks) == rows_of(b.blocks)


def rows_of(blocks: Any) -> list[list[Any]]:
    return [
        row.tolist()
        for block in blocks
        for row in np.column_stack([block.numbers, block.codes, block.y, block.weight])
    ]


@cache
def place() -> tuple[Cache, Scratch]:
    fields = plan_encoding(table(), design(), LATE, 10**9).fields
    return make_cache(N_ROWS, 60, fields)


def dealt() -> Shuffle:
    return Shuffle(0, N_ROWS, 60)


def standard() -> Standard:
    p = len(design().layout.numbers)
    levels = tuple(map(len, design().layout.levels))
    return Standard(np.full(p, 3.0), np.full(p, 7.0), levels, np.full(p, 200.0))


def coefficients(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=design().layout.size)


def linear_pass() -> LinearPass:
    return LinearPass(standard(), coefficients(0), curvature=True)


def scores_pass(meat: Any) -> ScoresPass:
    return ScoresPass(standard(), coefficients(0), meat)


def trial_pass() -> TrialPass:
    return TrialPass(standard(), coefficients(0), coefficients(1), (0.0, 0.5, 1.0))


def first_pass() -> FirstPass:
    return FirstPass(moments_pass(), SamplePass(0.3, 0.6))


def drawn(a: Sample, b: Sample) -> bool:
    """Compare samples, whose pieces are cut where the rows were cut, by their rows."""
    return rows_of(a.pieces) == rows_of(b.pieces)


def first_two(a: First, b: First) -> bool:
    return closely(1e-12)(a.moments, b.moments) and drawn(a.sample, b.sample)


def penalised_pass() -> PenalisedPass:
    root = np.eye(design().layout.size)[:, :5]
    return PenalisedPass(standard(), (Asked(coefficients(0), None), Asked(coefficients(1), root)))


def margin_pass() -> MarginPass:
    return MarginPass(standard(), (coefficients(0), coefficients(1)), 5, standard())


def leverage_pass() -> LeveragePass:
    return LeveragePass(standard(), np.eye(5), np.arange(design().layout.size) < 5)


def squares_pass() -> SquaresPass:
    return SquaresPass(standard(), np.column_stack([coefficients(0), coefficients(1)]))


def moments_pass() -> MomentsPass:
    return MomentsPass(design().layout, (1.0,) * len(design().layout.numbers))


def forecasts() -> Source[Any]:
    reader = RowReader(LATE, prob="prob", weight="weight", cluster=("hour",), by=("dest",))
    return table().map(reader)


#: One row a Pass: the class, how one is made, the rows that it reads, and how answers are
#: compared (None: to the last bit; sums of gradients are rounded, so they are close).
PASSES: list[tuple[type, Any, Any, Same | None]] = [
    (TargetPass, lambda: TargetPass("late"), table, None),
    (SummaryPass, summary_pass, table, None),
    (DriftPass, drift_pass, table, None),
    (EncodePass, lambda: EncodePass(design(), LATE), table, joined),
    (DigestPass, DigestPass, encoded, None),
    (CachePass, lambda: CachePass(design(), LATE, place()[0]), table, None),
    (ShufflePass, lambda: ShufflePass(design(), LATE, dealt(), place()[0]), table, None),
    (MomentsPass, moments_pass, encoded, closely(1e-12)),
    (LinearPass, linear_pass, encoded, closely(1e-12)),
    (LinearPass, lambda: replace(linear_pass(), curvature=False), encoded, None),
    (TrialPass, trial_pass, encoded, None),
    (SamplePass, lambda: SamplePass(0.3, 0.6), encoded, drawn),
    (FirstPass, first_pass, encoded, first_two),
    (ScoresPass, partial(scores_pass, "none"), encoded, closely(1e-12)),
    (ScoresPass, partial(scores_pass, "frequency"), encoded, closely(1e-12)),
    (ScoresPass, partial(scores_pass, "cluster"), encoded, closely(1e-12)),
    (PenalisedPass, penalised_pass, encoded, closely(1e-12)),
    (LeveragePass, leverage_pass, encoded, closely(1e-12)),
    (SquaresPass, squares_pass, encoded, closely(1e-12)),
    (MarginPass, margin_pass, encoded, closely(1e-12)),
    (
        ReachPass,
        lambda: ReachPass(standard(), *map(coefficients, (0, 1)), 0.5),
        encoded,
        closely(1e-12),
    ),
    (ScorePass, lambda: ScorePass(False, True, True, 1), forecasts, None),
]


@pytest.mark.parametrize(
    ("make", "rows", "same"), [row[1:] for row in PASSES], ids=[row[0].__name__ for row in PASSES]
)
def test_obeys_the_laws_of_every_pass(make: Any, rows: Any, same: Same | None) -> None:
    check_laws(make(), rows(), same)


@pytest.mark.parametrize(
    ("make", "rows"),
    [row[1:3] for row in PASSES if row[2] is encoded],
    ids=[row[0].__name__ for row in PASSES if row[2] is encoded],
)
def test_passes_over_encoded_rows_and_their_answers_can_be_kept(make: Any, rows: Any) -> None:
    task = make()
    answer = task(rows().blocks())
    for value in (task, answer):
        kept = json.loads(json.dumps(thaw(value)))
        assert exactly(freeze(kept), value)
        assert thaw(freeze(kept)) == kept


def test_every_pass_of_the_package_is_in_the_table() -> None:
    found = set()
    for module in pkgutil.walk_packages(logloss.__path__, "logloss."):
        if module.name.endswith("__main__"):
            continue
        for name, member in inspect.getmembers(importlib.import_module(module.name)):
            if inspect.isclass(member) and name.endswith("Pass") and name != "Pass":
                found.add(member)
    assert found == {row[0] for row in PASSES}
