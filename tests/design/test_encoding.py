"""Encoded rows, in memory and in a cache: the same blocks, whatever the table's row groups."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from logloss.design import encoding
from logloss.design.design import learn_design
from logloss.design.encoding import Plan, plan_encoding
from logloss.design.target import Target
from logloss.errors import ArgumentError
from logloss.rows.local import LocalEngine
from logloss.rows.source import open_source

N_ROWS = 1000
LATE = Target("late", (0, 1))


def table() -> pa.Table:
    rng = np.random.default_rng(5)
    return pa.table(
        {
            "late": rng.integers(0, 2, N_ROWS),
            "temp": pa.array(rng.normal(size=N_ROWS), mask=rng.random(N_ROWS) < 0.1),
            "carrier": rng.choice(["EV", "UA"], N_ROWS),
            "weight": rng.random(N_ROWS),
            "day": rng.integers(0, 9, N_ROWS),
        }
    )


def plan(tmp_path: Path, row_group: int, memory: int) -> Plan:
    path = tmp_path / f"{row_group}.parquet"
    pq.write_table(table(), path, row_group_size=row_group)
    source = open_source(path)
    design = learn_design(
        source, target="late", features=["temp", "carrier"], weight="weight", cluster=("day",)
    )
    return plan_encoding(source, design, LATE, memory)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks end every 64 rows, and files be read by shards of as few."""
    monkeypatch.setattr(encoding, "block_rows", lambda width: 64)
    for module in ("parquet", "tables"):
        monkeypatch.setattr(f"logloss.rows.{module}.BLOCK_ROWS", 64)


@pytest.mark.parametrize("row_group", [30, 64, 100, 1000])
@pytest.mark.parametrize("in_memory", [True, False])
def test_blocks_begin_at_the_same_rows_and_hold_the_same(
    tmp_path: Path, row_group: int, in_memory: bool
) -> None:
    chosen = plan(tmp_path, row_group, 10**9 if in_memory else 15_000)
    assert chosen.in_memory is in_memory
    wanted = [chosen.design.encode(batch, LATE).arrays() for batch in open_source(table()).blocks()]
    with chosen.encoded(LocalEngine(3)) as source:
        blocks = list(source.blocks())
        assert [block.first_row for block in blocks] == list(range(0, N_ROWS, 64))
        assert all(block.numbers.flags.f_contiguous for block in blocks)
        assert wanted[0].keys() == blocks[0].arrays().keys() > {"weight", "cluster"}
        for name in wanted[0]:
            parts = [block.arrays()[name] for block in blocks]
            array = np.concatenate([arrays[name] for arrays in wanted])
            np.testing.assert_array_equal(np.concatenate(parts), array)
            assert {part.dtype for part in parts} == {array.dtype}


def test_the_cache_is_gone_at_the_end_and_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = plan(tmp_path, 100, 15_000)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with chosen.encoded():
        (name,) = os.listdir(place)
        assert os.path.getsize(place / name) == chosen.size
    assert os.listdir(place) == []
    with pytest.raises(KeyboardInterrupt), chosen.encoded():
        raise KeyboardInterrupt
    assert os.listdir(place) == []


def test_threads_are_as_many_as_the_memory_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logloss.rows.budget.default_threads", lambda: 8)
    chosen = plan(tmp_path, 100, 10**9)
    assert chosen.engine().n_threads is None
    small = plan(tmp_path, 100, 2 * chosen.each_thread)
    assert not small.in_memory
    assert small.engine().n_threads == 2


def test_less_memory_than_a_thread_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="1,000 bytes"):
        plan(tmp_path, 100, 1000)
