"""An engine that keeps the answers of its passes in a file, so that a killed run can go on.

What is computed from the answers of passes is the same bits whenever the answers are: a
run that starts again meets the same passes, is told their answers at once, and goes on
from the first pass that was not answered yet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from logloss import files
from logloss.errors import CheckpointError, ModelError
from logloss.rows.frozen import freeze, thaw
from logloss.rows.protocols import B_contra, Engine, P, Pass
from logloss.rows.source import Source

_FORMAT, _VERSION = "logloss-checkpoint", 1


@dataclass(frozen=True)
class Checkpoint:
    """A file of answers, as it was found.

    Attributes
    ----------
    path : str
        Where it is, or will be.
    identity : mapping of str to str, or None
        What the answers belong to: rows, options.  None where there is no file yet.
    answers : tuple of str
        One for each pass, as JSON.
    """

    path: str
    identity: Mapping[str, str] | None = None
    answers: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Read a file, if there is one.

        Raises
        ------
        CheckpointError
            If it is no checkpoint, damaged, or too new.
        """
        where = os.fspath(path)
        try:
            record = files.load_record(Path(path).read_text("utf-8"), _FORMAT, _VERSION)
            identity, answers = dict(record["identity"]), tuple(record["answers"])
            if record["checksum"] != _checksum(identity, list(map(_digest, answers))):
                raise ValueError("its checksum does not hold")
        except FileNotFoundError:
            return cls(where)
        except ModelError as error:
            raise CheckpointError(f"{where}: {error}") from error
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{where}: the checkpoint is damaged ({error}); remove it to start again"
            ) from error
        return cls(where, identity, answers)

    def check(self, identity: Mapping[str, str]) -> None:
        """Raise CheckpointError where the answers belong to something else."""
        if self.identity is None:
            return
        for name in sorted(self.identity.keys() | identity.keys()):
            if self.identity.get(name) != identity.get(name):
                raise CheckpointError(
                    f"{self.path}: the checkpoint is of another fit: {name} was "
                    f"{self.identity.get(name)}, and is {identity.get(name)} now; name another "
                    "file, or remove it to start again"
                )

    def remove(self) -> None:
        """Remove the file: what it was for is done."""
        with suppress(OSError):
            os.unlink(self.path)


class JournalEngine:
    """Runs passes on another engine and keeps every answer in a file.

    Parameters
    ----------
    engine : Engine
        What runs the passes that the checkpoint does not answer.
    checkpoint : Checkpoint
        The file, and the answers that it had.
    identity : mapping of str to str
        What the answers belong to.
    n_rows : int, default=0
        Passes over fewer rows than these are quick, and are run again instead.

    Raises
    ------
    CheckpointError
        If the answers in the file belong to something else.
    """

    def __init__(
        self,
        engine: Engine,
        checkpoint: Checkpoint,
        identity: Mapping[str, str],
        n_rows: int = 0,
    ) -> None:
        checkpoint.check(identity)
        self._n_rows = n_rows
        self._engine = engine
        self._path = checkpoint.path
        self._identity = dict(identity)
        self._answers = list(checkpoint.answers)
        self._digests = list(map(_digest, self._answers))
        self._next = 0

    def reduce(self, task: Pass[B_contra, P], source: Source[B_contra]) -> P:
        """Return the answer that the file has, or find it and keep it there.

        Raises
        ------
        CheckpointError
            If the file answers another question at this place.
        OutputError
            If the file cannot be written.
        """
        if source.n_rows < self._n_rows:
            return self._engine.reduce(task, source)
        question = _digest(json.dumps([thaw(task), source.n_rows, len(source.shards)]))
        if self._next == len(self._answers):
            self._keep(question, thaw(self._engine.reduce(task, source)))
        known = json.loads(self._answers[self._next])
        self._next += 1
        if known["question"] != question:
            raise CheckpointError(
                f"{self._path}: the checkpoint took another way from pass {self._next} on: it is "
                "of other options, or of another version; remove it to start again"
            )
        # read back even where it was just found: a run that goes on has nothing else
        return cast(P, freeze(known["answer"]))

    def _keep(self, question: str, answer: Any) -> None:
        self._answers.append(json.dumps({"question": question, "answer": answer}))
        self._digests.append(_digest(self._answers[-1]))
        record = {
            "format": _FORMAT,
            "version": _VERSION,
            "identity": self._identity,
            "checksum": _checksum(self._identity, self._digests),
            "answers": self._answers,
        }
        files.write_text(self._path, files.dump_record(record))


def _checksum(identity: Mapping[str, str], digests: list[str]) -> str:
    return _digest(json.dumps([identity, digests], sort_keys=True))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
