"""Every float32: loss, gradient, Hessian and sigmoid of each logit, loss of each probability.

The truth is computed in double by NumPy's own exp and log1p, which have nothing in common
with the kernels: right to some 2^-52, a hundred-millionth of an ulp of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from logloss import kernel
from logloss.kernel import Rows
from verification.double_double import Doubles
from verification.findings import LEVELS, Findings, Worst, computing_at, place

Floats = npt.NDArray[np.float32]
Patterns = npt.NDArray[np.uint32]

#: Bit patterns of +inf, 1 and the sign.
INFINITE, ONE, SIGN = 0x7F80_0000, 0x3F80_0000, 0x8000_0000
#: So many rows at once stay in the second-level cache.
BLOCK = 1 << 14


class Form(NamedTuple):
    """What is asked for together, and the type of label it is asked with."""

    quantities: tuple[str, ...]
    label_type: type[np.generic]


#: Each takes its own way through the kernels, and all must give the same bits.
FORMS = (
    Form(("loss", "gradient", "hessian"), np.float64),
    Form(("loss", "gradient"), np.float32),
    Form(("loss",), np.uint8),
)
Ways = Sequence[tuple[str, Form]]  # levels, and the forms that they are asked in
#: Loss, gradient and Hessian at −inf and inf, by label.
LIMITS = {
    (0, -1): (0.0, 0.0, 0.0),
    (0, 1): (np.inf, 1.0, 0.0),
    (1, -1): (np.inf, -1.0, 0.0),
    (1, 1): (0.0, 0.0, 0.0),
}


class Truth(NamedTuple):
    """True values, and the unit in the last place of each in float32."""

    value: Doubles
    unit: Doubles

    @classmethod
    def of(cls, value: Doubles) -> Truth:
        """Take the power of two at or below each value, or the least normal one."""
        bits = np.bitwise_and(value.view(np.uint64), np.uint64(0x7FF0_0000_0000_0000))
        unit = bits.view(np.float64)
        np.maximum(unit, 2.0**-126, out=unit)
        unit *= 2.0**-23
        return cls(value, unit)

    def worst(self, got: Floats, *, negated: bool = False) -> tuple[float, int]:
        """Return the largest error in ulp and its row; `negated` truths have the other sign."""
        error = np.add(got, self.value) if negated else np.subtract(got, self.value)
        np.abs(error, out=error)
        error /= self.unit
        row = int(error.argmax())
        return float(error[row]), row


def truths_of_logits(a: Doubles) -> dict[tuple[str, bool], Truth]:
    """Loss, |gradient| and Hessian at |z| = a, by name and by whether z is on the right side."""
    e = np.exp(-np.minimum(a, 200.0))  # beyond, all that depends on e rounds to 0 or 1
    right = np.log1p(e)
    inverse = 1 / (1 + e)
    slope = e * inverse
    return {
        ("loss", True): Truth.of(right),
        ("loss", False): Truth.of(a + right),
        ("gradient", True): Truth.of(slope),
        ("gradient", False): Truth.of(inverse),
        ("hessian", True): (hessian := Truth.of(slope * inverse)),
        ("hessian", False): hessian,
    }


def check_logits(magnitudes: Patterns, *, every_way: bool = True) -> Findings:
    """Check each |z| of some bit patterns with both signs and both labels.

    The best level is tried in every form; the others, with `every_way` only, since the
    baseline takes twenty times as long. Their first form yields every quantity too.
    """
    findings = Findings()
    ways = [
        (level, form)
        for level in reversed(LEVELS)
        for form in (FORMS if every_way or level == LEVELS[-1] else FORMS[:1])
    ]
    for part, check in (
        (magnitudes[magnitudes < INFINITE], _check_finite),
        (magnitudes[magnitudes == INFINITE], _check_infinite),
        (magnitudes[magnitudes > INFINITE], _check_nan),
    ):
        for first in range(0, len(part), BLOCK):
            check(part[first : first + BLOCK], ways, findings)
    findings.n_scores = 2 * len(magnitudes)
    return findings


def _check_finite(magnitudes: Patterns, ways: Ways, findings: Findings) -> None:
    truths = truths_of_logits(magnitudes.view(np.float32).astype(np.float64))
    for positive in (True, False):
        z = _signed(magnitudes, positive)
        for y in (0, 1):
            values = _same_everywhere(y, z, ways, findings)
            for quantity, got in values.items():
                ulp, row = truths[quantity, positive == (y == 1)].worst(
                    got, negated=quantity == "gradient" and y == 1
                )
                findings.note(quantity, Worst(ulp, y, float(z[row]), LEVELS[-1]))
        sigmoid = _same_sigmoid(z, findings)
        ulp, row = truths["gradient", not positive].worst(sigmoid)
        findings.note("sigmoid", Worst(ulp, None, float(z[row]), LEVELS[-1]))


def _check_infinite(magnitudes: Patterns, ways: Ways, findings: Findings) -> None:
    for positive in (True, False):
        z = _signed(magnitudes, positive)
        for y in (0, 1):
            values = _same_everywhere(y, z, ways, findings)
            expected = LIMITS[y, 1 if positive else -1]
            for (quantity, got), limit in zip(values.items(), expected, strict=True):
                if not np.all(got == limit):
                    findings.blame(quantity, f"{got[0]!r} at {place(y, float(z[0]))}")
        sigmoid = _same_sigmoid(z, findings)
        if not np.all(sigmoid == (1.0 if positive else 0.0)):
            findings.blame("sigmoid", f"{sigmoid[0]!r} at {z[0]!r}")


def _check_nan(magnitudes: Patterns, ways: Ways, findings: Findings) -> None:
    """Any NaN will do: which one comes out, IEEE 754 leaves open."""
    for positive in (True, False):
        z = _signed(magnitudes, positive)
        values = [("sigmoid", _sigmoid(level, z), level) for level in LEVELS]
        for level, form in ways:
            for y in (0, 1):
                for quantity, got in _evaluate(level, form, y, z).items():
                    values.append((quantity, got, level))
        for quantity, got, level in values:
            if not np.isnan(got).all():
                findings.blame(quantity, f"a number at a logit of NaN, {level}")


def _signed(magnitudes: Patterns, positive: bool) -> Floats:
    return (magnitudes if positive else magnitudes | np.uint32(SIGN)).view(np.float32)


def _same_everywhere(y: int, z: Floats, ways: Ways, findings: Findings) -> dict[str, Floats]:
    """Evaluate in each way; what is returned has the bits of all."""
    (level, form), *others = ways
    values = _evaluate(level, form, y, z)
    for level, form in others:
        way = f"{level}, {form.label_type.__name__} labels, {len(form.quantities)} outputs"
        for quantity, got in _evaluate(level, form, y, z).items():
            findings.compare_bits(quantity, values[quantity], got, (y, z), way)
    return values


def _evaluate(level: str, form: Form, y: int, z: Floats) -> dict[str, Floats]:
    outputs = {quantity: np.empty_like(z) for quantity in form.quantities}
    labels = _labels(y, form.label_type)[: len(z)]
    with computing_at(level):
        kernel.evaluate_logits(Rows(labels, z, **outputs), total=False)
    return outputs


@cache
def _labels(y: int, label_type: type[np.generic]) -> npt.NDArray[Any]:
    return np.full(BLOCK, y, label_type)


def _same_sigmoid(z: Floats, findings: Findings) -> Floats:
    values = _sigmoid(LEVELS[-1], z)
    for level in LEVELS[:-1]:
        findings.compare_bits("sigmoid", values, _sigmoid(level, z), (None, z), level)
    return values


def _sigmoid(level: str, z: Floats) -> Floats:
    with computing_at(level):
        return kernel.sigmoid(z)


# --- from probabilities ---------------------------------------------------------------------


def truth_of_probabilities(y: int, p: Floats) -> Truth:
    """Loss of probabilities that are not on the wrong side for certain."""
    wide = p.astype(np.float64)
    return Truth.of(-(np.log(wide) if y else np.log1p(-wide)))


def check_probabilities(patterns: Patterns) -> Findings:
    """Check the loss of each probability of a block of bit patterns of [0, 1], for both labels."""
    findings = Findings(n_scores=len(patterns))
    for first in range(0, len(patterns), BLOCK):
        p = patterns[first : first + BLOCK].view(np.float32)
        for y in (0, 1):
            _check_probabilities_of(y, p, findings)
    return findings


def _check_probabilities_of(y: int, p: Floats, findings: Findings) -> None:
    values = _from_probabilities(LEVELS[-1], y, p)
    for level in LEVELS[:-1]:
        findings.compare_bits("loss", values, _from_probabilities(level, y, p), (y, p), level)
    certain = p == 1 - y  # the wrong side, where the loss is infinite, and has no ulp
    if not np.all(np.isposinf(values[certain])):
        findings.blame("loss", f"{values[certain][0]!r} at {place(y, float(1 - y))}")
    inside = ~certain
    if inside.any():
        ulp, row = truth_of_probabilities(y, p[inside]).worst(values[inside])
        findings.note("loss", Worst(ulp, y, float(p[inside][row]), LEVELS[-1]))


def _from_probabilities(level: str, y: int, p: Floats) -> Floats:
    loss = np.empty_like(p)
    with computing_at(level):
        kernel.evaluate_probabilities(
            Rows(_labels(y, np.uint8)[: len(p)], p, loss=loss), total=False
        )
    return loss
