"""Training: AdamW on shuffled rows, part after part, stopped by the validation log loss.

Only the optimisation is here; what a row's loss is, `logloss.torch` says, what the network is,
`module`, and how it is trained, `recipe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from logloss import kernel
from logloss.network.module import TableNetwork
from logloss.network.recipe import Recipe
from logloss.network.step import WrittenStep
from logloss.network.stream import Part, Rows, Stream, fold_of_members, folds_of
from logloss.recalibration import FocalCorrection
from logloss.torch.functional import binary_cross_entropy_with_logits

if TYPE_CHECKING:
    from logloss.network.checkpoint import Keeper

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: A temperature is learned from no more rows held out than these, or a part beyond.
_CALIBRATED_ON = 1 << 18

#: Ends of the names of parameters that do not decay.
_FREE_OF_DECAY = ("bias", "gain", "shift", "embeddings", "level_effects")


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
class Judged:
    """What a network says of rows.

    Attributes
    ----------
    part, row : ndarray of shape (n,), int64
        The part that each is in, and its place there.
    logits, y, weight : ndarray of shape (n,)
        A weight is 0 where a row only fills up.
    """

    part: IntArray
    row: IntArray
    logits: FloatArray
    y: FloatArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def joined(cls, pieces: Sequence[Self]) -> Self:
        """Return the rows of all pieces, one after the other."""
        none = (np.empty(0, np.int64), np.empty(0, np.int64), *(np.empty(0) for _ in range(3)))
        columns = zip(none, *(vars(piece).values() for piece in pieces), strict=True)
        return cls(*map(np.concatenate, columns))


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
    held_out : Judged
        Validation rows under the weights that were kept: of the first parts, if there are many.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    status: str
    trouble: str
    held_out: Judged


class Run:
    """A training under way: everything that the next part depends on.

    Randomness is torch's global generator; the caller seeds it, and gives it back.

    Parameters
    ----------
    network : TableNetwork
        Where to start; changed in place.
    stream : Stream
        What to train on.
    recipe : Recipe
        How.
    """

    def __init__(self, network: TableNetwork, stream: Stream, recipe: Recipe) -> None:
        self.network, self.stream, self.recipe = network, stream, recipe
        self.batches = [recipe.batches(n, stream.n_rows) for n in stream.counts]
        self.n_batches = sum(map(len, self.batches))
        self.n_epochs = recipe.passes(self.n_batches)
        self.optimiser = adamw(network, recipe)
        fits = WrittenStep.fits(network)
        self.written = WrittenStep(network, self.optimiser, recipe) if fits else None
        self.history: list[Epoch] = []
        self.best = [p.detach().clone() for p in network.parameters()]
        self.best_epoch, self.best_loss = 0, math.inf
        self.trouble = ""
        # of the pass under way: parts done, and the sum of their losses
        self.position, self.total = 0, 0.0

    @property
    def ended(self) -> bool:
        """Whether there is no further pass to make."""
        waited = len(self.history) - 1 - self.best_epoch
        stopped = self.stream.n_folds > 0 and waited >= self.recipe.patience
        return bool(self.trouble) or stopped or len(self.history) > self.n_epochs

    def begin(self) -> None:
        """Note the losses of the untrained network."""
        self.network.eval()
        self._note(Epoch(0, self._loss(held_out=False), self.validation_loss(), 0.0))

    def advance(self) -> None:
        """Train on the next part of the pass, in an order of its own; end the pass with the last.

        What each part is trained on in depends on the pass alone, and the order of its rows on
        the generator.
        """
        epoch = len(self.history)
        parts = self.stream.order(epoch)
        done = sum(len(self.batches[number]) for number in parts[: self.position])
        number = parts[self.position]
        part = self.stream.part(number)
        rows = part.trained_on
        rows = rows[torch.randperm(len(rows)).to(rows.device)]
        self.network.train()
        cuts = self.batches[number]
        steps = range(done, done + len(cuts))
        rates = [self._rate((epoch - 1) * self.n_batches + step) for step in steps]
        for k, loss in enumerate(self._steps(part, rows, cuts, rates)):
            if not math.isfinite(loss):
                self.trouble = (
                    f"the training loss was {loss} at batch {done + k + 1} of epoch {epoch}, with "
                    f"a learning rate of {rates[k]:.3g}"
                )
                return
            self.total += loss * (cuts[k].stop - cuts[k].start)
        self.position += 1
        if self.position == len(parts):
            self.network.eval()
            mean, last = self.total / self.stream.n_rows, rates[-1] if rates else 0.0
            self._note(Epoch(epoch, mean, self.validation_loss(), last))
            self.position, self.total = 0, 0.0

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from the first of all."""
        return self.recipe.rate(step, self.n_epochs * self.n_batches)

    def _steps(
        self, part: Part, rows: Tensor, cuts: Sequence[slice], rates: Sequence[float]
    ) -> Iterator[float]:
        """Take a step for each batch; yield the losses before them, to one that is not finite."""
        if self.written is not None and self.written.sees_numbers_alone and part.encoded:
            yield from self.written.steps(part.rows, rows, cuts, rates)
            return
        for batch, rate in zip(part.batches(self.network, rows, cuts), rates, strict=True):
            yield self._step(batch, rate)

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
        loss = epoch.validation_loss if self.stream.n_folds else -float(epoch.epoch)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch.epoch
            with torch.no_grad():
                for kept, parameter in zip(self.best, self.network.parameters(), strict=True):
                    kept.copy_(parameter)

    def validation_loss(self) -> float:
        """Return the mean log loss of rows held out, after the corrections; NaN without any."""
        return self._loss(held_out=True) if self.stream.n_folds else math.nan

    def held_out(self) -> Judged:
        """Return rows held out, of the first parts, with their logits corrected."""
        found: list[Judged] = []
        for number in range(len(self.stream) if self.stream.n_folds else 0):
            found += self._judged(number, held_out=True)
            if sum(map(len, found)) >= _CALIBRATED_ON:
                break
        rows = Judged.joined(found)
        return replace(rows, logits=correction(self.recipe)(rows.logits))

    def _loss(self, *, held_out: bool) -> float:
        """Return the mean log loss of rows, part by part."""
        total = weight = 0.0
        for number in range(len(self.stream)):
            for rows in self._judged(number, held_out=held_out):
                y, w, said = rows.y, rows.weight, rows.logits
                said = correction(self.recipe)(said) if held_out else said
                with np.errstate(invalid="ignore"):  # 0 · inf, of a row that only fills up
                    losses = np.where(w > 0, w * kernel.losses_from_logits(y, said), 0)
                total, weight = total + float(losses.sum()), weight + float(w.sum())
        return total / weight

    def _judged(self, number: int, *, held_out: bool) -> Iterator[Judged]:
        """Yield what is said of a part, some at a time: by members apart where held out."""
        for index, rows in self.stream.part(number).tiles(self.network, held_out=held_out):
            with torch.no_grad():
                logits = self.network.member_logits(rows.numbers, rows.codes)
            columns = (index, logits.mean(0), rows.y, rows.weight)
            if held_out:
                # of several members that hold out the same rows, the mean is judged
                n_folds = folds_of(len(logits))
                of_folds = logits.unflatten(0, (-1, n_folds)).mean(0)
                columns = (index[:n_folds], of_folds, rows.y[:n_folds], rows.weight[:n_folds])
            places = columns[0].ravel().numpy(force=True)
            yield Judged(np.full_like(places, number), places, *map(_array, columns[1:]))

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
    stream: Stream,
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
    stream : Stream
        What to train on.
    recipe : Recipe
        How.
    watch : callable, optional
        Called after every pass with its `Epoch`, and the most passes there will be.
    keeper : Keeper, optional
        Where the training is kept after every part of a pass, and goes on from.

    Returns
    -------
    Training
    """
    run = Run(network, stream, recipe)
    if keeper is None or not keeper.resume(run):
        run.begin()
    while not run.ended:
        run.advance()
        if keeper is not None and not run.trouble:
            keeper.keep(run)
        if watch is not None and run.position == 0 and not run.trouble:
            watch(run.history[-1], run.n_epochs)
    return run.finish()


def adamw(network: TableNetwork, recipe: Recipe) -> torch.optim.AdamW:
    """Return the optimiser: decay for what is multiplied with inputs, none for the rest.

    The rest are biases, and what is learned of single levels: those of few rows would decay in
    all the steps that do not meet them.
    """
    free: list[Tensor] = []
    decaying: list[Tensor] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            free_of_it = name.endswith(_FREE_OF_DECAY)
            (free if free_of_it else decaying).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": recipe.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)


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
    logits = network.member_logits(batch.numbers, batch.codes)
    target, weight = batch.y.expand_as(logits), batch.weight.expand_as(logits)
    share = 1.0
    if members > 1:
        trained_on = batch.fold != fold_of_members(members).to(batch.fold)
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


def _array(values: Tensor) -> FloatArray:
    """Return a tensor's values as float64 in memory."""
    array: FloatArray = values.detach().double().ravel().numpy(force=True)
    return array
