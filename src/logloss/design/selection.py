"""What the first pass found, made into columns; constants and exact copies are left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from logloss.design.columns import Kind
from logloss.design.features import CategoryColumn, NumberColumn, fresh
from logloss.design.summary import Digest, LevelCounts, NumberSums, Summary


@dataclass
class Selection:
    """Columns kept, and what is left out with the reason, in input order."""

    n_rows: int
    taken: Collection[str]
    numbers: list[NumberColumn] = field(default_factory=list)
    categories: list[CategoryColumn] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    _numbers_seen: dict[Digest, str] = field(default_factory=dict)
    _categories_seen: dict[Digest, str] = field(default_factory=dict)

    def add_number(self, name: str, kind: Literal["number", "bool"], sums: NumberSums) -> None:
        """Keep a column of numbers and its indicator, as far as they tell something new."""
        constant = sums.low >= sums.high
        uses_value = self._is_new(name, sums.digest, self._numbers_seen, constant=constant)
        indicator = None
        if 0 < sums.n_missing < self.n_rows:
            label = fresh(f"{name}_missing", self.taken.__contains__)
            if self._is_new(label, sums.missing_digest, self._numbers_seen, constant=False):
                indicator = label
        if uses_value or indicator is not None:
            column = NumberColumn.learn(
                name, kind, sums, self.n_rows, uses_value=uses_value, indicator=indicator
            )
            self.numbers.append(column)

    def add_category(self, name: str, found: LevelCounts) -> None:
        """Keep a column of categories if it tells something new."""
        column = CategoryColumn.learn(name, found, self.n_rows)
        if column.other is not None and len(column.names) == 1 and len(column.pooled) > 1:
            self.left_out.append((name, "no level has 20 rows"))
            return
        constant = len(column.names) < 2
        if self._is_new(name, found.digest, self._categories_seen, constant=constant):
            self.categories.append(column)

    def _is_new(
        self, name: str, digest: Digest, seen: dict[Digest, str], *, constant: bool
    ) -> bool:
        if constant:
            self.left_out.append((name, "constant"))
            return False
        original = seen.setdefault(digest, name)
        if original != name:
            self.left_out.append((name, f"copy of {original}"))
            return False
        return True


def select(
    kinds: Sequence[tuple[str, Kind | None]], summary: Summary, taken: Collection[str]
) -> Selection:
    """Decide what a model uses.

    Parameters
    ----------
    kinds : sequence of (str, kind)
        The columns in order; None for one that is null in every row by its type.
    summary : Summary
        Of those that are not, in the same order.
    taken : collection of str
        Names that an indicator cannot have.
    """
    selection = Selection(summary.n_rows, taken)
    found = iter(summary.columns)
    for name, kind in kinds:
        if kind is None:
            selection.left_out.append((name, "constant"))
            continue
        sums = next(found)
        if isinstance(sums, LevelCounts):
            selection.add_category(name, sums)
        else:
            assert kind != "category"
            selection.add_number(name, kind, sums)
    return selection
