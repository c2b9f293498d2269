"""The step with its gradients written out is the step that torch's graph takes."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from logloss.design.block import Block
from logloss.network.fit import first_network
from logloss.network.module import Architecture
from logloss.network.recipe import Recipe
from logloss.network.step import WrittenStep
from logloss.network.stream import folds, folds_of, part_of
from logloss.network.training import adamw, batch_loss, mixed_precision, take_step

CASES = {
    "plain": (Architecture(hidden=(5,), linear=False), Recipe()),
    "no hidden layer": (Architecture(hidden=()), Recipe()),
    "deep": (Architecture(hidden=(6, 5, 4)), Recipe()),
    "tanh": (Architecture(hidden=(5, 4), activation="tanh"), Recipe()),
    "sigmoid": (Architecture(hidden=(5, 4), activation="sigmoid"), Recipe()),
    "members": (Architecture(hidden=(5, 4), members=3), Recipe()),
    "sixteen members": (Architecture(hidden=(4,), members=16), Recipe()),
    "levels": (Architecture(hidden=(5, 4), levels=(3, 2), embedding=2), Recipe()),
    "all": (Architecture(hidden=(5, 4), levels=(3, 2), members=3), Recipe(pos_weight=3.0)),
    "no linear term": (Architecture(hidden=(5,), levels=(3, 2), linear=False), Recipe()),
    "focal": (Architecture(hidden=(5,), members=2), Recipe(gamma=2.0)),
    "clipped": (Architecture(hidden=(5,), members=2), Recipe(clip_norm=1e-3)),
}


def drawn(architecture):
    rng = np.random.default_rng(0)
    n = 60
    numbers, y = rng.normal(size=(n, 3)), (rng.random(n) < 0.3).astype(float)
    codes = [rng.integers(-1, levels, n) for levels in architecture.levels]
    weight = rng.uniform(0.5, 2, n)
    block = Block(0, numbers, np.array(codes, np.int32).reshape(-1, n).T, y, weight)
    torch.manual_seed(0)
    network = first_network(block, architecture, 0.3).cast(torch.float64)
    with torch.no_grad():  # an output of zeros would hide what comes before it
        network.output.weight.normal_()
    n_folds = folds_of(architecture.members) if architecture.members > 1 else 5
    fold = folds(y, n_folds, architecture.members, 0)
    return network, part_of(block, fold, network, scale=weight.mean(), encoded=True).rows


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_the_graph(case):
    architecture, recipe = CASES[case]
    written, rows = drawn(architecture)
    graph = deepcopy(written)
    ours, theirs = adamw(written, recipe), adamw(graph, recipe)
    step = WrittenStep(written, ours, recipe)
    for batch in (rows.take(torch.arange(40)), rows.take(torch.arange(40, 60)), rows):
        loss = batch_loss(graph, batch, recipe)
        take_step(graph, theirs, loss, recipe, 1e-2)
        assert step(batch, 1e-2) == pytest.approx(loss.item(), rel=1e-12)
    for (name, one), (_, other) in zip(
        written.named_parameters(), graph.named_parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9, msg=name)


def test_states_of_the_optimiser_are_those_of_the_graph():
    architecture, recipe = CASES["all"]
    written, rows = drawn(architecture)
    graph = deepcopy(written)
    ours, theirs = adamw(written, recipe), adamw(graph, recipe)
    WrittenStep(written, ours, recipe)(rows, 1e-2)
    take_step(graph, theirs, batch_loss(graph, rows, recipe), recipe, 1e-2)
    one, other = ours.state_dict()["state"], theirs.state_dict()["state"]
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("members", [1, 3])
def test_steps_on_batch_after_batch_are_those_on_each(members):
    architecture, recipe = Architecture(hidden=(5,), linear=False, members=members), Recipe()
    one, rows = drawn(architecture)
    other = deepcopy(one)
    whole, single = (WrittenStep(net, adamw(net, recipe), recipe) for net in (one, other))
    assert whole.sees_numbers_alone
    order = torch.randperm(len(rows))[:50]
    cuts, rates = [slice(0, 20), slice(20, 37), slice(37, 50)], [1e-2, 2e-2, 1e-3]
    losses = whole.steps(rows, order, cuts, rates)
    each = zip(cuts, rates, strict=True)
    assert losses == [single(rows.take(order[cut]), rate) for cut, rate in each]
    for parameter, same in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter, same, rtol=0, atol=0)
    assert whole.steps(rows, order[:0], [], []) == []


def test_steps_end_before_a_loss_that_is_not_finite():
    network, rows = drawn(Architecture(hidden=(5,), linear=False))
    rows.numbers[7] = torch.nan
    recipe = Recipe()
    order, cuts = torch.arange(12), [slice(first, first + 3) for first in range(0, 12, 3)]
    written = WrittenStep(network, adamw(network, recipe), recipe)
    losses = written.steps(rows, order, cuts, [1e-2] * 4)
    assert np.isfinite(losses).tolist() == [True, True, False]
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())


def test_a_loss_that_is_not_finite_changes_nothing():
    network, rows = drawn(CASES["members"][0])
    with torch.no_grad():
        network.output.bias.fill_(torch.nan)
    before = deepcopy(network.state_dict())
    recipe = Recipe()
    assert np.isnan(WrittenStep(network, adamw(network, recipe), recipe)(rows, 1e-2))
    torch.testing.assert_close(dict(network.state_dict()), dict(before), equal_nan=True)


@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.1}, {"normalization": "layer"}, {"residual": True}, {"activation": "gelu"}],
)
def test_other_layers_are_left_to_the_graph(options):
    assert not WrittenStep.fits(drawn(Architecture(hidden=(4, 4), **options))[0])


def test_the_processor_keeps_all_digits():
    with mixed_precision("cpu"):
        assert not torch.is_autocast_enabled("cpu")


def test_accelerators_take_products_in_bfloat16(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: asked.append((args, options)))
    mixed_precision("cuda")
    assert asked == [(("cuda",), {"dtype": torch.bfloat16})]
