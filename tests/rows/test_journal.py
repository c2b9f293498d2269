from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from logloss.design.target import TargetPass, TargetValues
from logloss.errors import CheckpointError, OutputError
from logloss.rows.journal import Checkpoint, JournalEngine
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch
from logloss.rows.source import Source, open_source

IDENTITY = {"rows": "1", "tol": "0.5"}


class Counting(LocalEngine):
    """Counts the passes that it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.n_passes = 0

    def reduce(self, task: Any, source: Any) -> Any:
        self.n_passes += 1
        return super().reduce(task, source)


@pytest.fixture
def rows() -> Source[Batch]:
    return open_source(pa.table({"a": [0, 1, 1], "b": [0.5, 0.25, 1.0]}))


def journal(path: Path, **identity: str) -> tuple[JournalEngine, Counting]:
    engine = Counting()
    return JournalEngine(engine, Checkpoint.read(path), IDENTITY | identity), engine


def answers(engine: JournalEngine, rows: Source[Batch], names: Iterable[str]) -> list[TargetValues]:
    return [engine.reduce(TargetPass(name), rows) for name in names]


def test_passes_that_were_answered_are_not_run_again(tmp_path: Path, rows: Source[Batch]) -> None:
    first, engine = journal(tmp_path / "c")
    found = answers(first, rows, "ab")
    assert engine.n_passes == 2
    again, engine = journal(tmp_path / "c")
    assert answers(again, rows, "aba") == [*found, found[0]]
    assert engine.n_passes == 1
    assert len(Checkpoint.read(tmp_path / "c").answers) == 3


def test_another_question_at_the_same_place_is_refused(tmp_path: Path, rows: Source[Batch]) -> None:
    answers(journal(tmp_path / "c")[0], rows, "ab")
    again, engine = journal(tmp_path / "c")
    with pytest.raises(CheckpointError, match="another way from pass 2 on"):
        answers(again, rows, "aa")
    assert engine.n_passes == 0


def test_a_checkpoint_of_another_identity_says_what_differs(
    tmp_path: Path, rows: Source[Batch]
) -> None:
    answers(journal(tmp_path / "c")[0], rows, "a")
    with pytest.raises(CheckpointError, match=r"of another fit: tol was 0\.5, and is 1 now"):
        journal(tmp_path / "c", tol="1")


def test_quick_passes_are_not_kept(tmp_path: Path, rows: Source[Batch]) -> None:
    engine = JournalEngine(LocalEngine(), Checkpoint.read(tmp_path / "c"), IDENTITY, n_rows=4)
    answers(engine, rows, "ab")
    assert not (tmp_path / "c").exists()


def test_a_removed_checkpoint_is_gone(tmp_path: Path, rows: Source[Batch]) -> None:
    answers(journal(tmp_path / "c")[0], rows, "a")
    for _ in range(2):
        Checkpoint.read(tmp_path / "c").remove()
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_output_error(tmp_path: Path, rows: Source[Batch]) -> None:
    with pytest.raises(OutputError, match="create it first"):
        answers(journal(tmp_path / "no" / "c")[0], rows, "a")


def damaged(text: str) -> list[str]:
    record = json.loads(text)
    return [
        text[: len(text) // 2],
        "\x00",
        "[]",
        text.replace('"logloss-checkpoint"', '"logloss-model"'),
        json.dumps(record | {"version": 99}),
        json.dumps(record | {"answers": record["answers"][:-1]}),
        json.dumps(record | {"identity": {"rows": "2"}}),
        json.dumps(record | {"identity": 7}),
        json.dumps(record | {"answers": [7]}),
        json.dumps({key: value for key, value in record.items() if key != "checksum"}),
    ]


def test_a_damaged_or_foreign_file_is_refused_by_its_name(
    tmp_path: Path, rows: Source[Batch]
) -> None:
    path = tmp_path / "c"
    answers(journal(path)[0], rows, "ab")
    for text in damaged(path.read_text()):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=str(path)):
            Checkpoint.read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.read(path)
