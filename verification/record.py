"""docs/verified.json: what was verified, of which sources, built by what, on which processor."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import processor

from logloss import _core
from logloss.files import load_record
from verification.findings import LEVELS

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "verified.json"
FORMAT, VERSION = "logloss-verified", 1

_INCLUDE = re.compile(r'#include "(.+)"')


def sources() -> list[str]:
    """Names of the files in cpp/ that the verified kernels are compiled from."""
    found: set[str] = set()
    waiting = ["loss_rows.hpp", "probability_rows.hpp", "map_rows.hpp"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _INCLUDE.findall(_text(name))
    return sorted(found)


def digest() -> str:
    """SHA-256 of these sources, as a compiler sees them: without comments and white space."""
    stripped = [re.sub(r"\s+", "", re.sub(r"//.*", "", _text(name))) for name in sources()]
    return hashlib.sha256("\n".join(stripped).encode()).hexdigest()


def _text(name: str) -> str:
    return (ROOT / "cpp" / name).read_text(encoding="utf-8")


def read() -> Mapping[str, Any]:
    """Read what the last whole run of `make verify` wrote."""
    return load_record(PATH.read_text(encoding="utf-8"), FORMAT, VERSION)


def of(truths: Mapping[str, Any], figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what a whole run found, and what it was a run of; no dates, no durations."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "sources": sources(),
        "sha256": digest(),
        "compiler": _core.compiler,
        "processor": processor(),
        "levels": LEVELS,
        "truths": truths,
        "verified": figures,
    }
