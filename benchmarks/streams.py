"""`python -m benchmarks.streams`: fits larger than memory, and CSV beside pyarrow's readers.

Draws a table, writes it as Parquet and CSV, fits it in a process of its own under a budget
of memory, and prints the peak of that process and the speed of each pass. A fit of the same
rows in memory must give the same bits before any figure counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv as pv
from pyarrow import parquet as pq

import logloss
from benchmarks.timing import medians
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch
from logloss.rows.source import Source, open_source

#: Rows drawn, and written, at a time.
PIECE = 1 << 18
#: Rows that are fitted from the cache and in memory, to compare the bits.
CHECKED_ROWS = 300_000
#: Rows of the CSV, of which pyarrow's own reader would keep all in memory.
CSV_ROWS = 1_000_000
#: Of one row in the cache: 48 numbers, 2 codes and the target, as `logloss` keeps them.
NUMBERS, CODES = 48, 2
ROW_BYTES = 8 * NUMBERS + 4 * CODES + 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, fit and read them, print what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000, help="400 bytes each, decoded")
    parser.add_argument("--memory", default="1GB", help="the budget of the fit")
    parser.add_argument("--row-group", type=int, default=1_000_000, help="of the Parquet file")
    parser.add_argument("--csv-rows", type=int, default=CSV_ROWS)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        check_bits(path, chosen.row_group)
        write_parquet(path, chosen.rows, chosen.row_group)
        print("\n".join(report(chosen.rows, chosen.memory, fit_apart(path, chosen.memory))))
        print("\n".join(csv_table(Path(folder) / "table.csv", chosen.csv_rows)))
    return 0


def check_bits(path: Path, row_group: int) -> None:
    """Raise ValueError unless a fit from the cache is that of the same rows in memory."""
    write_parquet(path, CHECKED_ROWS, row_group)
    cached, in_memory = (fit_apart(path, memory) for memory in ("110MB", "4GB"))
    if cached["bits"] != in_memory["bits"]:
        raise ValueError("a fit from the cache differs from the fit of the same rows in memory")
    if "CachePass" not in dict(cached["passes"]) or "CachePass" in dict(in_memory["passes"]):
        raise ValueError("the two fits that were compared were made in the same way")


def tables(n_rows: int) -> Iterator[pa.Table]:
    """Draw the rows piece by piece, the same in every run."""
    weights = np.random.default_rng(0).normal(0, 0.2, NUMBERS).astype(np.float32)
    for start in range(0, n_rows, PIECE):
        rng = np.random.default_rng([1, start])
        n = min(PIECE, n_rows - start)
        x = rng.standard_normal((NUMBERS, n), dtype=np.float32)
        carrier, origin = rng.integers(0, 16, n), rng.integers(0, 3, n)
        logit = weights @ x + 0.1 * (carrier - 8) - 1
        late = rng.random(n) < 1 / (1 + np.exp(-logit))
        yield pa.table(
            {
                "late": late.astype(np.int8),
                **{f"x{k}": column for k, column in enumerate(x)},
                "carrier": pa.array(carrier).cast(pa.string()).dictionary_encode(),
                "origin": pa.array(origin).cast(pa.string()).dictionary_encode(),
            }
        )


def write_parquet(path: Path, n_rows: int, row_group: int) -> None:
    pieces = tables(n_rows)
    first = next(pieces)
    dictionaries = [f.name for f in first.schema if pa.types.is_dictionary(f.type)]
    options: dict[str, Any] = {"compression": "lz4", "use_dictionary": dictionaries}
    with pq.ParquetWriter(path, first.schema, **options) as writer:
        waiting = first
        for piece in pieces:
            waiting = pa.concat_tables([waiting, piece])
            while len(waiting) >= row_group:
                writer.write_table(waiting.slice(0, row_group))
                waiting = waiting.slice(row_group)
        writer.write_table(waiting)


CHILD = """
import sys
from benchmarks.streams import fit_here
fit_here(*sys.argv[1:])
"""


def fit_apart(path: Path, memory: str) -> dict[str, Any]:
    """Fit in a process of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), memory],
        cwd=Path(__file__).parents[1],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def fit_here(path: str, memory: str) -> None:
    """Fit, and print what it took of memory and time, pass by pass, as JSON."""
    before, begin = peak(), time.perf_counter()
    passes: list[tuple[str, float]] = []
    n_rows = pq.read_metadata(path).num_rows
    reduce = LocalEngine.reduce

    def timed(engine: LocalEngine, task: Any, source: Any) -> Any:
        start = time.perf_counter()
        answer = reduce(engine, task, source)
        if source.n_rows == n_rows:  # not the sample that the solver warms up on
            passes.append((type(task).__name__, time.perf_counter() - start))
        return answer

    LocalEngine.reduce = timed  # type: ignore[method-assign]
    model = logloss.fit(path, "late", memory=memory)
    answer = {
        "before": before,
        "peak": peak(),
        "seconds": time.perf_counter() - begin,
        "status": model.summary().status,
        "scans": model.summary().scans,
        "bits": model.predictor.coefficients.tobytes().hex(),
        "passes": passes,
    }
    print(json.dumps(answer))


def peak() -> int:
    """Bytes of memory that this process has held at most.

    Linux counts the peak of the process that started this one in `getrusage`, too, so its
    own status is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(fields["VmHWM"].split()[0])
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found


def report(n_rows: int, memory: str, answer: dict[str, Any]) -> Iterator[str]:
    """Say what a fit took of memory, and of time for each kind of pass."""
    size = n_rows * ROW_BYTES
    yield (
        f"{n_rows:,} rows, {size / 1e9:.2f} GB decoded, memory={memory}: "
        f"{answer['status']} after {answer['scans']} scans in {answer['seconds']:.1f} s"
    )
    peak, start = answer["peak"] / 1e9, answer["before"] / 1e9
    yield f"peak {peak:.2f} GB resident, {start:.2f} GB at the start"
    yield "\n| pass | times | median, s | decoded GB/s |"
    yield "| --- " * 4 + "|"
    for name in dict.fromkeys(name for name, _ in answer["passes"]):
        seconds = [taken for found, taken in answer["passes"] if found == name]
        middle = statistics.median(seconds)
        yield f"| {name} | {len(seconds)} | {middle:.2f} | {size / middle / 1e9:.2f} |"


def csv_table(path: Path, n_rows: int) -> Iterator[str]:
    """Time one reading of all columns of a CSV file, once all readers agree on what it holds."""
    write_csv(path, n_rows)
    source = open_source(path)
    check_rows(source, pv.read_csv(path))
    calls: dict[str, Callable[[], Any]] = {
        "logloss, one pass": lambda: LocalEngine().reduce(CountPass(), source),
        "logloss, opening: types and rows": lambda: open_source(path),
        "pyarrow.csv.read_csv": lambda: pv.read_csv(path),
        "pyarrow.csv.open_csv": lambda: sum(batch.num_rows for batch in pv.open_csv(path)),
    }
    seconds, size = medians(calls), path.stat().st_size
    yield f"\n| CSV, {size / 1e6:.0f} MB, {n_rows:,} rows | s | MB/s | to ours |"
    yield "| --- " * 4 + "|"
    ours = seconds["logloss, one pass"]
    for name, taken in seconds.items():
        yield f"| {name} | {taken:.2f} | {size / taken / 1e6:.0f} | {taken / ours:.2f}× |"


def check_rows(source: Source[Batch], truth: pa.Table) -> None:
    """Raise ValueError unless the rows of a source are those of a table."""
    for batch in source.blocks():
        rows = truth.slice(batch.first_row, len(batch)).combine_chunks()
        if not pa.Table.from_batches([batch.table]).equals(rows):
            raise ValueError(f"rows from {batch.first_row} on are not what pyarrow reads")


def write_csv(path: Path, n_rows: int) -> None:
    """Write numbers and text, quoted as pyarrow quotes it."""
    with open(path, "wb") as sink:
        for number, table in enumerate(tables(n_rows)):
            plain = table.select(["late", *(f"x{k}" for k in range(12)), "carrier"])
            carrier = plain["carrier"].cast(pa.string())
            plain = plain.set_column(13, "carrier", carrier)
            plain = plain.append_column(
                "city", pc.binary_join_element_wise("New York", carrier, ", ")
            )
            pv.write_csv(plain, sink, pv.WriteOptions(include_header=number == 0))


@dataclass(frozen=True)
class Count:
    """Rows seen; a partial."""

    n_rows: int = 0

    def __add__(self, other: Self, /) -> Self:
        return type(self)(self.n_rows + other.n_rows)


@dataclass(frozen=True)
class CountPass:
    """Batches → `Count`."""

    def __call__(self, batches: Iterable[Batch], /) -> Count:
        """Count the rows of these batches."""
        return Count(sum(map(len, batches)))


if __name__ == "__main__":
    sys.exit(main())
