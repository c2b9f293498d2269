"""A training that goes on where it was killed, to the same bits.

After every pass all that the next one depends on is in one file: weights, the best ones, the
optimiser, the state of the random numbers, and the position, on which the learning rate hangs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logloss.errors import CheckpointError, ModelError
from logloss.network.tensors import read_tensors, write_tensors
from logloss.network.training import Epoch, Rows, Run

_FORMAT, _VERSION = "logloss-network-checkpoint", 1

#: What AdamW keeps of each parameter.
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Keeper:
    """Keeps a training in a file.

    Parameters
    ----------
    path : path
        The file; it may be there from a training that was killed.
    rows : Rows
        What is trained on.
    options : str
        What else the bits depend on.
    """

    def __init__(self, path: str | os.PathLike[str], rows: Rows, options: str) -> None:
        self.path = path
        self.identity = {"rows": _digest(rows), "options": options}

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
        torch.set_rng_state(tensors["random"])
        return True

    def keep(self, run: Run) -> None:
        """Write where a training stands; OutputError if the file cannot be written."""
        tensors = {"random": torch.get_rng_state()}
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
        }
        arrays = {name: tensor.numpy(force=True) for name, tensor in tensors.items()}
        write_tensors(self.path, arrays, record)

    def remove(self) -> None:
        """Remove the file: what it was for is done."""
        with suppress(OSError):
            os.unlink(self.path)


def _epoch(values: dict[str, Any]) -> Epoch:
    return Epoch(
        int(values["epoch"]),
        float(values["training_loss"]),
        float(values["validation_loss"]),
        float(values["learning_rate"]),
    )


def _digest(rows: Rows) -> str:
    """Return what tells these rows from others."""
    parts: list[Tensor] = [rows.encoded, rows.y, rows.weight, rows.fold]
    if rows.codes is not None:
        parts.append(rows.codes)
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(np.ascontiguousarray(part.numpy(force=True)).data)
    return found.hexdigest()
