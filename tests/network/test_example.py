"""The example with a loop of its own runs, warns of nothing, and learns."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def printed(root: Path) -> str:
    command = [sys.executable, "-W", "error", root / "examples" / "train_network.py"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_training_begins_at_a_constant_and_ends_far_below(printed: str) -> None:
    constant = float(re.search(r"a constant says (\S+)", printed)[1])
    first = float(re.search(r"first batch: (\S+)", printed)[1])
    losses = [float(loss) for loss in re.findall(r"training loss (\S+)", printed)]
    assert first == pytest.approx(constant, abs=0.01)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.05


def test_rows_held_out_are_forecast_well(printed: str) -> None:
    assert float(re.search(r"held out: (\S+)", printed)[1]) < 0.3
