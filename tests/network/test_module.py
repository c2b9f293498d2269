"""The module: what it says at first, what its parts do, that it is an ordinary one."""

import itertools
import json

import numpy as np
import pytest
import torch

from logloss.errors import ArgumentError, ModelError
from logloss.network import Architecture, Robust, TableNetwork
from logloss.network.module import ACTIVATIONS

X = np.random.default_rng(0).normal(size=(40, 3)) * [1, 1e4, 1e-4] + [0, 1e6, 0]
NUMBERS = torch.from_numpy(X)
CODES = torch.from_numpy(np.random.default_rng(1).integers(0, [3, 5], size=(40, 2)))


def network(seed=0, base_logit=0.0, **options):
    torch.manual_seed(seed)
    architecture = Architecture(levels=(3, 5), **options)
    return TableNetwork(architecture, Robust.learn(X, np.ones(len(X))), base_logit).double()


def stirred(module):
    """Fill the output weights, so that all parts speak."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.eval()


@pytest.mark.parametrize(
    ("activation", "normalization", "residual", "members"),
    [*itertools.product(ACTIVATIONS, ["layer", None], [True, False], [1, 3])],
)
def test_every_kind_begins_with_the_base_rate_and_can_be_trained(
    activation, normalization, residual, members
):
    module = network(
        base_logit=-1.25,
        hidden=(6, 6, 4),
        activation=activation,
        normalization=normalization,
        residual=residual,
        members=members,
        dropout=0.25,
    )
    np.testing.assert_allclose(module(NUMBERS, CODES).detach(), -1.25, rtol=1e-12)
    stirred(module).train()
    module(NUMBERS, CODES).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in module.parameters())


def test_members_do_not_see_each_other():
    module = stirred(network(members=3))
    before = module.member_logits(module.encode(NUMBERS), CODES)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[1] = 0
    after = module.member_logits(module.encode(NUMBERS), CODES)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])
    assert after[1].abs().max() == 0


def test_the_logit_is_the_mean_of_the_members():
    module = stirred(network(members=3))
    each = module.member_logits(module.encode(NUMBERS), CODES)
    torch.testing.assert_close(module(NUMBERS, CODES), each.mean(0))


def test_rows_of_their_own_are_the_same_as_shared_ones():
    module = stirred(network(members=2))
    encoded = module.encode(NUMBERS)
    shared = module.member_logits(encoded, CODES)
    own = module.member_logits(encoded.expand(2, -1, -1), CODES.expand(2, -1, -1))
    torch.testing.assert_close(shared, own)


def test_one_hidden_layer_is_the_formula_that_it_states():
    module = stirred(network(hidden=(5,), activation="sigmoid", embedding=2))
    e = torch.cat(
        [
            module.encode(NUMBERS),
            module.embeddings[0, CODES[:, 0]],
            module.embeddings[0, CODES[:, 1] + 4],
        ],
        1,
    )
    layer = module.hidden[0].linear
    h = torch.sigmoid(e @ layer.weight[0] + layer.bias[0])
    z = module.output.bias[0] + h @ module.output.weight[0] + e @ module.linear[0]
    z = z + module.level_effects[0, CODES[:, 0]] + module.level_effects[0, CODES[:, 1] + 4]
    torch.testing.assert_close(module(NUMBERS, CODES), z[:, 0])


def test_without_a_linear_term_and_hidden_units_there_is_nothing_but_the_constant():
    module = network(hidden=(), linear=False, base_logit=0.5)
    assert set(module(NUMBERS, CODES).tolist()) == {0.5}


def test_a_level_never_seen_is_the_average_of_those_seen():
    module = stirred(network(members=2))
    module.settle_unseen(torch.tensor([1.0, 2.0, 1.0, 5.0, 0.0, 0.0, 0.0, 5.0]))
    want = (module.embeddings[:, 0] + 2 * module.embeddings[:, 1] + module.embeddings[:, 2]) / 4
    torch.testing.assert_close(module.embeddings[:, 3], want)
    unseen = torch.full_like(CODES, -1)
    torch.testing.assert_close(
        module(NUMBERS, unseen), module(NUMBERS, unseen * 0 + torch.tensor([3, 5]))
    )


def test_large_offsets_cost_the_numbers_no_digits():
    x = np.arange(40.0)[:, None]
    plain, shifted = (
        TableNetwork(Architecture(), Robust.learn(rows, np.ones(40)))
        .cast(torch.float32)
        .encode(torch.from_numpy(rows))
        for rows in (x, x + 2.0**40)
    )
    assert plain.dtype is torch.float32
    torch.testing.assert_close(plain, shifted, rtol=0, atol=0)


def test_weights_travel_as_those_of_any_module():
    one, other = stirred(network(seed=0)), network(seed=1)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other.eval()(NUMBERS, CODES), one(NUMBERS, CODES))


def test_an_architecture_survives_the_trip_through_plain_names():
    one = Architecture(levels=(3, 5), hidden=(7,), activation="gelu", dropout=0.5)
    assert Architecture.from_dict(one.to_dict()) == one


@pytest.mark.parametrize(
    ("hidden", "activation", "resolved"),
    [
        ((), None, ()),
        ((7,), None, ("relu",)),
        ((7, 5, 3), None, ("relu", "relu", "tanh")),
        ((7, 5), "gelu", ("gelu", "gelu")),
        ((7, 5), ("tanh", "silu"), ("tanh", "silu")),
        ((7, 5), ["tanh", "silu"], ("tanh", "silu")),
    ],
)
def test_each_layer_has_an_activation(hidden, activation, resolved):
    made = Architecture(hidden=hidden, activation=activation)
    assert made.activations == resolved
    assert Architecture.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    module = TableNetwork(made, Robust.learn(np.ones((2, 1)), np.ones(2)))
    assert [type(layer.activation) for layer in module.hidden] == [ACTIVATIONS[n] for n in resolved]


def test_files_with_one_activation_for_all_layers_are_read():
    record = {**Architecture(hidden=(4, 4)).to_dict(), "activation": "relu"}
    assert Architecture.from_dict(record).activations == ("relu", "relu")


@pytest.mark.parametrize("record", [{}, {"levels": 3}, {"levels": [], "hidden": [1], "depth": 2}])
def test_a_damaged_architecture_is_refused(record):
    with pytest.raises(ModelError, match="architecture cannot be read"):
        Architecture.from_dict(record)


@pytest.mark.parametrize(
    "option",
    [
        {"activation": "softmax"},
        {"activation": ("relu",)},
        {"activation": ("relu", "softmax")},
        {"activation": 3},
        {"normalization": "batch"},
        {"numbers": "raw"},
        {"members": 0},
        {"embedding": 0},
        {"hidden": (4, 0)},
        {"dropout": 1.0},
    ],
)
def test_an_option_out_of_its_domain_is_named(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        Architecture(**option)
