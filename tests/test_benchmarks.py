"""The harness of the benchmarks: answers are checked, a table comes out. No time is asserted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import sums
from benchmarks.__main__ import table
from benchmarks.calls import calls as small_calls
from benchmarks.peers import PEERS
from benchmarks.problems import PROBLEMS, Data, Problem
from benchmarks.timing import medians

DATA = Data.draw(2000)


def test_a_quick_run_prints_one_row_a_problem(root: Path) -> None:
    peers = [name for name in PEERS if name != "torch.compile"]  # which takes half a minute
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rows", "2000", "--peers", *peers],
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith("| m")]
    assert [row.split(" | ")[0][2:] for row in rows] == [problem.title for problem in PROBLEMS]
    assert all(row.count("×") == len(peers) for row in rows)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.key)
@pytest.mark.parametrize("name", ["logloss", "NumPy", "scikit-learn"])
def test_right_answers_pass_the_check(name: str, problem: Problem) -> None:
    answer = PEERS[name](DATA, 2)[problem.key]()
    problem.check(name, answer, problem.truth(DATA))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.key)
def test_a_wrong_loss_stops_the_run(problem: Problem) -> None:
    loss, *others = problem.truth(DATA)
    with pytest.raises(ValueError, match=re.escape(f"peer answers '{problem.title}'")):
        problem.check("peer", (loss * 1.001, *others), problem.truth(DATA))


def test_a_wrong_gradient_stops_the_run() -> None:
    problem = PROBLEMS[1]
    loss, gradient = problem.truth(DATA)
    with pytest.raises(ValueError, match="loss \\+ gradient"):
        problem.check("peer", (loss, gradient + 1e-4), (loss, gradient))


def test_a_nan_stops_the_run() -> None:
    with pytest.raises(ValueError, match="mean loss"):
        PROBLEMS[0].check("peer", (np.nan,), PROBLEMS[0].truth(DATA))


def test_every_call_takes_its_turn_in_every_round() -> None:
    turns: list[str] = []
    medians({name: lambda name=name: turns.append(name) for name in "ab"}, rounds=3)
    assert "".join(turns) == "ababab"


def test_the_table_gives_ratios_to_the_first_peer_and_to_a_copy() -> None:
    seconds = {"ours": 0.010, "theirs": 0.055, "copy": 0.004}
    lines = list(table(iter([(PROBLEMS[0], seconds)]), ["ours", "theirs"]))
    assert lines[0] == "| | ours, ms | theirs | to a copy of the logits |"
    assert lines[2] == "| mean loss | 10.0 | 55.0 (5.5×) | 2.5× |"


def test_small_calls_are_calls_of_the_same() -> None:
    ours, theirs = small_calls(10)
    assert ours() == pytest.approx(float(theirs()), rel=1e-6)


def test_exact_and_plain_sums_compile_from_the_shipped_headers(root: Path) -> None:
    subprocess.run(
        [*sums.compiler(), *sums.OPTIONS, "-fsyntax-only", "-I", root / "cpp", sums.PROGRAM],
        check=True,
    )
