"""`python -m benchmarks.frameworks`: training in PyTorch with these losses beside torch's own.

Steps of small networks, then layers fused with their loss beside the plain composition of the
two, whose logits are all in memory. Each fused call has a process of its own, for its peak.
Losses and gradients must agree before any figure counts.
"""

from __future__ import annotations

import argparse
import json
import mmap
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import logloss.torch as fused
from benchmarks.__main__ import processor
from benchmarks.streams import peak
from benchmarks.timing import medians

#: Of the largest entry; float32 sums of thousands of products differ by this between orders.
TOLERANCE = 1e-4
MEBIBYTE = 1 << 20
#: A few per cent are to be told apart.
STEP_ROUNDS = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Print two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks", description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="of training, in each round")
    parser.add_argument("--head", type=int, nargs=3, default=(4096, 50_000, 256), help="n k d")
    parser.add_argument("--pairs", type=int, nargs=2, default=(8192, 512), help="n d")
    parser.add_argument("--chunk", type=int, default=1 << 22, help="logits in memory at a time")
    parser.add_argument("--rounds", type=int, default=3, help="of fused and plain, in turns")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    print(f"{processor()} · {chosen.threads} threads · torch {torch.__version__}\n")
    print("\n".join(step_table(chosen.steps)))
    n, k, d = chosen.head
    pairs, width = chosen.pairs
    layers = [Layer("head", n, k, d), Layer("pairs", pairs, pairs, width)]
    print()
    print("\n".join(layer_table(layers, chosen.chunk, chosen.rounds, chosen.threads)), flush=True)
    return 0


# --- training steps ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A network to train: its widths from features to logits, and the size of a batch."""

    widths: tuple[int, ...]
    batch: int

    @property
    def title(self) -> str:
        """Name in the table."""
        return f"a step of {'-'.join(map(str, self.widths))}, {self.batch} rows"

    def step(self, loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], tuple[Any, ...]]:
        """Return a step of Adam; it returns the loss and the gradients."""
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for width, following in zip(self.widths, self.widths[1:], strict=False):
            layers += [nn.Linear(width, following), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
        x = torch.randn(self.batch, self.widths[0])
        y = (torch.rand(self.batch, self.widths[-1]) < 0.3).float()
        optimizer = torch.optim.Adam(network.parameters())

        def step() -> tuple[Any, ...]:
            optimizer.zero_grad()
            value = loss(network(x), y)
            value.backward()
            optimizer.step()
            return value.detach(), *(p.grad for p in network.parameters())

        return step


NETWORKS = (
    Network((20, 64, 1), batch=128),
    Network((20, 64, 1), batch=1024),
    Network((50, 256, 256, 10), batch=512),
)
LOSSES = {"logloss": fused.BCEWithLogitsLoss(), "torch": nn.BCEWithLogitsLoss()}


def step_table(steps: int) -> Iterator[str]:
    """Lines of Markdown: microseconds a step, and how many times ours."""
    yield "| | logloss, µs | torch |"
    yield "| --- | --- | --- |"
    for network in NETWORKS:
        calls = {name: network.step(loss) for name, loss in LOSSES.items()}
        agree(network.title, *(call() for call in calls.values()))

        def many(call: Callable[[], Any]) -> Callable[[], None]:
            def run() -> None:
                for _ in range(steps):
                    call()

            return run

        seconds = medians({name: many(call) for name, call in calls.items()}, STEP_ROUNDS)
        ours, theirs = (1e6 * seconds[name] / steps for name in LOSSES)
        yield f"| {network.title} | {ours:.0f} | {theirs:.0f} ({theirs / ours:.2f}×) |"


def agree(title: str, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    """Raise ValueError unless losses and gradients are the same, but for rounding."""
    for mine, other in zip(ours, theirs, strict=True):
        own, true = np.asarray(mine), np.asarray(other)
        if not np.max(np.abs(own - true)) <= TOLERANCE * np.max(np.abs(true)):
            raise ValueError(f"{title}: logloss and torch differ: {own!r}, {true!r}")


# --- layers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A layer with its loss: n rows and k labels, or n pairs; d numbers each."""

    kind: str
    n: int
    k: int
    d: int

    @property
    def title(self) -> str:
        """Name in the table."""
        if self.kind == "head":
            return f"linear head, n = {self.n:,}, k = {self.k:,}, d = {self.d}"
        return f"pairs (SigLIP), n = {self.n:,}, d = {self.d}"

    def call(self, name: str, chunk: int) -> Callable[[], tuple[Tensor, ...]]:
        """Return what computes loss and gradients, fused or composed; inputs are made here."""
        torch.manual_seed(0)
        x, weight = torch.randn(self.n, self.d), torch.randn(self.k, self.d)
        x, weight = (functional.normalize(t).requires_grad_() for t in (x, weight))
        if self.kind == "pairs":
            shift = torch.tensor(-10.0, requires_grad=True)
            inputs = (x, weight, shift)
            return _calling(inputs, lambda: _pairs(name, inputs, chunk))
        bias = torch.full((self.k,), -4.0, requires_grad=True)
        y = torch.empty(self.n, self.k, dtype=torch.bool if name == "logloss" else torch.float32)
        for row in y:  # one at a time: what is drawn on the way would be in the peak
            row.copy_(torch.rand(self.k) < 0.01)
        inputs = (x, weight, bias)
        return _calling(inputs, lambda: _head(name, inputs, y, chunk))


def _calling(
    leaves: tuple[Tensor, ...], loss: Callable[[], Tensor]
) -> Callable[[], tuple[Tensor, ...]]:
    def call() -> tuple[Tensor, ...]:
        value = loss()
        value.backward()
        return value.detach(), *(leaf.grad for leaf in leaves)

    return call


def _head(name: str, layer: tuple[Tensor, ...], y: Tensor, chunk: int) -> Tensor:
    if name == "logloss":
        return fused.linear_binary_cross_entropy(*layer, y, chunk=chunk)
    return functional.binary_cross_entropy_with_logits(functional.linear(*layer), y)


def _pairs(name: str, given: tuple[Tensor, ...], chunk: int) -> Tensor:
    image, text, bias = given
    if name == "logloss":
        return fused.pairwise_sigmoid_loss(image, text, 10.0, bias, chunk=chunk)
    labels = 2 * torch.eye(len(image)) - 1
    logits = 10.0 * image @ text.T + bias
    return -functional.logsigmoid(labels * logits).sum() / len(image)


CHILD = """
import sys
from benchmarks.frameworks import measure_here
measure_here(*sys.argv[1:])
"""


def measure_here(kind: str, n: str, k: str, d: str, name: str, *rest: str) -> None:
    """Call once in this process, keep the answer in a file, print seconds and bytes as JSON."""
    chunk, threads, path = rest
    torch.set_num_threads(int(threads))
    Layer(kind, 64, 64, int(d)).call(name, int(chunk))()  # libraries take their own memory first
    call = Layer(kind, int(n), int(k), int(d)).call(name, int(chunk))
    before, begin = resident(), time.perf_counter()
    answer = call()
    seconds = time.perf_counter() - begin
    # memory comes in pages, and a small layer may fit into what is held already
    print(json.dumps({"seconds": seconds, "bytes": max(peak() - before, mmap.PAGESIZE)}))
    np.savez(path, *(value.numpy() for value in answer))


def resident() -> int:
    """Bytes that this process holds; where the system does not tell, the most it has held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak()
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return 1024 * int(fields["VmRSS"].split()[0])


def measure(layer: Layer, chunk: int, rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """Median seconds and highest peak of both, in turns; their answers agree."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in LOSSES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, runs in found.items():
                words = (layer.kind, layer.n, layer.k, layer.d, name, chunk, threads)
                path = Path(folder) / f"{name}.npz"
                command = [sys.executable, "-c", CHILD, *map(str, words), path]
                done = subprocess.run(
                    command,
                    cwd=Path(__file__).parents[1],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                runs.append(json.loads(done.stdout))
        answers = [np.load(Path(folder) / f"{name}.npz") for name in LOSSES]
        agree(layer.title, *(list(answer.values()) for answer in answers))
    return {
        name: {
            "seconds": statistics.median(run["seconds"] for run in runs),
            "bytes": max(run["bytes"] for run in runs),
        }
        for name, runs in found.items()
    }


def layer_table(layers: Sequence[Layer], chunk: int, rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown: seconds and peaks beyond the inputs, and how many times ours."""
    yield "| loss and gradients | logloss, s | torch | logloss, MiB | torch |"
    yield "| --- | --- | --- | --- | --- |"
    for layer in layers:
        found = measure(layer, chunk, rounds, threads)
        ours, theirs = (found[name] for name in LOSSES)
        slower, larger = (theirs[what] / ours[what] for what in ("seconds", "bytes"))
        sizes = [f"{side['bytes'] / MEBIBYTE:.0f}" for side in (ours, theirs)]
        yield (
            f"| {layer.title} | {ours['seconds']:.2f} | {theirs['seconds']:.2f} ({slower:.1f}×) "
            f"| {sizes[0]} | {sizes[1]} ({larger:.1f}×) |"
        )


if __name__ == "__main__":
    sys.exit(main())
