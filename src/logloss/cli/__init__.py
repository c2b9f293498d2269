"""The command line: one file a verb, and nothing but composing what the package offers.

Importing this costs nothing; typer and all else are loaded when `main` is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``logloss``; by default that of this process.

    Returns
    -------
    int
        0 done, 1 a ``--fail-if`` held, 2 the input or the call is wrong, 130 interrupted,
        141 whoever read the output went away.
    """
    try:
        from logloss.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        print(
            f"logloss: error: the command line needs {error.name}, which is not installed. "
            "Install the extra 'tables': pip install '.[tables]' in a clone of logloss.",
            file=sys.stderr,
        )
        return 2
    return run(sys.argv[1:] if arguments is None else list(arguments))
