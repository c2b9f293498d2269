"""A training that goes on where it was killed, to the same bits.

After every part of a pass all that the next one depends on is in one file: weights, the best
ones, the optimiser, the state of the random numbers, and the position, on which the learning rate
hangs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from logloss.design.block import Block
from logloss.design.encoding import DigestPass
from logloss.errors import CheckpointError, ModelError
from logloss.network.module import TableNetwork
from logloss.network.tensors import read_tensors, write_tensors
from logloss.network.training import Epoch, Run
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Engine
from logloss.rows.source import Source

_FORMAT, _VERSION = "logloss-network-checkpoint", 2

#: What AdamW keeps of each parameter.
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Keeper:
    """Keeps a training in a file.

    Parameters
    ----------
    path : path
        The file; it may be there from a training that was killed.
    identity : mapping of str to str
        What the bits of the training depend on, by name.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, str]) -> None:
        self.path, self.identity = path, dict(identity)

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        rows: Source[Block],
        network: TableNetwork,
        options: str,
        engine: Engine | None = None,
    ) -> Keeper:
        """Return one for a training on these rows that begins with this network.

        Rows are told from others by a hash of all their values, block by block.
        """
        engine = engine or LocalEngine()
        return cls(
            path,
            {
                "rows": str(engine.reduce(DigestPass(), rows)),
                "options": options,
                "first weights": _digest(network),
            },
        )

    def resume(self, run: Run) -> bool:
        """Bring a training that has not begun to where the file is; say whether there is one.

        Raises
        ------
        CheckpointError
            If the file is damaged, or of other rows or options.
        """
        if not Path(self.path).exists():
            return False
        try:
            arrays, record = read_tensors(self.path, _FORMAT, _VERSION)
        except ModelError as error:
            raise CheckpointError(f"{error}; remove it to start again") from error
        for name, wanted in self.identity.items():
            if record["identity"].get(name) != wanted:
                raise CheckpointError(
                    f"{os.fspath(self.path)}: the checkpoint is of another training: its {name} "
                    "are others; name another file, or remove it to start again"
                )
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        with torch.no_grad():
            for k, parameter in enumerate(run.network.parameters()):
                parameter.copy_(tensors[f"weight.{k}"])
                run.best[k].copy_(tensors[f"best.{k}"])
                if f"step.{k}" in tensors:
                    run.optimiser.state[parameter] = {
                        name: tensors[f"{name}.{k}"].to(parameter.device) for name in _MOMENTS
                    }
        run.history = [_epoch(values) for values in record["history"]]
        run.best_epoch, run.best_loss = record["best_epoch"], float(record["best_loss"])
        run.position, run.total = record["position"], float(record["total"])
        torch.set_rng_state(tensors["random"])
        if "random.device" in tensors:
            torch.get_device_module(_device(run)).set_rng_state(tensors["random.device"])
        return True

    def keep(self, run: Run) -> None:
        """Write where a training stands; OutputError if the file cannot be written."""
        tensors = {"random": torch.get_rng_state()}
        if _device(run).type != "cpu":  # which draws dropout by itself
            tensors["random.device"] = torch.get_device_module(_device(run)).get_rng_state()
        for k, parameter in enumerate(run.network.parameters()):
            tensors |= {f"weight.{k}": parameter, f"best.{k}": run.best[k]}
            state = run.optimiser.state.get(parameter, {})
            tensors |= {f"{name}.{k}": state[name] for name in _MOMENTS if name in state}
        record = {
            "format": _FORMAT,
            "version": _VERSION,
            "identity": self.identity,
            "history": [epoch.to_dict() for epoch in run.history],
            "best_epoch": run.best_epoch,
            "best_loss": run.best_loss,
            "position": run.position,
            "total": run.total,
        }
        arrays = {name: tensor.numpy(force=True) for name, tensor in tensors.items()}
        write_tensors(self.path, arrays, record)

    def remove(self) -> None:
        """Remove the file: what it was for is done."""
        with suppress(OSError):
            os.unlink(self.path)


def _device(run: Run) -> torch.device:
    device: torch.device = run.network.output.weight.device
    return device


def _epoch(values: dict[str, Any]) -> Epoch:
    return Epoch(
        int(values["epoch"]),
        float(values["training_loss"]),
        float(values["validation_loss"]),
        float(values["learning_rate"]),
    )


def _digest(network: TableNetwork) -> str:
    """Return what tells a network from others: its weights, and how it sees numbers."""
    found = blake2b(digest_size=16)
    for value in network.state_dict().values():
        found.update(np.ascontiguousarray(value.double().numpy(force=True)).data)
    return found.hexdigest()
