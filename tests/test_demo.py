"""The demo: what it prints, what it leaves, and whether its numbers are good enough."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shlex
import subprocess
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

import logloss


@pytest.fixture(scope="module")
def demo(root: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Load the demo's script, with a folder of its own to write to."""
    spec = importlib.util.spec_from_file_location("flights", root / "examples" / "flights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.OUT = tmp_path_factory.mktemp("out") / "flights"
    return module


@pytest.fixture(scope="module")
def page(demo: ModuleType) -> str:
    """Run it once, and return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        demo.main()
    return printed.getvalue()


def test_the_page_has_its_topics_in_order(page):
    topics = [line.split()[0] for line in page.splitlines() if not line.startswith(" ")]
    assert topics == ["logloss", "fit", "predict", "score", "drivers", "worst", "files", "next"]


def test_the_page_tells_of_all_flights(page, flights):
    for name in ("flights_train", "flights_test"):
        assert f"{pq.ParquetFile(flights / f'{name}.parquet').metadata.num_rows:,}" in page


def test_the_fit_converged(page):
    assert "converged: " in page


def test_the_files_are_there(page, demo):
    assert sorted(path.name for path in demo.OUT.iterdir()) == [
        "loss.png",
        "model.json",
        "predictions.parquet",
        "reliability.png",
        "sigmoid.png",
        "training.png",
    ]


def test_the_model_beats_the_training_rate_beyond_doubt(page, demo):
    result = logloss.score(
        demo.OUT / "predictions.parquet", "late", logit="logit", cluster=["month", "day"]
    )
    assert result.log_loss.value <= 0.54
    assert result.baseline.value == pytest.approx(0.591, abs=5e-4)
    assert result.gain.low > 0
    assert f"{result.log_loss.value:.3f}" in page


def test_the_written_logits_score_as_the_model_does_to_the_last_bit(page, demo, flights):
    written = logloss.score(demo.OUT / "predictions.parquet", "late", logit="logit")
    model = logloss.score(flights / "flights_test.parquet", "late", model=demo.OUT / "model.json")
    assert written.log_loss == model.log_loss


def test_what_it_says_to_try_next_works_as_it_stands(page):
    (line,) = (line for line in page.splitlines() if line.startswith("next"))
    done = subprocess.run(
        shlex.split(line.removeprefix("next")), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "carrier" in done.stdout
