"""Which part of a shuffled table each row goes to: a draw of the row, not of the file's layout.

Rows are dealt like cards, one of every run of rows to each part, in an order that is drawn
anew for every run.  So each part is a sample of the whole table, however its rows were sorted,
all parts have the same size but for one row, and where a row goes is known without a look at
the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logloss.rows.draws import bits

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shuffle:
    """A table's rows, dealt to parts.

    Attributes
    ----------
    seed : int
        Of the draws.
    n_rows : int
        Rows of the table.
    most_rows : int
        Rows that a part may have; there are no more parts than that needs.

    Examples
    --------
    >>> shuffle = Shuffle(seed=0, n_rows=10, most_rows=4)
    >>> [shuffle.size(part) for part in range(shuffle.n_parts)]
    [4, 3, 3]
    >>> sorted(shuffle.parts_of(0, 3).tolist())
    [0, 1, 2]
    """

    seed: int
    n_rows: int
    most_rows: int

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return max(1, -(-self.n_rows // self.most_rows))

    @property
    def part_rows(self) -> int:
        """Rows of the largest part."""
        return -(-self.n_rows // self.n_parts)

    def size(self, part: int) -> int:
        """Rows of a part."""
        whole, rest = divmod(self.n_rows, self.n_parts)
        return whole + (part < rest)

    def parts_of(self, first_row: int, n_rows: int) -> Rows:
        """Return the part of each of `n_rows` rows from global number `first_row` on."""
        parts, end = self.n_parts, first_row + n_rows
        start = first_row // parts * parts
        stop = min(-(-end // parts) * parts, self.n_rows)
        draws = bits(self.seed, np.arange(start, stop))
        whole = (stop - start) // parts * parts
        dealt = np.argsort(draws[:whole].reshape(-1, parts), axis=1, kind="stable").ravel()
        # the last run of the table may be short: it goes to the first parts
        dealt = np.concatenate([dealt, np.argsort(draws[whole:], kind="stable")])
        return dealt[first_row - start : end - start]

    def runs(self, first_row: int, n_rows: int) -> Iterator[tuple[int, int, Rows]]:
        """Say where rows go that lie together.

        Yields
        ------
        part : int
        place : int
            Where in the part the first of them goes; the others follow it.
        rows : ndarray of int
            Which of the rows these are, counted from `first_row`.
        """
        dealt = self.parts_of(first_row, n_rows)
        order = np.argsort(dealt, kind="stable")
        ends = np.cumsum(np.bincount(dealt, minlength=self.n_parts))
        for part, rows in enumerate(np.split(order, ends[:-1])):
            if len(rows):
                yield part, (first_row + int(rows[0])) // self.n_parts, rows
