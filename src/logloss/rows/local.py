"""The engine of one machine: a pass over every shard, on the pool of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sized
from functools import reduce
from operator import add
from typing import cast

from logloss.rows.protocols import B_contra, P, Pass, Progress, Shard
from logloss.rows.source import Source
from logloss.threads import map_ordered


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

        After an error or Ctrl-C no shard is read beyond its current block.
        """
        stop = threading.Event()
        total = source.n_rows

        def answer(shard: Shard[B_contra]) -> P:
            return task(self._watched(shard, total, stop))

        try:
            partials = map_ordered(answer, source.shards, self.n_threads)
        except BaseException:
            stop.set()
            raise
        return reduce(add, partials) if partials else task(())

    def _watched(
        self, shard: Shard[B_contra], total: int, stop: threading.Event
    ) -> Iterator[B_contra]:
        """Hand out the blocks of a shard until told to stop; tell of each when it is done."""
        for block in shard.blocks():
            if stop.is_set():
                return
            yield block
            if self.progress is not None:
                with self._lock:
                    self.progress(len(cast(Sized, block)), total)
