"""What torch's own losses do not have: dtypes of labels, half precision, masks, exact sums."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import logloss
from logloss.torch import BCELoss, BCEWithLogitsLoss
from logloss.torch import binary_cross_entropy as of_probabilities
from logloss.torch import binary_cross_entropy_with_logits as of_logits

INF = math.inf
Z = torch.tensor([2.0, -1.0, 0.5, -3.0])
Y = torch.tensor([1, 0, 0, 1])
HALVES = (torch.float16, torch.bfloat16)
every_loss = pytest.mark.parametrize("loss", [of_logits, of_probabilities])


def scores(loss: Any) -> Tensor:
    return Z if loss is of_logits else torch.sigmoid(Z)


# --- labels ---------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, *HALVES, torch.float64],
    ids=str,
)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_labels_of_any_dtype_are_the_same_labels(
    loss: Any, dtype: torch.dtype, reduction: str
) -> None:
    results = []
    for target in (Y.to(dtype), Y.float()):
        leaf = scores(loss).clone().requires_grad_()
        value = loss(leaf, target, reduction=reduction)
        value.sum().backward()
        results.append((value.detach(), leaf.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_smoothing_moves_labels_to_the_middle() -> None:
    smooth = Y * 0.75 + 0.125
    assert torch.equal(of_logits(Z, Y, label_smoothing=0.25), of_logits(Z, smooth))
    p = torch.sigmoid(Z).requires_grad_()
    others = p.detach().clone().requires_grad_()
    of_probabilities(p, Y, label_smoothing=0.25).backward()
    of_probabilities(others, smooth).backward()
    torch.testing.assert_close(p.grad, others.grad)


# --- weights and masks ----------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@every_loss
def test_a_mask_leaves_out_what_is_unlabelled(loss: Any, weighted: bool, reduction: str) -> None:
    where = torch.tensor([True, False, True, False])
    weight = torch.tensor([2.0, 3.0, 0.5, 1.0]) if weighted else None
    input, target = scores(loss).clone(), Y.float()
    input[~where], target[~where] = math.nan, math.nan
    input.requires_grad_()
    value = loss(input, target, weight, where=where, reduction=reduction)
    value.sum().backward()
    kept = scores(loss)[where].requires_grad_()
    expected = loss(kept, Y[where], None if weight is None else weight[where], reduction=reduction)
    expected.sum().backward()
    assert torch.equal(value[where] if reduction == "none" else value, expected)
    assert torch.equal(input.grad[where], kept.grad)
    assert torch.equal(input.grad[~where], torch.zeros(2))
    if reduction == "none":
        assert torch.equal(value[~where], torch.zeros(2))


@every_loss
def test_a_mask_of_one_row_holds_for_all(loss: Any) -> None:
    where = torch.tensor([True, False])
    input, target = scores(loss).reshape(2, 2), Y.reshape(2, 2)
    assert loss(input, target, where=where) == loss(input[:, 0], target[:, 0])


@every_loss
@pytest.mark.parametrize("composed", [False, True])
def test_a_mean_in_which_nothing_counts_is_nan(loss: Any, composed: bool) -> None:
    input = scores(loss).clone().requires_grad_()
    weight = torch.ones(4, requires_grad=composed)
    value = loss(input, Y, weight, where=torch.zeros(4, dtype=torch.bool))
    value.backward()
    assert math.isnan(value.item())
    assert torch.equal(input.grad, torch.zeros(4))


@pytest.mark.parametrize("composed", [False, True])
def test_a_weight_of_0_leaves_out_what_is_infinite(composed: bool) -> None:
    input = torch.tensor([INF, -INF, 1.0], requires_grad=True)
    weight = torch.tensor([0.0, 1.0, 2.0], requires_grad=composed)
    value = of_logits(input, torch.tensor([0, 0, 1]), weight, reduction="sum")
    value.backward()
    assert value.item() == pytest.approx(2 * math.log1p(math.exp(-1)))
    torch.testing.assert_close(input.grad, torch.tensor([0, 0, -2 / (1 + math.e)]))


def test_focal_loss_is_the_loss_of_numpy() -> None:
    value = of_logits(Z.double(), Y, pos_weight=torch.tensor(3.0), gamma=2.0)
    expected = logloss.binary_cross_entropy_with_logits(
        Y.numpy(), Z.double().numpy(), pos_weight=3.0, gamma=2.0
    )
    assert value.item() == expected


# --- half precision -------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_is_computed_in_float32_and_rounded_once(
    loss: Any, dtype: torch.dtype
) -> None:
    halves = scores(loss).to(dtype).requires_grad_()
    singles = halves.detach().float().requires_grad_()
    for value in (loss(halves, Y), loss(singles, Y)):
        value.backward()
    assert loss(halves, Y).dtype is dtype
    assert loss(halves, Y) == loss(singles, Y).to(dtype)
    assert torch.equal(halves.grad, singles.grad.to(dtype))


@every_loss
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("compiled", [False, True])
def test_under_autocast_losses_are_float32(loss: Any, dtype: torch.dtype, compiled: bool) -> None:
    torch.manual_seed(0)
    net, x = nn.Linear(3, 1), torch.randn(4, 3)
    target = Y[:, None]

    def step(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=dtype):
            out = net(x)
            return loss(out if loss is of_logits else torch.sigmoid(out), target)

    if compiled:
        torch._dynamo.reset()
        step = torch.compile(step, fullgraph=True, backend="aot_eager")
    value = step(x)
    value.backward()
    assert value.dtype is torch.float32
    with torch.autocast("cpu", dtype=dtype):
        out = net(x)
    expected = functional.binary_cross_entropy_with_logits(out.float(), target.float())
    torch.testing.assert_close(value, expected, rtol=1e-2, atol=0)
    assert net.weight.grad is not None


def test_weights_of_half_precision_will_do() -> None:
    weight = torch.tensor([0.5, 1.0, 2.0, 1.5])
    for dtype in HALVES:
        assert of_logits(Z, Y, weight.to(dtype)) == of_logits(Z, Y, weight)


# --- exactness ------------------------------------------------------------------------------


def test_means_are_the_exact_sum_over_the_count_on_any_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    z = 10 * torch.randn(500_000, generator=generator)
    y = torch.rand(500_000, generator=generator) < 0.5
    losses = of_logits(z, y, reduction="none").double().tolist()
    expected = torch.tensor(math.fsum(losses) / len(losses)).float()
    threads = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            assert of_logits(z, y) == expected
            assert of_logits(z.flip(0), y.flip(0)) == expected
    finally:
        torch.set_num_threads(threads)


def test_tails_that_torch_loses_are_kept() -> None:
    z = torch.tensor([-10.0, -17.0, -80.0], requires_grad=True)
    losses = of_logits(z, torch.zeros(3), reduction="none")
    torch.testing.assert_close(losses, torch.log1p(torch.exp(z)), rtol=2e-7, atol=0)
    torchs = functional.binary_cross_entropy_with_logits(z, torch.zeros(3), reduction="none")
    assert torchs[1:].tolist() == [0, 0]
    losses.sum().backward()
    torch.testing.assert_close(z.grad, torch.exp(z.detach().double()).float(), rtol=5e-5, atol=0)


def test_infinite_logits_cost_nothing_on_their_side() -> None:
    z = torch.tensor([INF, -INF], requires_grad=True)
    right, wrong = torch.tensor([1, 0]), torch.tensor([0, 1])
    assert functional.binary_cross_entropy_with_logits(z, right.float()).isnan()
    loss = BCEWithLogitsLoss()(z, right)
    loss.backward()
    assert (loss.item(), z.grad.tolist()) == (0, [0, 0])
    assert BCEWithLogitsLoss()(z, wrong).item() == INF


def test_a_sum_beyond_float32_is_infinite() -> None:
    z = torch.tensor([-3e38, -3e38, -3e38])
    assert of_logits(z, torch.ones(3), reduction="sum").item() == INF
    assert of_logits(z, torch.ones(3)).item() == z.neg()[0].item()


@pytest.mark.parametrize("loss", [BCELoss(), BCEWithLogitsLoss()])
def test_a_large_tensor_is_not_copied(loss: Any) -> None:
    import tracemalloc

    p, y = torch.full((1_000_000,), 0.25), torch.zeros(1_000_000, dtype=torch.bool)
    loss(p, y)
    tracemalloc.start()
    try:
        loss(p, y)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_nan_stays_nan() -> None:
    z = torch.tensor([math.nan, 1.0], requires_grad=True)
    loss = of_logits(z, torch.ones(2))
    loss.backward()
    assert loss.isnan()
    assert z.grad[0].isnan()
    assert z.grad[1].item() == pytest.approx(-0.5 / (1 + math.e))
