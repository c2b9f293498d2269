from __future__ import annotations

import gc
import io
import json
import math
import os
import pickle
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logloss.errors import ModelError, OutputError
from logloss.files import (
    Scratch,
    check_writable,
    dump_record,
    load_record,
    whole,
    write_at,
    write_text,
)


def test_whole_puts_the_draft_in_place(tmp_path: Path) -> None:
    with whole(tmp_path / "a.txt") as draft:
        draft.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_whole_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_halfway(draft: Path) -> None:
        draft.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), whole(target) as draft:
        fail_halfway(draft)
    assert target.read_text() == "old"


def test_whole_leaves_no_draft_behind_on_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_draft_has_the_suffix_that_libraries_go_by(tmp_path: Path) -> None:
    with whole(tmp_path / "a.png") as draft:
        assert draft.suffix == ".png"
        assert draft.parent == tmp_path


def test_whole_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_permissions_come_from_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_text_is_written_as_utf8_with_plain_newlines(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ä\n")
    assert (tmp_path / "a").read_bytes() == "ä\n".encode()


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no/a\.txt: the folder does not exist"):
        write_text(tmp_path / "no" / "a.txt", "x")


def test_a_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        write_text(tmp_path, "x")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_text(tmp_path / "a" / "b", "x")


def test_a_check_says_what_writing_would(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no/a\.txt: the folder does not exist"):
        check_writable(tmp_path / "no" / "a.txt")


def test_a_check_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("kept")
    check_writable(tmp_path / "old")
    check_writable(tmp_path / "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("old", "kept")]


def test_a_device_is_refused() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        write_text("/dev/null", "x")


@pytest.mark.parametrize(
    ("code", "reason"), [("ENOSPC", "no room is left"), ("EACCES", "permission denied")]
)
def test_failures_while_writing_give_their_reason(tmp_path: Path, code: str, reason: str) -> None:
    import errno

    with pytest.raises(OutputError, match=reason), whole(tmp_path / "a"):
        raise OSError(getattr(errno, code), "as the system says")
    assert os.listdir(tmp_path) == []


def test_scratch_file_goes_with_its_owner() -> None:
    scratch = Scratch(".bin")
    scratch.fill(io.BytesIO(b"cd"), b"ab")
    path = Path(scratch.path)
    assert path.read_bytes() == b"abcd"
    del scratch
    gc.collect()
    assert not path.exists()


def test_a_travelled_scratch_file_is_not_removed_by_its_copy() -> None:
    scratch = Scratch(".bin")
    copy = pickle.loads(pickle.dumps(scratch))
    assert copy.path == scratch.path
    del copy
    gc.collect()
    assert Path(scratch.path).exists()


def test_scratch_folder_that_is_missing_is_an_output_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no"))
    with pytest.raises(OutputError, match="temporary file"):
        Scratch(".bin")


def test_a_scratch_file_needs_room_for_its_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OutputError, match=r"does not fit in .* set the environment variable TMP"):
        Scratch(".bin", 1 << 60)
    assert os.listdir(tmp_path) == []


def test_a_closed_scratch_file_is_gone_at_once() -> None:
    scratch = Scratch(".bin", 10)
    assert Path(scratch.path).stat().st_size == 10
    scratch.close()
    assert not Path(scratch.path).exists()


LEAVE_BEHIND = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from logloss.files import Scratch
scratch = Scratch(".bin")
print(scratch.path, flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_behind_goes_with_the_next_scratch_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign = tmp_path / ".logloss-notes"
    foreign.write_text("mine")
    with subprocess.Popen(
        [sys.executable, "-c", LEAVE_BEHIND, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        path = Path(other.stdout.readline().strip())
        mine = Scratch(".bin")
        assert path.exists(), "another process is using it"
        other.communicate("")
    assert path.exists(), "a crash removes nothing"
    assert Path(Scratch(".bin").path) != path
    assert not path.exists()
    assert Path(mine.path).exists()
    assert foreign.exists()


def test_a_scratch_file_that_was_taken_for_abandoned_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make = tempfile.mkstemp
    made: list[str] = []

    def taken_once(**options: Any) -> tuple[int, str]:
        handle, path = make(**options)
        made.append(path)
        if len(made) == 1:
            os.unlink(path)
        return handle, path

    monkeypatch.setattr("tempfile.mkstemp", taken_once)
    scratch = Scratch(".bin")
    assert scratch.path == made[1]


def test_writing_at_a_place_of_a_file_that_is_gone_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="temporary file"):
        write_at(str(tmp_path / "gone"), [(0, memoryview(b"x"))])


def test_failure_while_filling_a_scratch_file_is_an_output_error() -> None:
    scratch = Scratch(".bin")
    with pytest.raises(OutputError, match="no room"), scratch.writing():
        raise OSError(28, "")


def test_non_finite_floats_are_strings_that_float_reads() -> None:
    text = dump_record({"format": "t", "version": 1, "v": [math.inf, -math.inf, math.nan]})
    values = json.loads(text)["v"]
    assert values == ["inf", "-inf", "nan"]
    assert [float(value) for value in values[:2]] == [math.inf, -math.inf]


def test_numpy_values_become_plain_ones() -> None:
    record = {"a": np.arange(2), "b": np.float64(0.1), "c": np.array([np.inf]), "d": np.True_}
    assert json.loads(dump_record(record)) == {"a": [0, 1], "b": 0.1, "c": ["inf"], "d": True}


def test_text_is_kept_legible() -> None:
    assert "Zürich" in dump_record({"a": "Zürich"})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_the_same(value: float) -> None:
    text = dump_record({"format": "t", "version": 1, "v": value})
    assert load_record(text, "t", 1)["v"] == value


scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.lists(scalars)))
def test_records_read_back_the_same(record: dict[str, Any]) -> None:
    kept = {**record, "format": "t", "version": 2}
    assert load_record(dump_record(kept), "t", 3) == kept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "damaged t: it is not JSON"),
        ('{"format": "t", "version": 1, "v": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "damaged t: it is not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "its format is None, not 't'"),
        ('{"format": "u", "version": 1}', "its format is 'u', not 't'"),
        ('{"format": "t"}', "its version is None"),
        ('{"format": "t", "version": true}', "its version is True"),
        ('{"format": "t", "version": 0}', "its version is 0"),
        ('{"format": "t", "version": 2}', "reads up to 1: update logloss"),
    ],
)
def test_a_damaged_or_foreign_record_says_so(text: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        load_record(text, "t", 1)
