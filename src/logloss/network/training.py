"""Training: AdamW on slices of permuted rows, stopped by the validation log loss.

Only the optimisation is here; what a row's loss is, `logloss.torch` says, what the network is,
`module`, and how it is trained, `recipe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from logloss import kernel
from logloss.network.module import TableNetwork
from logloss.network.recipe import Recipe
from logloss.network.step import WrittenStep
from logloss.recalibration import FocalCorrection
from logloss.torch.functional import binary_cross_entropy_with_logits

if TYPE_CHECKING:
    from logloss.network.checkpoint import Keeper

FloatArray = npt.NDArray[np.float64]

#: What a row is worth that no member holds out.
NOT_HELD_OUT = -1


@dataclass(frozen=True)
class Rows:
    """Encoded rows to train on.

    Attributes
    ----------
    encoded : Tensor of shape (n, n_encoded)
        Numbers as the network sees them.
    codes : Tensor of shape (n, k), int64, or None
        Index of each level.
    y, weight : Tensor of shape (n,)
        Targets in [0, 1], and weights of mean 1.
    fold : Tensor of shape (n,), int64
        The member that does not train on the row but is validated on it, or -1.
    """

    encoded: Tensor
    codes: Tensor | None
    y: Tensor
    weight: Tensor
    fold: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Tensor | slice) -> Rows:
        """Return some of the rows, as views where `rows` is a slice."""
        along = isinstance(rows, Tensor) and rows.ndim == 1 and rows.dtype == torch.int64

        def some(values: Tensor) -> Tensor:
            # several times faster than with brackets
            return values.index_select(0, rows) if along else values[rows]

        codes = None if self.codes is None else some(self.codes)
        return Rows(some(self.encoded), codes, some(self.y), some(self.weight), some(self.fold))

    def cut(self, parts: Sequence[slice]) -> Iterator[Rows]:
        """Yield parts that lie one after the other, as views."""
        sizes = [part.stop - part.start for part in parts]
        codes = repeat(None) if self.codes is None else self.codes.split(sizes)
        columns = (values.split(sizes) for values in (self.y, self.weight, self.fold))
        yield from map(Rows, self.encoded.split(sizes), codes, *columns)


@dataclass(frozen=True)
class Epoch:
    """One pass over the rows.

    Attributes
    ----------
    epoch : int
        Counted from 1; 0 is the network before it was trained.
    training_loss : float
        Weighted mean of what the batches cost when they were met, in nats: with `pos_weight`
        or focal, of that loss.
    validation_loss : float
        Weighted mean log loss of rows held out, each under the member that never trains on it;
        NaN where no row is held out.
    learning_rate : float
        Of the last step.
    """

    epoch: int
    training_loss: float
    validation_loss: float
    learning_rate: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)


@dataclass(frozen=True)
class Training:
    """What happened while a network was trained.

    Attributes
    ----------
    history : tuple of Epoch
        The first is that of the untrained network.
    best_epoch : int
        Whose weights were kept.
    status : {"early stopping", "all epochs", "diverged"}
        Why it ended.
    trouble : str
        Where it diverged: the batch and the learning rate; else empty.
    held_out : tuple of three ndarray
        Logits, targets and weights of the validation rows under the weights that were kept.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    status: str
    trouble: str
    held_out: tuple[FloatArray, FloatArray, FloatArray]


class Run:
    """A training under way: everything that the next pass depends on.

    Randomness is torch's global generator; the caller seeds it, and gives it back.

    Parameters
    ----------
    network : TableNetwork
        Where to start; changed in place.
    rows : Rows
        What to train on.
    recipe : Recipe
        How.
    """

    def __init__(self, network: TableNetwork, rows: Rows, recipe: Recipe) -> None:
        self.network, self.recipe = network, recipe
        self.members = network.architecture.members
        only_held_out = (rows.fold != NOT_HELD_OUT) if self.members == 1 else None
        self.train = rows if only_held_out is None else rows.take(~only_held_out)
        self.validation = _validation(rows, self.members)
        self.batches = recipe.batches(len(self.train))
        self.n_epochs = recipe.passes(len(self.train))
        self.optimiser = adamw(network, recipe)
        fits = WrittenStep.fits(network)
        self.written = WrittenStep(network, self.optimiser, recipe) if fits else None
        self.history: list[Epoch] = []
        self.best = [p.detach().clone() for p in network.parameters()]
        self.best_epoch, self.best_loss = 0, math.inf
        self.trouble = ""

    @property
    def ended(self) -> bool:
        """Whether there is no further pass to make."""
        waited = len(self.history) - 1 - self.best_epoch
        stopped = self.validation is not None and waited >= self.recipe.patience
        return bool(self.trouble) or stopped or len(self.history) > self.n_epochs

    def begin(self) -> None:
        """Note the losses of the untrained network."""
        with torch.no_grad():
            self.network.eval()
            whole = self.network.member_logits(self.train.encoded, self.train.codes).mean(0)
        target, weight = _array(self.train.y), _array(self.train.weight)
        first = _mean_loss(whole.double().numpy(force=True), target, weight)
        self._note(Epoch(0, first, self.validation_loss(), 0.0))

    def advance(self) -> None:
        """Make one pass over the rows, in an order of its own."""
        order = torch.randperm(len(self.train), device=self.train.y.device)
        rows = self.train.take(order)
        self.network.train()
        epoch, total, rate = len(self.history), 0.0, 0.0
        for number, batch in enumerate(rows.cut(self.batches)):
            step = (epoch - 1) * len(self.batches) + number
            rate = self.recipe.rate(step, self.n_epochs * len(self.batches))
            loss = self._step(batch, rate)
            if not math.isfinite(loss):
                self.trouble = (
                    f"the training loss was {loss} at batch {number + 1} of epoch {epoch}, with a "
                    f"learning rate of {rate:.3g}"
                )
                return
            total += loss * len(batch)
        self._note(Epoch(epoch, total / len(rows), self.validation_loss(), rate))

    def _step(self, batch: Rows, rate: float) -> float:
        """Take one step, unless the loss is not finite; return the loss before it."""
        if self.written is not None:
            written: float = self.written(batch, rate)
            return written
        with mixed_precision(batch.y.device.type):
            loss = batch_loss(self.network, batch, self.recipe)
        value: float = loss.item()
        if math.isfinite(value):
            take_step(self.network, self.optimiser, loss, self.recipe, rate)
        return value

    def _note(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        loss = epoch.validation_loss if self.validation is not None else -float(epoch.epoch)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch.epoch
            with torch.no_grad():
                for kept, parameter in zip(self.best, self.network.parameters(), strict=True):
                    kept.copy_(parameter)

    def validation_loss(self) -> float:
        """Return the mean log loss of rows held out, after the corrections; NaN without any."""
        logits, y, weight = self.held_out()
        return _mean_loss(logits, y, weight) if len(y) else math.nan

    def held_out(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return logits, corrected, targets and weights of the rows held out."""
        if self.validation is None:
            return np.empty(0), np.empty(0), np.empty(0)
        self.network.eval()
        with torch.no_grad():
            logits = self.network.member_logits(self.validation.encoded, self.validation.codes)
        corrected = correction(self.recipe)(_array(logits).ravel())
        return corrected, _array(self.validation.y).ravel(), _array(self.validation.weight).ravel()

    def finish(self) -> Training:
        """Put the best weights back, and say what happened."""
        with torch.no_grad():
            for kept, parameter in zip(self.best, self.network.parameters(), strict=True):
                parameter.copy_(kept)
                parameter.grad = None
        self.network.eval()
        early = len(self.history) <= self.n_epochs
        status = "diverged" if self.trouble else "early stopping" if early else "all epochs"
        return Training(tuple(self.history), self.best_epoch, status, self.trouble, self.held_out())


def train(
    network: TableNetwork,
    rows: Rows,
    recipe: Recipe,
    *,
    watch: Callable[[Epoch, int], None] | None = None,
    keeper: Keeper | None = None,
) -> Training:
    """Train a network, and leave it with the weights of its best validation loss.

    Parameters
    ----------
    network : TableNetwork
        Where to start; changed in place.
    rows : Rows
        What to train on.
    recipe : Recipe
        How.
    watch : callable, optional
        Called after every pass with its `Epoch`, and the most passes there will be.
    keeper : Keeper, optional
        Where the training is kept after every pass, and goes on from.

    Returns
    -------
    Training
    """
    run = Run(network, rows, recipe)
    if keeper is None or not keeper.resume(run):
        run.begin()
    while not run.ended:
        run.advance()
        if keeper is not None and not run.trouble:
            keeper.keep(run)
        if watch is not None:
            watch(run.history[-1], run.n_epochs)
    return run.finish()


def adamw(network: TableNetwork, recipe: Recipe) -> torch.optim.AdamW:
    """Return the optimiser: decay for what is multiplied with inputs, none for biases."""
    free: list[Tensor] = []
    decaying: list[Tensor] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            free_of_it = name.endswith(("bias", "gain", "shift"))
            (free if free_of_it else decaying).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": recipe.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)


def one_pass(
    network: TableNetwork, optimiser: torch.optim.AdamW, rows: Rows, recipe: Recipe
) -> float:
    """Pass over rows once at the full learning rate; return the mean loss of the batches."""
    rows = rows.take(torch.randperm(len(rows)))
    total = 0.0
    for part in recipe.batches(len(rows)):
        loss = batch_loss(network, rows.take(part), recipe)
        take_step(network, optimiser, loss, recipe, recipe.learning_rate)
        total += loss.item() * (part.stop - part.start)
    return total / len(rows)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread, as products of a few hundred rows are fastest.

    Sums are then also the same bits for any number of threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def mixed_precision(device: str) -> AbstractContextManager[Any]:
    """Let products be taken in bfloat16 on accelerators; weights and losses keep their digits.

    bfloat16 has float32's range, so that gradients need no scaling.
    """
    if device == "cpu":
        return nullcontext()
    autocast: AbstractContextManager[Any] = torch.autocast(device, dtype=torch.bfloat16)
    return autocast


def batch_loss(network: TableNetwork, batch: Rows, recipe: Recipe) -> Tensor:
    """Return the members' mean loss of a batch, each on the rows that it trains on."""
    members = network.architecture.members
    logits = network.member_logits(batch.encoded, batch.codes)
    target, weight = batch.y.expand_as(logits), batch.weight.expand_as(logits)
    share = 1.0
    if members > 1:
        each = torch.arange(members, device=logits.device).unsqueeze(-1)
        trained_on = batch.fold != each
        weight = weight * trained_on
        # what is held out would otherwise make the loss smaller
        share = max(float(trained_on.double().mean()), 1e-6)
    pos_weight = None if recipe.pos_weight == 1 else torch.tensor(recipe.pos_weight).to(logits)
    total = binary_cross_entropy_with_logits(
        logits,
        target.contiguous(),
        weight.contiguous(),
        reduction="sum",
        pos_weight=pos_weight,
        gamma=recipe.gamma,
    )
    return total / (logits.numel() * share)


def take_step(
    network: TableNetwork,
    optimiser: torch.optim.AdamW,
    loss: Tensor,
    recipe: Recipe,
    rate: float,
) -> None:
    """Follow the gradient of a loss once."""
    members = network.architecture.members
    optimiser.zero_grad(set_to_none=True)
    # the gradient of the members' sum: each goes its own way, whatever their number
    (loss * members).backward()
    torch.nn.utils.clip_grad_norm_(
        network.parameters(), recipe.clip_norm * math.sqrt(members), foreach=True
    )
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


def correction(recipe: Recipe) -> FocalCorrection:
    """Return the map from what such a loss makes of logits to logits of the log loss."""
    return FocalCorrection(gamma=recipe.gamma, pos_weight=recipe.pos_weight)


def _validation(rows: Rows, members: int) -> Rows | None:
    """Return the rows held out, one line for each member, filled up with weightless ones."""
    held_out = [torch.nonzero(rows.fold == m).squeeze(-1) for m in range(members)]
    longest = max(map(len, held_out))
    if longest == 0:
        return None
    index = torch.zeros(members, longest, dtype=torch.int64, device=rows.y.device)
    real = torch.zeros(members, longest, dtype=torch.bool, device=rows.y.device)
    for m, found in enumerate(held_out):
        index[m, : len(found)] = found
        real[m, : len(found)] = True
    taken = rows.take(index)
    return Rows(taken.encoded, taken.codes, taken.y, taken.weight * real, taken.fold)


def _mean_loss(logits: FloatArray, y: FloatArray, weight: FloatArray) -> float:
    with np.errstate(invalid="ignore"):  # 0 · inf, of a row that only fills up
        losses = np.where(weight > 0, weight * kernel.losses_from_logits(y, logits), 0)
    return float(losses.sum() / weight.sum())


def _array(values: Tensor) -> FloatArray:
    """Return a tensor as float64 in memory."""
    array: FloatArray = values.detach().double().numpy(force=True)
    return array
