"""What the command line says besides its answer: one-line errors and warnings, progress."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Called with the number of rows just finished and the number in the whole pass.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a verb has found: the text for standard output, and the exit code."""

    text: str
    code: int = 0


def to_json(record: Mapping[str, Any]) -> str:
    """Return a record as JSON, "inf", "-inf" and "nan" as strings."""
    from logloss import files  # brings NumPy, which --help does without

    return files.dump_record(record)


def one_line(message: object) -> str:
    """Return the message with every run of white space, line ends too, as one space."""
    return " ".join(str(message).split())


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Show a warning as one line on standard error, in place of `warnings.showwarning`.

    Where in the source it was given helps no user.
    """
    print(f"logloss: warning: {one_line(message)}", file=sys.stderr)


@contextmanager
def polite_end() -> Iterator[None]:
    """Let a polite kill end the work as Ctrl-C does, so that no half file stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def rows_progress(words: str) -> Iterator[Progress | None]:
    """Show how many rows are done, on a terminal; yield None where standard error is none.

    A second pass over the same rows starts the bar again.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _above_the_bar(), Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        done = 0

        def show(finished: int, total: int) -> None:
            nonlocal done
            done = done + finished if done < total else finished
            bar.update(task, completed=done, total=total)

        yield show


@contextmanager
def steps_progress(
    words: str,
) -> Iterator[tuple[Callable[[Any], None] | None, Progress | None]]:
    """Show where a fit stands, on a terminal: its steps, and before them the rows read.

    Yields what is called after a step, and what is called after some rows; None and None
    where standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield None, None
        return
    from rich.console import Console

    from logloss.files import counted  # brings NumPy, which --help does without

    start = time.monotonic()
    with _above_the_bar(), Console(stderr=True).status(words) as status:
        done = 0

        def read(finished: int, total: int) -> None:
            nonlocal done
            done = done + finished if done < total else finished
            status.update(f"{words}: reading, {done:,} of {total:,} rows")

        def show(point: Any, most: int | None = None) -> None:
            if most is not None:
                status.update(f"{words}: {epoch_line(point, most, time.monotonic() - start)}")
                return
            status.update(
                f"{words}: {counted(point.scan, 'scan')} · loss {point.objective:.6f} · "
                f"{point.bound:.1g} standard errors from the optimum"
            )

        yield show, read


def epoch_line(epoch: Any, most: int, seconds: float) -> str:
    """Say how a network's training stands: both losses, and the longest it may still take."""
    left = seconds / epoch.epoch * (most - epoch.epoch)
    return (
        f"epoch {epoch.epoch} of at most {most} · loss {epoch.training_loss:.4f} trained on, "
        f"{epoch.validation_loss:.4f} held out · at most {left:.0f} s left"
    )


@contextmanager
def _above_the_bar() -> Iterator[None]:
    """Keep warnings back while something moves on the terminal, and show them after it."""
    with warnings.catch_warnings(record=True) as kept:
        yield
    for warning in kept:
        warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
