"""Networks on more rows than are kept: the same bits, within the budget, through kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import logloss
from logloss import NetworkClassifier
from logloss.cli import main
from logloss.design.block import Block, Layout
from logloss.design.shuffled import gathered
from logloss.errors import ArgumentError, ConvergenceWarning
from logloss.network.fit import first_network, fit_network
from logloss.network.module import Architecture
from logloss.network.numbers import NUMBERS
from logloss.network.recipe import Recipe
from logloss.network.stream import Stream, survey
from logloss.rows.shuffle import Shuffle

#: Of the columns of `block`.
LAYOUT = Layout(("a", "b", "c"), (("d=0", "d=1", "d=2"),))

#: Rows of two parts; 28 bytes each, once encoded.
N_ROWS = 120_000
#: Enough for one thread, and too little to keep the rows.
SMALL = 4 * 65_536 * 28


def block(n: int = 900, seed: int = 0, levels: int = 3) -> Block:
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 3))
    codes = draw.integers(0, levels, (n, 1)).astype(np.int32)
    y = (draw.random(n) < logloss.sigmoid(2 * X[:, 0] * X[:, 1] + codes[:, 0] - 1)).astype(float)
    return Block(0, X, codes, y, draw.uniform(0.5, 2, n))


def bits(network: torch.nn.Module) -> list[bytes]:
    return [values.numpy().tobytes() for values in network.state_dict().values()]


def trained(room, *, members=2, numbers="piecewise", checkpoint=None):
    rows = block()
    found = fit_network(
        gathered(Shuffle(1, len(rows), 200), [rows]),
        LAYOUT,
        Architecture(levels=(3,), hidden=(8,), members=members, dropout=0.1, numbers=numbers),
        Recipe(epochs=3, min_steps=1, batch_size=40),
        seed=1,
        room=room,
        checkpoint=checkpoint,
    )
    return bits(found.predictor.network), found.training.history


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("numbers", list(NUMBERS))
def test_rows_that_are_kept_and_rows_that_are_read_anew_give_the_same_bits(members, numbers):
    kept = trained(1 << 30, members=members, numbers=numbers)
    assert trained(0, members=members, numbers=numbers) == kept


def stream(rows: Block, most_rows: int, *, room: int = 0, n_folds: int = 5) -> Stream:
    parts = gathered(Shuffle(0, len(rows), most_rows), [rows])
    found = survey(parts, (3,))
    network = first_network(rows, Architecture(levels=(3,), hidden=(4,)), 0.5)
    return Stream(parts, found, network, n_folds=n_folds, seed=0, room=room)


def test_every_row_is_trained_on_or_held_out_once_in_a_pass():
    rows = block()
    passing = stream(rows, 100)
    assert len(passing) == 9
    seen, held_out = [], []
    for number in passing.order(1):
        part = passing.part(number)
        assert len(part.trained_on) == passing.counts[number]
        seen.append(part.rows.numbers[part.trained_on].numpy())
        held_out.append(part.rows.numbers[part.held_out[part.real]].numpy())
    assert len(np.concatenate(held_out)) == 180
    found = np.concatenate([*seen, *held_out])
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(rows.numbers, axis=0))


def test_parts_come_in_another_order_in_every_pass():
    orders = [stream(block(), 100).order(epoch) for epoch in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[1]) == list(range(9))


def test_parts_are_kept_only_if_there_is_room_for_all():
    for room, kept in ((1 << 20, 9), (10_000, 0)):
        passing = stream(block(), 100, room=room)
        assert [len(passing.part(number).rows) for number in range(9)] == [100] * 9
        assert len(passing.kept) == kept


def test_a_part_whose_rows_have_no_weight_is_passed_over():
    rows = block()
    dealt = Shuffle(1, len(rows), 200).parts_of(0, len(rows))
    rows.weight[dealt == 2] = 0
    found = fit_network(
        gathered(Shuffle(1, len(rows), 200), [rows]),
        LAYOUT,
        Architecture(levels=(3,), hidden=(4,), members=2),
        Recipe(epochs=2, min_steps=1),
        seed=1,
        room=0,
    )
    assert found.n_rows == (dealt != 2).sum()
    assert np.isfinite(found.training.history[-1].validation_loss)


def test_arrays_of_several_parts_are_learned_from():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(70_000, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    order = np.argsort(y, kind="stable")  # sorted rows, of which every part has its share
    network = NetworkClassifier((8,), quality="fast", epochs=3, weight_decay=0.01, random_state=0)
    network.fit(X[order], y[order])
    assert network.validation_loss_[-1] < 0.25


class Killed(BaseException):
    """Stands for what ends a process."""


@pytest.mark.parametrize("steps", [1, 6, 20, 21, 47, 60])
def test_a_training_killed_within_a_pass_ends_with_the_same_bits(tmp_path, monkeypatch, steps):
    from logloss.network import training

    whole, count = trained(0), []
    step = training.Run._step

    def stopping(self, batch, rate):
        count.append(rate)
        if len(count) == steps:
            raise Killed
        return step(self, batch, rate)

    path = tmp_path / "c"
    monkeypatch.setattr(training.Run, "_step", stopping)
    with pytest.raises(Killed):
        trained(0, checkpoint=path)
    assert path.exists() == (steps > 4), "each part has four batches"
    assert trained(1 << 30, checkpoint=path) == whole
    assert len(count) <= 3 * 5 * 4 + 4, "what was done before the last part is not done again"


def test_a_training_killed_while_its_line_is_fitted_ends_with_the_same_bits(tmp_path, monkeypatch):
    from logloss.network import fit

    def killed(*_):
        raise Killed

    path, whole = tmp_path / "c", trained(0)
    with monkeypatch.context() as patched:
        patched.setattr(fit, "learn_line", killed)
        with pytest.raises(Killed):
            trained(0, checkpoint=path)
    assert path.exists()
    steps: list[float] = []
    monkeypatch.setattr("logloss.network.training.Run._step", lambda *_: steps.append(0.0))
    assert trained(0, checkpoint=path) == whole
    assert not steps
    assert not path.exists()


def test_a_loss_that_is_not_finite_is_named_by_its_place_in_the_pass(monkeypatch):
    from logloss.network import training

    rates = []

    def spoiled(self, batch, rate):
        rates.append(rate)
        return np.nan if len(rates) == 27 else 0.5

    monkeypatch.setattr(training.Run, "_step", spoiled)
    words = r"the training loss was nan at batch 7 of epoch 2, with a learning rate of \S+\. "
    with pytest.warns(ConvergenceWarning, match=words + r"The weights of epoch \d were kept"):
        _, history = trained(0)
    assert [epoch.epoch for epoch in history] == [0, 1]


def table(n_rows: int) -> pa.Table:
    draw = np.random.default_rng(1)
    x = draw.standard_normal((2, n_rows))
    kind = draw.integers(0, 3, n_rows)
    late = draw.random(n_rows) < logloss.sigmoid(x[0] * x[1] + kind - 1)
    kinds = pa.DictionaryArray.from_arrays(kind.astype(np.int8), list("abc"))
    return pa.table({"late": late, "x": x[0], "y": x[1], "kind": kinds})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "table.parquet"
    pq.write_table(table(N_ROWS), path, row_group_size=50_000)
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for temporary files, of which none may stay."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


OPTIONS = {"model": "network", "quality": "fast", "hidden": (4,), "epochs": 1}


def made(model: logloss.Model) -> tuple[list[bytes], object]:
    return bits(model.predictor.network), model.summary()


def test_a_table_that_does_not_fit_gives_the_bits_of_one_that_does(
    path: Path, tmp_path: Path, temporary: Path
) -> None:
    seen = []
    in_memory = logloss.fit(path, "late", **OPTIONS, watch=lambda *_: seen.append(0))
    cut = tmp_path / "cut.parquet"
    pq.write_table(table(N_ROWS), cut, row_group_size=7_000)
    files = []
    for place in (path, cut):
        model = logloss.fit(
            place,
            "late",
            **OPTIONS,
            memory=SMALL,
            watch=lambda *_: files.append(len(os.listdir(temporary))),
        )
        assert made(model) == made(in_memory)
    assert files == [1] * 2 * len(seen), "rows lay in a temporary file"
    assert os.listdir(temporary) == []


def test_what_ends_a_training_removes_its_temporary_file(path: Path, temporary: Path) -> None:
    def interrupt(*_: object) -> None:
        assert len(os.listdir(temporary)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logloss.fit(path, "late", **OPTIONS, memory=SMALL, watch=interrupt)
    assert os.listdir(temporary) == []


def test_memory_that_holds_not_even_one_part_is_refused(path: Path) -> None:
    with pytest.raises(ArgumentError, match="allow more"):
        logloss.fit(path, "late", **OPTIONS, memory=SMALL // 2)


def test_the_command_line_trains_a_network_on_a_table_that_does_not_fit(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "m.safetensors")
    words = ["fit", str(path), "--target", "late", "--model", "network", "--quality", "fast"]
    assert main([*words, "--epochs", "1", "--memory", str(SMALL), "-o", model]) == 0
    assert "nats held out" in capsys.readouterr().out
    assert logloss.load(model).summary().n == N_ROWS


FIT = """
import os, signal, sys
import logloss
from logloss.network import training
path, memory, checkpoint, steps = sys.argv[1:]
step, seen = training.Run._step, []
def stopping(self, batch, rate):
    seen.append(rate)
    if len(seen) == int(steps):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, rate)
training.Run._step = stopping
options = {"model": "network", "quality": "fast", "hidden": (4,), "epochs": 1}
logloss.fit(path, "late", memory=int(memory), checkpoint=checkpoint, **options)
"""


def test_a_process_that_is_killed_goes_on_from_its_last_part_to_the_same_bits(
    path: Path, tmp_path: Path, temporary: Path
) -> None:
    checkpoint = tmp_path / "c.safetensors"
    done = []
    for steps in (80, 170):  # in the second part of the first pass, and in that of a later one
        words = [sys.executable, "-c", FIT, str(path), str(SMALL), str(checkpoint), str(steps)]
        ended = subprocess.run(words, check=False, timeout=600)
        assert ended.returncode == -signal.SIGKILL
        done.append(_position(checkpoint))
    assert done[0] == (1, 1)
    assert done[0] < done[1]
    model = logloss.fit(path, "late", **OPTIONS, memory=SMALL, checkpoint=checkpoint)
    assert made(model) == made(logloss.fit(path, "late", **OPTIONS))
    assert not checkpoint.exists()
    assert os.listdir(temporary) == []


def _position(checkpoint: Path) -> tuple[int, int]:
    """Return the pass under way, and the parts of it that are done."""
    content = checkpoint.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    record = json.loads(header["__metadata__"]["record"])
    return len(record["history"]), record["position"]


BOUND = """
import gc, json, sys
import logloss
from benchmarks.streams import peak
small, large, memory = sys.argv[1:]
options = {"model": "network", "quality": "fast", "hidden": (8,), "epochs": 1}
logloss.fit(small, "late", memory=memory, **options)  # what is imported on the way is no row
gc.collect()
before = peak()
model = logloss.fit(large, "late", memory=memory, **options)
print(json.dumps([before, peak(), model.summary().n]))
"""


def test_memory_stays_within_the_budget_for_a_file_three_times_as_large(
    root: Path, tmp_path: Path
) -> None:
    budget, piece, n_pieces = 70_000_000, wide(280_000), 4
    n_rows = n_pieces * len(piece)
    assert n_rows * (8 * 24 + 4 + 8) > 3 * budget
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    pq.write_table(piece.slice(0, 1000), small)
    with pq.ParquetWriter(large, piece.schema, compression="none") as writer:
        for _ in range(n_pieces):
            writer.write_table(piece)
    done = subprocess.run(
        [sys.executable, "-c", BOUND, str(small), str(large), str(budget)],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            # what allocators keep for later, however much there is to read, does not count
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "MALLOC_MMAP_THRESHOLD_": "1000000",
        },
        stdout=subprocess.PIPE,
        check=True,
        timeout=900,
    )
    before, after, n = json.loads(done.stdout)
    assert n == n_rows
    assert after - before <= 1.5 * budget, f"{after - before:,} bytes under {budget:,}"


def wide(n_rows: int) -> pa.Table:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((24, n_rows), dtype=np.float32)
    kind = draw.integers(0, 3, n_rows)
    late = draw.random(n_rows) < logloss.sigmoid(x[0] * x[1] + kind - 1)
    kinds = pa.DictionaryArray.from_arrays(kind.astype(np.int8), list("abc"))
    return pa.table({"late": late, "kind": kinds} | {f"x{k}": x[k] for k in range(24)})
