"""Dense layers with their loss, and AdamW, in the compiled core: what torch says of both."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import logloss.torch
from logloss import _core, kernel
from logloss.kernel import AdamParameter, AdamW, Batches, DenseLayer, DenseLayers

LEVELS = [
    level for level in ("baseline", "x86-64-v3", "x86-64-v4") if _core.kernels_at(level) is not None
]
WIDTHS = [(), (1,), (15,), (16,), (33,), (17, 40), (8, 3, 5)]


@pytest.fixture(params=LEVELS, autouse=True)
def level(request, monkeypatch):
    monkeypatch.setattr(kernel.level, "KERNELS", _core.kernels_at(request.param))


def drawn(hidden, *, members=1, inputs=7, dtype=np.float64, seed=0):
    draw = np.random.default_rng(seed)
    widths = (inputs, *hidden, 1)
    weights = [
        (
            draw.normal(size=(members, a, b)).astype(dtype) / math.sqrt(a),
            draw.normal(size=(members, 1, b)).astype(dtype),
        )
        for a, b in itertools.pairwise(widths)
    ]
    return [DenseLayer(w, b, np.full_like(w, np.nan), np.full_like(b, np.nan)) for w, b in weights]


def both(layers, *activations, n=300, x_of_all=True, pos_weight=1.0, gamma=0.0):
    """Evaluate here and by torch's graph; return losses and gradients of each."""
    if len(activations) == 1:
        activations *= len(layers) - 1
    members, inputs = layers[0].weight.shape[:2]
    dtype = layers[0].weight.dtype
    draw = np.random.default_rng(1)
    x = draw.normal(size=(1 if x_of_all else members, n, inputs)).astype(dtype)
    y, weight = draw.integers(0, 2, n).astype(dtype), draw.random((members, n)).astype(dtype)
    start = draw.normal(size=(members, n)).astype(dtype)
    logits, residual = start.copy(), np.full_like(start, np.nan)
    x_gradient = np.full((members, n, inputs), np.nan, dtype)
    total = DenseLayers(layers, activations).evaluate(
        x if len(x) > 1 else x[0],
        y,
        weight,
        pos_weight=pos_weight,
        gamma=gamma,
        scale=3.0,
        logits=logits,
        residual=residual,
        x_gradient=x_gradient,
    )
    seen = torch.tensor(x).expand(members, -1, -1).clone().requires_grad_()
    parts = [torch.tensor(v, requires_grad=True) for layer in layers for v in layer[:2]]
    units = seen
    for k in range(len(layers)):
        units = torch.baddbmm(parts[2 * k + 1], units, parts[2 * k])
        units = getattr(torch, activations[k])(units) if k + 1 < len(layers) else units
    scores = units.squeeze(-1) + torch.tensor(start)
    scores.retain_grad()
    loss = logloss.torch.binary_cross_entropy_with_logits(
        scores,
        torch.tensor(y).expand_as(scores),
        torch.tensor(weight),
        reduction="sum",
        pos_weight=None if pos_weight == 1 else torch.tensor(pos_weight, dtype=scores.dtype),
        gamma=gamma,
    )
    (3.0 * loss).backward()
    ours = [total, logits, residual, x_gradient, *(v for layer in layers for v in layer[2:])]
    theirs = [loss, scores, scores.grad, seen.grad, *(part.grad for part in parts)]
    return ours, [value.detach().numpy() for value in theirs]


def agree(ours, theirs, tolerance):
    for one, other in zip(ours, theirs, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("hidden", WIDTHS)
def test_layers_of_any_width_are_those_of_the_graph(hidden):
    agree(*both(drawn(hidden), "relu"), 1e-13)


@pytest.mark.parametrize("activation", kernel.DENSE_ACTIVATIONS)
def test_activations_are_those_of_torch(activation):
    agree(*both(drawn((20, 9)), activation), 1e-13)


@pytest.mark.parametrize("activations", list(itertools.permutations(kernel.DENSE_ACTIVATIONS, 2)))
def test_each_layer_has_its_own_activation(activations):
    agree(*both(drawn((20, 9)), *activations), 1e-13)


@pytest.mark.parametrize("activation", kernel.DENSE_ACTIVATIONS)
def test_float32_keeps_its_digits(activation):
    agree(*both(drawn((40, 17), dtype=np.float32), activation), 1e-5)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
def test_any_number_of_rows(n):
    agree(*both(drawn((12,), members=2), "relu", n=n), 1e-13)


@pytest.mark.parametrize("x_of_all", [True, False])
def test_members_go_side_by_side(x_of_all):
    agree(*both(drawn((12, 5), members=3), "tanh", x_of_all=x_of_all), 1e-13)


def test_the_loss_may_be_weighted_and_focal():
    agree(*both(drawn((12,)), "relu", pos_weight=4.0, gamma=1.5), 1e-12)


def trained(layers, x, batches):
    """Train layers on batches, at a rate of 0; return the losses and the gradients."""
    arrays = [(layer[k], layer[k + 2]) for layer in layers for k in (0, 1)]
    parameters = [
        AdamParameter(value, slope, np.zeros_like(value), np.zeros_like(value), 0.0)
        for value, slope in arrays
    ]
    adamw = AdamW(parameters, np.zeros(1, np.float32), (0.9, 0.99), 1e-8)
    options = {"pos_weight": 1.0, "gamma": 0.0, "longest": 1.0}
    losses = DenseLayers(layers, ["tanh"] * (len(layers) - 1)).train(adamw, x, batches, **options)
    return losses, [slope.copy() for _, slope in arrays]


@pytest.mark.parametrize("n", [1, 3, 256, 700])
@pytest.mark.parametrize("inputs", [1, 16, 37])
def test_rows_are_picked_as_if_they_had_been_taken(n, inputs):
    layers = drawn((6,), members=2, inputs=inputs)
    draw = np.random.default_rng(3)
    x, rows = draw.normal(size=(400, inputs)), draw.integers(0, 400, n)
    y, weight = draw.integers(0, 2, n).astype(float), draw.random((2, n))
    batches = Batches(rows, y, weight.ravel(), np.array([n]), np.array([n]), np.zeros(1))
    losses, slopes = trained(layers, x, batches)
    total = DenseLayers(layers, ["tanh"] * (len(layers) - 1)).evaluate(
        x[rows],
        y,
        weight,
        pos_weight=1.0,
        gamma=0.0,
        scale=2 / n,
        logits=np.zeros((2, n)),
        residual=np.empty((2, n)),
    )
    assert losses == [total / n]
    for one, other in zip(slopes, (v for layer in layers for v in layer[2:]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"rows": np.array([0, 5])}, IndexError, "rows must name rows of x"),
        ({"rows": np.array([-1, 0])}, IndexError, "rows must name rows of x"),
        ({"sizes": np.array([1])}, ValueError, "batches must have all rows"),
        ({"sizes": np.array([3, -1])}, ValueError, "batches must have all rows"),
        ({"rates": np.zeros(2)}, ValueError, "batches must have all rows"),
        ({"y": np.zeros(3)}, TypeError, "sizes"),
    ],
)
def test_batches_that_do_not_fit_are_refused(changed, error, said):
    sound = Batches(
        np.array([0, 4]), np.zeros(2), np.ones(2), np.array([2]), np.array([2]), np.zeros(1)
    )
    with pytest.raises(error, match=said):
        trained(drawn((3,)), np.zeros((5, 7)), sound._replace(**changed))


def test_a_number_that_is_none_makes_the_loss_none():
    layers = drawn((12,))
    layers[0].weight[0, 0, 0] = np.nan
    assert np.isnan(both(layers, "relu")[0][0])


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one before it"):
        DenseLayers([*drawn((3,))[:1], *drawn((4,))[1:]], ["relu"])
    with pytest.raises(ValueError, match="one wide"):
        DenseLayers(drawn((3,))[:1], [])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_those_of_torchs_adamw(dtype):
    draw = np.random.default_rng(2)
    values = [draw.normal(size=shape).astype(dtype) for shape in ((3, 5), (17,))]
    tensors = [torch.tensor(v, requires_grad=True) for v in values]
    groups = [{"params": [t], "weight_decay": d} for t, d in zip(tensors, (0.1, 0.0), strict=True)]
    theirs = torch.optim.AdamW(groups, lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    steps = np.zeros(1, np.float32)
    gradients = [np.empty_like(v) for v in values]
    ours = AdamW(
        [
            AdamParameter(v, g, np.zeros_like(v), np.zeros_like(v), decay)
            for v, g, decay in zip(values, gradients, (0.1, 0.0), strict=True)
        ],
        steps,
        (0.9, 0.99),
        1e-8,
    )
    for k in range(5):
        for gradient, tensor in zip(gradients, tensors, strict=True):
            gradient[:] = draw.normal(size=gradient.shape)
            tensor.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_(tensors, 2.0 if k % 2 else 1e3)
        theirs.step()
        ours.step(0.1, 2.0 if k % 2 else 1e3)
    assert steps == 5
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    for value, tensor in zip(values, tensors, strict=True):
        np.testing.assert_allclose(value, tensor.detach().numpy(), rtol=tolerance, atol=tolerance)
