"""Wall-clock time of a call: medians of interleaved rounds. What is called, others know."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

ROUNDS = 7
#: Seconds between calls: idle threads of some libraries go on spinning for a while, and would
#: take processors from whoever comes next.
PAUSE = 0.05


def medians(calls: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each call.

    All take their turn in every round, so that a slow spell of the machine meets all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}
