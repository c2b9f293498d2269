"""A million float32 and a hundred thousand float64 below 1 ulp, and the record of all float32.

`make verify` does the same to every float32; what it does it with is tested here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from verification import __main__ as command
from verification import float32, float64, points, record, trust, truth
from verification.findings import LIMIT, Findings, Worst
from verification.stages import STAGES

from logloss import kernel
from tests import exact

SEED = 11
FROM_LOGITS = {"loss", "gradient", "hessian", "sigmoid"}


def assert_sound(findings: Findings, quantities: set[str]) -> None:
    assert findings.n_faults == 0, findings.faults
    assert set(findings.worst) == quantities
    assert all(worst.ulp < LIMIT for worst in findings.worst.values())


# --- what `make test` verifies --------------------------------------------------------------


def test_a_million_float32_logits_of_every_exponent_are_below_1_ulp_and_alike_on_all_levels() -> (
    None
):
    findings = float32.check_logits(points.patterns(500_000, SEED))
    assert findings.n_scores > 990_000
    assert_sound(findings, FROM_LOGITS)


def test_float32_logits_of_inf_and_nan_give_what_is_documented_on_all_levels() -> None:
    findings = float32.check_logits(np.arange(float32.INFINITE, float32.INFINITE + 50, dtype="u4"))
    assert_sound(findings, set())


def test_float32_probabilities_of_every_exponent_are_below_1_ulp_and_alike_on_all_levels() -> None:
    inside = points.patterns(200_000, SEED)
    findings = float32.check_probabilities(inside[inside <= float32.ONE])
    assert_sound(findings, {"loss"})


def test_float64_logits_of_every_regime_are_below_1_ulp_on_all_levels() -> None:
    for _, magnitudes in points.logits(60_000, SEED):
        assert_sound(float64.check_logits(magnitudes), FROM_LOGITS)


def test_float64_probabilities_of_every_regime_are_below_1_ulp_on_all_levels() -> None:
    for _, p in points.probabilities(60_000, SEED):
        assert_sound(float64.check_probabilities(p), {"loss"})


# --- what is written down -------------------------------------------------------------------


def test_the_record_is_of_these_sources() -> None:
    assert record.read()["sha256"] == record.digest(), "the kernel changed: run `make verify`"


def test_the_record_holds_every_float32_and_ten_million_float64_logits() -> None:
    verified = {(stage["dtype"], stage["scores"]): stage for stage in record.read()["verified"]}
    assert verified["float32", "logit"]["n"] == 2**32
    assert verified["float32", "probability"]["n"] == float32.ONE + 1
    assert verified["float64", "logit"]["n"] >= 10**7
    assert verified["float64", "probability"]["n"] >= 10**6


def test_everything_on_record_is_below_1_ulp() -> None:
    for stage in record.read()["verified"]:
        expected = FROM_LOGITS if stage["scores"] == "logit" else {"loss"}
        assert set(stage["worst"]) == expected
        assert all(worst["ulp"] < LIMIT for worst in stage["worst"].values())


def test_comments_and_white_space_do_not_make_the_record_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, text = record.digest(), record._text
    monkeypatch.setattr(record, "_text", lambda name: text(name).replace("\n", "  // words\n"))
    assert record.digest() == before


def test_a_changed_constant_makes_the_record_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    before, text = record.digest(), record._text
    monkeypatch.setattr(record, "_text", lambda name: text(name).replace("0x1.", "0x3."))
    assert record.digest() != before


def test_the_sources_are_what_the_kernels_of_losses_include() -> None:
    expected = {"arithmetic.hpp", "bernoulli.hpp", "columns.hpp", "losses.hpp", "probabilities.hpp"}
    assert expected <= set(record.sources())


# --- what verifies --------------------------------------------------------------------------


def test_the_truths_have_100_bits_and_a_millionth_of_an_ulp() -> None:
    assert trust.error_of_logits(1000, SEED) < 2.0**-100
    assert trust.error_of_probabilities(1000, SEED) < 2.0**-100
    assert trust.error_of_doubles(3000, SEED) < 1e-6


def test_errors_of_float64_are_measured_as_at_60_digits() -> None:
    a = np.array([0.4, 3.0, 50.0, 740.0])
    loss = truth.sides(a).right_loss
    true = [exact.bernoulli(1, z).loss for z in a]
    got = np.array([float(t) for t in true])
    np.testing.assert_allclose(loss.ulps(got), exact.ulps(got, true), atol=1e-9)
    moved = np.array([np.nextafter(v, np.inf) for v in got])
    np.testing.assert_allclose(loss.ulps(moved), exact.ulps(moved, true), atol=1e-9)


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[kernel.Rows], None]) -> None:
    """Let a change to the losses from logits pass for the kernel's work."""
    sound = kernel.evaluate_logits

    def spoilt(rows: kernel.Rows, *, total: bool) -> Any:
        result = sound(rows, total=total)
        change(rows)
        return result

    monkeypatch.setattr(kernel, "evaluate_logits", spoilt)


def test_one_value_two_units_off_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = np.arange(float32.ONE, float32.ONE + 1000, dtype=np.uint32)
    at = patterns[700:701].view(np.float32)[0]

    def change(rows: kernel.Rows) -> None:
        if rows.hessian is not None:
            rows.hessian.view(np.uint32)[rows.scores == at] += 2

    spoil(monkeypatch, change)
    findings = float32.check_logits(patterns)
    assert findings.worst["hessian"].ulp >= 1.5
    assert findings.worst["hessian"].at == at
    assert findings.faults.keys() == {"hessian"}


def test_other_bits_in_another_form_are_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(rows: kernel.Rows) -> None:
        if rows.gradient is None and rows.loss is not None:
            rows.loss.view(np.uint32)[3] ^= 1

    spoil(monkeypatch, change)
    findings = float32.check_logits(points.patterns(5000, SEED))
    assert findings.faults.keys() == {"loss"}
    assert "uint8 labels, 1 outputs" in findings.faults["loss"][0]


@pytest.mark.parametrize("pattern", [float32.INFINITE, float32.INFINITE + 7])
def test_a_wrong_answer_to_inf_or_nan_is_found(
    pattern: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(rows: kernel.Rows) -> None:
        if rows.hessian is not None:
            rows.hessian[:] = 0.25

    spoil(monkeypatch, change)
    findings = float32.check_logits(np.array([pattern], np.uint32))
    assert "hessian" in findings.faults


def test_the_worst_of_parts_does_not_depend_on_their_order() -> None:
    found = [Worst(0.5, 0, 3.0, "a"), Worst(0.7, 1, 2.0, "a"), Worst(0.7, 1, 1.0, "a")]
    forth, back = Findings(), Findings()
    for worst in found:
        forth += Findings({"loss": worst})
    for worst in reversed(found):
        back += Findings({"loss": worst})
    assert forth == back == Findings({"loss": found[2]})


# --- the command ----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the record elsewhere, and trust the truths after fewer points."""
    monkeypatch.setattr(record, "PATH", tmp_path / "verified.json")
    monkeypatch.setattr(command, "TRUST_POINTS", 200)
    return record.PATH


def few(n_faults: int = 0) -> list[Findings]:
    findings = [
        float32.check_logits(points.patterns(3000, SEED)),
        float32.check_probabilities(np.arange(1000, dtype=np.uint32)),
        float64.check_logits(np.linspace(0, 9, 100)),
        float64.check_probabilities(np.linspace(0.1, 0.9, 100)),
    ]
    findings[0].n_faults = n_faults
    return findings


def test_a_part_tells_of_every_stage_and_writes_nothing(
    place: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--fraction", "1e-6", "--processes", "1"]) == 0
    told = capsys.readouterr()
    assert told.out.count("from each") == len(STAGES)
    assert told.out.count(" ulp at ") == 2 * (len(FROM_LOGITS) + 1)
    assert "\n0 faults" in told.out
    assert told.err == ""
    assert not place.exists()


def test_a_whole_run_without_faults_writes_the_record(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "verify", lambda *_: few())
    assert command.main([]) == 0
    assert record.read()["sha256"] == record.digest()


def test_a_run_with_a_fault_fails_and_writes_nothing(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "verify", lambda *_: few(n_faults=1))
    assert command.main([]) == 1
    assert not place.exists()


def test_truths_that_are_not_good_enough_judge_nothing(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "error_of_logits", lambda *_: 2.0**-60)
    with pytest.raises(ArithmeticError, match="not good enough"):
        command.main([])
