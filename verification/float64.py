"""Millions of float64: loss, gradient, Hessian and sigmoid of logits, loss of probabilities.

Levels with a fused multiply-add give each other's bits; the baseline rounds in other places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from logloss import kernel
from verification import truth
from verification.double_double import Doubles
from verification.findings import LEVELS, Findings, Worst, computing_at
from verification.truth import Scaled

#: So many rows at once stay in the second-level cache.
BLOCK = 1 << 13

Evaluation = Callable[[], dict[str, Doubles]]


def check_logits(magnitudes: Doubles) -> Findings:
    """Check each |z| with both signs and both labels, at every level."""
    findings = Findings(n_scores=2 * len(magnitudes))
    for a in _blocks(magnitudes):
        sides = truth.sides(a)
        for z in (a, -a):
            for y in (0, 1):
                _check(_losses_from_logits(y, z), _truths(sides, y, z), y, z, findings)
            on_left = _truths(sides, 0, z)["gradient"]  # σ(z) is the gradient for y = 0
            _check(
                lambda z=z: {"sigmoid": kernel.sigmoid(z)}, {"sigmoid": on_left}, None, z, findings
            )
    return findings


def check_probabilities(probabilities: Doubles) -> Findings:
    """Check the loss of each probability inside (0, 1) for both labels, at every level."""
    findings = Findings(n_scores=len(probabilities))
    for p in _blocks(probabilities):
        for y, of_label in enumerate((truth.minus_log1p, truth.minus_log)):
            _check(_loss_from_probabilities(y, p), {"loss": of_label(p)}, y, p, findings)
    return findings


def _blocks(values: Doubles) -> Iterator[Doubles]:
    return (values[first : first + BLOCK] for first in range(0, len(values), BLOCK))


def _truths(sides: truth.Sides, y: int, z: Doubles) -> dict[str, Scaled]:
    right = (y == 1) == (not np.signbit(z[0]))
    return {
        "loss": sides.right_loss if right else sides.wrong_loss,
        "gradient": sides.right_gradient if right else sides.wrong_gradient,
        "hessian": sides.hessian,
    }


def _losses_from_logits(y: int, z: Doubles) -> Evaluation:
    labels = np.full(len(z), y, np.float64)

    def evaluate() -> dict[str, Doubles]:
        loss, gradient, hessian = kernel.loss_derivatives(labels, z)
        return {"loss": loss, "gradient": -gradient if y else gradient, "hessian": hessian}

    return evaluate


def _loss_from_probabilities(y: int, p: Doubles) -> Evaluation:
    labels = np.full(len(p), y, np.float64)
    return lambda: {"loss": kernel.losses_from_probabilities(labels, p)}


def _check(
    evaluate: Evaluation,
    truths: dict[str, Scaled],
    y: int | None,
    scores: Doubles,
    findings: Findings,
) -> None:
    fused: dict[str, Doubles] = {}
    for level in reversed(LEVELS):
        with computing_at(level):
            values = evaluate()
        for quantity, got in values.items():
            errors = truths[quantity].ulps(got)
            row = int(errors.argmax())
            findings.note(quantity, Worst(float(errors[row]), y, float(scores[row]), level))
            if fused and level != "baseline":
                findings.compare_bits(quantity, fused[quantity], got, (y, scores), level)
        fused = fused or values
