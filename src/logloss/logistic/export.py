"""A linear predictor as an ONNX graph."""

from __future__ import annotations

import numpy as np

from logloss.logistic.predictor import FloatArray, LinearPredictor
from logloss.onnx import Graph


def linear_graph(predictor: LinearPredictor, shift: float = 0.0) -> Graph:
    """Return the graph of a linear predictor.

    Parameters
    ----------
    predictor : LinearPredictor
    shift : float, default=0.0
        Added to every logit.
    """
    graph = Graph(len(predictor.center), len(predictor.layout.levels))
    graph.finish(add_line(graph, predictor, shift))
    return graph


def add_line(graph: Graph, predictor: LinearPredictor, shift: float = 0.0) -> str:
    """Add what a linear predictor says of the graph's inputs, (n,)."""
    n_numbers, levels = len(predictor.center), predictor.layout.levels
    logit: str | FloatArray = np.array(predictor.base + shift)
    if n_numbers:
        apart = graph.add("Sub", "numbers", predictor.center)
        of_numbers = graph.add("MatMul", apart, predictor.coefficients[:n_numbers])
        logit = graph.add("Add", of_numbers, logit)
    if levels:
        effects = [
            np.append(predictor.coefficients[at.start - 1 : at.stop - 1], unseen)
            for at, unseen in zip(predictor.layout.level_slices, predictor.unseen, strict=True)
        ]
        sizes = np.array([len(column) for column in levels])
        slots = graph.slots(sizes, np.cumsum([0, *(sizes[:-1] + 1)]))
        found = graph.add("Gather", np.concatenate(effects), slots, axis=0)
        found = graph.add("ReduceSum", found, np.array([1]), keepdims=0)
        logit = graph.add("Add", found, logit)
    assert isinstance(logit, str), "a model without columns has no graph"
    return logit
