"""Who computes: for every library, each problem as its users would write it.

A peer's gradient is elementwise, of the summed loss. Arrays are in the library's own form
before time counts; none of the answers is copied back while it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import logloss
from benchmarks.problems import Data

Calls = dict[str, Callable[[], tuple[Any, ...]]]


def ours(data: Data, n_threads: int) -> Calls:
    """Call logloss."""
    labels, z, p = data.labels, data.logits, data.probabilities
    return {
        "mean": lambda: (logloss.binary_cross_entropy_with_logits(labels, z, n_threads=n_threads),),
        "gradient": lambda: logloss.loss_gradient(labels, z, n_threads=n_threads),
        "from_probabilities": lambda: (
            logloss.binary_cross_entropy(labels, p, n_threads=n_threads),
        ),
    }


def numpy_plain(data: Data, n_threads: int) -> Calls:
    """Type the formulas as everyone does; one thread, since NumPy has no other way."""
    y, z, p = data.y, data.logits, data.probabilities

    def gradient() -> tuple[Any, ...]:
        loss = np.mean(np.logaddexp(0, z) - y * z)
        return loss, 1 / (1 + np.exp(-z)) - y

    return {
        "mean": lambda: (np.mean(np.logaddexp(0, z) - y * z),),
        "gradient": gradient,
        "from_probabilities": lambda: (np.mean(-(y * np.log(p) + (1 - y) * np.log1p(-p))),),
    }


def scikit_learn(data: Data, n_threads: int) -> Calls:
    """Call `log_loss`, and the private losses behind its own estimators."""
    from sklearn._loss import HalfBinomialLoss
    from sklearn.metrics import log_loss

    loss, y, z, p = HalfBinomialLoss(), data.y, data.logits, data.probabilities

    def gradient() -> tuple[Any, ...]:
        losses, slopes = loss.loss_gradient(y, z, n_threads=n_threads)
        return losses.mean(dtype=np.float64), slopes

    return {
        "mean": lambda: (loss.loss(y, z, n_threads=n_threads).mean(dtype=np.float64),),
        "gradient": gradient,
        "from_probabilities": lambda: (log_loss(data.labels, p),),
    }


def torch_eager(data: Data, n_threads: int) -> Calls:
    """Call the functional losses and autograd, as they come."""
    return _torch(data, n_threads, compiled=False)


def torch_compiled(data: Data, n_threads: int) -> Calls:
    """Call the same through `torch.compile`; compiling comes before time counts."""
    return _torch(data, n_threads, compiled=True)


def _torch(data: Data, n_threads: int, *, compiled: bool) -> Calls:
    import torch
    from torch.nn import functional

    torch.set_num_threads(n_threads)
    y, p = torch.from_numpy(data.y), torch.from_numpy(data.probabilities)
    z = torch.from_numpy(data.logits)
    leaf = z.clone().requires_grad_()

    def from_logits(logits: Any, reduction: str) -> Any:
        return functional.binary_cross_entropy_with_logits(logits, y, reduction=reduction)

    def from_probabilities() -> Any:
        return functional.binary_cross_entropy(p, y)

    if compiled:
        from_logits, from_probabilities = map(torch.compile, (from_logits, from_probabilities))

    def gradient() -> tuple[Any, ...]:
        total = from_logits(leaf, "sum")
        (slopes,) = torch.autograd.grad(total, leaf)
        return total.detach() / len(y), slopes

    return {
        "mean": lambda: (from_logits(z, "mean"),),
        "gradient": gradient,
        "from_probabilities": lambda: (from_probabilities(),),
    }


def jax_jit(data: Data, n_threads: int) -> Calls:
    """Compile optax's formula with `jax.jit`; JAX chooses its threads itself."""
    import jax
    import jax.numpy as jnp

    y, z, p = (jnp.asarray(values) for values in (data.y, data.logits, data.probabilities))

    def total(logits: Any) -> Any:
        log_p, log_q = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        return -jnp.sum(y * log_p + (1 - y) * log_q)

    mean = jax.jit(lambda logits: total(logits) / len(y))
    both = jax.jit(jax.value_and_grad(total))
    probable = jax.jit(lambda p: -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log1p(-p)))

    def gradient() -> tuple[Any, ...]:
        loss, slopes = both(z)
        return float(loss) / len(y), slopes.block_until_ready()

    return {
        "mean": lambda: (mean(z).block_until_ready(),),
        "gradient": gradient,
        "from_probabilities": lambda: (probable(p).block_until_ready(),),
    }


#: Name in the table → how it is called.
PEERS: dict[str, Callable[[Data, int], Calls]] = {
    "logloss": ours,
    "NumPy": numpy_plain,
    "scikit-learn": scikit_learn,
    "torch eager": torch_eager,
    "torch.compile": torch_compiled,
    "JAX jit": jax_jit,
}


def versions() -> Iterator[str]:
    """Name and version of each library."""
    from importlib.metadata import version

    for name in ("logloss", "numpy", "scikit-learn", "torch", "jax"):
        yield f"{name} {version(name)}"


def settle_caches(folder: str) -> None:
    """Have what `torch.compile` writes stay under `folder`."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(folder, "torchinductor"))
