"""The optimisation itself, against derivatives taken by hand."""

import numpy as np
import pytest
import torch

from logloss.formulas import loss_from_logits
from logloss.network.module import first_network
from logloss.network.training import train


@pytest.fixture
def problem():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3))
    y = (rng.random(60) < 1 / (1 + np.exp(-X[:, 0] * X[:, 1] * 3))).astype(float)
    weight = np.full(60, 1 / 60)
    network = first_network(X, weight, y.mean(), 4, np.random.RandomState(0))
    x = network.standardise(torch.from_numpy(X))
    return network, x, torch.from_numpy(y), torch.from_numpy(weight)


def test_the_reported_gradient_holds_at_the_end(problem):
    network, x, y, weight = problem
    training = train(network, x, y, weight, alpha=1e-3, tol=1e-6, max_scans=1000)
    assert training.gradient <= 1e-6


def test_the_end_is_a_stationary_point_of_the_stated_objective(problem):
    network, x, y, weight = problem
    alpha = 1e-3
    train(network, x, y, weight, alpha=alpha, tol=1e-9, max_scans=1000)
    A, b, v, c = (parameter.detach().numpy() for parameter in network.parameters())
    h = 1 / (1 + np.exp(-(x.numpy() @ A.T + b)))
    residual = weight.numpy() * (1 / (1 + np.exp(-(h @ v + c))) - y.numpy())
    back = residual[:, None] * v * h * (1 - h)
    np.testing.assert_allclose(h.T @ residual + alpha * v, 0, atol=1e-8)
    np.testing.assert_allclose(residual.sum(), 0, atol=1e-8)
    np.testing.assert_allclose(back.T @ x.numpy() + alpha * A, 0, atol=1e-8)
    np.testing.assert_allclose(back.sum(axis=0), 0, atol=1e-8)


def test_losses_never_end_above_where_they_began(problem):
    network, x, y, weight = problem
    losses = train(network, x, y, weight, alpha=1e-3, tol=1e-6, max_scans=1000).losses
    assert losses[-1] < losses[0]


def test_the_first_step_sees_the_gradient_at_logit_zero():
    # A base rate of one half starts every row at z = 0, where |z| has a corner
    # but the loss has none: the gradient there is 1/2 - y.
    logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    loss_from_logits(torch.tensor([0.0, 1.0], dtype=torch.float64), logits, torch).sum().backward()
    assert logits.grad.tolist() == [0.5, -0.5]


def test_a_constant_feature_leaves_the_logits_finite():
    X = np.column_stack([np.full(8, 1e6 / 3), np.arange(8.0)])
    network = first_network(X, np.full(8, 1 / 8), 0.5, 2, np.random.RandomState(0))
    assert network.scale[0] == 1.0
    assert torch.isfinite(network(torch.from_numpy(X))).all()
