"""The verbs put together, and the frame around each call: errors, warnings, exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

import logloss
from logloss.cli import fit, info, plot, predict, score
from logloss.cli.terminal import Answer, one_line, polite_end, show_warning
from logloss.errors import LoglossError, LoglossWarning

OK, WRONG, INTERRUPTED, NOBODY_READS = 0, 2, 130, 141

# Plain help, and defaults that need no conversion: rich's panels and typer's converter
# (pydantic) would each add a tenth of a second before --help stands on the screen.
_SWITCHES = ("help", "install_completion", "show_completion")
app = typer.Typer(
    name="logloss",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"default_map": dict.fromkeys(_SWITCHES, False)},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"logloss {logloss.__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="\b\nExample:\n"
    "  logloss fit flights.parquet --target late -o model.json\n"
    "  logloss score flights.parquet --target late --model model.json",
)
def overview(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Measure, minimise and explain binary cross-entropy."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for module in (fit, predict, score, info):
    app.command(epilog=module.EXAMPLE)(getattr(module, module.__name__.rpartition(".")[2]))
app.add_typer(plot.app, name="plot")


def run(arguments: Sequence[str]) -> int:
    """Run one call to its end and return its exit code; a user's error is one line."""
    try:
        with warnings.catch_warnings(), polite_end():
            warnings.simplefilter("always", LoglossWarning)
            warnings.showwarning = show_warning
            answer = app(args=list(arguments), prog_name="logloss", standalone_mode=False)
            if isinstance(answer, Answer):
                sys.stdout.write(answer.text + "\n")
                answer = answer.code
            sys.stdout.flush()
        # typer turns Ctrl-C into an exit code without a word
        if answer == INTERRUPTED:
            raise KeyboardInterrupt
        return answer or OK
    except LoglossError as error:
        return _end(f"error: {one_line(error)}", WRONG)
    except BrokenPipeError:
        # nothing more can be said there, not even by the flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except (KeyboardInterrupt, typer.Abort):
        return _end("interrupted", INTERRUPTED)
    except Exception as error:
        # wrong usage: typer's own class of it moved between its versions, this method did not
        if not hasattr(error, "format_message"):
            raise
        where = getattr(getattr(error, "ctx", None), "command_path", "logloss")
        return _end(f"error: {one_line(error.format_message())} See {where} --help.", WRONG)


def _end(words: str, code: int) -> int:
    print(f"logloss: {words}", file=sys.stderr)
    return code
