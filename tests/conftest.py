"""What holds for every test: no skips, fixed draws, real flights at hand."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import matplotlib
import pytest

ROOT = Path(__file__).parents[1]

# Pictures are drawn without a display; said here and not in the environment, which
# would tell notebooks too.
matplotlib.use("agg")

# scikit-learn skips one of its checks of estimators without this; scipy reads it on import.
os.environ["SCIPY_ARRAY_API"] = "1"

# A shell lets what it starts in the background ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis draws the same examples in every run: a red test is red for everyone.
# Its own clock is off, since CI machines stall.
hypothesis.settings.register_profile("logloss", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("logloss")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped: what was not tried must not look tested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a run without failures failed."""
    if skipped := terminalreporter.stats.get("skipped"):
        words = f"{len(skipped)} skipped: a skipped test fails the run"
        terminalreporter.write_line(words, red=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def flights() -> Path:
    """Folder of the flights that ship with the project."""
    return ROOT / "examples" / "data"
