"""The benchmark of fits larger than memory: it checks bits and rows first, and prints tables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from benchmarks import streams

from logloss.rows.source import open_source


def test_a_quick_run_prints_the_peak_the_passes_and_the_readers(root: Path) -> None:
    words = ["--rows", "20000", "--memory", "200MB", "--row-group", "9000", "--csv-rows", "20000"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.streams", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert re.search(r"20,000 rows, 0\.01 GB decoded, memory=200MB: converged", done.stdout)
    assert re.search(r"peak 0\.\d\d GB resident", done.stdout)
    assert "| EncodePass | 1 |" in done.stdout
    assert "| pyarrow.csv.read_csv |" in done.stdout


def test_bits_that_differ_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(path: Path, memory: str) -> dict[str, Any]:
        return {"bits": memory, "passes": []}

    monkeypatch.setattr(streams, "CHECKED_ROWS", 100)
    monkeypatch.setattr(streams, "fit_apart", fit)
    with pytest.raises(ValueError, match="differs from the fit of the same rows in memory"):
        streams.check_bits(tmp_path / "t.parquet", 100)
    monkeypatch.setattr(streams, "fit_apart", lambda *_: {"bits": "", "passes": []})
    with pytest.raises(ValueError, match="made in the same way"):
        streams.check_bits(tmp_path / "t.parquet", 100)


def test_rows_that_differ_from_pyarrow_s_stop_the_run() -> None:
    table = pa.table({"late": [0, 1, 1]})
    streams.check_rows(open_source(table), table)
    with pytest.raises(ValueError, match="rows from 0 on"):
        streams.check_rows(open_source(table), pa.table({"late": [0, 1, 0]}))
