"""The script that `make` installs with: what it says where pip stops."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ABSENT = "no-package-of-this-name-0"


@pytest.fixture
def said(root: Path, tmp_path: Path) -> Callable[[str], str]:
    """Ask pip for a package that is not there, of one index; return what the script says."""

    def install(index: str) -> str:
        (tmp_path / "scripts").mkdir()
        shutil.copy(root / "scripts" / "install.sh", tmp_path / "scripts")
        shutil.copytree(root / "constraints", tmp_path / "constraints")
        python = tmp_path / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        done = subprocess.run(
            ["sh", "scripts/install.sh", "--dry-run", ABSENT],
            cwd=tmp_path,
            env={**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "PIP_INDEX_URL": index},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        return done.stderr

    return install


def test_a_missing_network_is_said_in_one_line_where_pip_does_not_try_again(said):
    words = said("http://127.0.0.1:9/")
    assert words.startswith("logloss: error: no network: pip could not reach its package index")
    assert words.count("\n") == 1


def test_a_package_that_an_index_does_not_have_is_no_missing_network(said, tmp_path):
    assert said(tmp_path.as_uri()).startswith("logloss: error: pip stopped: No matching dist")
