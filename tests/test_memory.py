"""`fit` on more than fits in memory: the same bits, within the budget, through kills and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import logloss
from logloss.errors import ArgumentError, CheckpointError, OutputError
from logloss.rows.local import LocalEngine

#: Rows of three whole blocks and a short one; 44 bytes each in the cache.
N_ROWS = 210_000
#: Too little for all rows, and enough for one thread.
SMALL = 4 * 65_536 * 44


def table(n_rows: int, seed: int = 1) -> pa.Table:
    """Draw rows with numbers, values missing, and categories."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, n_rows), dtype=np.float32)
    kind = rng.integers(0, 5, n_rows)
    late = rng.random(n_rows) < 1 / (1 + np.exp(1 - x[0] + 0.5 * x[1] - 0.2 * kind))
    gaps = pa.array(x[2], mask=rng.random(n_rows) < 0.05)
    kinds = pa.DictionaryArray.from_arrays(kind.astype(np.int8), list("abcde"))
    return pa.table({"late": late, "x": x[0], "y": x[1], "gaps": gaps, "kind": kinds})


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


def bits(model: logloss.Model) -> bytes:
    found = model.predictor
    terms = [(t.coefficient, t.standard_error) for t in model.summary().terms]
    return np.array([found.base, *found.coefficients, *np.ravel(terms)]).tobytes()


class Counting(LocalEngine):
    """Counts the passes that it runs over all rows, by name."""

    def __init__(self, n_threads: int | None = None) -> None:
        super().__init__(n_threads)
        self.passes: list[str] = []

    def reduce(self, task: Any, source: Any) -> Any:
        if source.n_rows == N_ROWS:
            self.passes.append(type(task).__name__)
        return super().reduce(task, source)


def test_a_fit_from_the_cache_gives_the_bits_of_one_in_memory(path: Path, temporary: Path) -> None:
    engine = Counting()
    in_memory = logloss.fit(path, "late", engine=engine)
    assert "EncodePass" in engine.passes
    for n_threads in (1, 2, 5):
        engine = Counting(n_threads)
        assert bits(logloss.fit(path, "late", memory=SMALL, engine=engine)) == bits(in_memory)
        assert "CachePass" in engine.passes
    assert os.listdir(temporary) == []


@pytest.mark.parametrize("row_group", [7_000, 65_536, N_ROWS])
@pytest.mark.parametrize("memory", [SMALL, "1GB"])
def test_row_groups_change_no_bit(
    path: Path, tmp_path: Path, row_group: int, memory: int | str
) -> None:
    pq.write_table(table(N_ROWS), tmp_path / "again.parquet", row_group_size=row_group)
    again = logloss.fit(tmp_path / "again.parquet", "late", memory=memory)
    assert bits(again) == bits(logloss.fit(path, "late"))


def test_a_table_in_memory_may_be_encoded_into_a_cache_too(path: Path, temporary: Path) -> None:
    model = logloss.fit(table(N_ROWS), "late", memory=SMALL)
    assert bits(model) == bits(logloss.fit(path, "late"))
    assert os.listdir(temporary) == []


def test_an_array_and_a_file_give_the_same_bits(tmp_path: Path) -> None:
    rows = table(N_ROWS).select(["late", "x", "y"])
    pq.write_table(rows, tmp_path / "t.parquet", row_group_size=33_000)
    model = logloss.fit(tmp_path / "t.parquet", "late", prior=None)
    X = np.column_stack([rows[name].to_numpy().astype(np.float64) for name in ("x", "y")])
    for array in (X, np.asfortranarray(X)):
        estimator = logloss.LogisticRegression().fit(array, rows["late"].to_numpy())
        np.testing.assert_array_equal(estimator.coef_[0], model.predictor.coefficients)


@pytest.mark.usefixtures("temporary")
def test_no_room_is_known_before_the_cache_is_begun(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.statvfs_result((4096,) * 10)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": full.f_bsize}))
    with pytest.raises(OutputError, match="TMPDIR"):
        logloss.fit(path, "late", memory=SMALL)


def test_memory_that_holds_not_even_one_block_is_refused(path: Path) -> None:
    with pytest.raises(ArgumentError, match="allow more"):
        logloss.fit(path, "late", memory=SMALL // 2)


FIT = """
import os, signal, sys
import logloss
path, memory, checkpoint, steps = sys.argv[1:]
seen = []
def watch(point):
    seen.append(point)
    if len(seen) == int(steps):
        os.kill(os.getpid(), signal.SIGKILL)
logloss.fit(path, "late", memory=memory, checkpoint=checkpoint, tol=1e-8, watch=watch)
"""


def killed(path: Path, checkpoint: Path, steps: int) -> None:
    """Fit in a process of its own that is killed after some steps."""
    words = [path, SMALL, checkpoint, steps]
    done = subprocess.run([sys.executable, "-c", FIT, *map(str, words)], check=False, timeout=600)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_fit_goes_on_after_its_last_scan_and_ends_with_the_same_bits(
    path: Path, tmp_path: Path, temporary: Path
) -> None:
    checkpoint = tmp_path / "fit.checkpoint"
    whole = Counting()
    wanted = logloss.fit(path, "late", memory=SMALL, tol=1e-8, engine=whole)
    killed(path, checkpoint, 1)
    first = checkpoint.stat().st_size
    killed(path, checkpoint, 2)  # goes on, and is killed again further on
    assert checkpoint.stat().st_size > first
    assert len(os.listdir(temporary)) == 1, "the cache of the first was removed by the second"
    engine = Counting()
    model = logloss.fit(path, "late", memory=SMALL, tol=1e-8, engine=engine, checkpoint=checkpoint)
    assert bits(model) == bits(wanted)
    assert model.summary().path == wanted.summary().path
    assert not checkpoint.exists()
    assert os.listdir(temporary) == []
    start = whole.passes.index("CachePass") + 1
    assert engine.passes[start] == "DigestPass"
    left = engine.passes[start + 1 :]
    assert 0 < len(left) < len(whole.passes[start:])
    assert whole.passes[start:][-len(left) :] == left


def test_a_checkpoint_of_other_rows_or_options_is_refused(path: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "fit.checkpoint"
    killed(path, checkpoint, 1)
    with pytest.raises(CheckpointError, match=r"tol was 1e-08, and is 0\.5 now"):
        logloss.fit(path, "late", tol=0.5, checkpoint=checkpoint)
    other = table(N_ROWS)
    flipped = pa.array(np.r_[~other["late"].to_numpy()[:1], other["late"].to_numpy()[1:]])
    with pytest.raises(CheckpointError, match="rows was"):
        logloss.fit(other.set_column(0, "late", flipped), "late", tol=1e-8, checkpoint=checkpoint)
    with pytest.raises(CheckpointError, match="columns was"):
        logloss.fit(path, "late", drop=["x"], tol=1e-8, checkpoint=checkpoint)


ENDLESS = """
import sys
import logloss.fitting
from logloss.cli import main
def wait(*_, **__):
    print("waiting", flush=True)
    sys.stdin.read()
logloss.fitting.fit_logistic = wait
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_removes_its_cache(
    path: Path, tmp_path: Path, temporary: Path, sign: int
) -> None:
    words = ["fit", path, "--target", "late", "--memory", SMALL, "-o", tmp_path / "m.json"]
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        assert len(os.listdir(temporary)) == 1
        process.send_signal(sign)
        _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (130, "logloss: interrupted\n")
    assert os.listdir(temporary) == []


BOUND = """
import gc, json, sys
import logloss
from benchmarks.streams import peak
small, large, memory = sys.argv[1:]
logloss.fit(small, "late", memory=memory)  # what is imported on the way is no row
gc.collect()
before = peak()
model = logloss.fit(large, "late", memory=memory)
print(json.dumps([before, peak(), model.summary().n]))
"""


def test_memory_stays_within_the_budget_for_a_file_eight_times_as_large(
    root: Path, tmp_path: Path
) -> None:
    budget, n_rows = 64_000_000, 12_000_000
    assert n_rows * 44 > 8 * budget
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    piece = table(500_000)
    pq.write_table(piece.slice(0, 1000), small)
    with pq.ParquetWriter(large, piece.schema, compression="none") as writer:
        for _ in range(4):  # few long row groups, which no reader may hold as a whole
            writer.write_table(pa.concat_tables([piece] * 6), row_group_size=3_000_000)
    done = subprocess.run(
        [sys.executable, "-c", BOUND, str(small), str(large), str(budget)],
        cwd=root,
        # Arrow's own allocator keeps some 60 MB for later, however much there is to read
        env={**os.environ, "PYTHONPATH": str(root), "ARROW_DEFAULT_MEMORY_POOL": "system"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    before, after, n = json.loads(done.stdout)
    assert n == n_rows
    assert after - before <= 1.5 * budget, f"{after - before:,} bytes under {budget:,}"
