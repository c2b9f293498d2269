"""Networks on tables: fit, save, load, predict, from Python and from the command line."""

import json

import numpy as np
import pandas as pd
import pytest

import logloss
from logloss.cli import main
from logloss.cli.terminal import epoch_line
from logloss.errors import ArgumentError, ModelError
from logloss.network.summary import NetworkSummary
from logloss.network.training import Epoch


@pytest.fixture(scope="module")
def table():
    draw = np.random.default_rng(0)
    x, kind = draw.normal(size=400), draw.choice(["a", "b", "c"], 400)
    sign = np.where(kind == "a", -1.0, 1.0)
    y = draw.random(400) < logloss.sigmoid(3 * sign * x)
    x[::50] = np.nan
    return pd.DataFrame({"x": x, "kind": kind, "w": draw.uniform(0.5, 2, 400), "y": y.astype(int)})


@pytest.fixture(scope="module")
def model(table):
    return logloss.fit(table, "y", weight="w", model="network", quality="fast", hidden=(16,))


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path)
    return path


def test_it_learns_what_no_line_can_say(model, table):
    line = logloss.fit(table, "y", weight="w")
    losses = [
        logloss.score(table, "y", model=one, weight="w").log_loss.value for one in (model, line)
    ]
    assert losses[0] < losses[1] - 0.1


def test_a_loaded_network_predicts_the_same_bits(model, saved, table):
    again = logloss.load(saved)
    assert again.predict(table).equals(model.predict(table))
    assert json.dumps(again.describe()) == json.dumps(model.describe())
    assert str(again.summary()) == str(model.summary())


def test_predictions_do_not_depend_on_how_rows_are_cut(model, table):
    whole = model.predict(table)["logit"].to_numpy()
    parts = [model.predict(table.iloc[k : k + 37])["logit"].to_numpy() for k in range(0, 400, 37)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)


def test_every_damage_to_the_file_is_an_error_that_names_it(saved):
    content = saved.read_bytes()
    for damaged in (content[:100], content[:-1], content[:-9] + b"x" + content[-8:]):
        saved.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"m\.safetensors"):
            logloss.load(saved)


def test_the_page_about_it_tells_what_it_is_and_how_it_ended(model):
    words = str(model)
    n_weights = f"{model.summary().n_parameters:,} weights"
    assert f"→ {n_weights}\n" in words
    assert "1 × 16 hidden units (relu)" in words
    assert "nats held out" in words
    assert "trained on" in str(model.summary())
    assert repr(model).startswith(f"Model('y', 400 rows, {n_weights}, ")


def test_a_population_of_another_base_rate_is_allowed_for(table):
    options = {"model": "network", "quality": "fast", "hidden": (4,), "drop": ["w"]}
    model = logloss.fit(table, "y", base_rate=0.01, **options)
    assert model.base_rate == 0.01
    assert model.predict(table)["probability"].to_numpy().mean() < 0.1
    assert "corrected for a population of 1 % positive" in str(model)


def test_the_same_seed_gives_the_same_bits_in_any_cut_of_the_rows(table, tmp_path):
    table.to_parquet(tmp_path / "t.parquet", row_group_size=64)
    options = {"model": "network", "quality": "fast", "hidden": (4,)}
    one, other = (
        logloss.fit(table, "y", **options),
        logloss.fit(tmp_path / "t.parquet", "y", **options),
    )
    assert one.predict(table).equals(other.predict(table))


@pytest.mark.parametrize(
    "option",
    [{"method": "firth"}, {"alpha": 1.0}, {"offset": "w"}, {"cluster": "kind"}, {"prior": "weak"}],
)
def test_options_of_lines_are_refused(table, option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        logloss.fit(table, "y", model="network", **option)


def test_another_kind_of_model_is_refused(table):
    with pytest.raises(ArgumentError, match="'forest'"):
        logloss.fit(table, "y", model="forest")


def test_a_score_test_is_refused(model, table):
    with pytest.raises(ArgumentError, match="this is a network"):
        model.score_test(table, "x")


@pytest.mark.parametrize("record", [{}, {"n": "x"}])
def test_a_damaged_summary_is_refused(record):
    with pytest.raises(ModelError, match="summary cannot be read"):
        NetworkSummary.from_dict(record)


def test_an_epoch_out_of_the_history_is_refused(model):
    record = {**model.summary().to_dict(), "best_epoch": 10_000}
    with pytest.raises(ModelError, match="not in the history"):
        NetworkSummary.from_dict(record)


def test_training_can_be_drawn(model):
    ax = logloss.plot_training(model)
    assert [line.get_label() for line in ax.lines] == ["trained on", "held out"]


def test_the_command_line_does_with_a_network_what_it_does_with_a_line(table, tmp_path, capsys):
    data, file, out = (str(tmp_path / name) for name in ("t.parquet", "m.safetensors", "p.parquet"))
    table.to_parquet(data)
    fit = ["fit", data, "--target", "y", "--model", "network", "--quality", "fast", "-o", file]
    for words in (
        fit,
        ["info", file],
        ["predict", file, data, "-o", out],
        ["score", data, "--target", "y", "--model", file],
    ):
        assert main(words) == 0
    said = capsys.readouterr().out
    assert "hidden units" in said
    assert "log loss" in said


def test_progress_tells_both_losses_and_the_time_left():
    words = epoch_line(Epoch(5, 0.5, 0.625, 1e-3), 20, 10.0)
    assert words == (
        "epoch 5 of at most 20 · loss 0.5000 trained on, 0.6250 held out · at most 30 s left"
    )
