"""A trained network as a model's predictor: encoded rows → logits; and as tensors and a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from logloss.design.block import Block
from logloss.errors import ModelError
from logloss.network.line import Line
from logloss.network.module import Architecture, TableNetwork
from logloss.network.numbers import NUMBERS, tile_rows

FloatArray = npt.NDArray[np.float64]

_PREFIX = "numbers."


@dataclass(frozen=True)
class NetworkPredictor:
    """logit = what the network says of the row's numbers and codes, and the row's offset.

    Attributes
    ----------
    network : TableNetwork
        In evaluation mode, in float64, on the processor.
    line : Line, optional
        What is mixed in.
    """

    network: TableNetwork
    line: Line | None = None

    def logits(self, block: Block) -> FloatArray:
        """Return the logit of every row, shape (n,)."""
        logits = logits_of(self.network, block.numbers, block.codes)
        if self.line is not None:
            bare = replace(block, offset=None)
            logits = self.line.mixed(logits, self.line.predictor.logits(bare))
        return logits if block.offset is None else logits + block.offset

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names: all but the weights."""
        return {
            "kind": "network",
            "architecture": self.network.architecture.to_dict(),
            "line": None if self.line is None else self.line.to_dict(),
        }

    @property
    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The weights, and what was learned about numbers, by name."""
        return {name: value.numpy() for name, value in self.network.state_dict().items()}

    @classmethod
    def from_tensors(
        cls, record: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]
    ) -> Self:
        """Rebuild a predictor; ModelError if record and tensors do not hold one."""
        try:
            architecture = Architecture.from_dict(record["architecture"])
            kind = NUMBERS[architecture.numbers]
            with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced
                network = TableNetwork(
                    architecture,
                    kind.of(*(torch.from_numpy(tensors[_PREFIX + name]) for name in kind.fields)),
                )
            state = {name: torch.from_numpy(value) for name, value in tensors.items()}
            network.cast(torch.float64).load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"the network's weights do not fit its architecture: {reason}") from (
                error
            )
        if not all(np.isfinite(values).all() for values in tensors.values()):
            raise ModelError("the network's weights are not all finite")
        line = None if record.get("line") is None else Line.from_dict(record["line"])
        n_numbers = len(next(network.numbers.buffers()))
        if line is not None and line.n_columns != (n_numbers, *architecture.levels):
            raise ModelError("the line beside the network has other columns than the network")
        return cls(network.eval(), line)


def logits_of(
    network: TableNetwork,
    numbers: npt.NDArray[np.floating],
    codes: npt.NDArray[np.int32] | None = None,
) -> FloatArray:
    """Return the network's logits, shape (n,), tile by tile.

    Every tile has the same number of rows, the last one filled up, so that the bits of a row
    do not depend on how many stand beside it.
    """
    n_rows, step = len(numbers), tile_rows(network.numbers)
    logits = np.empty(n_rows)
    with torch.inference_mode():
        for first in range(0, n_rows, step):
            part = slice(first, min(first + step, n_rows))
            some = _filled(np.asarray(numbers[part], np.float64))
            coded = None
            if network.architecture.levels:
                assert codes is not None, "the network has code columns"
                coded = torch.from_numpy(_filled(codes[part].astype(np.int64)))
            logits[part] = network(torch.from_numpy(some), coded)[: part.stop - first].numpy()
    return logits


def _filled(rows: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return a copy with rows of zeros up to the next power of two, at least 16."""
    n_rows = max(16, 1 << (len(rows) - 1).bit_length())
    filled = np.zeros((n_rows, rows.shape[1]), rows.dtype)
    filled[: len(rows)] = rows
    return filled
