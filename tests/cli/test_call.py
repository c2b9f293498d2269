"""The command line as such: help, version, completion, exit codes, and how calls end early."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import logloss
from logloss.cli import main, terminal
from logloss.cli.app import app
from logloss.logistic.minimise import PathPoint

COMMAND = [sys.executable, "-m", "logloss"]


def commands() -> Iterator[tuple[str, Any]]:
    """Walk over every command, as its words and typer's object, in the order of a first use."""
    for name, command in typer.main.get_command(app).commands.items():
        children = getattr(command, "commands", None)
        if children is None:
            yield name, command
        else:
            yield from ((f"{name} {child}", children[child]) for child in children)


def examples(command: Any) -> list[list[str]]:
    """Return the calls in a command's help, as lists of words."""
    text = command.epilog.replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip().startswith("logloss ")]


COMMANDS = dict(commands())
each_command = pytest.mark.parametrize("words", COMMANDS)


def test_the_verbs_are_those_of_the_design():
    assert list(COMMANDS) == [
        "fit",
        "predict",
        "score",
        "info",
        "plot sigmoid",
        "plot loss",
        "plot reliability",
        "plot training",
    ]


@each_command
def test_help_shows_one_real_example(words, call):
    outcome = call(*words.split(), "--help")
    assert outcome.code == 0
    assert "Example:" in outcome.out
    assert len(examples(COMMANDS[words])) == 1
    assert f"logloss {words} " in outcome.out


@each_command
def test_every_option_is_documented(words):
    undocumented = [param.name for param in COMMANDS[words].params if not param.help]
    assert undocumented == []


def test_the_examples_in_the_help_run_as_they_stand(tmp_path, monkeypatch, root, capsys):
    (tmp_path / "examples").symlink_to(root / "examples")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    for words, command in COMMANDS.items():
        for example in examples(command):
            assert main(example[1:]) == 0, (words, capsys.readouterr().err)


def test_version(call):
    assert call("--version").out == f"logloss {logloss.__version__}\n"


def test_without_a_verb_the_help_is_shown(call):
    assert call() == call("--help")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "nonsense"),
        (["fit"], "DATA"),
        (["fit", "x.parquet", "-o", "m.json"], "--target"),
        (["fit", "x.parquet", "--nonsense"], "--nonsense"),
        (["fit", "x.parquet", "--target", "y", "-o", "m.json", "--alpha", "much"], "--alpha"),
        (["fit", "x.parquet", "--target", "y", "-o", "m.json", "--prior", "strong"], "--prior"),
        (["fit", "x.parquet", "--target", "y", "-o", "m.json", "--drop", "a,,b"], "a,,b"),
        (["score", "x.parquet", "--target", "y"], "--prob, --logit, --model"),
        (["score", "x.parquet", "--target", "y", "--prob", "p", "--logit", "z"], "one of"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(arguments, said, call):
    outcome = call(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("logloss: error: ")
    assert outcome.err.count("\n") == 1
    assert said in outcome.err


def test_the_module_runs_as_the_command_does(process):
    assert process("--version").stdout == f"logloss {logloss.__version__}\n"


def test_the_installed_script_runs(tmp_path):
    script = Path(sys.executable).with_name("logloss")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"logloss {logloss.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_verbs(shell, process, monkeypatch):
    monkeypatch.setenv("_LOGLOSS_COMPLETE", f"source_{shell}")
    assert "_LOGLOSS_COMPLETE" in process().stdout


def test_bash_takes_the_completion_and_asks_the_command(process, monkeypatch):
    monkeypatch.setenv("_LOGLOSS_COMPLETE", "source_bash")
    script = process().stdout
    words = "COMP_WORDS=(logloss pre); COMP_CWORD=1; _logloss_completion logloss; echo $COMPREPLY"
    place = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{words}"], capture_output=True, text=True, check=True, env=place
    )
    assert (done.stdout, done.stderr) == ("predict\n", "")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from logloss.cli import main; main(['score', '--help']);"
        "heavy = {'numpy', 'pyarrow', 'scipy', 'sklearn', 'matplotlib', 'rich', 'pydantic'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    # a fresh interpreter without this one's coverage, which may load what it likes
    clean = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=clean
    )
    assert done.stderr == ""
    assert done.stdout.endswith("[]\n")


def test_warnings_are_one_line_each(folder, call, monkeypatch):
    def score(*_: object, **__: object) -> logloss.Score:
        warnings.warn("first\n  second", logloss.errors.RangeWarning, stacklevel=2)
        return original(*_, **__)

    original = logloss.score
    monkeypatch.setattr(logloss, "score", score)
    outcome = call(
        "score", folder / "predictions.parquet", "--target", "survived", "--prob", "probability"
    )
    assert outcome.code == 0
    assert outcome.err == "logloss: warning: first second\n"


def test_a_defect_is_not_dressed_up_as_a_user_error(call, monkeypatch):
    def load(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(logloss, "load", load)
    with pytest.raises(RuntimeError, match="a defect"):
        call("info", "model.json")


def test_ctrl_c_is_one_line_and_exit_130(call, monkeypatch):
    def load(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logloss, "load", load)
    outcome = call("info", "model.json")
    assert (outcome.code, outcome.err) == (130, "logloss: interrupted\n")


def test_a_reader_that_goes_away_gets_no_traceback(folder):
    score = subprocess.Popen(
        [*COMMAND, "info", folder / "model.json", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    score.stdout.close()
    assert score.stderr.read() == ""
    score.stderr.close()
    assert score.wait(timeout=60) == 141


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_kill_during_predict_leaves_no_file_behind(ending, folder, tmp_path):
    """The input is a pipe that never ends, so the call is at work when the signal comes."""
    reader, writer = os.pipe()
    predict = subprocess.Popen(
        [*COMMAND, "predict", folder / "model.json", "-", "-o", tmp_path / "out.parquet"],
        stdin=reader,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    os.close(reader)
    os.write(writer, b"fare,deck\n" + b"1.5,A\n" * 1000)
    while not list(tmp_path.iterdir()):  # the spool: the call has begun to read
        assert predict.poll() is None
        time.sleep(0.01)
    predict.send_signal(ending)
    os.close(writer)
    _, said = predict.communicate(timeout=60)
    assert predict.returncode == 130
    assert said == "logloss: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_no_progress_on_a_pipe(process, folder):
    done = process("predict", folder / "model.json", folder / "table.parquet", "-o", "p.parquet")
    assert (done.returncode, done.stderr) == (0, "")


PREDICT = "predict model.json table.parquet"
FIT = "fit table.parquet --target survived --features fare,deck"
SCORE = "score table.parquet --target survived --model model.json"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (f"{PREDICT} -o {{}}", "predict.*600/600"),
        (f"{FIT} -o {{}}", "fit: . scans · loss 0[.]"),
        (SCORE, "score.*600/600"),
    ],
)
def test_progress_on_a_terminal(words, shown, folder, tmp_path):
    master, terminal = os.openpty()
    call = subprocess.Popen(
        [*COMMAND, *words.format(tmp_path / "result").split()],
        cwd=folder,
        stderr=terminal,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    said = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
        while piece := os.read(master, 1 << 16):
            said += piece
    os.close(master)
    assert call.wait(timeout=60) == 0
    assert re.search(shown, said.decode())


def test_a_fit_tells_of_the_rows_read_before_its_steps(monkeypatch):
    said = []

    class Status(contextlib.nullcontext):
        def __enter__(self):
            return self

        def update(self, text):
            said.append(text)

    monkeypatch.setattr("rich.console.Console.status", lambda *_: Status())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with terminal.steps_progress("fit") as (watch, progress):
        for finished in (200, 400, 200):  # the last begins a second pass
            progress(finished, 600)
        watch(PathPoint(3, 0.5, 0.01, 1.0))
    assert said == [
        "fit: reading, 200 of 600 rows",
        "fit: reading, 600 of 600 rows",
        "fit: reading, 200 of 600 rows",
        "fit: 3 scans · loss 0.500000 · 0.01 standard errors from the optimum",
    ]


def test_without_typer_the_command_says_which_extra_brings_it(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "logloss.cli.app")
    outcome = call("--help")
    assert (outcome.code, outcome.out) == (2, "")
    assert "needs typer" in outcome.err
    assert "'tables'" in outcome.err
