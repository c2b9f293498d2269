"""Arrays to be filled; the memory of large ones is kept for the next of their size."""

from __future__ import annotations

import math
import mmap
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

#: Bytes of a huge page, and from which on an array has memory of its own.
_HUGE_PAGE, _LARGE = 1 << 21, 1 << 24
#: Most bytes that are kept while no array uses them.
_MOST_KEPT = 1 << 28
_POSSIBLE = all(hasattr(mmap, name) for name in ("MADV_HUGEPAGE", "MADV_FREE"))

#: With the pool of threads all the state there is: memory that no array uses, the latest first.
_kept: list[mmap.mmap] = []


def blank(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of any content, to be filled.

    The system clears memory when it is first touched. So a large array begins at a huge page, and
    when the last view of it is gone its memory is kept for the next array of its size: at most
    256 MB in all, the latest first, and marked so that the system takes it back whenever it is
    short of memory.
    """
    n_bytes = (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize
    if n_bytes < _LARGE or not _POSSIBLE:
        return np.empty(shape, dtype)
    try:
        memory = _memory(-(-n_bytes // _HUGE_PAGE) * _HUGE_PAGE)
    except OSError:  # no room: give back what is kept, and let NumPy say so if that is not enough
        _kept.clear()
        return np.empty(shape, dtype)
    array = np.ndarray(shape, dtype, memory)
    weakref.finalize(array, _keep, memory).atexit = False
    return array


def _memory(n_bytes: int) -> mmap.mmap:
    for memory in tuple(_kept):
        if len(memory) == n_bytes:
            with suppress(ValueError):  # another thread was faster
                _kept.remove(memory)
                return memory
    memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _keep(memory: mmap.mmap) -> None:
    if len(memory) > _MOST_KEPT:
        return
    with suppress(OSError, IndexError):  # a kernel without MADV_FREE; another thread was faster
        memory.madvise(mmap.MADV_FREE)
        _kept.insert(0, memory)
        while sum(map(len, tuple(_kept))) > _MOST_KEPT:
            _kept.pop()
