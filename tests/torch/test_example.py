"""The example runs, warns of nothing, and learns every question."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def printed(root: Path) -> str:
    command = [sys.executable, "-W", "error", root / "examples" / "train_torch.py"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_training_begins_below_a_coin_and_ends_far_below(printed: str) -> None:
    losses = [float(loss) for loss in re.findall(r"training loss (\S+) nats", printed)]
    assert losses[0] < 0.6931
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.2


def test_every_question_is_answered_better_than_by_its_base_rate(printed: str) -> None:
    pairs = re.findall(r"(\S+) nats, a constant (\S+)", printed)
    assert len(pairs) == 4
    assert all(float(network) < float(constant) / 2 for network, constant in pairs)
