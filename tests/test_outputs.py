"""Arrays to be filled: large ones take the memory of those that are gone, and of no others."""

from __future__ import annotations

import gc
import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import logloss
from logloss import outputs
from logloss.outputs import blank

#: Shape of an array of float32 that has memory of its own: 20 MB.
LARGE = (5000, 1 << 10)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    outputs._kept.clear()
    yield
    outputs._kept.clear()


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("shape", [LARGE, (2, 1 << 10), 6_000_000, 3, 0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_have_their_shape_and_can_be_written(shape: Any, dtype: type) -> None:
    array = blank(shape, dtype)
    assert array.shape == np.empty(shape).shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    array[...] = 1
    assert array.sum() == array.size


def test_the_memory_of_an_array_that_is_gone_serves_the_next_of_its_size() -> None:
    first = blank(LARGE, np.float32)
    where = address(first)
    del first
    gc.collect()
    again = address(blank(LARGE[::-1], np.float32))
    if outputs._POSSIBLE:  # elsewhere NumPy chooses
        assert (again, where % outputs._HUGE_PAGE) == (where, 0)


def test_a_view_keeps_its_memory() -> None:
    view = blank(LARGE, np.float32)[1:].T[::2]
    array = blank(LARGE, np.float32)
    part = array[7:, 3]
    part[:] = 5
    del array
    gc.collect()
    other = blank(LARGE, np.float32)
    other[:] = 1
    assert (part == 5).all()
    assert not np.shares_memory(other, part)
    assert not np.shares_memory(other, view)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_MOST_KEPT", 50 << 20)
    arrays = [blank(LARGE, np.float32) for _ in range(5)]
    while arrays:
        del arrays[0]
    assert len(outputs._kept) == 2 * outputs._POSSIBLE
    too_large = blank(20_000_000, np.float32)
    del too_large
    assert len(outputs._kept) == 2 * outputs._POSSIBLE


def test_threads_never_share_memory() -> None:
    def fill(value: int) -> bool:
        array = blank(LARGE, np.float32)
        array[:] = value
        return bool((array == value).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(40)))


def test_without_room_numpy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    del [blank(LARGE, np.float32)][0]
    assert len(outputs._kept) == 1 * outputs._POSSIBLE

    def refuse(*_: object, **__: object) -> None:
        raise OSError("[Errno 12] Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    assert blank(6_000_000, np.float32).shape == (6_000_000,)
    assert not outputs._kept


def test_results_stay_what_they_were_when_the_next_are_computed() -> None:
    logits = np.linspace(-3, 3, 5_000_000, dtype=np.float32)
    y = np.zeros(len(logits), np.uint8)
    _, first = logloss.loss_gradient(y, logits)
    copy = first.copy()
    for _ in range(3):
        _, other = logloss.loss_gradient(1 - y, -logits)
    np.testing.assert_array_equal(first, copy)
    np.testing.assert_array_equal(other, -copy)
