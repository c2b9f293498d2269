"""Take the network's module out and train it in a loop of your own, on the exact loss.

The module is an ordinary `torch.nn.Module`: any optimiser, any schedule, any loop will do.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

import logloss
from logloss.network import Architecture, Robust, TableNetwork
from logloss.torch import binary_cross_entropy_with_logits

N_TRAIN, EPOCHS, BATCH = 1200, 20, 100


def main() -> None:
    """Learn which handwritten digits are odd, and say how well on others."""
    pixels, digit = load_digits(return_X_y=True)
    odd = digit % 2
    base_rate = float(odd[:N_TRAIN].mean())

    torch.manual_seed(0)
    network = TableNetwork(
        Architecture(hidden=(64, 64)),
        Robust.learn(pixels[:N_TRAIN], np.ones(N_TRAIN)),
        base_logit=float(logloss.logit(base_rate)),
    )
    x = network.encode(torch.from_numpy(pixels[:N_TRAIN]))  # once: it learns nothing more
    y = torch.from_numpy(odd[:N_TRAIN])
    print(f"a constant says {logloss.entropy(base_rate):.4f} nats")

    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for epoch in range(EPOCHS):
        losses = []
        for rows in torch.randperm(N_TRAIN).split(BATCH):
            logits = network.member_logits(x[rows]).mean(0)
            loss = binary_cross_entropy_with_logits(logits, y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        if epoch == 0:
            print(f"first batch: {losses[0]:.4f} nats")
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1:2}: training loss {np.mean(losses):.4f} nats")

    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(pixels[N_TRAIN:])).numpy()
    held_out = logloss.binary_cross_entropy_with_logits(odd[N_TRAIN:], logits)
    print(f"held out: {held_out:.4f} nats")


if __name__ == "__main__":
    main()
