"""Take the network's module out and let Lightning train it, on the exact loss.

Lightning brings the loop, the devices and the stopping; the loss is one line of `training_step`.
"""

from __future__ import annotations

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import logloss
from logloss.network import Architecture, Robust, TableNetwork
from logloss.torch import binary_cross_entropy_with_logits

N_TRAIN, N_VALIDATION, BATCH, MOST_EPOCHS = 1000, 200, 100, 40


class OddDigits(lightning.LightningModule):
    """A network with one logit out, trained and watched on the log loss."""

    def __init__(self, network: TableNetwork) -> None:
        super().__init__()
        self.network = network
        self.losses: list[float] = []

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        numbers, y = batch
        return binary_cross_entropy_with_logits(self.network(numbers), y)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        """Log the loss of rows held out, which decides when to stop."""
        numbers, y = batch
        self.log("held_out", binary_cross_entropy_with_logits(self.network(numbers), y))

    def on_validation_epoch_end(self) -> None:
        """Keep what was logged."""
        self.losses.append(float(self.trainer.callback_metrics["held_out"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of all weights."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main() -> None:
    """Learn which handwritten digits are odd, and say how well on others."""
    pixels, digit = load_digits(return_X_y=True)
    odd = digit % 2
    base_rate = float(odd[:N_TRAIN].mean())

    lightning.seed_everything(0, verbose=False)
    network = TableNetwork(
        Architecture(hidden=(64, 64)),
        Robust.learn(pixels[:N_TRAIN], np.ones(N_TRAIN)),
        base_logit=float(logloss.logit(base_rate)),
    )
    rows = TensorDataset(torch.from_numpy(pixels), torch.from_numpy(odd))
    after = N_TRAIN + N_VALIDATION
    train = torch.utils.data.Subset(rows, range(N_TRAIN))
    held_out = torch.utils.data.Subset(rows, range(N_TRAIN, after))

    model = OddDigits(network)
    trainer = lightning.Trainer(
        max_epochs=MOST_EPOCHS,
        accelerator="cpu",
        callbacks=[EarlyStopping("held_out", patience=5)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(
        model,
        DataLoader(train, BATCH, shuffle=True),
        DataLoader(held_out, N_VALIDATION),
    )
    first, *_, last = model.losses
    print(f"a constant says {logloss.entropy(base_rate):.4f} nats")
    print(f"before training: {first:.4f} nats on rows held out")
    print(f"after {trainer.current_epoch} epochs: {last:.4f} nats")

    with torch.inference_mode():
        logits = model.network.eval()(torch.from_numpy(pixels[after:])).numpy()
    test = logloss.binary_cross_entropy_with_logits(odd[after:], logits)
    print(f"other digits: {test:.4f} nats")


if __name__ == "__main__":
    main()
