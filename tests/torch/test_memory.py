"""Peaks of memory, measured, and the benchmark that measures them. No time is asserted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import frameworks
from benchmarks.frameworks import Layer, Network


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "layer",
    [Layer("head", 1024, 20_000, 16), Layer("pairs", 4096, 4096, 16)],
    ids=["head", "pairs"],
)
def test_a_fused_layer_takes_a_tenth_of_the_memory_at_most(layer: Layer) -> None:
    found = frameworks.measure(layer, chunk=1 << 17, rounds=1, threads=1)
    assert found["logloss"]["bytes"] < found["torch"]["bytes"] / 10


def test_a_quick_run_prints_a_row_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--steps", "1", "--head", "64", "128", "4", "--pairs", "64", "4", "--rounds", "1"]
    assert frameworks.main([*small, "--threads", "1"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "×" in line]
    assert len(rows) == len(frameworks.NETWORKS) + 2


def test_a_wrong_answer_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(logits: Any, target: Any) -> Any:
        return 1.001 * torch.nn.functional.binary_cross_entropy_with_logits(logits, target)

    monkeypatch.setattr(frameworks, "NETWORKS", (Network((3, 1), batch=4),))
    monkeypatch.setattr(
        frameworks, "LOSSES", {"logloss": wrong, "torch": frameworks.LOSSES["torch"]}
    )
    with pytest.raises(ValueError, match="a step of 3-1, 4 rows: logloss and torch differ"):
        next(line for line in frameworks.step_table(1) if "a step" in line)


def test_a_nan_stops_the_run() -> None:
    with pytest.raises(ValueError, match="differ"):
        frameworks.agree("it", [np.array([np.nan])], [np.array([np.nan])])


def test_where_the_system_does_not_tell_memory_is_its_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = frameworks.resident()
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert frameworks.resident() >= 0.9 * held
