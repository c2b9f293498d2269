"""The one pool: order kept, bounds kept, first failure raised, nothing left behind by a fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from logloss.errors import ArgumentError
from logloss.threads import default_threads, map_ordered


def run_script(text: str) -> None:
    """Run a script in a process of its own, with no threads but the ones that it starts."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_results_keep_the_order_of_the_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    assert map_ordered(slow_first, range(50), 4) == [item * item for item in range(50)]


def test_no_items_give_no_results() -> None:
    assert map_ordered(str, []) == []


def test_two_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=30)
    assert sorted(map_ordered(lambda _: meeting.wait(), range(2), 2)) == [0, 1]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_no_more_items_than_threads_are_worked_on_at_a_time(n_threads: int) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def count(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001)
        with lock:
            running -= 1

    map_ordered(count, range(40), n_threads)
    assert most <= n_threads


def test_a_larger_pool_is_made_when_more_threads_are_asked_for() -> None:
    for n_threads in (2, 5):
        meeting = threading.Barrier(n_threads, timeout=30)
        map_ordered(lambda _, meet=meeting: meet.wait(), range(n_threads), n_threads)


@pytest.mark.parametrize(("items", "n_threads"), [(range(3), 1), (range(1), 4)])
def test_one_thread_or_one_item_stays_in_the_calling_thread(items: range, n_threads: int) -> None:
    threads = map_ordered(lambda _: threading.current_thread(), items, n_threads)
    assert set(threads) == {threading.current_thread()}


def test_a_call_from_within_the_pool_runs_where_it_is() -> None:
    def outer(_: int) -> bool:
        inner = map_ordered(lambda _: threading.current_thread(), range(3), 2)
        return set(inner) == {threading.current_thread()}

    assert all(map_ordered(outer, range(8), 2))


def test_the_pool_is_free_again_after_a_nested_call() -> None:
    map_ordered(lambda _: map_ordered(str, range(3), 2), range(4), 2)
    meeting = threading.Barrier(2, timeout=30)
    map_ordered(lambda _: meeting.wait(), range(2), 2)


def test_callers_in_several_threads_get_their_own_results() -> None:
    results: dict[int, list[int]] = {}

    def call(start: int) -> None:
        results[start] = map_ordered(lambda item: start + item, range(200), 2)

    callers = [threading.Thread(target=call, args=(start,)) for start in range(0, 4000, 1000)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == {start: [start + item for item in range(200)] for start in results}


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_the_first_failure_in_the_items_order_is_raised(n_threads: int) -> None:
    meeting = threading.Barrier(n_threads, timeout=30)

    def fail(item: int) -> None:
        meeting.wait()
        time.sleep(0.01 * (n_threads - item))
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        map_ordered(fail, range(n_threads + (n_threads == 1)), n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_items_not_begun_before_a_failure_are_left_alone(n_threads: int) -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        time.sleep(0.001)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        map_ordered(fail, range(1000), n_threads)
    assert len(begun) <= n_threads


def test_the_pool_works_on_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        map_ordered(lambda item: 1 // item, range(4), 2)
    assert map_ordered(str, range(3), 2) == ["0", "1", "2"]


def test_ctrl_c_begins_nothing_more() -> None:
    begun: list[int] = []

    def interrupt(item: int) -> None:
        begun.append(item)
        if item == 0:
            time.sleep(0.2)  # until the calling thread waits
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        map_ordered(interrupt, range(500), 2)
    time.sleep(0.05)
    assert len(begun) < 500


@pytest.mark.parametrize("n_threads", [0, -1, float("nan")])
def test_fewer_than_one_thread_is_refused(n_threads: Any) -> None:
    with pytest.raises(ArgumentError, match=f"n_threads must be at least 1; got {n_threads}"):
        map_ordered(str, range(3), n_threads)


def test_all_processors_of_this_process_are_used_by_default() -> None:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_threads() == allowed


def test_one_processor_needs_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logloss.threads.default_threads", lambda: 1)
    threads = map_ordered(lambda _: threading.current_thread(), range(3))
    assert set(threads) == {threading.current_thread()}


def test_importing_starts_no_thread() -> None:
    run_script("""
        import threading
        import logloss.threads
        assert threading.active_count() == 1
    """)


def test_a_forked_child_makes_a_pool_of_its_own() -> None:
    run_script("""
        import os
        from logloss.threads import map_ordered

        assert map_ordered(str, range(4), 2) == list("0123")
        if hasattr(os, "fork"):
            child = os.fork()
            if child == 0:
                os._exit(map_ordered(str, range(4), 2) != list("0123"))
            assert os.waitpid(child, 0)[1] == 0
    """)


def test_the_interpreter_ends_while_the_pool_is_idle() -> None:
    run_script("""
        from logloss.threads import map_ordered
        map_ordered(str, range(4), 2)
    """)
