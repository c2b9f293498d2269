"""`Model`: what was learned, from raw columns to logits; predicting, saving, loading."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from logloss import files, kernel
from logloss.design.block import Block
from logloss.design.design import Design, learn_design
from logloss.design.drift import Drift
from logloss.design.target import Target
from logloss.errors import (
    ArgumentError,
    ColumnError,
    MissingExtraError,
    ModelError,
    OutputError,
)
from logloss.logistic.hypotheses import HypothesisTest, score
from logloss.logistic.inference import LogisticSummary
from logloss.logistic.predictor import LinearPredictor
from logloss.recalibration import Chain, PriorCorrection
from logloss.rows.local import LocalEngine
from logloss.rows.locate import format_of
from logloss.rows.protocols import Batch, Engine, Progress
from logloss.rows.source import Source, open_source

if TYPE_CHECKING:
    from logloss.network.predictor import NetworkPredictor
    from logloss.network.summary import NetworkSummary
    from logloss.onnx import Graph

#: Names of the columns that `Model.predict` adds.
PROBABILITY, LOGIT = "probability", "logit"

_FORMAT, _VERSION = "logloss-model", 2
_NETWORK_FORMAT, _NETWORK_VERSION = "logloss-network", 1
_PREDICTIONS_FORMAT, _PREDICTIONS_VERSION = "logloss-predictions", 1


@dataclass(frozen=True, repr=False)
class Model:
    """A fitted model: target, design and predictor, with its summary.

    Attributes
    ----------
    target : Target
        What was predicted, and which value counts as 1.
    design : Design
        How raw columns become numbers and codes.
    predictor : LinearPredictor
        How these become a logit.
    fit_summary : LogisticSummary
        What the fit found; `summary()` returns it.
    recalibration : PriorCorrection or None
        What a logit goes through last.
    """

    target: Target
    design: Design
    predictor: LinearPredictor
    fit_summary: LogisticSummary
    recalibration: PriorCorrection | None = None

    def __repr__(self) -> str:
        return (
            f"Model({self.target.name!r}, {files.counted(self.fit_summary.n, 'row')}, "
            f"{self._size()}, {self.fit_summary.status})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __str__(self) -> str:
        """Return what was fitted, what was filled and left out, and how the fit ended."""
        design, found = self.design, self.fit_summary
        n_columns = len(design.numbers) + len(design.categories)
        left_out: dict[str, list[str]] = {}
        for name, why in design.left_out:
            left_out.setdefault(why, []).append(name)
        lines = [
            f"{self.target.name}: {files.counted(found.n, 'row')}, "
            f"{100 * found.base_rate:.1f} % positive · "
            f"{files.counted(n_columns, 'column')} → {self._size()}"
        ]
        if design.formula is not None:
            lines.append(f"formula: {design.formula.text}")
        if design.filled:
            shares = [f"{name} {100 * share:.2g} %" for name, share in design.filled]
            more = f" and {len(shares) - 4} more" if len(shares) > 4 else ""
            lines.append(f"filled: {', '.join(shares[:4])}{more} (with indicators)")
        if left_out:
            groups = (f"{', '.join(names)} ({why})" for why, names in left_out.items())
            lines.append(f"left out: {' · '.join(groups)}")
        if self.base_rate != found.base_rate:
            rate = 100 * self.base_rate
            lines.append(f"corrected for a population of {rate:.3g} % positive")
        lines.append(self._ending())
        return "\n".join(map(files.printable, lines))

    def _size(self) -> str:
        """Return how many numbers were fitted."""
        return files.counted(self.design.layout.size, "coefficient")

    def _ending(self) -> str:
        """Return how the fit ended, in a line."""
        found = self.fit_summary
        certain = "about" if found.method == "firth" else "at most"
        return (
            f"{found.status}: {files.counted(found.scans, 'scan')}, {certain} {found.bound:.1g} "
            "standard errors from the optimum"
        )

    @property
    def base_rate(self) -> float:
        """What a constant forecast would say: the target's weighted mean in training.

        Where the model was corrected for the base rate of a population, it is that rate.
        """
        if self.recalibration is not None:
            return self.recalibration.base_rate
        return self.fit_summary.base_rate

    def summary(self) -> LogisticSummary:
        """Return the coefficients with errors and intervals, likelihoods, and how the fit ended."""
        return self.fit_summary

    def score_test(
        self, source: Any, columns: str | Sequence[str], *, engine: Engine | None = None
    ) -> HypothesisTest:
        """Test whether columns that this model does not use would improve it, without a fit.

        uᵀV⁻¹u, with u the gradient of the log-likelihood in the added columns at this fit and
        V its variance: χ² with as many degrees of freedom as columns that tell something new.

        Parameters
        ----------
        source : path, table or stream
            The rows that the model was fitted to.
        columns : str or sequence of str
            Columns of the table to test: numbers, or categories with all their levels.
        engine : Engine, optional
            What runs the passes.

        Returns
        -------
        HypothesisTest

        Raises
        ------
        ArgumentError
            If the fit is penalised, or the columns are in the model, or tell nothing new.
        ColumnError, TargetError, WeightError
            If a column cannot be used.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from logloss import fit
        >>> x, z, y = [0.0, 1, 2, 3, 4, 5], [1.0, 0, 2, 1, 3, 1], [0, 0, 1, 0, 1, 1]
        >>> table = pa.table({"x": x, "z": z, "y": y})
        >>> model = fit(table, "y", features=["x"], prior=None)
        >>> print(model.score_test(table, "z"))
        score test of z = 0: χ²(1) = 2.172, p = 0.141
        """
        found, design = self.fit_summary, self.design
        if found.penalised:
            raise ArgumentError(
                "score_test needs a maximum likelihood fit, and this one is penalised: its "
                "gradient is not 0. Fit with prior=None."
            )
        names = (columns,) if isinstance(columns, str) else tuple(columns)
        rows, engine = self.open(source), engine or LocalEngine()
        more = learn_design(
            rows,
            target=self.target.name,
            features=names,
            weight=design.weight,
            offset=design.offset,
            engine=engine,
        )
        both = replace(
            design,
            numbers=(*design.numbers, *more.numbers),
            categories=(*design.categories, *more.categories),
            cluster=(),
        )
        own = {term.name for term in found.terms} - set(found.aliased)
        added = set(more.layout.names)
        if not added or not added.isdisjoint(design.layout.names):
            raise ArgumentError(
                f"columns {', '.join(names)}: one is in the model already, or all are constant. "
                "Name columns that the model does not use."
            )
        wanted = (*design.columns, *names, self.target.name, *filter(None, [design.weight]))
        encode = partial(both.encode, target=self.target)
        estimates = dict(zip(design.layout.names, self.predictor.coefficients, strict=True))
        estimates["intercept"] = self.predictor.intercept
        order = ("intercept", *both.layout.names)
        return score(
            rows.select(list(dict.fromkeys(wanted))).map(encode),
            both.layout,
            engine,
            np.array([estimates.get(name, 0.0) for name in order]),
            own=np.array([name in own for name in order]),
            extra=np.array([name in added for name in order]),
        )

    def open(self, source: Any) -> Source[Batch]:
        """Open a table for this model: text that looks like numbers stays text where it was."""
        return open_source(source, types={**self.target.types, **self.design.types})

    def logits(self, rows: Batch | Block) -> npt.NDArray[np.float64]:
        """Return the logit of each row of one batch, shape (n,).

        The bits do not depend on how rows are cut into batches.
        """
        block = rows if isinstance(rows, Block) else self.design.encode(rows)
        logits = self.predictor.logits(block)
        return logits if self.recalibration is None else self.recalibration(logits)

    def predict(
        self,
        source: Any,
        output: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> pa.Table | int:
        """Add `probability` and `logit` to every row of a table.

        Parameters
        ----------
        source : path, table or stream
            As for `fit`; the target need not be there.
        output : path, optional
            A Parquet file to write, batch by batch; it appears whole or not at all.
        progress : callable, optional
            Called after each batch with its number of rows, and the rows in all.

        Returns
        -------
        pyarrow.Table or int
            The table; the number of rows when they went to `output`.

        Raises
        ------
        ColumnError
            If a column is missing, has changed its type, or is already named
            `probability` or `logit`.
        SourceError, OutputError
            If the data cannot be read, or the result not written.

        Warns
        -----
        RangeWarning, UnseenWarning
            If numbers lie outside the range seen in training, or levels were never seen.
        """
        if output is not None and format_of(os.fspath(output)) not in ("parquet", None):
            raise OutputError(
                f"cannot write {os.fspath(output)}: predictions are written as Parquet; name a "
                "file that ends in .parquet"
            )
        if output is not None:
            files.check_writable(output)
        rows = self.open(source)
        schema = self._predicted_schema(rows)
        drifts: list[Drift] = []
        batches = self._predict(rows, schema, drifts, progress)
        result: pa.Table | int = rows.n_rows
        if output is None:
            result = pa.Table.from_batches(batches, schema)
        else:
            with files.whole(output) as temporary, pq.ParquetWriter(temporary, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
        if drifts:
            reduce(add, drifts).warn(stacklevel=2)
        return result

    def _predicted_schema(self, rows: Source[Batch]) -> pa.Schema:
        schema = rows.schema
        assert schema is not None, "a table has a schema"
        for name in (PROBABILITY, LOGIT):
            if name in schema.names:
                raise ColumnError(
                    f"the input already has a column {name!r}, which predictions would add. "
                    "Rename it, or leave it out of the input."
                )
        record = {
            "format": _PREDICTIONS_FORMAT,
            "version": _PREDICTIONS_VERSION,
            "base_rate": self.base_rate,
            "target": self.target.name,
        }
        metadata = {**(schema.metadata or {}), b"logloss": json.dumps(record).encode()}
        for name in (PROBABILITY, LOGIT):
            schema = schema.append(pa.field(name, pa.float64()))
        return schema.with_metadata(metadata)

    def _predict(
        self,
        rows: Source[Batch],
        schema: pa.Schema,
        drifts: list[Drift],
        progress: Progress | None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches with their predictions; note how each strays from training."""
        total = rows.n_rows
        for batch in rows.blocks():
            logits = self.logits(batch)
            drifts.append(self.design.drift(batch))
            added = [pa.array(kernel.sigmoid(logits)), pa.array(logits)]
            yield pa.RecordBatch.from_arrays([*batch.table.columns, *added], schema=schema)
            if progress is not None:
                progress(len(logits), total)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model as an ONNX graph, from the encoded columns on (extra `onnx`).

        Its inputs are ``numbers`` (n, p), float64, and ``codes`` (n, k), int64, as
        `design.encode` makes them of a table, each where it has columns; its outputs are
        ``logit`` and ``probability``, shape (n,), float64.

        Parameters
        ----------
        path : path
            The file; it appears whole or not at all.

        Raises
        ------
        ArgumentError
            If the model has no columns, or an offset.
        OutputError
            If the file cannot be written.
        """
        if not self.design.columns or self.design.offset:
            raise ArgumentError("to_onnx: a model without columns, or with an offset, has no graph")
        try:
            self._graph().save(path)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"to_onnx needs {error.name}, which is not installed. "
                "Install the extra 'onnx': pip install '.[onnx]' in a clone of logloss.",
                name=error.name,
            ) from error

    def _graph(self) -> Graph:
        from logloss.logistic.export import linear_graph

        shift = 0.0 if self.recalibration is None else self.recalibration.shift
        return linear_graph(self.predictor, shift)

    def describe(self) -> dict[str, Any]:
        """Return all that is known about the model, as plain names and numbers."""
        return {
            "target": self.target.to_dict(),
            "design": self.design.to_dict(),
            "base_rate": self.base_rate,
            "recalibration": self._recalibration_record(),
            "summary": self.fit_summary.to_dict(),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as JSON; the file appears whole or not at all."""
        record = {
            "format": _FORMAT,
            "version": _VERSION,
            "target": self.target.to_dict(),
            "design": self.design.to_dict(),
            "predictor": self.predictor.to_dict(),
            "recalibration": self._recalibration_record(),
            "summary": self.fit_summary.to_dict(matrix=True),
        }
        files.write_text(path, files.dump_record(record))

    def _recalibration_record(self) -> dict[str, Any] | None:
        return None if self.recalibration is None else self.recalibration.to_dict()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Rebuild a model from the text of its file; ModelError if it does not hold one."""
        record = files.load_record(text, _FORMAT, _VERSION)
        missing = {"target", "design", "predictor", "summary"} - record.keys()
        if missing:
            raise ModelError(f"the model file is damaged: {', '.join(sorted(missing))} missing")
        recalibration = record.get("recalibration")  # files of version 1 have none
        return cls(
            target=Target.from_dict(record["target"]),
            design=Design.from_dict(record["design"]),
            predictor=LinearPredictor.from_dict(record["predictor"]),
            fit_summary=LogisticSummary.from_dict(record["summary"]),
            recalibration=recalibration and PriorCorrection.from_dict(recalibration),
        )


@dataclass(frozen=True, repr=False)
class NetworkModel(Model):
    """A network trained on a table.

    Attributes
    ----------
    predictor : NetworkPredictor
        The network, and the line beside it.
    fit_summary : NetworkSummary
        How it was trained; `summary()` returns it.
    recalibration : Chain
        What a logit goes through last.
    """

    predictor: NetworkPredictor  # type: ignore[assignment]
    fit_summary: NetworkSummary  # type: ignore[assignment]
    recalibration: Chain = field(default_factory=Chain)  # type: ignore[assignment]

    @property
    def base_rate(self) -> float:
        """What a constant forecast would say; see `Model.base_rate`."""
        rates = [m.base_rate for m in self.recalibration.maps if isinstance(m, PriorCorrection)]
        return rates[-1] if rates else self.fit_summary.base_rate

    def _graph(self) -> Graph:
        from logloss.network.export import network_graph

        return network_graph(self.predictor, self.recalibration)

    def _size(self) -> str:
        return files.counted(self.fit_summary.n_parameters, "weight")

    def _ending(self) -> str:
        return f"{self.fit_summary.made_of} · {self.fit_summary.ending}"

    def score_test(
        self, source: Any, columns: str | Sequence[str], *, engine: Engine | None = None
    ) -> HypothesisTest:
        """Refuse: a network has no score test."""
        raise ArgumentError("score_test is for logistic regressions, and this is a network.")

    def describe(self) -> dict[str, Any]:
        """Return all that is known about the model but its weights."""
        return {**super().describe(), "predictor": self.predictor.to_dict()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as a safetensors file; it appears whole or not at all."""
        from logloss.network.tensors import write_tensors

        record = {"format": _NETWORK_FORMAT, "version": _NETWORK_VERSION, **self.describe()}
        write_tensors(path, self.predictor.tensors, record)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; ModelError if the file is damaged or something else."""
        try:
            from logloss.network.predictor import NetworkPredictor
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{os.fspath(path)} is a network, which needs {error.name}. "
                "Install the extra 'torch': pip install '.[torch]' in a clone of logloss.",
                name=error.name,
            ) from error
        from logloss.network.summary import NetworkSummary
        from logloss.network.tensors import read_tensors

        tensors, record = read_tensors(path, _NETWORK_FORMAT, _NETWORK_VERSION)
        try:
            return cls(
                target=Target.from_dict(record["target"]),
                design=Design.from_dict(record["design"]),
                predictor=NetworkPredictor.from_tensors(record["predictor"], tensors),
                fit_summary=NetworkSummary.from_dict(record["summary"]),
                recalibration=Chain.from_dict(record["recalibration"]),
            )
        except KeyError as error:
            raise ModelError(f"{os.fspath(path)}: the record has no {error}") from error
        except ModelError as error:
            raise ModelError(f"{os.fspath(path)}: {error}") from error


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model from the file that `Model.save` wrote.

    Nothing in the file is executed.

    Raises
    ------
    ModelError
        If the file is not there, damaged, not a model, or of a newer version.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(16)
        # the length of a header, and a brace: a network's file; JSON begins with the brace
        if len(start) > 8 and start[8:9] == b"{" and start[:1] != b"{":
            return NetworkModel.read(path)
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ModelError(f"cannot read the model {os.fspath(path)}: {reason}") from error
    try:
        model = Model.from_text(text)
    except ModelError as error:
        raise ModelError(f"{os.fspath(path)}: {error}") from error
    return model
