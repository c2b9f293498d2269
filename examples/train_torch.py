"""A network with several questions about each image, trained in PyTorch.

Some answers are missing, as they are in most sets of many labels: the mask leaves them out.
The last layer and its loss are one call, so that the logits of a step are never all in memory,
which matters when the questions are not four but fifty thousand. Needs the extra `torch`.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import logloss
from logloss.torch import BCEWithLogitsLoss, linear_binary_cross_entropy

QUESTIONS = {
    "is odd": (1, 3, 5, 7, 9),
    "is prime": (2, 3, 5, 7),
    "is above 5": (6, 7, 8, 9),
    "has a loop": (0, 6, 8, 9),
}
#: Share of the answers that are known in training.
KNOWN = 0.7
N_TRAIN, EPOCHS, BATCH = 1200, 30, 100


class Network(nn.Module):
    """One hidden layer, and a logit for each question."""

    def __init__(self, base_rates: Tensor) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.out = nn.Linear(64, len(base_rates))
        # the best constant to start from: the first loss is the entropy of the base rates
        nn.init.zeros_(self.out.weight)
        self.out.bias.data = torch.logit(base_rates)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, questions)."""
        return self.out(self.hidden(images))

    def loss(self, images: Tensor, answers: Tensor, known: Tensor) -> Tensor:
        """Return the loss of the answers that are known, without the logits in between."""
        layer = self.out.weight, self.out.bias
        return linear_binary_cross_entropy(self.hidden(images), *layer, answers, where=known)


def main() -> None:
    """Train on two thirds of the digits, and print what each question costs on the others."""
    torch.manual_seed(0)
    images, digits = load_digits(return_X_y=True)
    images = torch.from_numpy(images.astype(np.float32) / 16)
    answers = torch.from_numpy(
        np.stack([np.isin(digits, members) for members in QUESTIONS.values()], axis=1)
    )
    known = torch.rand(answers.shape) < KNOWN

    train = [tensor[:N_TRAIN] for tensor in (images, answers, known)]
    base_rates = (train[1] & train[2]).sum(0) / train[2].sum(0)
    network = Network(base_rates)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for epoch in range(EPOCHS):
        losses = []
        for rows in torch.randperm(N_TRAIN).split(BATCH):
            optimizer.zero_grad()
            loss = network.loss(*(tensor[rows] for tensor in train))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % 10 == 0 or epoch == EPOCHS - 1:
            print(f"epoch {epoch + 1:2}  training loss {np.mean(losses):.3f} nats")

    with torch.no_grad():
        logits = network(images[N_TRAIN:])
        said = BCEWithLogitsLoss(reduction="none")(logits, answers[N_TRAIN:]).mean(0)
    constant = logloss.binary_cross_entropy(answers[N_TRAIN:].numpy(), base_rates.numpy(), axis=0)
    for name, of_network, of_constant in zip(QUESTIONS, said, constant, strict=True):
        print(f"{name:10}  {of_network:.3f} nats, a constant {of_constant:.3f}")


if __name__ == "__main__":
    main()
