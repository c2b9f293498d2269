from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logloss.errors import ArgumentError
from logloss.rows import budget
from logloss.rows.budget import bytes_of, machine_memory, threads_within


@pytest.mark.parametrize(
    ("memory", "amount"),
    [
        (1, 1),
        ("1000", 1000),
        ("7 B", 7),
        ("2GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        (" .5 MB ", 500_000),
        ("1.5KiB", 1536),
        ("1TiB", 1 << 40),
        ("3 kB", 3000),
    ],
)
def test_an_amount_is_bytes_or_a_number_with_its_unit(memory: int | str, amount: int) -> None:
    assert bytes_of(memory) == amount


@pytest.mark.parametrize("memory", [0, -1, "", "GB", "2G", "2 GBytes", "-1MB", "0", 1.5, True])
def test_anything_else_is_refused_with_an_example(memory: Any) -> None:
    with pytest.raises(ArgumentError, match="such as '2GB'"):
        bytes_of(memory)


def test_a_quarter_of_the_machine_is_taken_by_default() -> None:
    assert bytes_of(None) == machine_memory() // 4


def test_a_container_s_limit_counts_as_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = [tmp_path / name for name in ("none", "max", "limit")]
    limits[1].write_text("max\n")
    limits[2].write_text("123456\n")
    monkeypatch.setattr(budget, "_LIMITS", limits)
    assert machine_memory() == 123456


def test_there_is_an_answer_where_the_system_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_LIMITS", ())
    monkeypatch.delattr("os.sysconf")
    assert machine_memory() == 4 << 30


def test_there_is_always_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "default_threads", lambda: 8)
    assert [threads_within(memory, 10) for memory in (0, 9, 10, 35, 1000)] == [1, 1, 1, 3, 8]
