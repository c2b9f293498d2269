"""In place of torch's own losses: the same values, gradients, shapes and errors, live."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import logloss.torch as ours
from logloss.errors import ArgumentError, LabelError, ProbabilityError

REDUCTIONS = ("mean", "sum", "none")
LABELS = (0.0, 0.25, 0.5, 1.0)
#: Both sides of where torch loses a tail: there it is compared in float64.
LOGITS = (-100.0, -20.0, -3.0, -0.5, -0.0, 0.0, 1e-3, 1.0, 9.0, 30.0, 80.0)
PROBABILITIES = (0.0, 1e-40, 1e-12, 1e-3, 0.25, 0.5, 0.9, 1 - 2.0**-24, 1.0)


def grid(scores: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Scores of shape (len(scores), 4), each beside every label."""
    target, input = torch.meshgrid(torch.tensor(LABELS), torch.tensor(scores), indexing="xy")
    return input.contiguous().double(), target.contiguous().double()


def both(mine: Any, theirs: Any, input: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Loss and gradient of both, weighted so that each entry of an unreduced loss counts."""
    results = []
    for loss in (mine, theirs):
        leaf = input.clone().requires_grad_()
        value = loss(leaf, target)
        factor = torch.arange(1.0, value.numel() + 1, dtype=value.dtype).reshape(value.shape)
        (value * factor).sum().backward()
        results.append((value.detach(), leaf.grad))
    return zip(*results, strict=True)


def assert_same(mine: Any, theirs: Any, input: Tensor, target: Tensor, *, rtol: float) -> None:
    for own, other in both(mine, theirs, input, target):
        torch.testing.assert_close(own, other, rtol=rtol, atol=1e-12)


# --- with logits ----------------------------------------------------------------------------

WEIGHTS = {
    "none": None,
    "full": torch.linspace(0.5, 2, 44).double().reshape(11, 4),
    "a column": torch.tensor([1.0, 2.0, 0.5, 0.0]).double(),
    "a row": torch.linspace(-1, 3, 11).double()[:, None],
    "one number": torch.tensor(2.5).double(),
    "of another dtype": torch.tensor([1, 2, 3, 4]),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("pos_weight", WEIGHTS)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_loss_of_logits_is_torch_s(weight: str, pos_weight: str, reduction: str) -> None:
    options = {
        "weight": WEIGHTS[weight],
        "pos_weight": WEIGHTS[pos_weight],
        "reduction": reduction,
    }
    assert_same(
        ours.BCEWithLogitsLoss(**options),
        nn.BCEWithLogitsLoss(**options),
        *grid(LOGITS),
        rtol=1e-6,  # torch's, where its tail begins to go
    )


@pytest.mark.parametrize("target", [-1.0, 1.5, 7.0])
def test_targets_outside_0_to_1_are_taken_as_torch_takes_them(target: float) -> None:
    input, labels = grid(LOGITS)
    labels = torch.full_like(labels, target)
    assert_same(
        ours.binary_cross_entropy_with_logits,
        functional.binary_cross_entropy_with_logits,
        input,
        labels,
        rtol=1e-6,
    )


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (2, 3, 4, 5)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_any_shape_will_do(shape: tuple[int, ...], reduction: str) -> None:
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(shape, generator=generator).double()
    target = torch.rand(shape, generator=generator).double()
    for mine, theirs in (
        (ours.binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits),
        (ours.binary_cross_entropy, functional.binary_cross_entropy),
    ):
        scores = input if "logits" in mine.__name__ else input.sigmoid()
        for own, other in both(
            lambda *pair, f=mine: f(*pair, reduction=reduction),
            lambda *pair, f=theirs: f(*pair, reduction=reduction),
            scores,
            target,
        ):
            torch.testing.assert_close(own, other, equal_nan=True)


@pytest.mark.parametrize(
    "lay",
    [
        lambda t: t.T.contiguous().T,
        lambda t: t.repeat_interleave(2, dim=1)[:, ::2],
        lambda t: t.flip(0),
        lambda t: t[:, :1].expand(-1, 4),
        nn.Parameter,
    ],
    ids=["transposed", "strided", "flipped", "expanded", "a parameter"],
)
def test_any_layout_will_do(lay: Any) -> None:
    input, target = grid(LOGITS)
    assert_same(
        lambda z, y: ours.binary_cross_entropy_with_logits(lay(z).detach() + 0 * z, y),
        lambda z, y: functional.binary_cross_entropy_with_logits(lay(z).detach() + 0 * z, y),
        input,
        target,
        rtol=1e-6,
    )
    torch.testing.assert_close(
        ours.binary_cross_entropy_with_logits(lay(input), lay(target).detach()),
        functional.binary_cross_entropy_with_logits(lay(input), lay(target).detach()),
    )


@pytest.mark.parametrize(("n", "k"), [(300_000, 1), (3, 100_000), (70_001, 7)])
def test_many_entries_on_threads_are_torch_s(n: int, k: int) -> None:
    generator = torch.Generator().manual_seed(1)
    input = 4 * torch.randn(n, k, generator=generator).double()
    target = (torch.rand(n, k, generator=generator) < 0.3).double()
    pos_weight = torch.rand(k, generator=generator).double()
    for options in ({}, {"pos_weight": pos_weight}, {"reduction": "none", "weight": pos_weight}):
        assert_same(
            ours.BCEWithLogitsLoss(**options),
            nn.BCEWithLogitsLoss(**options),
            input,
            target,
            rtol=1e-7,
        )


# --- of probabilities -----------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_probabilities_is_torch_s(
    weighted: bool, dtype: torch.dtype, reduction: str
) -> None:
    input, target = (tensor.to(dtype) for tensor in grid(PROBABILITIES))
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0]).to(dtype) if weighted else None
    assert_same(
        ours.BCELoss(weight, reduction=reduction),
        nn.BCELoss(weight, reduction=reduction),
        input,
        target,
        rtol=2e-6 if dtype is torch.float32 else 1e-14,
    )


@pytest.mark.parametrize("value", [1.25, -0.5, float("nan")])
def test_a_probability_outside_0_to_1_raises_as_in_torch(value: float) -> None:
    input, target = torch.tensor([[0.5, 0.5], [value, -1.0]]), torch.zeros(2, 2)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        nn.BCELoss()(input, target)
    said = re.escape(f"input must lie in [0, 1]; input[1, 0] is {value!r}. The order")
    with pytest.raises(ProbabilityError, match=said) as caught:
        ours.BCELoss()(input, target)
    assert caught.value.index == (1, 0)


def test_a_target_outside_0_to_1_raises_as_in_torch() -> None:
    input, target = torch.tensor([0.5, 0.5]), torch.tensor([1, 2])
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        nn.BCELoss()(input, target.float())
    with pytest.raises(LabelError, match=r"target\[1\] is 2"):
        ours.BCELoss()(input, target)


def test_masked_probabilities_are_not_checked() -> None:
    input, target = torch.tensor([0.25, 7.0, 0.5]), torch.tensor([0.0, 1.0, float("nan")])
    where = torch.tensor([True, False, False])
    input.requires_grad_()
    loss = ours.binary_cross_entropy(input, target, where=where)
    loss.backward()
    torch.testing.assert_close(loss.detach(), -torch.log(torch.tensor(0.75)))
    torch.testing.assert_close(input.grad, torch.tensor([1 / 0.75, 0, 0]))


# --- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_arguments_stand_in_torch_s_order(name: str) -> None:
    import inspect

    mine, theirs = (
        [p for p in inspect.signature(getattr(module, name)).parameters.values()]
        for module in (ours, functional)
    )
    assert [(p.name, p.default) for p in mine[: len(theirs)]] == [
        (p.name, p.default) for p in theirs
    ]
    assert {p.kind for p in mine[len(theirs) :]} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", ["BCELoss", "BCEWithLogitsLoss"])
def test_modules_are_torch_s_and_take_its_arguments(name: str) -> None:
    mine, theirs = getattr(ours, name), getattr(nn, name)
    assert issubclass(mine, theirs)
    weight = torch.tensor([1.0, 2.0])
    positional = [weight, None, None, "sum", weight][: 4 if name == "BCELoss" else 5]
    input, target = torch.tensor([0.25, 0.5]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(mine(*positional)(input, target), theirs(*positional)(input, target))
    assert mine(*positional).state_dict().keys() == theirs(*positional).state_dict().keys()


@pytest.mark.parametrize(
    ("average", "reduce"), list(itertools.product([None, True, False], repeat=2))
)
@pytest.mark.filterwarnings("ignore:size_average and reduce args will be deprecated")
def test_the_old_words_for_reduction_are_understood(
    average: bool | None, reduce: bool | None
) -> None:
    input, target = torch.tensor([0.25, 0.5]), torch.tensor([0.0, 1.0])
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        mine, theirs = getattr(ours, name), getattr(functional, name)
        torch.testing.assert_close(
            mine(input, target, None, average, reduce, "sum"),
            theirs(input, target, None, average, reduce, "sum"),
        )
    assert (
        ours.BCELoss(None, average, reduce).reduction == nn.BCELoss(None, average, reduce).reduction
    )


def test_torch_s_own_losses_do_what_the_documentation_says_of_them() -> None:
    z = torch.tensor([1.0, -1.0])
    for loss in (functional.binary_cross_entropy, functional.binary_cross_entropy_with_logits):
        with pytest.raises(RuntimeError):
            loss(z.sigmoid(), torch.tensor([1, 0]))
    infinite, weight = torch.tensor([float("inf")]), torch.zeros(1)
    torchs = functional.binary_cross_entropy_with_logits
    assert torchs(infinite, torch.zeros(1), weight).isnan()
    tail = torch.tensor([17.0], requires_grad=True)
    torchs(tail, torch.ones(1)).backward()
    assert tail.grad.item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("other", [torch.float32, torch.float64, torch.float16], ids=str)
def test_the_loss_has_the_dtype_of_the_input_where_torch_s_has_the_target_s(
    dtype: torch.dtype, other: torch.dtype
) -> None:
    z, y = torch.zeros(2, dtype=dtype), torch.ones(2, dtype=other)
    assert ours.binary_cross_entropy_with_logits(z, y).dtype is dtype
    assert functional.binary_cross_entropy_with_logits(z, y).dtype is other
    assert ours.binary_cross_entropy(z, y).dtype is dtype
    if other is not dtype:
        with pytest.raises(RuntimeError, match="Found dtype"):
            functional.binary_cross_entropy(z, y)


def test_shapes_that_differ_raise_as_in_torch() -> None:
    input, target = torch.zeros(3, 1), torch.zeros(3)
    for loss in (nn.BCEWithLogitsLoss(), nn.BCELoss()):
        with pytest.raises(ValueError, match="size"):
            loss(input, target)
    for loss in (ours.BCEWithLogitsLoss(), ours.BCELoss()):
        with pytest.raises(ArgumentError, match=r"target must have the shape of input, \(3, 1\)"):
            loss(input, target)


@pytest.mark.parametrize("name", ["weight", "pos_weight", "where"])
@pytest.mark.parametrize("shape", [(2,), (3, 2), (1, 2, 3)])
def test_weights_that_do_not_broadcast_to_the_input_raise(
    name: str, shape: tuple[int, ...]
) -> None:
    wrong = torch.ones(shape, dtype=torch.bool if name == "where" else torch.float32)
    input = torch.zeros(2, 3)
    with pytest.raises(ArgumentError, match=rf"{name} must broadcast to the shape of input"):
        ours.binary_cross_entropy_with_logits(input, input, **{name: wrong})
    if name != "where":
        with pytest.raises(RuntimeError):
            functional.binary_cross_entropy_with_logits(input, input, **{name: wrong})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reduction": "batchmean"}, "reduction must be 'mean', 'sum' or 'none'; got 'batchmean'"),
        ({"label_smoothing": 1.5}, "label_smoothing must lie in [0, 1]; got 1.5"),
        ({"gamma": -1.0}, "gamma must lie in [0, 1e+09]; got -1.0"),
        ({"gamma": float("nan")}, "gamma must lie in [0, 1e+09]; got nan"),
        ({"where": torch.ones(3)}, "where must be a boolean mask; its dtype is torch.float32"),
    ],
)
def test_options_out_of_range_raise(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(said)):
        ours.binary_cross_entropy_with_logits(torch.zeros(3), torch.zeros(3), **options)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
def test_scores_that_are_no_floats_raise(dtype: torch.dtype) -> None:
    for loss in (ours.binary_cross_entropy, ours.binary_cross_entropy_with_logits):
        with pytest.raises(ArgumentError, match=f"input must be of a float dtype; it is {dtype}"):
            loss(torch.zeros(3, dtype=dtype), torch.zeros(3))


@pytest.mark.parametrize("name", ["target", "weight", "pos_weight"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn], ids=str)
def test_what_is_no_number_to_the_losses_raises(name: str, dtype: torch.dtype) -> None:
    wrong = torch.zeros(3).to(dtype)
    said = f"{name} must be bool, integers, or floats of at least 16 bits; its dtype is {dtype}"
    with pytest.raises(ArgumentError, match=said):
        ours.binary_cross_entropy_with_logits(
            torch.zeros(3), **{"target": torch.zeros(3), name: wrong}
        )


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("input", [0.0, 0.0], "list"),
        ("target", np.zeros(2), "ndarray"),
        ("weight", 2.0, "float"),
        ("pos_weight", 2.0, "float"),
        ("where", [True, False], "list"),
    ],
)
def test_what_is_no_tensor_raises(name: str, value: Any, kind: str) -> None:
    given = {"input": torch.zeros(2), "target": torch.zeros(2), name: value}
    with pytest.raises(ArgumentError, match=f"{name} must be a tensor; it is of type {kind}"):
        ours.binary_cross_entropy_with_logits(**given)


def test_modules_show_copy_and_pickle_their_options() -> None:
    loss = ours.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0), label_smoothing=0.1, gamma=2.0)
    assert repr(loss) == "BCEWithLogitsLoss(label_smoothing=0.1, gamma=2.0)"
    assert repr(ours.BCELoss()) == "BCELoss()"
    assert repr(ours.BCELoss(label_smoothing=0.5)) == "BCELoss(label_smoothing=0.5)"
    input, target = torch.tensor([0.25, -2.0]), torch.tensor([0, 1])
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other(input, target) == loss(input, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("changed", [0, 1], ids=["logits", "target"])
def test_what_was_changed_since_the_forward_pass_is_not_differentiated(
    reduction: str, changed: int
) -> None:
    for module in (ours.BCEWithLogitsLoss, nn.BCEWithLogitsLoss):
        leaf = torch.tensor([0.5, -1.0], requires_grad=True)
        given = (leaf * 2, torch.tensor([0.25, 1.0]))
        loss = module(reduction=reduction)(*given).sum()
        with torch.no_grad():
            given[changed].mul_(0.5)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.grad(loss, leaf, create_graph=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_loss_is_where_the_logits_are_whatever_the_default_device(reduction: str) -> None:
    logits, target = torch.zeros(3, requires_grad=True), torch.ones(3)
    with torch.device("meta"):
        loss = ours.BCEWithLogitsLoss(reduction=reduction)(logits, target)
    assert loss.device == logits.device


def test_lazily_negated_logits_are_read_as_negated() -> None:
    logits = torch.tensor([1 + 2j, 0 - 3j]).conj().imag
    assert logits.is_neg()
    loss = ours.BCEWithLogitsLoss()(logits, torch.ones(2))
    assert loss == ours.BCEWithLogitsLoss()(logits.resolve_neg(), torch.ones(2))


def test_a_weight_that_was_made_a_parameter_counts() -> None:
    loss = ours.BCEWithLogitsLoss()
    del loss.weight
    loss.weight = nn.Parameter(torch.tensor(3.0))
    assert loss(torch.zeros(2), torch.ones(2)).item() == pytest.approx(3 * 0.6931472)
