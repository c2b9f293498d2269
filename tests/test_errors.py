"""Every error and warning of `errors.py`, raised through Python and through the command line."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import logloss
from logloss import errors
from logloss.cli import main


@dataclass(frozen=True)
class Case:
    """How to meet a class: a Python call, the words of a command, and what both mention."""

    python: Callable[[], Any]
    words: str
    mention: str


table_fit = partial(logloss.fit, "table.parquet", "y")
table_score = partial(logloss.score, "table.parquet", "y")

ERRORS = {
    errors.ArgumentError: Case(table_score, "score table.parquet --target y", "one of"),
    errors.LabelError: Case(
        lambda: logloss.score("table.parquet", "big", model="share.json"),
        "score table.parquet --target big --model share.json",
        "1.5",
    ),
    errors.ProbabilityError: Case(
        lambda: table_score(prob="big"), "score table.parquet --target y --prob big", "big"
    ),
    errors.LogitError: Case(
        lambda: table_score(logit="hollow"),
        "score table.parquet --target y --logit hollow",
        "hollow",
    ),
    errors.WeightError: Case(
        lambda: table_fit(weight="negative"),
        "fit table.parquet --target y --weight negative -o m.json",
        "negative",
    ),
    errors.SourceError: Case(
        lambda: logloss.fit("nowhere.parquet", "y"),
        "fit nowhere.parquet --target y -o m.json",
        "nowhere.parquet",
    ),
    errors.ColumnError: Case(
        lambda: table_fit(drop=["absent"]),
        "fit table.parquet --target y --drop absent -o m.json",
        "absent",
    ),
    errors.TargetError: Case(
        lambda: logloss.fit("table.parquet", "three"),
        "fit table.parquet --target three -o m.json",
        "three",
    ),
    errors.ModelError: Case(
        lambda: logloss.load("damaged.json"), "info damaged.json", "damaged.json"
    ),
    errors.CheckpointError: Case(
        lambda: table_fit(features=["x"], checkpoint="damaged.json"),
        "fit table.parquet --target y --features x --checkpoint damaged.json -o m.json",
        "damaged.json",
    ),
    errors.OutputError: Case(
        lambda: table_fit(features=["x"]).save("absent/m.json"),
        "fit table.parquet --target y --features x -o absent/m.json",
        "absent/m.json",
    ),
    errors.MissingExtraError: Case(logloss.plot_sigmoid, "plot sigmoid -o s.png", "[plot]"),
}

WARNINGS = {
    errors.SwappedWarning: Case(
        lambda: logloss.score("table.parquet", "share", prob="y"),
        "score table.parquet --target share --prob y",
        "swapped",
    ),
    errors.SeparationWarning: Case(
        lambda: table_fit(features=["tell"], prior=None),
        "fit table.parquet --target y --features tell --prior none -o m.json",
        "tell",
    ),
    errors.ConvergenceWarning: Case(
        lambda: table_fit(features=["x"], max_scans=1),
        "fit table.parquet --target y --features x -o m.json",
        "max_scans",
    ),
    errors.RangeWarning: Case(
        lambda: logloss.load("model.json").predict("far.parquet"),
        "predict model.json far.parquet -o p.parquet",
        "x",
    ),
    errors.UnseenWarning: Case(
        lambda: logloss.load("model.json").predict("new.parquet"),
        "predict model.json new.parquet -o p.parquet",
        "kind",
    ),
}
BASES = {errors.LoglossError, errors.InputError, errors.RowError, errors.LoglossWarning}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with a table that has a column for every complaint."""
    monkeypatch.chdir(tmp_path)
    n_rows = 60
    draw = np.random.default_rng(3)
    y = np.tile([0, 1], n_rows // 2)
    x = draw.normal(size=n_rows) + y
    kind = np.where(np.arange(n_rows) < n_rows // 2, "a", "b")
    columns = {
        "y": y,
        "x": x,
        "kind": kind,
        "three": np.arange(n_rows) % 3,
        "tell": y.astype(np.float64),
        "share": draw.random(n_rows),
        "big": np.full(n_rows, 1.5),
        "hollow": np.full(n_rows, np.nan),
        "negative": np.full(n_rows, -1.0),
    }
    table = pa.table(columns)
    pq.write_table(table, "table.parquet")
    pq.write_table(pa.table({"x": x + 100, "kind": kind}), "far.parquet")
    pq.write_table(pa.table({"x": x, "kind": np.full(n_rows, "c")}), "new.parquet")
    Path("damaged.json").write_text('{"format": "logloss-model", "version": 1}')
    logloss.fit(table, "y", features=["x", "kind"]).save("model.json")
    shares = table.drop_columns(["big"]).append_column("big", table["share"])
    logloss.fit(shares, "big", features=["x"]).save("share.json")


def without_matplotlib(statement: str) -> subprocess.CompletedProcess[str]:
    """Run a statement where matplotlib cannot be imported."""
    code = f"import sys; sys.modules['matplotlib'] = None; {statement}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_every_class_stands_in_the_tables():
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    assert classes == {*ERRORS, *WARNINGS, *BASES}


@pytest.mark.parametrize("base", sorted(BASES, key=str))
def test_a_base_is_never_raised_itself_but_catches_its_kind(base):
    assert any(issubclass(kind, base) for kind in (*ERRORS, *WARNINGS))


@pytest.mark.parametrize("kind", sorted({*ERRORS} - {errors.MissingExtraError}, key=str))
def test_python_raises(kind):
    with pytest.raises(kind, match=ERRORS[kind].mention) as caught:
        ERRORS[kind].python()
    assert type(caught.value) is kind
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("kind", WARNINGS)
def test_python_warns(kind):
    with pytest.warns(kind, match=WARNINGS[kind].mention):
        WARNINGS[kind].python()


@pytest.mark.parametrize("kind", sorted({*ERRORS} - {errors.MissingExtraError}, key=str))
def test_the_command_line_says_it_in_one_line(kind, capsys):
    case = ERRORS[kind]
    assert main(case.words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("logloss: error: ")
    assert case.mention in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("kind", WARNINGS)
def test_the_command_line_warns_in_one_line_and_goes_on(kind, capsys, monkeypatch):
    case = WARNINGS[kind]
    if kind is errors.ConvergenceWarning:
        monkeypatch.setattr(logloss, "fit", partial(logloss.fit, max_scans=1))
    assert main(case.words.split()) == 0
    _, err = capsys.readouterr()
    assert err.startswith("logloss: warning: ")
    assert case.mention in err
    assert err.count("\n") == 1


def test_a_missing_extra_is_raised_by_python():
    done = without_matplotlib("import logloss; logloss.plot_sigmoid()")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("logloss.errors.MissingExtraError: ")
    assert "[plot]" in last


def test_a_missing_extra_is_one_line_of_the_command_line():
    words = ERRORS[errors.MissingExtraError].words.split()
    done = without_matplotlib(f"from logloss.cli import main; sys.exit(main({words!r}))")
    assert done.returncode == 2
    assert done.stderr.startswith("logloss: error: ")
    assert "[plot]" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", [*ERRORS, *WARNINGS])
def test_every_class_survives_a_trip_between_processes(kind):
    one = kind("words", 3, 1.5) if issubclass(kind, errors.RowError) else kind("words")
    other = pickle.loads(pickle.dumps(one))
    assert type(other) is kind
    assert str(other) == "words"
    assert vars(other) == vars(one)
