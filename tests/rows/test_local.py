from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import pyarrow as pa
import pytest

from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch
from logloss.rows.source import Source, open_source


@dataclass(frozen=True)
class Rows:
    """First rows of the blocks seen, in the order of merging."""

    first: tuple[int, ...] = ()

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.first + other.first)


@dataclass(frozen=True)
class FirstRows:
    """Batches → `Rows`; fails or is interrupted at a given row."""

    fail_at: int | None = None
    error: type[BaseException] = ValueError

    def __call__(self, batches: Iterable[Batch], /) -> Rows:
        seen = []
        for batch in batches:
            if batch.first_row == self.fail_at:
                raise self.error
            seen.append(batch.first_row)
        return Rows(tuple(seen))


@pytest.fixture
def source() -> Source[Batch]:
    return open_source(pa.table({"a": range(300_000)}))


@pytest.mark.parametrize("n_threads", [None, 1, 2, 5])
def test_answers_are_merged_in_shard_order(source: Source[Batch], n_threads: int | None) -> None:
    result = LocalEngine(n_threads).reduce(FirstRows(), source)
    assert result.first == tuple(range(0, 300_000, 65_536))


def test_no_shards_give_the_answer_for_no_rows() -> None:
    assert LocalEngine().reduce(FirstRows(), Source(())) == Rows()


def test_progress_tells_of_every_row_once(source: Source[Batch]) -> None:
    told = []
    LocalEngine(2, lambda done, total: told.append((done, total))).reduce(FirstRows(), source)
    assert sum(done for done, _ in told) == 300_000
    assert {total for _, total in told} == {300_000}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_or_interrupt_comes_through_and_the_engine_lives_on(
    source: Source[Batch], error: type[BaseException]
) -> None:
    engine = LocalEngine(2)
    with pytest.raises(error):
        engine.reduce(FirstRows(65_536, error), source)
    assert len(engine.reduce(FirstRows(), source).first) == 5


@dataclass(frozen=True)
class Endless:
    """A shard that never ends, or one that fails once the endless one has begun."""

    begun: threading.Event
    fails: bool
    origin: str = "test"
    first_row: int = 0
    n_rows: int = 1

    def blocks(self) -> Iterator[Batch]:
        if self.fails:
            self.begun.wait(60)
            raise ZeroDivisionError
        while True:
            self.begun.set()
            yield Batch(0, pa.record_batch({"a": [1]}))


def test_shards_behind_one_that_failed_stop_where_they_are() -> None:
    begun = threading.Event()
    source = Source((Endless(begun, True), Endless(begun, False)))
    with pytest.raises(ZeroDivisionError):
        LocalEngine(2).reduce(FirstRows(), source)


def test_shards_not_begun_are_not_read_after_an_error(source: Source[Batch]) -> None:
    told = []
    engine = LocalEngine(1, lambda done, total: told.append(done))
    with pytest.raises(ZeroDivisionError):
        engine.reduce(FirstRows(0, ZeroDivisionError), source)
    assert told == []


@dataclass(frozen=True)
class Counted:
    """A partial that tells how many of its kind are alive at once."""

    alive: ClassVar[set[int]] = set()
    most: ClassVar[list[int]] = [0]
    rows: int = 0

    def __post_init__(self) -> None:
        self.alive.add(id(self))
        self.most[0] = max(self.most[0], len(self.alive))

    def __del__(self) -> None:
        self.alive.discard(id(self))

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.rows + other.rows)


@dataclass(frozen=True)
class CountPass:
    """Batches → `Counted`."""

    def __call__(self, batches: Iterable[Batch], /) -> Counted:
        return Counted(sum(map(len, batches)))


def test_answers_are_added_as_they_come_and_not_kept() -> None:
    shard = open_source(pa.table({"a": range(10)})).shards[0]
    total = LocalEngine(1).reduce(CountPass(), Source((shard,) * 200))
    assert total.rows == 2000
    assert Counted.most[0] <= 4
