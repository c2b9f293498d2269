"""ONNX graphs say what models say."""

import itertools
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest

import logloss
from logloss import NetworkClassifier
from logloss.errors import ArgumentError, MissingExtraError
from logloss.rows.protocols import Batch

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(200, 3)) * [1, 1e4, 1e-4] + [0, 1e6, 0]
Y = (DRAW.random(200) < 0.4).astype(int)


def said(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logit", "probability"], inputs)


@pytest.fixture(scope="module")
def table():
    kind = DRAW.choice(["a", "b", "c"], 200)
    return pd.DataFrame({"x": X[:, 1], "z": X[:, 0], "kind": kind, "sort": kind[::-1], "y": Y})


@pytest.mark.parametrize(
    ("numbers", "activation", "normalization"),
    [
        *itertools.product(["both"], ["sigmoid", "tanh", "relu", "gelu", "silu"], [None]),
        *itertools.product(["robust", "quantile"], ["relu"], ["layer"]),
    ],
)
def test_a_network_classifier(tmp_path, numbers, activation, normalization):
    network = NetworkClassifier(
        (8, 8),
        numbers=numbers,
        activation=activation,
        normalization=normalization,
        residual=True,
        members=2,
        epochs=3,
        pos_weight=2.0,
        random_state=0,
    ).fit(X, Y)
    network.to_onnx(tmp_path / "m.onnx")
    logit, probability = said(tmp_path / "m.onnx", numbers=X)
    np.testing.assert_allclose(logit, network.decision_function(X), atol=1e-5)
    np.testing.assert_allclose(probability, network.predict_proba(X)[:, 1], atol=1e-5)


def test_a_network_with_a_line_beside_it(tmp_path):
    y = (np.random.default_rng(3).random(200) < logloss.sigmoid(X[:, 0])).astype(int)
    network = NetworkClassifier(epochs=3, random_state=0).fit(X, y)
    assert network.line_ is not None
    network.to_onnx(tmp_path / "m.onnx")
    logit, _ = said(tmp_path / "m.onnx", numbers=X)
    np.testing.assert_allclose(logit, network.decision_function(X), atol=1e-5)


def encoded(model, table):
    (batch,) = model.open(table).blocks()
    block = model.design.encode(Batch(0, batch.table))
    inputs = {"numbers": block.numbers, "codes": block.codes.astype(np.int64)}
    return {name: np.ascontiguousarray(v) for name, v in inputs.items() if v.shape[1]}


@pytest.mark.parametrize("kind", ["logistic", "network"])
@pytest.mark.parametrize("features", [["x", "z", "kind", "sort"], ["x"], ["kind"]])
@pytest.mark.parametrize("base_rate", [None, 0.1])
def test_a_model_of_a_table(tmp_path, table, kind, features, base_rate):
    options = {"hidden": (4,), "quality": "fast"} if kind == "network" else {}
    model = logloss.fit(table, "y", features=features, model=kind, base_rate=base_rate, **options)
    model.to_onnx(tmp_path / "m.onnx")
    other = table.assign(kind=table["kind"].replace("c", "never seen"))
    with pytest.warns(logloss.errors.UnseenWarning) if "kind" in features else nothing():
        want = model.predict(other)
    logit, probability = said(tmp_path / "m.onnx", **encoded(model, other))
    np.testing.assert_allclose(logit, want["logit"].to_numpy(), atol=1e-5)
    np.testing.assert_allclose(probability, want["probability"].to_numpy(), atol=1e-5)


class nothing:  # noqa: N801  (stands where a warning is expected)
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_a_focal_correction_has_no_graph(tmp_path):
    network = NetworkClassifier((4,), gamma=1.0, members=1, epochs=1, random_state=0).fit(X, Y)
    with pytest.raises(ArgumentError, match="focal"):
        network.to_onnx(tmp_path / "m.onnx")


def test_an_offset_has_no_graph(tmp_path, table):
    model = logloss.fit(table, "y", features=["x"], offset="z")
    with pytest.raises(ArgumentError, match="offset"):
        model.to_onnx(tmp_path / "m.onnx")


def test_a_missing_extra_is_named(tmp_path, table, monkeypatch):
    model = logloss.fit(table, "y", features=["x"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in ("logloss.onnx", "logloss.logistic.export"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=r"\[onnx\]"):
        model.to_onnx(tmp_path / "m.onnx")
