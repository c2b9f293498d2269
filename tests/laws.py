"""The laws of every Pass: its answer belongs to the rows, not to how they are served."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from logloss.rows.protocols import Batch
from logloss.rows.source import MappedShard, Source

#: Rows per block, so that shards end within blocks, at their ends, and after every row.
CUTS = (1, 7, 64)

Same = Callable[[object, object], bool]


def check_laws(task: Any, source: Source[Any], same: Same | None = None) -> None:
    """Assert that `task` answers the same however the rows of `source` are cut and served.

    Parameters
    ----------
    task : Pass
    source : Source
        A table of at least a few dozen rows, or what was mapped from one.
    same : callable, optional
        Compares two partials; by default all they hold must be equal to the last bit.
    """
    same = same or exactly
    whole = task(source.blocks())
    empty = task(())
    assert same(empty + whole, whole), "no rows add nothing"
    assert same(whole + empty, whole), "no rows add nothing"
    for rows in CUTS:
        pieces = list(cut(source, rows))
        parts = [task([piece]) for piece in pieces]
        assert same(task(pieces), whole), f"blocks of {rows} rows in one shard"
        assert same(reduce(add, parts), whole), f"shards of {rows} rows"
        order = np.random.default_rng(0).permutation(len(parts))
        assert same(reduce(add, (parts[i] for i in order)), whole), "shards in another order"
        half = len(parts) // 2
        left, right = reduce(add, parts[:half], empty), reduce(add, parts[half:], empty)
        assert same(left + right, right + left), "operands swapped"
        copies = [pickle.loads(pickle.dumps(part)) for part in parts]
        assert same(reduce(add, copies), whole), "partials that travelled"
    travelled = pickle.loads(pickle.dumps(task))
    assert same(travelled(source.blocks()), whole), "a pass that travelled"


def cut(source: Source[Any], rows: int) -> Iterator[Any]:
    """Serve the rows of a source in blocks of at most `rows` rows, cut before they are encoded."""
    for shard in source.shards:
        functions: list[Callable[[Any], Any]] = []
        table: Any = shard
        while isinstance(table, MappedShard):
            functions.insert(0, table.function)
            table = table.shard
        for batch in table.blocks():
            for start in range(0, len(batch), rows):
                piece: Any = Batch(batch.first_row + start, batch.table.slice(start, rows))
                for function in functions:
                    piece = function(piece)
                yield piece


def exactly(a: object, b: object) -> bool:
    """Whether two partials hold the same, to the last bit."""
    return _equal(a, b, lambda x, y: np.array_equal(x, y, equal_nan=_may_be_nan(x)))


def closely(rtol: float) -> Same:
    """Return a comparison that lets floating-point numbers differ by `rtol`."""

    def close(x: np.ndarray, y: np.ndarray) -> bool:
        if not _may_be_nan(x):
            return np.array_equal(x, y)
        scale = float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
        return np.allclose(x, y, rtol=rtol, atol=rtol * scale, equal_nan=True)

    return lambda a, b: _equal(a, b, close)


def _may_be_nan(array: np.ndarray) -> bool:
    return array.dtype.kind in "fc"


def _equal(a: Any, b: Any, numbers: Callable[[np.ndarray, np.ndarray], bool]) -> bool:
    if dataclasses.is_dataclass(a):
        fields = [field.name for field in dataclasses.fields(a)]
        return type(a) is type(b) and all(
            _equal(getattr(a, name), getattr(b, name), numbers) for name in fields
        )
    if type(a).__name__ == "ExactSum":
        return _equal(a.value, b.value, numbers)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key], numbers) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(_equal(x, y, numbers) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray | float):
        x, y = np.asarray(a), np.asarray(b)
        return x.shape == y.shape and numbers(x, y)
    return a == b
