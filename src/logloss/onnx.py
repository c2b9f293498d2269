"""ONNX graphs, node by node: encoded numbers and codes in, logit and probability out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from logloss import files

#: Old enough for runtimes of recent years: axes of reductions are inputs from here on.
_OPSET, _IR_VERSION = 18, 9


class Graph:
    """A graph under construction.

    Parameters
    ----------
    n_numbers, n_codes : int
        Columns of the inputs ``numbers``, float64, and ``codes``, int64.  There is no input
        without columns.
    """

    def __init__(self, n_numbers: int, n_codes: int) -> None:
        self._inputs = []
        if n_numbers:
            shape = ["n", n_numbers]
            self._inputs.append(helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, shape))
        if n_codes:
            shape = ["n", n_codes]
            self._inputs.append(helper.make_tensor_value_info("codes", TensorProto.INT64, shape))
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def add(
        self, kind: str, *inputs: str | npt.NDArray[Any], name: str = "", **attributes: Any
    ) -> str:
        """Add a node, with arrays as constants; return the name of what comes out."""
        names = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        output = name or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def slots(self, last: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> str:
        """Add the rows of a table of levels, column after column; the last for those unseen."""
        unseen = self.add("Less", "codes", np.array(0))
        known = self.add("Where", unseen, last.astype(np.int64), "codes")
        return self.add("Add", known, starts.astype(np.int64))

    def finish(self, logit: str) -> None:
        """Name the outputs."""
        self.add("Identity", logit, name="logit")
        self.add("Sigmoid", "logit", name="probability")

    def _constant(self, values: npt.NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def model(self) -> ModelProto:
        """Return the checked model."""
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n"])
            for name in ("logit", "probability")
        ]
        graph = helper.make_graph(
            self._nodes, "logloss", self._inputs, outputs, initializer=self._constants
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="logloss"
        )
        checker.check_model(model)
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model; the file appears whole or not at all."""
        content = self.model().SerializeToString()
        with files.whole(path) as draft:
            draft.write_bytes(content)
