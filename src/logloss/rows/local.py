"""The engine of one machine: a pass over every shard, on the pool of threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sized
from functools import reduce
from operator import add
from typing import Generic, cast

from logloss.rows.protocols import B_contra, P, Pass, Progress, Shard
from logloss.rows.source import Source
from logloss.threads import map_ordered

#: Shards that may be finished before one ahead of them is: their answers have to wait.
_AT_A_TIME = 64


class LocalEngine:
    """Runs a pass over the shards of a source, several at a time, on this machine.

    Parameters
    ----------
    n_threads : int, optional
        Shards at a time; by default as many as there are cores to use.
    progress : callable, optional
        Called with the number of rows just finished and the number in the whole pass;
        never by two threads at once.
    """

    def __init__(self, n_threads: int | None = None, progress: Progress | None = None) -> None:
        self.n_threads = n_threads
        self.progress = progress
        self._lock = threading.Lock()

    def reduce(self, task: Pass[B_contra, P], source: Source[B_contra]) -> P:
        """Return the sum, in shard order, of the answers for the shards.

        Of several errors the one of the first shard is raised, as if the shards had been
        read one after another; shards behind it, and all after Ctrl-C, stop where they are.
        """
        total = source.n_rows
        failed, merged = _FirstFailure(), _InOrder[P]()

        def answer(numbered: tuple[int, Shard[B_contra]]) -> None:
            number, shard = numbered
            try:
                merged.add(number, task(self._watched(shard, number, total, failed)))
            except BaseException:
                failed.note(number)
                raise

        shards = list(enumerate(source.shards))
        try:
            for start in range(0, len(shards), _AT_A_TIME):
                map_ordered(answer, shards[start : start + _AT_A_TIME], self.n_threads)
        except BaseException as error:
            if not isinstance(error, Exception):
                failed.note(-1)
            raise
        return merged.total[0] if merged.total else task(())

    def _watched(
        self, shard: Shard[B_contra], number: int, total: int, failed: _FirstFailure
    ) -> Iterator[B_contra]:
        """Hand out the blocks of a shard until one before it fails; tell of each when done."""
        for block in shard.blocks():
            if failed.number < number:
                return
            yield block
            if self.progress is not None:
                with self._lock:
                    self.progress(len(cast(Sized, block)), total)


class _InOrder(Generic[P]):
    """Sum of the answers so far, each added as soon as all before it are."""

    def __init__(self) -> None:
        self.total: list[P] = []
        self._waiting: dict[int, P] = {}
        self._next = 0
        self._lock = threading.Lock()

    def add(self, number: int, answer: P) -> None:
        with self._lock:
            self._waiting[number] = answer
            while self._next in self._waiting:
                self.total = [reduce(add, [*self.total, self._waiting.pop(self._next)])]
                self._next += 1


class _FirstFailure:
    """Number of the first shard known to have failed."""

    def __init__(self) -> None:
        self.number: float = math.inf
        self._lock = threading.Lock()

    def note(self, number: int) -> None:
        with self._lock:
            self.number = min(self.number, number)
