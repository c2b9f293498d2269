"""The table of truth, held to the losses for torch: by the kernel and by torch's operations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, vmap

from logloss.torch import binary_cross_entropy, binary_cross_entropy_with_logits
from tests import exact, truth_table
from tests.truth_table import OPTIONS, Case

# torch warns of itself, when forward mode is first used
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

NAMES = ("loss", "gradient", "hessian")
#: Rounding errors of ½ ulp that add up where both exponential and logarithm are torch's; its
#: Hessians of the focal loss have many terms.
HALF_ULPS = 12
Triple = tuple[Tensor, Tensor, Tensor]

every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
every_form = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: ", ".join(f"{k}={v:g}" for k, v in o.items()) or "plain"
)


@cache
def table() -> tuple[Case, ...]:
    return tuple(truth_table.cases(far=True))


def cases(dtype: torch.dtype, options: Mapping[str, float]) -> tuple[list[Case], Tensor, Tensor]:
    """Return the part of the table with these options, its labels, and its logits."""
    limit = max(truth_table.FAR) if dtype is torch.float64 else min(truth_table.FAR) - 1
    of_form = [c for c in table() if c.options == options]
    part = [c for c in of_form if abs(c.z) <= limit or math.isinf(c.z)]
    y, z = (torch.tensor([getattr(c, name) for c in part], dtype=dtype) for name in "yz")
    return part, y, z


def loss_with(options: Mapping[str, float], dtype: torch.dtype, **others: Any) -> Any:
    chosen: dict[str, Any] = dict(options)
    if "pos_weight" in chosen:
        chosen["pos_weight"] = torch.tensor(chosen["pos_weight"], dtype=dtype)
    return partial(binary_cross_entropy_with_logits, **chosen, **others)


def by_kernel(y: Tensor, z: Tensor, options: Mapping[str, float]) -> Triple:
    """Loss and gradient of one pass; the Hessian from the gradient's graph."""
    z = z.requires_grad_()
    losses = loss_with(options, z.dtype, reduction="none")(z, y)
    (kernels,) = torch.autograd.grad(losses.sum(), z, retain_graph=True)
    (gradient,) = torch.autograd.grad(losses.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), z)
    return losses.detach(), kernels, second


def by_transforms(y: Tensor, z: Tensor, options: Mapping[str, float]) -> Triple:
    """The same three by torch.func, entry by entry."""
    loss = loss_with(options, z.dtype)
    return tuple(vmap(f)(z, y) for f in (loss, grad(loss), hessian(loss)))


def assert_true(part: list[Case], values: Triple, dtype: torch.dtype) -> None:
    """Assert that each value is the table's, but for a few roundings of the terms in it."""
    info = torch.finfo(dtype)
    for k, name in enumerate(NAMES):
        assert values[k].dtype is dtype
        for case, value in zip(part, values[k].tolist(), strict=True):
            true = getattr(case, name)
            if math.isinf(true):
                assert value == true, case.name
                continue
            # exp(−γ|z|) is as wrong as its argument, which is rounded itself
            powers = 1 + case.options.get("gamma", 0.0) * min(abs(case.z), 800.0)
            bound = HALF_ULPS * powers * info.eps / 2 * case.scale[k] + 2 * info.tiny
            assert abs(value - true) <= bound, f"{name} at {case.name}: {value}, not {true}"


@every_dtype
@every_form
@pytest.mark.parametrize("way", [by_kernel, by_transforms])
def test_losses_and_derivatives_are_true(
    way: Any, options: Mapping[str, float], dtype: torch.dtype
) -> None:
    part, y, z = cases(dtype, options)
    assert_true(part, way(y, z, options), dtype)


@every_dtype
@every_form
@pytest.mark.parametrize("way", [by_kernel, by_transforms])
def test_infinite_logits_are_exact(
    way: Any, options: Mapping[str, float], dtype: torch.dtype
) -> None:
    part, y, z = cases(dtype, options)
    at = torch.isinf(z)
    for name, values in zip(NAMES, way(y, z, options), strict=True):
        true = torch.tensor([getattr(case, name) for case in part], dtype=dtype)
        torch.testing.assert_close(values[at], true[at], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_losses_of_probabilities_are_true(dtype: type[np.floating], y: float) -> None:
    p = exact.hard_probabilities(dtype)
    true = [exact.loss_from_probability(y, each) for each in p]
    kept = [k for k, loss in enumerate(true) if loss <= 100]
    scores = torch.from_numpy(p[kept])
    values = binary_cross_entropy(scores, torch.full_like(scores, y), reduction="none")
    exact.assert_close(values.numpy(), [true[k] for k in kept], p[kept], within=1)
