"""Every transformation of torch: compiled, traced, differentiated in both modes, vectorised."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from logloss.torch import BCEWithLogitsLoss, binary_cross_entropy, binary_cross_entropy_with_logits

# torch warns of itself, when forward mode or a trace is first used
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.\\w+. is deprecated"),
    pytest.mark.filterwarnings("ignore:.torch.jit.\\w+. is not supported"),
]

Z = torch.tensor([[-3.0, 0.5, 2.0], [-17.0, 0.0, 30.0]], dtype=torch.float64)
Y = torch.tensor([[0.0, 0.25, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
W = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
MASK = torch.tensor([[True, True, False], [False, True, True]])
FORMS = {
    "plain": {},
    "unreduced": {"reduction": "none"},
    "weighted": {"weight": W, "pos_weight": 1 + W, "reduction": "sum"},
    "masked": {"where": MASK, "label_smoothing": 0.125},
    "focal": {"gamma": 2.0, "pos_weight": W, "label_smoothing": 0.125},
}
every_form = pytest.mark.parametrize("form", FORMS)


def logits_loss(z: Tensor, form: str, y: Tensor = Y) -> Tensor:
    return binary_cross_entropy_with_logits(z, y, **FORMS[form])


def probability_loss(z: Tensor, form: str, y: Tensor = Y) -> Tensor:
    options = {k: v for k, v in FORMS[form].items() if k not in ("pos_weight", "gamma")}
    return binary_cross_entropy(torch.sigmoid(z / 10), y, **options)


every_loss = pytest.mark.parametrize("loss", [logits_loss, probability_loss])


def gradient(loss: Any, z: Tensor, form: str) -> Tensor:
    """Gradient by the kernel's pass."""
    leaf = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf, form).sum(), leaf)
    return slope


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


# --- derivatives ----------------------------------------------------------------------------


@every_form
@every_loss
def test_first_and_second_derivatives_are_those_of_differences(loss: Any, form: str) -> None:
    z = (Z / 8 + 0.01).requires_grad_()
    assert gradcheck(partial(loss, form=form), z, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(partial(loss, form=form), z)


@every_form
@every_loss
def test_the_gradient_in_a_graph_is_the_gradient(loss: Any, form: str) -> None:
    leaf = Z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf, form).sum(), leaf, create_graph=True)
    assert slope.requires_grad
    same(slope.detach(), gradient(loss, Z, form))


@pytest.mark.parametrize("name", ["target", "weight", "pos_weight"])
def test_constants_can_be_differentiated_too(name: str) -> None:
    def loss(value: Tensor) -> Tensor:
        given = {"target": Y, "weight": W, "pos_weight": 1 + W, name: value}
        return binary_cross_entropy_with_logits(Z, **given)

    value = {"target": Y / 2 + 0.25, "weight": W, "pos_weight": W}[name].clone().requires_grad_()
    assert gradcheck(loss, value)


def test_targets_of_probabilities_can_be_differentiated_too() -> None:
    target = torch.full_like(Y, 0.25).requires_grad_()
    assert gradcheck(lambda y: binary_cross_entropy(torch.sigmoid(Z / 10), y), target)


def test_a_loss_can_be_differentiated_twice_over_the_same_graph() -> None:
    leaf = Z.clone().requires_grad_()
    loss = logits_loss(leaf, "plain")
    first, second = (torch.autograd.grad(loss, leaf, retain_graph=True) for _ in range(2))
    assert torch.equal(*first, *second)


def test_no_graph_is_made_where_none_is_wanted() -> None:
    leaf = Z.clone().requires_grad_()
    with torch.no_grad():
        assert not logits_loss(leaf, "plain").requires_grad
    with torch.inference_mode():
        same(logits_loss(leaf, "plain").clone(), logits_loss(Z, "plain"))


# --- torch.func -----------------------------------------------------------------------------


@every_form
@every_loss
def test_torch_func_gives_the_same_gradient(loss: Any, form: str) -> None:
    total = lambda z: loss(z, form).sum()  # noqa: E731
    expected = gradient(loss, Z, form)
    same(grad(total)(Z), expected)
    same(jacrev(total)(Z), expected)
    same(jacfwd(total)(Z), expected)
    same(torch.autograd.functional.jacobian(total, Z, vectorize=True), expected)


@every_form
@every_loss
def test_forward_mode_gives_the_slope_along_a_direction(loss: Any, form: str) -> None:
    total = lambda z: loss(z, form).sum()  # noqa: E731
    expected = (gradient(loss, Z, form) * (Z + 1)).sum()
    value, slope = jvp(total, (Z,), (Z + 1,))
    same(value, total(Z))
    same(slope, expected)
    with forward_ad.dual_level():
        dual = total(forward_ad.make_dual(Z, Z + 1))
        same(forward_ad.unpack_dual(dual).tangent, expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("z", [float("inf"), -float("inf"), 900.0])
def test_forward_mode_is_right_at_infinity_too(z: float, label: float, gamma: float) -> None:
    def loss(z: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(z, torch.full_like(z, label), gamma=gamma)

    at = torch.tensor(z, dtype=torch.float64)
    same(jacfwd(loss)(at), grad(loss)(at))
    same(jacfwd(loss)(at), (at > 0).double() - label)
    same(jacfwd(jacfwd(loss))(at), torch.zeros_like(at))


@every_form
@every_loss
def test_the_hessian_is_the_gradient_s_jacobian(loss: Any, form: str) -> None:
    total = lambda z: loss(z, form).sum()  # noqa: E731
    z = Z / 4
    second = hessian(total)(z)
    step = 1e-5
    for index in range(z.numel()):
        move = torch.zeros_like(z)
        move.view(-1)[index] = step
        slope = (gradient(loss, z + move, form) - gradient(loss, z - move, form)) / (2 * step)
        torch.testing.assert_close(
            second.reshape(6, 6)[index], slope.reshape(-1), rtol=1e-7, atol=1e-10
        )


@every_form
@every_loss
def test_vmap_is_a_loop(loss: Any, form: str) -> None:
    zs = torch.stack([Z, Z / 2, -Z])
    same(vmap(lambda z: loss(z, form))(zs), torch.stack([loss(z, form) for z in zs]))
    slopes = vmap(grad(lambda z: loss(z, form).sum()))(zs)
    same(slopes, torch.stack([gradient(loss, z, form) for z in zs]))


def test_gradients_of_every_example_of_a_network() -> None:
    torch.manual_seed(0)
    net, x, y = nn.Linear(3, 1), torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    parameters = dict(net.named_parameters())

    def loss(parameters: Any, x: Tensor, y: Tensor) -> Tensor:
        return BCEWithLogitsLoss()(functional_call(net, parameters, (x,)).squeeze(-1), y)

    slopes = vmap(grad(loss), (None, 0, 0))(parameters, x, y)
    loss(parameters, x, y).backward()
    torch.testing.assert_close(slopes["weight"].mean(0), net.weight.grad)


# --- compiled and traced --------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()


@every_form
@every_loss
def test_compiled_whole_it_is_the_same(loss: Any, form: str) -> None:
    compiled = torch.compile(
        partial(loss, form=form), fullgraph=True, dynamic=form == "masked", backend="aot_eager"
    )
    leaf = Z.clone().requires_grad_()
    value = compiled(leaf)
    same(value.detach(), loss(Z, form))
    value.sum().backward()
    same(leaf.grad, gradient(loss, Z, form))


def test_compiled_to_machine_code_it_keeps_both_tails() -> None:
    z = torch.tensor([-80.0, -17.0, -1.0, 0.0, 20.0, 80.0, float("inf")])
    leaf = z.clone().requires_grad_()
    compiled = torch.compile(BCEWithLogitsLoss(reduction="none"), fullgraph=True)
    for label in (0, 1):
        target = torch.full_like(z, label)
        leaf.grad = None
        losses = compiled(leaf, target)
        losses.sum().backward()
        torch.testing.assert_close(
            losses.detach(), BCEWithLogitsLoss(reduction="none")(z, target), rtol=1e-6, atol=0
        )
        other = z.clone().requires_grad_()
        BCEWithLogitsLoss(reduction="sum")(other, target).backward()
        torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-6, atol=0)


def test_transforms_compile_whole_too() -> None:
    slope = torch.compile(
        grad(lambda z: logits_loss(z, "plain")), fullgraph=True, backend="aot_eager"
    )
    same(slope(Z), gradient(logits_loss, Z, "plain"))


def test_a_training_step_compiles_whole() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(16, 3), (torch.rand(16, 1) < 0.5)
    nets = [nn.Linear(3, 1) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    loss = BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))
    step = lambda net, x, y: loss(net(x), y)  # noqa: E731
    step(nets[0], x, y).backward()
    torch.compile(step, fullgraph=True, backend="aot_eager")(nets[1], x, y).backward()
    torch.testing.assert_close(nets[1].weight.grad, nets[0].weight.grad)


@every_form
@every_loss
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traced_it_is_the_same(loss: Any, form: str) -> None:
    def function(z: Tensor) -> Tensor:
        return loss(z, form)

    same(make_fx(function)(Z)(Z / 2), function(Z / 2))
    same(torch.jit.trace(function, Z)(Z / 2), function(Z / 2))


def test_exported_it_is_the_same() -> None:
    class Whole(nn.Module):
        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return BCEWithLogitsLoss()(z, y)

    program = torch.export.export(Whole(), (Z, Y))
    same(program.module()(Z / 2, Y), Whole()(Z / 2, Y))


@pytest.mark.parametrize("name", ["weight", "pos_weight", "where"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_batch_of_any_size_is_exported(name: str, strict: bool) -> None:
    class Whole(nn.Module):
        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return binary_cross_entropy_with_logits(z, y, **{name: given})

    given = torch.tensor([1.0, 0.0, 2.0])
    given = given > 0 if name == "where" else given
    rows = torch.export.Dim("rows", min=2, max=99)
    z, y = torch.randn(5, 3), torch.rand(5, 3)
    program = torch.export.export(
        Whole(), (z, y), dynamic_shapes=({0: rows}, {0: rows}), strict=strict
    )
    for n in (3, 5, 7):  # 3 being the length of the weight, too
        z, y = torch.randn(n, 3), torch.rand(n, 3)
        torch.testing.assert_close(program.module()(z, y), Whole()(z, y))


# --- other devices and kinds of tensors -----------------------------------------------------


def test_a_device_that_the_kernel_does_not_reach_is_composed() -> None:
    z, y = Z.to("meta"), Y.to("meta")
    assert binary_cross_entropy_with_logits(z, y, pos_weight=W.to("meta")).shape == ()
    assert binary_cross_entropy(z, y, reduction="none").shape == Z.shape
    assert binary_cross_entropy(z, y).is_meta


def test_a_tensor_of_another_class_stays_of_its_class() -> None:
    class Marked(Tensor):
        pass

    marked = binary_cross_entropy_with_logits(Z.as_subclass(Marked), Y)
    assert type(marked) is Marked
    same(marked.as_subclass(Tensor), logits_loss(Z, "plain"))
