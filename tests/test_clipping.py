"""Clip policies, held to the libraries that they are named after on a grid with all the edges.

torch and scikit-learn are asked here. Keras is asked in processes of its own, with torch and
with JAX below it: what is below is decided once a process, and its settings are files in a
folder that the environment names.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

import logloss.jax
from logloss import binary_cross_entropy
from tests.exact import neighbours

LABELS = (0.0, 0.25, 0.5, 1.0)
SMOOTHINGS = (0.0, 0.125)
precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Grid(NamedTuple):
    """Every label with every probability, in one dtype."""

    y: np.ndarray
    p: np.ndarray


def grid(dtype: type[np.floating], labels: tuple[float, ...] = LABELS) -> Grid:
    """0, 1, subnormals, and both sides of every number at which a library clips something.

    exp(−100) is where torch's logarithm ends, 1e-12 where its gradient does, 1e-7 is Keras's
    epsilon, and the last place of the dtype scikit-learn's.
    """
    info = np.finfo(dtype)
    places = [info.smallest_subnormal, info.tiny, info.eps / 2, info.eps, 2 * info.eps]
    places += [math.exp(-100), 1e-12, 1e-7, 1e-3, 0.25, 0.5]
    small = np.array(neighbours(places, dtype, steps=1), dtype)
    p = np.unique(np.concatenate([small, 1 - small]).clip(0, 1))
    assert {0, info.smallest_subnormal, info.eps, 1 - info.eps, 1} <= set(p.tolist())
    return Grid(np.repeat(np.array(labels, dtype), len(p)), np.tile(p, len(labels)))


def losses(y: Any, p: Any, clip: Any, label_smoothing: float = 0.0) -> np.ndarray:
    """Return the losses of NumPy, after seeing that JAX has the same; it flushes subnormals."""
    options = {"clip": clip, "label_smoothing": label_smoothing, "reduction": "none"}
    values = binary_cross_entropy(y, p, **options)
    with jax.enable_x64(p.dtype == np.float64):
        of_jax = logloss.jax.binary_cross_entropy(y, p, **options)
    info, kept = np.finfo(values.dtype), (p == 0) | (p >= np.finfo(p.dtype).tiny)
    assert of_jax.dtype == values.dtype
    np.testing.assert_allclose(of_jax[kept], values[kept], rtol=4 * info.eps, atol=info.tiny)
    return values


# --- torch: logarithms end at −100 ------------------------------------------------------------


@precisions
def test_clip_torch_is_bce_loss(dtype: type[np.floating]) -> None:
    y, p = grid(dtype)
    theirs = torch.nn.BCELoss(reduction="none")(torch.tensor(p), torch.tensor(y))
    np.testing.assert_allclose(losses(y, p, "torch"), theirs, rtol=2 * np.finfo(dtype).eps)


@precisions
def test_bce_loss_has_the_slope_of_the_loss_until_p_times_1_minus_p_is_1e_12(
    dtype: type[np.floating],
) -> None:
    y, p = grid(dtype)
    at = torch.tensor(p, requires_grad=True)
    torch.nn.BCELoss(reduction="sum")(at, torch.tensor(y)).backward()
    theirs = at.grad.numpy()
    floor = np.float32(1e-12)  # in float64, too
    inside = p * (1 - p) >= floor
    with jax.enable_x64(dtype is np.float64):
        loss = partial(logloss.jax.binary_cross_entropy, clip="torch")
        ours = np.asarray(jax.vmap(jax.grad(loss, 1))(y, p))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=4 * eps, atol=eps)
    # beyond, torch's is no derivative of its loss: a floor keeps it from infinity
    floored = ((p - y) / floor)[~inside]
    np.testing.assert_allclose(theirs[~inside], floored, rtol=4 * eps)


@precisions
def test_clip_torch_has_no_slope_where_the_logarithm_has_ended(dtype: type[np.floating]) -> None:
    with jax.enable_x64(dtype is np.float64):
        loss = partial(logloss.jax.binary_cross_entropy, clip="torch")
        slopes = jax.vmap(jax.grad(loss, 1))(dtype([1, 0]), dtype([0, 1]))
    np.testing.assert_array_equal(slopes, [0, 0])


# --- scikit-learn: the last place of the dtype --------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_clip_sklearn_is_log_loss(dtype: type[np.floating]) -> None:
    y, p = grid(dtype, labels=(0.0, 1.0))
    theirs = [log_loss([label], p[[k]], labels=[0, 1]) for k, label in enumerate(y)]
    # it works in the dtype of p, and takes 1 − p before it takes the logarithm
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(losses(y, p, "sklearn"), theirs, rtol=eps, atol=eps)


@pytest.mark.parametrize(("dtype", "published"), [("f8", 36.0437), ("f4", 15.9424), ("f2", 6.931)])
@pytest.mark.parametrize(("y", "p"), [(1, 0), (0, 1)])
def test_clip_sklearn_has_its_published_values(
    y: int, p: int, dtype: str, published: float
) -> None:
    ours = binary_cross_entropy([y], np.array([p], dtype), clip="sklearn")
    assert ours == pytest.approx(published, abs=5e-4 if dtype == "f2" else 5e-5)


# --- Keras: 1e-7 ------------------------------------------------------------------------------

#: Reads pairs of rows, labels and probabilities; writes Keras's losses of each.
_KERAS = """
import sys
import keras
import numpy as np

answers = {}
for name, (y, p) in np.load(sys.argv[1]).items():
    column = keras.ops.convert_to_tensor(y[:, None]), keras.ops.convert_to_tensor(p[:, None])
    answers[f"{name} entries"] = keras.ops.binary_crossentropy(*column)[:, 0]
    for smoothing in map(float, sys.argv[3:]):
        answers[f"{name} {smoothing}"] = keras.losses.binary_crossentropy(
            *column, label_smoothing=smoothing
        )
np.savez(sys.argv[2], **{name: keras.ops.convert_to_numpy(a) for name, a in answers.items()})
"""


@pytest.fixture(scope="module", params=["torch", "jax"])
def keras(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., np.ndarray]:
    """Return Keras's losses of a grid, by dtype and smoothing; "entries" are not yet averaged."""
    folder: Path = tmp_path_factory.mktemp("keras")
    asked, said = folder / "asked.npz", folder / "said.npz"
    np.savez(asked, **{d.__name__: np.stack(grid(d)) for d in (np.float32, np.float64)})
    own = {"KERAS_BACKEND": request.param, "KERAS_HOME": str(folder), "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-c", _KERAS, asked, said, *map(str, SMOOTHINGS)]
    subprocess.run(command, env={**os.environ, **own}, check=True)
    answers = dict(np.load(said))
    return lambda dtype, what: answers[f"{dtype.__name__} {what}"]


@precisions
def test_clip_keras_is_binary_crossentropy_entry_by_entry(keras: Any, dtype: Any) -> None:
    y, p = grid(dtype)
    # with JAX below, it takes 1 − p before it takes the logarithm
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(
        losses(y, p, "keras"), keras(dtype, "entries"), rtol=2 * eps, atol=eps
    )


@precisions
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_clip_keras_is_keras_s_loss(keras: Any, dtype: Any, smoothing: float) -> None:
    y, p = grid(dtype)
    # its mean, even of one entry, is taken in float32
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(
        losses(y, p, "keras", smoothing), keras(dtype, smoothing), rtol=2 * eps, atol=eps
    )


@pytest.mark.parametrize(("y", "p", "published"), [(1, 0, 16.118), (0, 1, 15.942)])
def test_clip_keras_has_its_published_values_in_float32(y: int, p: int, published: float) -> None:
    loss = binary_cross_entropy([y], np.array([p], np.float32), clip="keras")
    assert loss == pytest.approx(published, abs=5e-4)


# --- clipping by number, and what is left alone ------------------------------------------------


def test_a_number_moves_probabilities_inside() -> None:
    clipped = binary_cross_entropy([1, 1, 0], [0.0, 0.5, 1.0], clip=0.01, reduction="none")
    np.testing.assert_allclose(clipped, [-math.log(0.01), math.log(2), -math.log(0.01)], rtol=1e-14)


@pytest.mark.parametrize("clip", [1e-3, "sklearn", "keras", "torch"])
@precisions
def test_clipping_leaves_what_lies_inside_alone(clip: Any, dtype: type[np.floating]) -> None:
    y, p = (array[(grid(dtype).p > 1e-3) & (grid(dtype).p < 0.999)] for array in grid(dtype))
    np.testing.assert_array_equal(losses(y, p, clip), losses(y, p, None))
