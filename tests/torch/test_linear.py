"""A linear layer and its loss in one: what the two give one after the other, chunk by chunk."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jvp, vmap
from torch.nn import functional

from logloss.errors import ArgumentError
from logloss.torch import (
    binary_cross_entropy_with_logits,
    linear_binary_cross_entropy,
    pairwise_sigmoid_loss,
)

# torch warns of itself, when forward mode is first used
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

HALVES = (torch.float16, torch.bfloat16)


class Head(NamedTuple):
    """A linear layer with its input and its targets."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor

    def leaves(self) -> Head:
        """Return a copy whose layer wants gradients."""
        copies = (None if t is None else t.clone().requires_grad_() for t in self[:3])
        return Head(*copies, self.targets)


def head(n: int, k: int, d: int = 3, dtype: torch.dtype = torch.float64) -> Head:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator).to(dtype) for shape in ((n, d), (k, d), (k,))
    )
    return Head(x, weight, bias, torch.rand(n, k, generator=generator) < 0.25)


def plain(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, **options: Any
) -> Tensor:
    return binary_cross_entropy_with_logits(functional.linear(x, weight, bias), targets, **options)


def pairs(image: Tensor, text: Tensor, scale: Tensor | float, bias: Tensor | float) -> Tensor:
    """Write the loss as in the paper, with torch alone."""
    logits = image @ text.T * scale + bias
    labels = 2 * torch.eye(*logits.shape, dtype=logits.dtype) - 1
    return -functional.logsigmoid(labels * logits).sum() / len(image)


def gradients(loss: Tensor, head: Head) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [t for t in head[:3] if t is not None]))


OPTIONS = {
    "plain": {},
    "summed": {"reduction": "sum"},
    "weighted": {"pos_weight": torch.linspace(0.5, 3, 5).double(), "label_smoothing": 0.125},
    "one weight": {"pos_weight": torch.tensor(3.0), "gamma": 2.0},
    "masked": {"where": torch.arange(35).reshape(7, 5) % 3 > 0},
    "masked and summed": {"where": torch.arange(5) % 2 > 0, "reduction": "sum"},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


# --- the same as the two one after the other --------------------------------------------------


@every_option
@pytest.mark.parametrize("chunk", [1, 7, 12, 1 << 22])
@pytest.mark.parametrize("bias", [False, True])
def test_loss_and_gradients_are_those_of_layer_and_loss(
    options: dict[str, Any], chunk: int, bias: bool
) -> None:
    given = head(7, 5)
    given = given if bias else given._replace(bias=None)
    mine, theirs = given.leaves(), given.leaves()
    loss = linear_binary_cross_entropy(*mine, chunk=chunk, **options)
    expected = plain(*theirs, **options)
    torch.testing.assert_close(loss, expected, rtol=1e-14, atol=0)
    pairs_of_slopes = zip(gradients(loss, mine), gradients(expected, theirs), strict=True)
    for own, other in pairs_of_slopes:
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("n", "k"), [(7, 5), (5, 7), (1, 9), (0, 3), (3, 0)])
def test_either_side_is_cut(n: int, k: int) -> None:
    given = head(n, k)
    mine, theirs = given.leaves(), given.leaves()
    for reduction in ("sum", "mean"):
        loss = linear_binary_cross_entropy(*mine, chunk=10, reduction=reduction)
        expected = plain(*theirs, reduction=reduction)
        torch.testing.assert_close(loss, expected, equal_nan=True)
        if reduction == "sum":
            for own, other in zip(gradients(loss, mine), gradients(expected, theirs), strict=True):
                torch.testing.assert_close(own, other)


@pytest.mark.parametrize(("n", "k"), [(0, 3), (3, 0), (7, 5)])
def test_a_mean_in_which_nothing_counts_is_nan_and_has_no_slope(n: int, k: int) -> None:
    given = head(n, k)
    nothing = torch.zeros(n, k, dtype=torch.bool)
    for where in (nothing, None) if n * k == 0 else (nothing,):
        mine = given.leaves()
        loss = linear_binary_cross_entropy(*mine, where=where)
        assert loss.isnan()
        for slope in gradients(loss, mine):
            torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=0)


def test_pairs_without_an_image_are_nan_and_have_no_slope() -> None:
    image, text = torch.zeros(0, 3), torch.ones(2, 3, requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    loss = pairwise_sigmoid_loss(image, text, 1.0, bias)
    assert loss.isnan()
    loss.backward()
    assert torch.equal(text.grad, torch.zeros(2, 3))
    assert bias.grad.item() == 0


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_targets_of_any_dtype_are_the_same_targets(dtype: torch.dtype) -> None:
    given = head(7, 5)
    other = given._replace(targets=given.targets.to(dtype))
    assert linear_binary_cross_entropy(*other) == linear_binary_cross_entropy(*given)


def test_inputs_may_have_more_axes() -> None:
    given = head(6, 5)
    folded = given._replace(x=given.x.reshape(2, 3, 3), targets=given.targets.reshape(2, 3, 5))
    where = torch.arange(30).reshape(2, 3, 5) % 2 > 0
    mine, theirs = folded.leaves(), folded.leaves()
    loss = linear_binary_cross_entropy(*mine, where=where)
    expected = plain(*theirs, where=where)
    torch.testing.assert_close(loss, expected)
    for own, other in zip(gradients(loss, mine), gradients(expected, theirs), strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_a_gradient_that_is_not_wanted_is_not_made(wanted: int) -> None:
    given, whole = head(7, 5), head(7, 5).leaves()
    one = [t.clone().requires_grad_(k == wanted) for k, t in enumerate(given[:3])]
    linear_binary_cross_entropy(*one, given.targets, chunk=8).backward()
    expected = gradients(plain(*whole), whole)
    torch.testing.assert_close(one[wanted].grad, expected[wanted])
    assert [t.grad is None for t in one] == [k != wanted for k in range(3)]


def test_without_a_graph_there_is_only_a_loss() -> None:
    given = head(7, 5)
    with torch.no_grad():
        loss = linear_binary_cross_entropy(*given.leaves(), chunk=8)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(*given))


def test_the_graph_may_be_walked_twice() -> None:
    given = head(7, 5).leaves()
    loss = linear_binary_cross_entropy(*given)
    first = torch.autograd.grad(loss, given.x, retain_graph=True)
    second = torch.autograd.grad(2 * loss, given.x)
    torch.testing.assert_close(2 * first[0], second[0])


# --- dtypes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    given = head(40, 60, dtype=dtype)
    mine = given.leaves()
    full = Head(*(t.detach().float().requires_grad_() for t in given[:3]), given.targets)
    loss, expected = linear_binary_cross_entropy(*mine, chunk=100), plain(*full)
    assert loss.dtype is dtype
    torch.testing.assert_close(loss.float(), expected, rtol=1e-2, atol=0)
    for own, other in zip(gradients(loss, mine), gradients(expected, full), strict=True):
        assert own.dtype is dtype
        torch.testing.assert_close(own.float(), other, rtol=2e-2, atol=1e-4)


def test_large_sums_of_half_precision_do_not_overflow() -> None:
    x = torch.full((1, 2), 100.0, dtype=torch.float16, requires_grad=True)
    weight = torch.full((2000, 2), 1.0, dtype=torch.float16)
    loss = linear_binary_cross_entropy(x, weight, None, torch.zeros(1, 2000, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 200
    assert x.grad.tolist() == [[1, 1]]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("compiled", [False, True])
def test_under_autocast_the_layer_is_in_half_precision(dtype: torch.dtype, compiled: bool) -> None:
    given = head(40, 60, dtype=torch.float32)
    mine, theirs = given.leaves(), given.leaves()
    loss_of = linear_binary_cross_entropy
    if compiled:
        torch._dynamo.reset()
        loss_of = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", dtype=dtype):
        loss, expected = loss_of(*mine, chunk=100), plain(*theirs)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    for own, other in zip(gradients(loss, mine), gradients(expected, theirs), strict=True):
        assert own.dtype is torch.float32
        torch.testing.assert_close(own, other, rtol=2e-2, atol=1e-4)


def test_autocast_leaves_float64_alone() -> None:
    given = head(4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear_binary_cross_entropy(*given) == linear_binary_cross_entropy(*given)
        assert linear_binary_cross_entropy(*given).dtype is torch.float64


# --- transforms -------------------------------------------------------------------------------


@every_option
def test_derivatives_are_those_of_differences(options: dict[str, Any]) -> None:
    x, weight, bias, targets = head(7, 5).leaves()

    def loss(*layer: Tensor) -> Tensor:
        return linear_binary_cross_entropy(*layer, targets, chunk=12, **options)

    assert gradcheck(loss, (x, weight, bias), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(loss, (x, weight, bias))


def test_labels_and_their_weights_can_be_differentiated_too() -> None:
    given = head(3, 4)

    def loss(targets: Tensor, pos_weight: Tensor) -> Tensor:
        return linear_binary_cross_entropy(*given[:3], targets, pos_weight=pos_weight)

    targets = torch.full((3, 4), 0.25, dtype=torch.float64, requires_grad=True)
    assert gradcheck(loss, (targets, torch.ones(4, dtype=torch.float64, requires_grad=True)))


def test_torch_func_gives_the_same() -> None:
    x, weight, bias, targets = head(7, 5)

    def loss(weight: Tensor) -> Tensor:
        return linear_binary_cross_entropy(x, weight, bias, targets)

    def whole(weight: Tensor) -> Tensor:
        return plain(x, weight, bias, targets)

    torch.testing.assert_close(grad(loss)(weight), grad(whole)(weight))
    torch.testing.assert_close(hessian(loss)(weight), hessian(whole)(weight))
    torch.testing.assert_close(
        jvp(loss, (weight,), (weight,))[1], jvp(whole, (weight,), (weight,))[1]
    )
    several = torch.stack([weight, 2 * weight])
    torch.testing.assert_close(vmap(loss)(several), vmap(whole)(several))


@every_option
@pytest.mark.parametrize("needs", [[True, True, True], [False, True, False], [False] * 3])
def test_the_operation_keeps_torch_s_rules(options: dict[str, Any], needs: list[bool]) -> None:
    x, weight, bias, targets = head(7, 5)
    layer = [t.requires_grad_(need) for t, need in zip((x, weight, bias), needs, strict=True)]
    pos_weight = options.get("pos_weight")
    where = options.get("where")
    torch.library.opcheck(
        torch.ops.logloss.linear_loss.default,
        (
            *layer,
            targets,
            None if pos_weight is None else pos_weight.expand(5),
            None if where is None else where.expand(7, 5),
            options.get("label_smoothing", 0.0),
            options.get("gamma", 0.0),
            12,
            needs,
        ),
    )


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_whole_it_is_the_same(dynamic: bool) -> None:
    torch._dynamo.reset()
    mine, theirs = head(7, 5).leaves(), head(7, 5).leaves()
    compiled = torch.compile(
        linear_binary_cross_entropy, fullgraph=True, dynamic=dynamic, backend="aot_eager"
    )
    loss = compiled(*mine, pos_weight=torch.tensor(2.0), chunk=12)
    expected = plain(*theirs, pos_weight=torch.tensor(2.0))
    torch.testing.assert_close(loss, expected)
    for own, other in zip(gradients(loss, mine), gradients(expected, theirs), strict=True):
        torch.testing.assert_close(own, other)


def test_a_compiled_graph_holds_one_operation_and_no_logits() -> None:
    torch._dynamo.reset()
    shapes: list[tuple[int, ...]] = []

    def look(module: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        for node in module.graph.nodes:
            value = node.meta.get("val", node.meta.get("example_value"))
            shapes.extend(tuple(t.shape) for t in (value,) if isinstance(t, Tensor))
        return module

    given = head(70, 50).leaves()
    torch.compile(linear_binary_cross_entropy, fullgraph=True, backend=look)(*given, chunk=100)
    assert (70, 50) not in [shape for shape in shapes if shape != tuple(given.targets.shape)]
    assert () in shapes


@pytest.mark.parametrize("strict", [False, True])
def test_batches_of_any_size_are_exported(strict: bool) -> None:
    class Both(torch.nn.Module):
        def forward(self, x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            per_column = torch.tensor([1.0, 2.0, 0.5, 3.0])
            labels = linear_binary_cross_entropy(x, weight, None, targets, pos_weight=per_column)
            return labels + pairwise_sigmoid_loss(x, 2 * x, 3.0, -1.0)

    def batch(n: int) -> tuple[Tensor, Tensor, Tensor]:
        return head(n, 4, dtype=torch.float32)[0], torch.ones(4, 3), torch.eye(n, 4)

    rows = torch.export.Dim("rows", min=2, max=99)
    program = torch.export.export(
        Both(), batch(6), dynamic_shapes=({0: rows}, None, {0: rows}), strict=strict
    )
    for n in (4, 6, 9):
        torch.testing.assert_close(program.module()(*batch(n)), Both()(*batch(n)))


# --- pairs ------------------------------------------------------------------------------------


def embeddings(n: int, m: int, d: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image, text = (torch.randn(k, d, generator=generator).double() for k in (n, m))
    image, text = functional.normalize(image), functional.normalize(text)
    scale, bias = torch.tensor(10.0).double(), torch.tensor([-10.0]).double()
    return tuple(t.requires_grad_() for t in (image, text, scale, bias))


@pytest.mark.parametrize("chunk", [1, 10, 1 << 22])
@pytest.mark.parametrize(("n", "m"), [(6, 6), (4, 9), (9, 4)])
def test_pairs_cost_what_the_paper_says(n: int, m: int, chunk: int) -> None:
    mine, theirs = embeddings(n, m), embeddings(n, m)
    loss, expected = pairwise_sigmoid_loss(*mine, chunk=chunk), pairs(*theirs)
    torch.testing.assert_close(loss, expected)
    for own, other in zip(
        torch.autograd.grad(loss, mine), torch.autograd.grad(expected, theirs), strict=True
    ):
        torch.testing.assert_close(own, other)


def test_derivatives_of_pairs_are_those_of_differences() -> None:
    given = embeddings(4, 5)
    loss = lambda *given: pairwise_sigmoid_loss(*given, chunk=7)  # noqa: E731
    assert gradcheck(loss, given, check_forward_ad=True)
    assert gradgradcheck(loss, given)


def test_pairs_compile_whole() -> None:
    torch._dynamo.reset()
    mine, theirs = embeddings(6, 6), embeddings(6, 6)
    compiled = torch.compile(pairwise_sigmoid_loss, fullgraph=True, backend="aot_eager")
    loss, expected = compiled(*mine, chunk=10), pairs(*theirs)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, mine[2]), torch.autograd.grad(expected, theirs[2])
    )


def test_scale_and_bias_may_be_numbers() -> None:
    image, text, *_ = embeddings(6, 6)
    loss = pairwise_sigmoid_loss(image.float(), text.float(), 10, -10.0)
    torch.testing.assert_close(loss, pairs(image.float(), text.float(), 10, -10))


# --- devices, errors --------------------------------------------------------------------------


def test_other_devices_scan_by_torch_s_operations() -> None:
    given = Head(*(t.to("meta") for t in head(7, 5))).leaves()
    loss = linear_binary_cross_entropy(*given, chunk=12)
    loss.backward()
    assert (loss.shape, given.weight.grad.shape) == ((), (5, 3))


@pytest.mark.parametrize("options", [{}, {"gamma": 2.0}, {"where": torch.ones(7, 5) > 0}])
def test_a_scan_by_torch_s_operations_is_the_same(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = head(7, 5).leaves(), head(7, 5).leaves()
    expected = linear_binary_cross_entropy(*theirs, chunk=12, **options)
    monkeypatch.setattr("logloss.torch.runs.readable", lambda *tensors: False)
    loss = linear_binary_cross_entropy(*mine, chunk=12, **options)
    torch.testing.assert_close(loss, expected)
    for own, other in zip(gradients(loss, mine), gradients(expected, theirs), strict=True):
        torch.testing.assert_close(own, other)


X, W, B, T = head(7, 5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": X.long()}, "x must be of a float dtype; it is torch.int64"),
        ({"weight": W[:, :2]}, "shapes (..., d) and (k, d); they are (7, 3) and (5, 2)"),
        ({"weight": W.float()}, "of one dtype; they are of torch.float64 and torch.float32"),
        ({"bias": B[:4]}, "bias must have the shape (5,); its shape is (4,)"),
        ({"targets": T[:, :4]}, "targets must have the shape (7, 5), of x and weight"),
        ({"pos_weight": X}, "pos_weight must broadcast to the shape of a row of targets, (5,)"),
        ({"where": T[:3]}, "where must broadcast to the shape of targets, (7, 5)"),
        ({"where": X}, "where must be a boolean mask"),
        ({"reduction": "none"}, "reduction must be 'mean' or 'sum', since no chunk's"),
        ({"reduction": "max"}, "reduction must be 'mean', 'sum' or 'none'; got 'max'"),
        ({"bias": B.float()}, "x and bias must be of one dtype; they are of torch.float64 and"),
        ({"bias": [0.0] * 5}, "bias must be a tensor; it is of type list"),
        ({"targets": T.cfloat()}, "targets must be bool, integers, or floats of at least 16 bits"),
        ({"pos_weight": 2.0}, "pos_weight must be a tensor; it is of type float"),
        ({"chunk": 2.5}, "chunk must be an integer of at least 1; got 2.5"),
        ({"chunk": 0}, "chunk must be an integer of at least 1; got 0"),
        ({"gamma": -1}, "gamma must lie in"),
    ],
)
def test_what_does_not_fit_raises(change: dict[str, Any], said: str) -> None:
    given = {"x": X, "weight": W, "bias": B, "targets": T, **change}
    with pytest.raises(ArgumentError, match=re.escape(said)):
        linear_binary_cross_entropy(**given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": X[0]}, "image must have the shape (n, d); its shape is (3,)"),
        ({"text": X[:, :2]}, "image and text must have the shapes"),
        ({"scale": X}, "scale must be one number; its shape is (7, 3)"),
        ({"bias": B}, "bias must be one number; its shape is (5,)"),
    ],
)
def test_pairs_that_do_not_fit_raise(change: dict[str, Any], said: str) -> None:
    given = {"image": X, "text": X, "scale": 1.0, "bias": 0.0, **change}
    with pytest.raises(ArgumentError, match=re.escape(said)):
        pairwise_sigmoid_loss(**given)
