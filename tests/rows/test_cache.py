"""The cache: what is written in pieces of any cut is read back, window by window."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from logloss.errors import OutputError, SourceError
from logloss.rows.cache import Cache, Field, make_cache

FIELDS = (Field("x", "<f8", 3), Field("k", "<i4", 1), Field("none", "<i4", 0), Field("y", "<f8"))


def rows(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "x": np.asfortranarray(rng.normal(size=(n, 3))),
        "k": rng.integers(0, 9, (n, 1)).astype(np.int32),
        "none": np.empty((n, 0), np.int32),
        "y": rng.random(n),
    }


def filled(n: int, window: int, cut: int) -> tuple[Cache, object]:
    cache, scratch = make_cache(n, window, FIELDS)
    arrays = rows(n)
    for start in reversed(range(0, n, cut)):
        cache.write(start, {name: array[start : start + cut] for name, array in arrays.items()})
    return cache, scratch


@pytest.mark.parametrize("n", [1, 8, 29])
@pytest.mark.parametrize("cut", [1, 5, 8, 100])
def test_rows_written_in_any_cut_and_order_are_read_back(n: int, cut: int) -> None:
    cache, _scratch = filled(n, 8, cut)
    blocks = list(cache.source("t").blocks())
    assert [block.first_row for block in blocks] == list(range(0, n, 8))
    assert [len(block) for block in blocks] == [min(8, n - k) for k in range(0, n, 8)]
    for name, array in rows(n).items():
        read = np.concatenate([block.arrays[name] for block in blocks])
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_matrices_are_column_major_and_every_array_is_aligned() -> None:
    cache, _scratch = filled(29, 8, 8)
    for window in cache.source("t").blocks():
        assert window.arrays["x"].flags.f_contiguous
        assert all(array.flags.aligned for array in window.arrays.values())


def test_a_source_can_be_read_again_and_its_shards_travel() -> None:
    cache, _scratch = filled(29, 8, 8)
    source = cache.source("t")
    shards = pickle.loads(pickle.dumps(source.shards))
    assert shards == source.shards
    assert [(s.origin, s.first_row, s.n_rows) for s in shards] == [
        ("t", 0, 8), ("t", 8, 8), ("t", 16, 8), ("t", 24, 5),
    ]  # fmt: skip
    again = [next(shard.blocks()).arrays["y"] for shard in shards for _ in range(2)][::2]
    np.testing.assert_array_equal(np.concatenate(again), rows(29)["y"])


def test_rows_are_taken_by_their_numbers_in_the_order_asked() -> None:
    cache, _scratch = filled(29, 8, 8)
    wanted = [28, 3, 3, 11, 0]
    taken = cache.take(wanted)
    for name, array in rows(29).items():
        np.testing.assert_array_equal(taken[name], array[wanted])


def test_the_file_goes_with_its_owner_and_reading_says_so() -> None:
    cache, scratch = filled(8, 8, 8)
    assert os.path.getsize(cache.path) == cache.size
    del scratch
    assert not Path(cache.path).exists()
    with pytest.raises(SourceError, match="cannot be read"):
        cache.window(0)
    with pytest.raises(OutputError, match="temporary file"):
        cache.write(0, rows(8))


def test_a_file_cut_short_is_a_source_error() -> None:
    cache, _scratch = filled(29, 8, 8)
    os.truncate(cache.path, cache.size - 1)
    with pytest.raises(SourceError, match="too early"):
        cache.window(3)


def test_no_cache_is_begun_where_there_is_no_room() -> None:
    with pytest.raises(OutputError, match="TMPDIR"):
        make_cache(1 << 55, 1 << 16, FIELDS)
