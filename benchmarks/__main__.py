"""`python -m benchmarks`: check every answer, time it, print ratios as a Markdown table."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS, settle_caches, versions
from benchmarks.problems import PROBLEMS, Data, Problem
from benchmarks.timing import medians

BUILD = Path(__file__).parents[1] / "build"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the problems and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="float32 logits")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    chosen = parser.parse_args(arguments)
    settle_caches(str(BUILD))
    data = Data.draw(chosen.rows)
    calls = {name: PEERS[name](data, chosen.threads) for name in chosen.peers}
    print(f"{chosen.rows:,} float32 rows · {chosen.threads} threads · medians of interleaved runs")
    print(f"{processor()} · Python {platform.python_version()} · {' · '.join(versions())}\n")
    print("\n".join(table(run(data, calls), chosen.peers)))
    return 0


def run(
    data: Data, calls: dict[str, dict[str, Callable[[], Any]]]
) -> Iterator[tuple[Problem, dict[str, float]]]:
    """Seconds of each peer, and of copying the logits, for each problem; a wrong answer raises."""
    copied = np.empty_like(data.logits)
    for problem in PROBLEMS:
        truth = problem.truth(data)
        of_problem = {name: by_problem[problem.key] for name, by_problem in calls.items()}
        for name, call in of_problem.items():  # also the first call, which compiles
            problem.check(name, call(), truth)
        del truth
        yield problem, medians({**of_problem, "copy": lambda: np.copyto(copied, data.logits)})


def table(
    results: Iterator[tuple[Problem, dict[str, float]]], peers: Sequence[str]
) -> Iterator[str]:
    """Lines of Markdown: milliseconds, and in brackets how many times ours."""
    first, *others = peers
    yield f"| | {first}, ms | {' | '.join(others)} | to a copy of the logits |"
    yield "| --- " * (len(peers) + 2) + "|"
    for problem, seconds in results:
        reference = seconds[first]
        cells = [f"{1e3 * seconds[name]:.1f} ({seconds[name] / reference:.1f}×)" for name in others]
        copies = f"{reference / seconds['copy']:.1f}×"
        yield " | ".join([f"| {problem.title}", f"{1e3 * reference:.1f}", *cells, copies]) + " |"
        sys.stdout.flush()


def processor() -> str:
    """Name of the processor, where the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
