"""A score in words: what a terminal and a notebook show."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pytest

from logloss import score
from logloss.scoring.text import _number, _percent

from .draws import table


def test_the_text_says_what_was_scored_and_how():
    text = str(score(table(), "late", logit="logit", cluster=["day", "carrier"], weight="weight"))
    first = text.splitlines()[0]
    assert re.fullmatch(
        r"logloss score · late by logit · 500 rows · Σw [\d.]+ · "
        r"95 % intervals from 6\d clusters of day, carrier",
        first,
    )


def test_the_text_holds_the_main_figures():
    result = score(table(), "late", logit="logit")
    text = str(result)
    for figure in (result.log_loss.value, result.baseline.value, result.brier.value):
        assert f"{figure:.4f}" in text
    assert f"said {100 * result.mean_probability.value:.1f} %" in text
    assert "observed rate" in text


def test_no_line_is_wider_than_a_terminal_allows():
    rows = table().append_column("remark", pa.array(["long words " * 30] * 500))
    text = str(score(rows, "late", logit="logit", by=["carrier", "remark"]))
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("shift", "words"),
    [(0.0, "real, good"), (5.0, "worse than the constant"), (None, "no clear difference")],
)
def test_the_verdict_says_whether_the_constant_is_beaten(shift, words):
    rows = table()
    z = rows["logit"].to_numpy()
    shifted = [-0.3, -0.31] * 250 if shift is None else z + shift
    rows = rows.set_column(1, "logit", pa.array(shifted))
    assert words in str(score(rows, "late", logit="logit"))


def test_one_row_and_a_certain_base_rate_are_told_without_intervals():
    one = pa.table({"y": [1], "p": [0.0]})
    text = str(score(one, "y", prob="p", base_rate=0.0))
    assert "log loss" in text
    assert "nan" not in text
    assert "infinite loss on 1 row (0)" in text


def test_few_clusters_come_with_a_warning():
    rows = table()
    assert "only 3 clusters" in str(score(rows, "late", logit="logit", cluster="carrier"))
    assert "only" not in str(score(rows, "late", logit="logit", cluster="day"))


def test_long_lists_of_levels_are_cut_and_say_so():
    text = str(score(table(), "late", logit="logit", by="day"))
    assert "… and 3 more in to_dict()" in text


def test_what_came_from_data_cannot_steer_a_terminal():
    rows = pa.table({"y": [0, 1], "p": [0.5, 0.5], "k\x1b[2J": ["\x1b]0;owned\x07\n", "b"]})
    text = str(score(rows, "y", prob="p", by="k\x1b[2J"))
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\\x1b]0;owned\\x07\\n" in text


def test_html_escapes_what_came_from_data():
    evil = "<script>alert(1)</script>"
    rows = pa.table({"y": [0, 1], "p": [0.5, 0.5], evil: [evil, "&"]})
    page = score(rows, "y", prob="p", by=evil)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_html_holds_the_figures_of_the_text():
    result = score(table(), "late", logit="logit", by="carrier")
    page = result._repr_html_()
    assert f"{result.log_loss.value:.4f}" in page
    assert all(f"{segment.log_loss.value:.4f}" in page for segment in result.by)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5391, "0.5391"),
        (-0.0521, "−0.0521"),
        (1.25e-5, "1.25e-05"),
        (0.0, "0.0000"),
        (math.inf, "inf"),
        (-math.inf, "−inf"),
        (math.nan, "–"),
    ],
)
def test_numbers_are_short_but_never_vanish(value, shown):
    assert _number(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.245, "24.5 %"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (2.5e-5, "0.0025 %"),
        (0.99999, "99.999 %"),
        (-0.05, "−5.0 %"),
        (math.nan, "–"),
        (-math.inf, "−inf"),
    ],
)
def test_percentages_are_short_but_never_claim_certainty(share, shown):
    assert _percent(share) == shown
