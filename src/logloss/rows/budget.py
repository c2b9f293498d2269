"""How much memory a fit may take: what a person asks for, and what the machine has.

Nothing here takes any memory.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from logloss.errors import ArgumentError
from logloss.threads import default_threads

#: Share of the machine's memory that a fit takes unless told otherwise.
SHARE = Fraction(1, 4)
#: What is taken for the machine's memory where the system does not tell.
_UNKNOWN = 4 << 30

_UNITS = {
    "": 1,
    **{f"{p}B": 1000**k for k, p in enumerate(["", "K", "M", "G", "T"])},
    **{f"{p}IB": 1024**k for k, p in enumerate(["K", "M", "G", "T"], start=1)},
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*((?:[KMGT]I?)?B|)\s*", re.IGNORECASE)

#: Where Linux says how much memory a container may take: version 2, version 1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def bytes_of(memory: int | str | None) -> int:
    """Read an amount of memory.

    Parameters
    ----------
    memory : int, str or None
        Bytes, or a number with a unit: kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB,
        TiB of 1024.  None is a quarter of the machine's memory.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ArgumentError
        If it is not an amount, or not above 0.

    Examples
    --------
    >>> bytes_of("2GB"), bytes_of("1.5 GiB"), bytes_of(1000)
    (2000000000, 1610612736, 1000)
    """
    if memory is None:
        return int(machine_memory() * SHARE)
    if isinstance(memory, str) and (found := _SIZE.fullmatch(memory)):
        amount = int(Fraction(found[1]) * _UNITS[found[2].upper()])
    elif isinstance(memory, int) and not isinstance(memory, bool):
        amount = memory
    else:
        amount = 0
    if amount <= 0:
        raise ArgumentError(
            f"memory must be bytes above 0, or a text such as '2GB' or '512MiB'; got {memory!r}."
        )
    return amount


def machine_memory() -> int:
    """Bytes of memory that this process may hope for: the machine's, or its container's."""
    found = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # "max" is no limit
            found.append(int(Path(limit).read_text(encoding="ascii")))
    return min(found, default=_UNKNOWN)


def threads_within(memory: int, each: int) -> int:
    """Return how many threads may work at a time, at least one, where each takes `each` bytes."""
    return max(1, min(default_threads(), memory // max(each, 1)))
