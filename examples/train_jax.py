"""A network with several questions about each image, trained in JAX with Flax and optax.

Some answers are missing, as they are in most sets of many labels: the mask leaves them out.
Needs the extras `jax` and `tables`, and flax and optax, which logloss itself does not use.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

import logloss
from logloss.jax import binary_cross_entropy_with_logits, logit

QUESTIONS = {
    "is odd": (1, 3, 5, 7, 9),
    "is prime": (2, 3, 5, 7),
    "is above 5": (6, 7, 8, 9),
    "has a loop": (0, 6, 8, 9),
}
#: Share of the answers that are known in training.
KNOWN = 0.7
N_TRAIN, EPOCHS, BATCH = 1200, 30, 100


class Network(nnx.Module):
    """One hidden layer, and a logit for each question."""

    def __init__(self, base_rates: jax.Array, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.out = nnx.Linear(64, len(base_rates), kernel_init=nnx.initializers.zeros, rngs=rngs)
        # the best constant to start from: the first loss is the entropy of the base rates
        self.out.bias[...] = logit(base_rates)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return logits, shape (n, questions)."""
        return self.out(nnx.relu(self.hidden(images)))


@nnx.jit
def step(network: Network, optimizer: nnx.Optimizer, batch: tuple[jax.Array, ...]) -> jax.Array:
    """Take one step down the loss of the answers that are known, and return that loss."""
    images, answers, known = batch

    def loss(network: Network) -> Any:
        return binary_cross_entropy_with_logits(answers, network(images), where=known)

    value, gradient = nnx.value_and_grad(loss)(network)
    optimizer.update(network, gradient)
    return value


def main() -> None:
    """Train on two thirds of the digits, and print what each question costs on the others."""
    images, digits = load_digits(return_X_y=True)
    images = images.astype(np.float32) / 16
    answers = np.stack([np.isin(digits, members) for members in QUESTIONS.values()], axis=1)
    random = np.random.default_rng(0)
    known = random.random(answers.shape) < KNOWN

    train = [array[:N_TRAIN] for array in (images, answers, known)]
    base_rates = train[1].mean(axis=0, where=train[2])
    network = Network(jnp.asarray(base_rates, jnp.float32), nnx.Rngs(0))
    optimizer = nnx.Optimizer(network, optax.adam(3e-3), wrt=nnx.Param)
    for epoch in range(EPOCHS):
        order = random.permutation(N_TRAIN).reshape(-1, BATCH)
        losses = [step(network, optimizer, tuple(array[rows] for array in train)) for rows in order]
        if epoch % 10 == 0 or epoch == EPOCHS - 1:
            print(f"epoch {epoch + 1:2}  training loss {np.mean(losses):.3f} nats")

    logits = np.asarray(network(images[N_TRAIN:]))
    said = logloss.binary_cross_entropy_with_logits(answers[N_TRAIN:], logits, axis=0)
    constant = logloss.binary_cross_entropy(answers[N_TRAIN:], base_rates, axis=0)
    for name, of_network, of_constant in zip(QUESTIONS, said, constant, strict=True):
        print(f"{name:10}  {of_network:.3f} nats, a constant {of_constant:.3f}")


if __name__ == "__main__":
    main()
