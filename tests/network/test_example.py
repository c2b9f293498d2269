"""The examples that train the module their own way run, warn of nothing, and learn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

#: What Lightning does with a part of torch that is to go; nothing of ours.
PYTREE = "ignore:`isinstance(treespec:FutureWarning"


@pytest.fixture(scope="module")
def printed(root: Path) -> str:
    return said(root / "examples" / "train_network.py")


@pytest.fixture(scope="module")
def printed_by_lightning(root: Path) -> str:
    return said(root / "examples" / "train_lightning.py", "-W", PYTREE)


def said(example: Path, *options: str) -> str:
    command = [sys.executable, "-W", "error", *options, example]
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


def test_lightning_begins_at_a_constant_and_stops_far_below(printed_by_lightning: str) -> None:
    constant = float(re.search(r"a constant says (\S+)", printed_by_lightning)[1])
    first = float(re.search(r"before training: (\S+)", printed_by_lightning)[1])
    last = float(re.search(r"epochs: (\S+)", printed_by_lightning)[1])
    assert first == pytest.approx(constant, abs=0.01)
    assert last < 0.3


def test_digits_that_lightning_never_saw_are_forecast_well(printed_by_lightning: str) -> None:
    assert float(re.search(r"other digits: (\S+)", printed_by_lightning)[1]) < 0.3
