"""The words are true: what README and docs show runs, and prints what they say."""

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import logloss

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
WORDS = [*sorted(ROOT.glob("*.md")), *PAGES, ROOT / "examples" / "data" / "README.md"]

#: A fenced block of code, with the block of output that follows it.
SHOWN = re.compile(r"```(python|console)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
CELL = re.compile(r"```\{code-cell\} python\n(?::[^\n]*\n)*(.*?)```", re.DOTALL)


def shown(kind):
    """Return the blocks of one kind in the README, as (code, output)."""
    return [(code, output) for k, code, output in SHOWN.findall(README) if k == kind]


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("code", "output"), shown("python"))
def test_readme_s_python_prints_what_stands_below_it(code, output, monkeypatch):
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == output


@pytest.mark.parametrize("session", [code for code, _ in shown("console")])
def test_readme_s_session_answers_as_shown(session, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    (tmp_path / "out").mkdir()
    screen = []
    for line in session.splitlines():
        if line.startswith("$ logloss "):
            done = subprocess.run(
                [sys.executable, "-m", *shlex.split(line.removeprefix("$ "))],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            )
            screen += [line, *done.stdout.splitlines()]
    assert screen == session.splitlines()


def test_readme_shows_python_and_the_command_line():
    assert shown("python")
    assert all(output for _, output in shown("python"))
    assert shown("console")


def test_readme_is_short():
    assert len(README.splitlines()) < 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore::logloss.errors.RangeWarning")
@pytest.mark.filterwarnings("ignore::logloss.errors.UnseenWarning")
def test_cells_of_the_docs_run(page, monkeypatch):
    monkeypatch.chdir(ROOT / "docs")
    namespace = {}
    for code in CELL.findall(page.read_text(encoding="utf-8")):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, name_of(page), "exec"), namespace)
    plt.close("all")


def test_every_statement_names_tests_that_exist():
    text = (ROOT / "docs" / "statements.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    missing = []
    for file, function in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        if function not in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}:
            missing.append(f"{file}::{function}")
    assert named
    assert missing == []


def test_every_statement_has_a_name_a_page_and_a_test():
    text = (ROOT / "docs" / "statements.md").read_text(encoding="utf-8")
    items = re.split(r"^(?=\d+\. )", text, flags=re.MULTILINE)[1:]
    assert [int(item.partition(".")[0]) for item in items] == list(range(1, 13))
    for item in items:
        _, name, *tests = item.strip().split("\\\n")
        assert re.match(r"\s*`\w.*` · \{doc\}", name), item
        assert all("::test_" in test for test in tests), item
        assert tests, item


def test_every_public_name_is_in_the_api():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", text, re.MULTILINE))
    assert listed == set(logloss.__all__) - {"__version__", "errors"}


def test_every_error_is_in_the_api():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"autoexception:: (\w+)", text))
    assert listed == {n for n, value in vars(logloss.errors).items() if isinstance(value, type)}


@pytest.mark.parametrize("page", WORDS, ids=name_of)
def test_files_that_are_linked_exist(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    links += re.findall(r"\{image\} (\S+)", text) + re.findall(r'src="(?!https?:)([^"]+)"', text)
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", WORDS, ids=name_of)
def test_nothing_promises_an_index(page):
    assert not re.search(r"pip install\s+logloss", page.read_text(encoding="utf-8"))


def test_architecture_draws_the_rooms_that_lint_holds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    house = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    drawn = [re.split(r"  +", line)[0] for line in house.splitlines() if re.match(r"\w", line)]
    assert drawn == layers


def test_version_is_the_same_everywhere():
    version = logloss.__version__
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
