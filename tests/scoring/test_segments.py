"""Levels of a column: each scored as if its rows were alone, and together the whole."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from logloss import score
from logloss.errors import ColumnError

from .draws import table


@pytest.mark.parametrize("cluster", [None, "day"])
@pytest.mark.parametrize("weight", [None, "weight"])
def test_a_level_scores_as_its_rows_alone(weight, cluster):
    rows = table()
    whole = score(rows, "late", logit="logit", by="carrier", weight=weight, cluster=cluster)
    for segment in whole.by:
        alone = score(
            rows.filter(pc.equal(rows["carrier"].cast(pa.string()), segment.level)),
            "late", logit="logit", weight=weight, cluster=cluster,
        )  # fmt: skip
        assert segment.n == alone.n
        assert segment.log_loss.value == pytest.approx(alone.log_loss.value, rel=1e-14)
        assert segment.log_loss.low == pytest.approx(alone.log_loss.low, rel=1e-9)
        assert segment.mean_probability == pytest.approx(alone.mean_probability.value, rel=1e-14)
        assert segment.base_rate == pytest.approx(alone.base_rate.value, rel=1e-14)


def test_levels_add_up_to_the_whole():
    whole = score(table(), "late", logit="logit", by="gate", weight="weight")
    assert sum(segment.share for segment in whole.by) == pytest.approx(1)
    assert sum(segment.n for segment in whole.by) == 500
    total = sum(segment.log_loss.value * segment.weight for segment in whole.by)
    assert total / whole.weight == pytest.approx(whole.log_loss.value, rel=1e-14)


def test_the_greatest_share_of_the_loss_comes_first():
    shares = [s.share for s in score(table(), "late", logit="logit", by="gate").by]
    assert shares == sorted(shares, reverse=True)


def test_missing_values_are_a_level():
    levels = {s.level for s in score(table(), "late", logit="logit", by="gate").by}
    assert levels == {0, 1, 2, None}


def test_nan_and_null_are_one_level_in_all_blocks():
    gate = pa.array([float("nan"), None, 1.0] * 50)
    rows = pa.Table.from_batches(
        [pa.record_batch({"y": [0, 1, 1] * 50, "p": [0.5] * 150, "gate": gate})] * 3
    )
    found = {s.level: s.n for s in score(rows, "y", prob="p", by="gate").by}
    assert found == {None: 300, 1.0: 150}


def test_several_columns_are_split_each_by_itself():
    split = score(table(), "late", logit="logit", by=["carrier", "gate"]).by
    assert [s.column for s in split] == ["carrier"] * 3 + ["gate"] * 4


def test_a_level_of_no_weight_is_left_out():
    rows = pa.table({"y": [0, 1, 1], "p": [0.5] * 3, "w": [1, 1, 0], "k": ["a", "a", "b"]})
    assert [s.level for s in score(rows, "y", prob="p", weight="w", by="k").by] == ["a"]


def test_infinite_loss_stays_with_its_level():
    rows = pa.table({"y": [0, 1, 1, 0], "p": [0.5, 0.5, 0.0, 0.5], "k": ["a", "a", "b", "b"]})
    first, second = score(rows, "y", prob="p", by="k").by
    assert (first.level, first.log_loss.value) == ("b", math.inf)
    assert second.log_loss.value == pytest.approx(math.log(2))
    assert math.isnan(second.share)


def test_excess_is_loss_beyond_the_levels_own_entropy():
    rows = pa.table({"y": [0, 1, 0, 1], "p": [0.5, 0.5, 0.9, 0.1], "k": ["a", "a", "b", "b"]})
    worse, fair = score(rows, "y", prob="p", by="k").by
    assert fair.excess == pytest.approx(0, abs=1e-15)
    assert worse.excess == pytest.approx(-math.log(0.1) - math.log(2))


@pytest.mark.parametrize("n", [1001, 70_000])
def test_a_column_of_too_many_values_is_refused(n):
    # 70,000 rows are more than one block, each of at most 1,000 values
    values = np.arange(n) if n < 65_536 else np.arange(n) // 65_536 * 600 + np.arange(n) % 600
    rows = pa.table({"y": np.arange(n) % 2, "p": np.full(n, 0.5), "temp": values})
    with pytest.raises(ColumnError, match="'temp' has more than 1,000 distinct values"):
        score(rows, "y", prob="p", by="temp")


def test_a_column_of_lists_is_refused():
    rows = pa.table({"y": [0, 1], "p": [0.5, 0.5], "k": [[1], [2]]})
    with pytest.raises(ColumnError, match="'k'"):
        score(rows, "y", prob="p", by="k")


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (pa.timestamp("ns"), ["1970-01-01 00:00:10", "1970-01-01 00:00:00.000000001"]),
        (pa.timestamp("ns", "UTC"), ["1970-01-01 00:00:10Z", "1970-01-01 00:00:00.000000001Z"]),
        (
            pa.timestamp("ns", "America/New_York"),
            ["1969-12-31 19:00:10-0500", "1969-12-31 19:00:00.000000001-0500"],
        ),
        (pa.time64("ns"), ["00:00:10", "00:00:00.000000001"]),
        (pa.duration("ns"), ["10000000000 ns", "1 ns"]),
    ],
)
def test_nanoseconds_are_text_for_python_has_no_type_for_them(kind, shown):
    when = pa.array([10**10, 1, 10**10, None]).cast(pa.int64()).cast(kind)
    rows = pa.table({"y": [0, 1, 1, 0], "p": [0.4, 0.8, 0.3, 0.2], "t": when})
    result = score(rows, "y", prob="p", by="t")
    assert {level.level for level in result.by} == {*shown, None}
    assert result.worst[0].columns["t"] == shown[0]
    assert score(rows, "y", prob="p", cluster="t").n_clusters == 3
