"""`--fail-if`: a closed grammar over the numbers of a score."""

from __future__ import annotations

import math

import pytest

from logloss.cli.conditions import Condition
from logloss.errors import ArgumentError

RECORD = {
    "log_loss": {"value": 0.5, "low": 0.4, "high": 0.6, "kind": "exact"},
    "gain": {"value": math.nan, "low": -math.inf, "high": math.inf, "kind": "exact"},
    "brier": 0.2,
    "n": 10,
    "worst": [{"loss": 3.0}],
    "target": "late",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("log_loss>0.4", True),
        ("log_loss > 0.5", False),
        ("log_loss>=0.5", True),
        (" log_loss <= .5 ", True),
        ("log_loss<0.5", False),
        ("log_loss.high>0.55", True),
        ("brier<2e-1", False),
        ("n<10", False),
        ("gain.low<=-inf", True),
    ],
)
def test_a_condition_compares_a_metric_with_a_number(text, holds):
    assert Condition.parse(text).holds(RECORD) is holds


def test_a_metric_that_is_not_a_number_never_passes_unseen():
    assert Condition.parse("gain<0").holds(RECORD)
    assert Condition.parse("gain>0").holds(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log_loss",
        "log_loss=0.4",
        "log_loss==0.4",
        "0.4>log_loss",
        "log_loss>nan",
        "log_loss>0.4 and n>1",
        "__import__('os')>1",
        "log_loss>len('a')",
        "log_loss.high.low>1",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ArgumentError, match="is not a metric, one of"):
        Condition.parse(text)


@pytest.mark.parametrize("text", ["loss>1", "worst>1", "target>1", "log_loss.kind>1"])
def test_an_unknown_metric_is_refused_with_those_there_are(text):
    with pytest.raises(
        ArgumentError, match=r"it has log_loss, log_loss\.low, log_loss\.high, gain"
    ):
        Condition.parse(text).holds(RECORD)
