"""The common look of all pictures, new figures, and saving; nothing here draws data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from logloss import files
from logloss.errors import ArgumentError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]

#: Colours that people with any kind of colour vision tell apart: M. Okabe and K. Ito,
#: "Color Universal Design" (2008).  Blue stands for y = 1, vermillion for y = 0.
BLUE, VERMILLION, SKY = "#0072B2", "#D55E00", "#56B4E9"
INK, MUTED, GRID = "#222222", "#5F5F5F", "#E3E3E3"

#: Keeps the grid from running through a text.
BACKED: dict[str, object] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}

_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.2,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.framealpha": 1,
    "legend.edgecolor": "none",
}
#: Dots per inch of saved pictures: one 7 inches wide is sharp at twice the width of a README.
_DPI = 200
#: Formats that stamp the hour or the version into the file, and how to keep it out.
_UNSTAMPED = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def _matplotlib() -> ModuleType:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pictures need matplotlib, which is not installed. Install the extra 'plot': "
            "pip install '.[plot]' in a clone of logloss.",
            name=error.name,
        ) from error
    return mpl


@contextmanager
def style() -> Iterator[None]:
    """Draw in the common look, and put every setting back."""
    mpl = _matplotlib()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield
        # in a notebook pyplot switches this on when it is first imported, perhaps just now
        interactive = mpl.is_interactive()
    mpl.interactive(interactive)


def new_figure(output: PathLike | None, size: tuple[float, float]) -> Figure:
    """Return a figure of `size` inches.

    One that only goes to a file is kept out of pyplot, which would hold on to it and
    may want a display.
    """
    if output is None:
        from matplotlib import pyplot as plt

        figure: Figure = plt.figure(figsize=size, layout="constrained")
        return figure
    from matplotlib.figure import Figure as Unshown

    return Unshown(figsize=size, layout="constrained")


def check_output(output: PathLike) -> None:
    """Find out whether `save` could write a picture there, before the work that is to fill it.

    Raises
    ------
    ArgumentError
        If the ending is unknown.
    OutputError
        If the file cannot be written.
    """
    _matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if os.path.splitext(output)[1].lower().removeprefix(".") not in known:
        raise ArgumentError(
            f"`output` must end in one of {', '.join('.' + kind for kind in sorted(known))}; "
            f"got {os.fspath(output)!r}"
        )
    files.check_writable(output)


def save(ax: Axes, output: PathLike | None) -> None:
    """Write the figure of `ax` to `output`, whole or not at all; with None do nothing."""
    if output is None:
        return
    check_output(output)
    figure = ax.get_figure(root=True)
    assert figure is not None, "axes stand on a figure"
    ending = os.path.splitext(output)[1].lower()
    with files.whole(output) as path:
        figure.savefig(path, dpi=_DPI, metadata=_UNSTAMPED.get(ending))
