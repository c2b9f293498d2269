"""A trained network as a model's predictor: encoded rows → logits; and as tensors and a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from logloss.design.block import Block
from logloss.errors import ModelError
from logloss.network.fit import logits_of
from logloss.network.module import Architecture, TableNetwork
from logloss.network.numbers import NUMBERS

_PREFIX = "numbers."


@dataclass(frozen=True)
class NetworkPredictor:
    """logit = what the network says of the row's numbers and codes, and the row's offset.

    Attributes
    ----------
    network : TableNetwork
        In evaluation mode, in float64, on the processor.
    """

    network: TableNetwork

    def logits(self, block: Block) -> npt.NDArray[np.float64]:
        """Return the logit of every row, shape (n,)."""
        logits = logits_of(self.network, block.numbers, block.codes)
        return logits if block.offset is None else logits + block.offset

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names: all but the weights."""
        return {"kind": "network", "architecture": self.network.architecture.to_dict()}

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
        return cls(network.eval())
