from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from logloss.design.block import Layout
from logloss.errors import CheckpointError
from logloss.kernel import ExactSum
from logloss.logistic.minimise import Status
from logloss.rows.frozen import freeze, thaw

VALUES: list[Any] = [
    None,
    True,
    7,
    10**30,
    "Zürich",
    0.1,
    -0.0,
    math.inf,
    [1, [2.5]],
    (1, ("a", None)),
    {"a": 1, 2: (3,)},
    Layout(("x",), (("k=a", "k=b"),)),
    Status.STALLED,
    ExactSum.of(np.array([0.1, 1e300])),
    np.float64(0.1),
    np.True_,
]


def sent(value: Any) -> Any:
    return freeze(json.loads(json.dumps(thaw(value))))


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_frozen_value_comes_back_as_it_was(value: Any) -> None:
    assert sent(value) == value
    assert type(sent(value)) is type(value)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<i4", "?", ">f8"])
def test_an_array_keeps_bits_dtype_shape_and_order(order: Any, dtype: str) -> None:
    array = np.array(np.arange(6).reshape(2, 3), dtype, order=order)
    back = sent(array)
    assert (back.dtype, back.shape, back.flags.f_contiguous) == (
        array.dtype, array.shape, array.flags.f_contiguous,
    )  # fmt: skip
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_not_a_number_comes_back() -> None:
    assert math.isnan(sent(math.nan))
    assert np.isnan(sent(np.array([np.nan]))).all()


@dataclass(frozen=True)
class Foreign:
    """A dataclass of another package."""

    value: int = 0


@pytest.mark.parametrize("value", [object(), np.array([None]), {1, 2}, 1j])
def test_what_cannot_be_kept_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        thaw(value)


@pytest.mark.parametrize(
    "record",
    [
        thaw(Foreign()),
        {"kind": "fields", "class": "os:system", "fields": {}},
        {"kind": "fields", "class": "logloss.nowhere:Layout", "fields": {}},
        {"kind": "fields", "class": "logloss.files:Scratch", "fields": {"suffix": ".x"}},
        {"kind": "fields", "class": "logloss.design.block:Layout", "fields": {"absent": 1}},
        {"kind": "enum", "class": "logloss.design.block:Layout", "value": 1},
        {"kind": "state", "class": "logloss.kernel:ExactSum", "bytes": "AAAA"},
        {"kind": "array", "dtype": "<f8", "shape": [2], "order": "C", "bytes": "AAAA"},
        {"kind": "array", "dtype": "O", "shape": [1], "order": "C", "bytes": "AAAAAAAAAAA="},
        {"kind": "eval"},
        {},
    ],
)
def test_a_foreign_or_damaged_record_is_refused(record: Any) -> None:
    with pytest.raises(CheckpointError, match="damaged checkpoint, or of another version"):
        freeze(record)
