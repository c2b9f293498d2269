"""A network as an ONNX graph: encoded numbers and codes in, logit and probability out."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from logloss.errors import ArgumentError
from logloss.logistic.export import add_line
from logloss.network.module import HiddenLayer, MemberNorm
from logloss.network.numbers import Both, Numbers, Piecewise, Robust
from logloss.network.predictor import NetworkPredictor
from logloss.onnx import Graph
from logloss.recalibration import Chain


def network_graph(predictor: NetworkPredictor, recalibration: Chain) -> Graph:
    """Return the graph of a network, of the line beside it, and of what logits go through last.

    Parameters
    ----------
    predictor : NetworkPredictor
    recalibration : Chain
        Of temperatures and prior corrections, and pos_weight's.

    Raises
    ------
    ArgumentError
        If the network was trained on the focal loss.
    """
    network, line = predictor.network, predictor.line
    made = network.architecture
    n_numbers = len(next(network.numbers.buffers()))
    graph = Graph(n_numbers, len(made.levels))
    parts = []
    if n_numbers:
        x = graph.add("Unsqueeze", _seen(graph, network.numbers), np.array([0]))
        # the same rows for every member
        parts.append(graph.add("Mul", x, np.ones((made.members, 1, 1))))
    effects = None
    if made.levels:
        slots = graph.slots(np.array(made.levels), _array(network.starts))
        rows = graph.add("Gather", _array(network.embeddings), slots, axis=1)
        shape = np.array([made.members, -1, len(made.levels) * made.embedding])
        parts.append(graph.add("Reshape", rows, shape))
        effects = graph.add("Gather", _array(network.level_effects), slots, axis=1)
        effects = graph.add("ReduceSum", effects, np.array([2, 3]), keepdims=0)
    x = units = graph.add("Concat", *parts, axis=-1)
    for layer in network.hidden:
        units = _layer(graph, layer, units)
    logits = _linear(graph, units, network.output)
    if made.linear:
        logits = graph.add("Add", logits, graph.add("MatMul", x, _array(network.linear)))
    logits = graph.add("Squeeze", logits, np.array([2]))
    if made.linear and effects is not None:
        logits = graph.add("Add", logits, effects)
    logit = graph.add("ReduceMean", logits, np.array([0]), keepdims=0)
    if line is not None:
        logit = graph.add("Mul", logit, np.array(1 - line.share))
        beside = graph.add("Mul", add_line(graph, line.predictor), np.array(line.share))
        logit = graph.add("Add", logit, beside)
    scale, shift = affine(recalibration)
    graph.finish(graph.add("Add", graph.add("Mul", logit, np.array(scale)), np.array(shift)))
    return graph


def affine(recalibration: Chain) -> tuple[float, float]:
    """Return the factor and the shift that the maps are together."""
    for one in recalibration.maps:
        if getattr(one, "gamma", 0):
            raise ArgumentError(
                "to_onnx: this network was trained on the focal loss, whose correction is no "
                "affine map; train with gamma=0"
            )
    low, high = recalibration([0.0, 1.0]).tolist()
    return high - low, low


def _seen(graph: Graph, numbers: Numbers) -> str:
    """Add how a network sees numbers, (n, n_encoded)."""
    if isinstance(numbers, Both):
        parts = (_seen(graph, numbers.pieces), _seen(graph, numbers.ranks))
        return graph.add("Concat", *parts, axis=1)
    if isinstance(numbers, Robust):
        t = graph.add("Sub", "numbers", _array(numbers.center))
        t = graph.add("Mul", t, _array(numbers.scale))
        third = graph.add("Mul", t, np.array(1 / 3))
        root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", third, third), np.array(1.0)))
        return graph.add("Div", t, root)
    x = graph.add("Unsqueeze", "numbers", np.array([2]))
    x = graph.add("Mul", graph.add("Sub", x, _array(numbers.start)), _array(numbers.per_unit))
    passed = graph.add("Clip", x, np.array(0.0), np.array(1.0))
    if isinstance(numbers, Piecewise):
        flat = graph.add("Reshape", passed, np.array([-1, numbers.start.numel()]))
        kept = graph.add("Gather", flat, _array(numbers.kept), axis=1)
        return graph.add("Sub", kept, _array(numbers.mean))
    rise = graph.add("Mul", passed, _array(numbers.rise))
    rise = graph.add("ReduceSum", rise, np.array([2]), keepdims=0)
    return graph.add("Add", rise, _array(numbers.base))


def _layer(graph: Graph, layer: HiddenLayer, x: str) -> str:
    units = _linear(graph, x, layer.linear)
    if isinstance(layer.norm, MemberNorm):
        units = _normalised(graph, layer.norm, units)
    units = _bent(graph, type(layer.activation).__name__, units)
    return graph.add("Add", x, units) if layer.residual else units


def _linear(graph: Graph, x: str, linear: Any) -> str:
    return graph.add("Add", graph.add("MatMul", x, _array(linear.weight)), _array(linear.bias))


def _normalised(graph: Graph, norm: MemberNorm, x: str) -> str:
    axis = np.array([-1])
    apart = graph.add("Sub", x, graph.add("ReduceMean", x, axis, keepdims=1))
    spread = graph.add("ReduceMean", graph.add("Mul", apart, apart), axis, keepdims=1)
    spread = graph.add("Sqrt", graph.add("Add", spread, np.array(1e-5)))  # torch's epsilon
    units = graph.add("Mul", graph.add("Div", apart, spread), _array(norm.gain))
    return graph.add("Add", units, _array(norm.shift))


def _bent(graph: Graph, activation: str, x: str) -> str:
    if activation == "GELU":
        # runtimes know the error function in float32 only
        scaled = graph.add("Mul", x, np.array(0.5**0.5))
        erf = graph.add("Erf", graph.add("Cast", scaled, to=TensorProto.FLOAT))
        erf = graph.add("Add", graph.add("Cast", erf, to=TensorProto.DOUBLE), np.array(1.0))
        return graph.add("Mul", graph.add("Mul", x, np.array(0.5)), erf)
    if activation == "SiLU":
        return graph.add("Mul", x, graph.add("Sigmoid", x))
    return graph.add({"Sigmoid": "Sigmoid", "Tanh": "Tanh", "ReLU": "Relu"}[activation], x)


def _array(tensor: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = tensor.detach().numpy()
    return array
