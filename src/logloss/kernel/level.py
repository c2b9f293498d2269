"""The compiled core, and its kernels at the best instruction-set level of this machine."""

from __future__ import annotations

try:
    from logloss import _core
except ImportError as error:  # pragma: no cover  (an unbuilt checkout)
    raise ImportError(
        "logloss's compiled core is missing: build it with `make demo` or `pip install .`"
    ) from error

__all__ = ["KERNELS", "_core"]

#: One table of functions; each gives the same bits as at any other level.
KERNELS = _core.best_kernels()
