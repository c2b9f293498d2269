"""The closed grammar of `--fail-if`: a metric, a comparison, a number; never evaluated as code."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from logloss.errors import ArgumentError

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(
    r"\s*(?P<metric>[a-z]\w*(?:\.[a-z]\w*)?)\s*(?P<comparison>[<>]=?)\s*(?P<bound>\S+)\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class Condition:
    """A metric of a score, compared with a number.

    Attributes
    ----------
    metric : str
        A name in `Score.to_dict()`, such as ``log_loss``, or one end of its interval,
        such as ``gain.low``.
    comparison : {"<", "<=", ">", ">="}
    bound : float
    """

    metric: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``log_loss>0.4``; ArgumentError if it is anything else."""
        match = _CONDITION.fullmatch(text)
        try:
            bound = float(match["bound"]) if match else math.nan
        except ValueError:
            bound = math.nan
        if match is None or math.isnan(bound):
            raise ArgumentError(
                f"--fail-if {text!r} is not a metric, one of < <= > >=, and a number, "
                "such as 'log_loss>0.4' or 'gain.low<=0'"
            )
        return cls(match["metric"], match["comparison"], bound)

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.bound:g}"

    def value(self, record: Mapping[str, Any]) -> float:
        """Return the metric's value in a score's record; ArgumentError if it has none."""
        metrics = _metrics(record)
        if self.metric not in metrics:
            raise ArgumentError(
                f"--fail-if: a score has no {self.metric!r}; it has {', '.join(metrics)}"
            )
        return metrics[self.metric]

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Say whether the score meets the condition; one that cannot be told counts as met."""
        value = self.value(record)
        return math.isnan(value) or _COMPARISONS[self.comparison](value, self.bound)


def _metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """List every number of a score by its name; ends of intervals as ``name.low``."""
    metrics: dict[str, float] = {}
    for name, entry in record.items():
        parts = entry if isinstance(entry, Mapping) else {"value": entry}
        for part, value in parts.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                metrics[name if part == "value" else f"{name}.{part}"] = float(value)
    return metrics
