"""The one pool of threads: work is mapped over it in order, and nothing else starts a thread."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

from logloss.errors import ArgumentError

Item = TypeVar("Item")
Result = TypeVar("Result")


#: Seconds between looks for Ctrl-C: one that falls just before a wait begins does not end it,
#: and on Windows none does.
_LOOK = 0.1


class _Pool:
    """Makes the executor when it is first needed, again after a fork, and larger on demand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._size = 0
        self._threads: list[int] = []

    def of(self, size: int) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None or self._size < size:
                # an outgrown executor's idle threads end when nobody refers to it any more
                threads: list[int] = []
                self._executor = ThreadPoolExecutor(
                    size, "logloss", lambda: threads.append(threading.get_native_id())
                )
                self._size, self._threads = size, threads
            _leave_the_caller_s_processor(self._threads)
            return self._executor


def _leave_the_caller_s_processor(threads: Sequence[int]) -> None:
    """Let threads wake on any processor but the one that the caller is about to be busy on.

    Linux may wake a thread where its waker runs, and needs milliseconds to see that another
    processor is idle: as long as a call takes.
    """
    if sys.platform != "linux" or not threads:
        return
    allowed = os.sched_getaffinity(0) - {ctypes.CDLL(None).sched_getcpu()}
    for thread in threads if allowed else ():
        with suppress(OSError):  # of an outgrown executor, and ended
            os.sched_setaffinity(thread, allowed)


_pool = _Pool()
_inside = threading.local()


def _forget() -> None:
    """Leave the parent's threads behind: a forked child has none of them."""
    global _pool  # noqa: PLW0603  (replaced whole)
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def default_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ordered(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int | None = None
) -> list[Result]:
    """Apply `function` to every item and return the results in the items' order.

    Parameters
    ----------
    function : callable
        Called in several threads at once.
    items : sequence
    n_threads : int, optional
        At most this many items at a time, one of them in the calling thread; all processors by
        default. With 1, or with one item, or when called from within the pool, everything runs
        in the calling thread.

    Raises
    ------
    ArgumentError
        If `n_threads` is below 1.
    Exception
        The first, in the items' order, that `function` raised; items not yet begun are
        then left alone.
    """
    if n_threads is not None and not n_threads >= 1:
        raise ArgumentError(f"n_threads must be at least 1; got {n_threads!r}.")
    if len(items) <= 1 or n_threads == 1 or getattr(_inside, "pool", False):
        return [function(item) for item in items]
    workers = min(default_threads() if n_threads is None else n_threads, len(items))
    if workers == 1:
        return [function(item) for item in items]
    return _run(function, items, workers)


def _run(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """Let `workers` threads, the calling one first, take item after item until one fails."""
    results: dict[int, Result] = {}
    failures: dict[int, BaseException] = {}
    positions = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        _inside.pool = True
        try:
            while not failures:
                with lock:
                    position = next(positions, None)
                if position is None:
                    return
                try:
                    results[position] = function(items[position])
                except BaseException as error:
                    failures[position] = error
        finally:
            _inside.pool = False

    try:
        futures = [_pool.of(workers - 1).submit(work) for _ in range(workers - 1)]
        work()
        while wait(futures, timeout=_LOOK).not_done:
            pass
    except BaseException:  # Ctrl-C in the calling thread: begin nothing more
        failures[len(items)] = KeyboardInterrupt()
        raise
    if failures:
        raise failures[min(failures)]
    return [results[position] for position in range(len(items))]
