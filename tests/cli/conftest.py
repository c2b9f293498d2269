"""A small table, a model of it, and the command line in this process and as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import logloss
from logloss.cli import main

COMMAND = [sys.executable, "-m", "logloss"]


@dataclass(frozen=True)
class Outcome:
    """How one call ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a process of its own, in an empty folder."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80"},
            timeout=120,
            **options,
        )

    return run


def passengers(n_rows: int = 600) -> pa.Table:
    """Draw a table with a number, a text, a weight, a day and a 0/1 target that depends on them."""
    draw = np.random.default_rng(20130101)
    fare = draw.gamma(2.0, 15.0, n_rows)
    deck = draw.choice(["A", "B", "C"], n_rows)
    logit = 0.03 * fare - 1.2 + np.where(deck == "A", 0.8, 0.0)
    survived = (draw.random(n_rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return pa.table(
        {
            "survived": survived,
            "fare": fare,
            "deck": deck,
            "weight": draw.integers(1, 4, n_rows).astype(np.float64),
            "day": draw.integers(1, 31, n_rows),
            "outcome": np.where(survived == 1, "yes", "no"),
        }
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with table.parquet, model.json and predictions.parquet: only to be read."""
    place = tmp_path_factory.mktemp("passengers")
    pq.write_table(passengers(), place / "table.parquet", row_group_size=200)
    model = logloss.fit(place / "table.parquet", "survived", features=["fare", "deck"])
    model.save(place / "model.json")
    model.predict(place / "table.parquet", place / "predictions.parquet")
    return place
