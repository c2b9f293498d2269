"""How data at prediction time strays from what training saw: counted, added up, warned about."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from logloss.errors import RangeWarning, UnseenWarning
from logloss.files import counted

#: Columns named in one warning; the others are counted.
_NAMED = 5


@dataclass(frozen=True)
class Drift:
    """What strayed in some rows; a partial.

    Attributes
    ----------
    n_rows : int
        Rows looked at.
    outside : mapping of str to int
        For each column of numbers that strayed, rows outside the range seen in training.
    unseen : mapping of str to int
        For each column of categories that strayed, rows with a level never seen in training.
    """

    n_rows: int = 0
    outside: Mapping[str, int] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Self, /) -> Self:
        return type(self)(
            self.n_rows + other.n_rows,
            Counter(self.outside) + Counter(other.outside),
            Counter(self.unseen) + Counter(other.unseen),
        )

    def warn(self, stacklevel: int = 2) -> None:
        """Warn of what strayed, in one line for numbers and one for levels.

        Parameters
        ----------
        stacklevel : int, default=2
            Whose line the warning names: 1 the caller's, 2 its caller's.

        Warns
        -----
        RangeWarning
            With the share of rows for each column of numbers.
        UnseenWarning
            With the number of rows for each column of categories.
        """
        shares = {name: f"{100 * n / self.n_rows:.2g} %" for name, n in _ranked(self.outside)}
        if shares:
            warnings.warn(
                "numbers outside the range seen in training, where the model extrapolates: "
                f"{_listed(shares)} of rows",
                RangeWarning,
                stacklevel=stacklevel + 1,
            )
        counts = {name: f"{n:,}" for name, n in _ranked(self.unseen)}
        if counts:
            warnings.warn(
                "levels never seen in training, which take the mean effect: "
                f"{_listed(counts)} of {counted(self.n_rows, 'row')}",
                UnseenWarning,
                stacklevel=stacklevel + 1,
            )


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    strayed = [(name, n) for name, n in counts.items() if n > 0]
    return sorted(strayed, key=lambda item: (-item[1], item[0]))


def _listed(texts: Mapping[str, str]) -> str:
    shown = [f"{name} {text}" for name, text in texts.items()][:_NAMED]
    rest = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {counted(rest, 'more column')}" if rest else "")
