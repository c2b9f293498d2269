from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from logloss.design.design import learn_design
from logloss.design.summary import LevelCounts, Summary, SummaryPass
from logloss.errors import ColumnError, WeightError
from logloss.rows.protocols import Batch
from logloss.rows.source import open_source


def summary(columns: dict[str, Any], kind: Any = "number", **options: str) -> Summary:
    names = tuple((name, kind) for name in columns if name not in options.values())
    return SummaryPass(names, **options)([Batch(0, pa.record_batch(columns))])


def mean_and_scale(values: Any, weight: Any = None) -> tuple[float, float]:
    columns = {"x": pa.array(values)}
    if weight is None:
        return summary(columns).columns[0].mean_and_scale()
    return summary({**columns, "w": pa.array(weight)}, weight="w").columns[0].mean_and_scale()


numbers = nps.arrays(
    np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6, allow_subnormal=False)
)


@given(numbers)
def test_mean_is_the_exact_sum_over_the_count(values: np.ndarray) -> None:
    mean, _ = mean_and_scale(values)
    assert mean == pytest.approx(math.fsum(values) / len(values), rel=1e-15, abs=0)


@given(numbers)
def test_scale_is_the_standard_deviation(values: np.ndarray) -> None:
    _, scale = mean_and_scale(values)
    spread = np.ptp(values)
    if spread > 1e-3 * np.abs(values).max():
        assert scale == pytest.approx(values.std(), rel=1e-8)
    assert 0 <= scale <= spread / 2 * (1 + 1e-12) or spread == 0


def test_scale_survives_a_mean_a_million_times_as_large() -> None:
    values = 1e9 + np.arange(1000.0)
    assert mean_and_scale(values)[1] == pytest.approx(values.std(), rel=1e-4)


def test_numbers_whose_squares_overflow_have_a_scale_by_their_range() -> None:
    assert mean_and_scale([1e200, -1e200]) == (0.0, 1e200)


def test_a_sum_beyond_the_largest_double_leaves_the_range_to_tell() -> None:
    assert mean_and_scale([1.5e308, 1.0e308]) == (1.25e308, 0.25e308)


def test_no_value_has_mean_and_scale_zero() -> None:
    assert mean_and_scale(pa.array([None], pa.float64())) == (0.0, 0.0)


def test_weights_weigh() -> None:
    repeated = mean_and_scale([1.0, 2.0, 2.0, 7.0])
    assert mean_and_scale([1.0, 2.0, 7.0], [1, 2, 1]) == pytest.approx(repeated)


def test_rows_of_weight_zero_do_not_count() -> None:
    kept = summary({"x": [1.0, 2.0], "w": [1.0, 1.0]}, weight="w")
    more = summary({"x": [1.0, 2.0, 99.0, None], "w": [1.0, 1.0, 0.0, 0.0]}, weight="w")
    assert more == kept


def test_levels_of_rows_of_weight_zero_do_not_count() -> None:
    found = summary({"c": ["a", "b", None], "w": [1, 0, 0]}, "category", weight="w").columns[0]
    assert (found.counts, found.n_missing) == ({"a": 1}, 0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (pa.array([1, 2, None]), pa.array([1.0, 2.0, None])),
        (pa.array([1.0, math.nan, 3.0]), pa.array([1.0, None, 3.0])),
        (pa.array([0.0, 1.0]), pa.array([-0.0, 1.0])),
        (pa.array([True, False]), pa.array([1, 0])),
    ],
)
def test_equal_numbers_have_equal_digests(a: pa.Array, b: pa.Array) -> None:
    first, second = (summary({"x": column}).columns[0] for column in (a, b))
    assert (first.digest, first.missing_digest) == (second.digest, second.missing_digest)


def test_equal_categories_have_equal_digests_whatever_their_dictionary() -> None:
    text = pa.array(["u", None, "v"])
    dictionary = pa.DictionaryArray.from_arrays(pa.array([2, 1, 0]), ["v", None, "u"])
    first, second = (summary({"x": c}, "category").columns[0] for c in (text, dictionary))
    assert first == second


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.data())
def test_different_numbers_have_different_digests(values: list[int], data: st.DataObject) -> None:
    other = data.draw(st.permutations(values))
    first, second = (summary({"x": pa.array(v)}).columns[0] for v in (values, other))
    assert (first.digest == second.digest) == (values == other)


def test_an_infinite_number_names_column_row_and_value() -> None:
    with pytest.raises(ColumnError, match=r"column 'x' must be finite or missing; row 1 has -inf"):
        summary({"x": [0.0, -math.inf]})


@pytest.mark.parametrize(
    ("value", "found"), [(-1.0, "-1.0"), (math.inf, "inf"), (math.nan, "no value"), (None, "no v")]
)
def test_a_weight_of_no_use_names_its_row(value: float | None, found: str) -> None:
    with pytest.raises(WeightError, match=rf"weight column 'w' .*row 1 has {found}") as info:
        summary({"x": [1.0, 2.0], "w": [1.0, value]}, weight="w")
    assert info.value.index == 1


@pytest.mark.parametrize(("value", "found"), [(math.inf, "inf"), (None, "no value")])
def test_an_offset_of_no_use_names_its_row(value: float | None, found: str) -> None:
    with pytest.raises(ColumnError, match=rf"offset column 'o' must be finite; row 0 has {found}"):
        summary({"x": [1.0, 2.0], "o": [value, 1.0]}, offset="o")


def test_weights_of_text_are_refused() -> None:
    with pytest.raises(ColumnError, match="'w' is a string; weights and offsets are numbers"):
        summary({"x": [1.0], "w": ["a"]}, weight="w")


def test_identifiers_are_refused_as_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logloss.design.summary.MAX_LEVELS", 3)
    with pytest.raises(ColumnError, match=r"'x' has over 3 levels.*--drop x"):
        summary({"x": list("abcd")}, "category")


def test_levels_are_counted_as_shards_are_added() -> None:
    parts = [LevelCounts(0, {level: 1}, (0, 0), "tail", 2) for level in "aabc"]
    assert (parts[0] + parts[1] + parts[2]).counts == {"a": 2, "b": 1}
    with pytest.raises(ColumnError, match=r"'tail' has over 2 levels.*--memory"):
        parts[0] + parts[2] + parts[3]


def test_levels_may_take_the_memory_that_is_allowed() -> None:
    table = open_source(pa.table({"y": [0, 1] * 1000, "tail": [f"N{k}" for k in range(2000)]}))
    with pytest.raises(ColumnError, match=r"'tail' has over 1,000 levels.*--memory"):
        learn_design(table, target="y", memory=1)
    assert learn_design(table, target="y", memory=10**9).left_out == (
        ("tail", "no level has 20 rows"),
    )
