"""The training: rates, folds, what stops it, what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from logloss import binary_cross_entropy_with_logits, entropy
from logloss.design.block import Block, Layout
from logloss.design.shuffled import gathered
from logloss.errors import ArgumentError, ConvergenceWarning
from logloss.network.fit import SMALL, fit_network
from logloss.network.module import Architecture, TableNetwork
from logloss.network.numbers import Robust
from logloss.network.predictor import logits_of
from logloss.network.recipe import Recipe
from logloss.network.stream import NOT_HELD_OUT, Survey, folds
from logloss.network.training import adamw
from logloss.rows.shuffle import Shuffle

SMALL_NET = Architecture(hidden=(8,), members=2)


def table(n=400, seed=0, levels=()):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 2))
    codes = draw.integers(0, levels or 1, size=(n, len(levels))).astype(np.int32)
    logits = 3 * X[:, 0] * X[:, 1] + (codes[:, 0] if levels else 0)
    y = (draw.random(n) < 1 / (1 + np.exp(-logits))).astype(float)
    return Block(0, X, codes, y, draw.uniform(0, 2, n))


def fitted(rows=None, architecture=SMALL_NET, seed=0, most_rows=65_536, **options):
    recipe = {name: options.pop(name) for name in tuple(options) if hasattr(Recipe, name)}
    rows = rows or table()
    levels = tuple(int(codes.max()) + 1 for codes in rows.codes.T)
    return fit_network(
        gathered(Shuffle(seed, len(rows), most_rows), [rows]),
        Layout(("a", "b"), tuple(tuple(map(str, range(n))) for n in levels)),
        replace(architecture, levels=levels),
        Recipe(**recipe),
        seed=seed,
        **{"room": 1 << 30, **options},
    )


def test_the_rate_warms_up_and_falls_along_a_cosine():
    recipe = Recipe(learning_rate=1.0, warm_up=0.1)
    rates = [recipe.rate(step, 100) for step in range(101)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert np.all(np.diff(rates[10:]) < 1e-15)


def test_what_is_learned_of_single_levels_and_biases_do_not_decay():
    made = Architecture(levels=(3,), hidden=(4, 4), normalization="layer")
    network = TableNetwork(made, Robust.learn(np.ones((2, 1)), np.ones(2)))
    decaying, free = adamw(network, Recipe(weight_decay=0.5)).param_groups
    names = {parameter: name for name, parameter in network.named_parameters()}
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert {names[parameter] for parameter in decaying["params"]} == {
        "hidden.0.linear.weight",
        "hidden.1.linear.weight",
        "output.weight",
        "linear",
    }
    assert len(names) == len(decaying["params"]) + len(free["params"])


@pytest.mark.parametrize("n_rows", [1, 255, 256, 257, 383, 385, 1000])
def test_batches_cover_the_rows_and_none_is_a_small_rest(n_rows):
    batches = Recipe(batch_size=256).batches(n_rows, 10**6)
    assert [batches[0].start, batches[-1].stop] == [0, n_rows]
    sizes = [batch.stop - batch.start for batch in batches]
    assert sum(sizes) == n_rows
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    "option",
    [
        {"batch_size": 0},
        {"learning_rate": 0},
        {"learning_rate": np.inf},
        {"weight_decay": -1},
        {"gamma": np.nan},
    ],
)
def test_an_option_out_of_its_domain_is_named(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        Recipe(**option)


def test_the_size_of_batches_follows_from_all_rows():
    sizes = [len(Recipe().batches(10_240, of)) for of in (10_240, 40_000, 10**7)]
    assert sizes == [50, 13, 10]


def test_a_part_without_rows_has_no_batches():
    assert Recipe().batches(0, 1000) == []


def test_several_members_hold_out_a_fold_each_with_both_classes_in_it():
    y = np.arange(160) % 10 == 0
    fold = folds(y.astype(float), 4, 4, 0)
    assert np.bincount(fold).tolist() == [40] * 4
    assert np.bincount(fold[y]).tolist() == [4] * 4


def test_one_member_holds_out_its_share():
    n_folds = Survey((140,), 140.0, 70.0, 70, np.empty(0)).n_folds(1, 0.15)
    fold = folds(np.arange(140) % 2 * 1.0, n_folds, 1, 0)
    assert np.unique(fold).tolist() == [NOT_HELD_OUT, 0]
    assert (fold == 0).sum() == 20


@pytest.mark.parametrize(("rarer", "n_folds"), [(20, 8), (8, 8), (7, 7), (4, 4)])
def test_each_fold_has_a_row_of_both_classes(rarer, n_folds):
    found = Survey((40,), 40.0, 1.0 * rarer, rarer, np.empty(0)).n_folds(8, 0.15)
    fold = folds((np.arange(40) < rarer) * 1.0, found, 8, 0)
    assert found == n_folds
    assert np.unique(fold[:rarer]).tolist() == np.unique(fold[rarer:]).tolist() == [*range(n_folds)]


@pytest.mark.parametrize(("rarer", "fraction"), [(3, 0.15), (20, 0.0)])
def test_nothing_is_held_out_of_few_rows_or_where_it_is_not_wanted(rarer, fraction):
    found = Survey((40,), 40.0, 1.0 * rarer, rarer, np.empty(0))
    assert found.n_folds(8, fraction) == 0
    assert (folds(np.ones(40), 0, 8, 0) == NOT_HELD_OUT).all()


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ArgumentError, match="validation_fraction"):
        fitted(validation_fraction=1.0)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("n", [400, 4100])
def test_the_first_loss_is_the_weighted_entropy_of_the_base_rate(members, n):
    rows = table(n)
    found = fitted(rows, Architecture(hidden=(8,), members=members), epochs=1, min_steps=1)
    want = entropy(np.average(rows.y, weights=rows.weight))
    # one network does not train on what it holds out; larger tables are trained on in float32
    tolerance = 1e-3 if members == 1 else 1e-12 if n <= SMALL else 1e-6
    assert found.training.history[0].training_loss == pytest.approx(want, rel=tolerance)
    assert found.base_rate == np.average(rows.y, weights=rows.weight)


def test_the_weights_kept_are_those_of_the_best_validation_loss():
    found = fitted(epochs=200, patience=10, learning_rate=0.05)
    losses = [epoch.validation_loss for epoch in found.training.history]
    assert found.training.status == "early stopping"
    assert found.training.best_epoch == int(np.argmin(losses))
    assert len(losses) == found.training.best_epoch + 11
    rows = found.training.held_out
    kept = binary_cross_entropy_with_logits(rows.y, rows.logits, sample_weight=rows.weight)
    assert kept == pytest.approx(min(losses), rel=1e-12)


def test_without_rows_held_out_the_last_weights_are_kept():
    found = fitted(validation_fraction=0.0, epochs=7, min_steps=1)
    assert found.training.status == "all epochs"
    assert found.training.best_epoch == 7
    assert np.isnan(found.training.history[-1].validation_loss)
    assert found.recalibration.maps == ()


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    rows = table(levels=(3,))
    bits = [
        logits_of(found.predictor.network, rows.numbers, rows.codes).tobytes()
        for found in (fitted(rows, seed=s, epochs=5, min_steps=1) for s in (1, 1, 2))
    ]
    assert bits[0] == bits[1] != bits[2]


def test_the_bits_do_not_depend_on_the_number_of_threads():
    rows, before = table(SMALL + 4), torch.get_num_threads()
    bits = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        try:
            found = fitted(rows, epochs=1, min_steps=1)
            assert torch.get_num_threads() == n_threads
        finally:
            torch.set_num_threads(before)
        bits.append([p.numpy(force=True).tobytes() for p in found.predictor.network.parameters()])
    assert bits[0] == bits[1]


def test_rows_of_weight_zero_are_as_if_they_were_not_there():
    rows = table()
    weight = np.where(np.arange(len(rows)) < 300, 1.0, 0.0)
    part = Block(0, rows.numbers[:300], rows.codes[:300], rows.y[:300])
    one, other = (
        fitted(some, epochs=3, min_steps=1) for some in (replace(rows, weight=weight), part)
    )
    np.testing.assert_array_equal(
        logits_of(one.predictor.network, rows.numbers),
        logits_of(other.predictor.network, rows.numbers),
    )


@pytest.mark.parametrize("option", [{"pos_weight": 8.0}, {"gamma": 2.0}])
def test_probabilities_are_corrected_after_other_losses(option):
    rows, made = table(2000), Architecture(hidden=(16,), members=2)
    found = fitted(rows, made, **option)
    raw = logits_of(found.predictor.network, rows.numbers)
    said = found.recalibration(raw)
    loss = [
        binary_cross_entropy_with_logits(rows.y, z, sample_weight=rows.weight)
        for z in (raw, said, logits_of(fitted(rows, made).predictor.network, rows.numbers))
    ]
    assert loss[1] < loss[0] - 0.02
    assert abs(loss[1] - loss[2]) < 0.02


def test_a_loss_that_is_not_finite_ends_training_with_the_last_good_weights():
    rows = table()
    with pytest.warns(ConvergenceWarning, match=r"inf|nan") as caught:
        found = fitted(rows, learning_rate=1e300, validation_fraction=0.0)
    words = str(caught[0].message)
    assert "batch " in words
    assert "learning rate of " in words
    assert found.training.status == "diverged"
    assert np.isfinite(logits_of(found.predictor.network, rows.numbers)).all()


def test_embeddings_learn_what_levels_do():
    rows = table(1500, levels=(4,))
    found = fitted(rows, Architecture(hidden=(8,), embedding=2, members=2))
    middle = np.zeros((5, 2))
    said = logits_of(
        found.predictor.network, middle, np.array([[0], [1], [2], [3], [-1]], np.int32)
    )
    assert said[0] < said[1] < said[2] < said[3]
    assert said[0] < said[4] < said[3]


def test_bits_do_not_depend_on_the_rows_beside():
    rows = table(levels=(3,))
    found = fitted(rows, epochs=2, min_steps=1)
    whole = logits_of(found.predictor.network, rows.numbers, rows.codes)
    alone = logits_of(found.predictor.network, rows.numbers[7:8], rows.codes[7:8])
    np.testing.assert_allclose(alone, whole[7:8], rtol=1e-13)


def test_every_epoch_is_told_to_who_watches():
    seen = []
    found = fitted(epochs=4, min_steps=1, watch=lambda epoch, most: seen.append((epoch, most)))
    assert [epoch for epoch, _ in seen] == list(found.training.history[1:])
    assert {most for _, most in seen} == {4}


@pytest.mark.parametrize(("n_batches", "passes"), [(1, 400), (24, 100), (50, 100), (275, 19)])
def test_small_tables_are_passed_more_often_and_large_ones_less(n_batches, passes):
    assert Recipe(epochs=100, most_steps=5000).passes(n_batches) == passes


def test_passes_that_were_asked_for_are_made():
    assert Recipe(epochs=100).passes(275) == 100
