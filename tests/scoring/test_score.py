"""`score`: its figures against scikit-learn's, its baselines, and what it refuses."""

from __future__ import annotations

import json
import math
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

import logloss
from logloss import errors, score
from logloss.rows.local import LocalEngine
from logloss.rows.source import Source

from .draws import forecasts, table


@pytest.mark.parametrize("weight", [None, "weight"])
def test_figures_are_those_of_scikit_learn(weight):
    rows = table()
    result = score(rows, "late", prob="probability", weight=weight)
    y, p = rows["late"].to_numpy(), rows["probability"].to_numpy()
    w = None if weight is None else rows[weight].to_numpy()
    assert result.log_loss.value == pytest.approx(
        metrics.log_loss(y, p, sample_weight=w), rel=1e-13
    )
    assert result.brier.value == pytest.approx(
        metrics.brier_score_loss(y, p, sample_weight=w), rel=1e-13
    )
    assert result.skill.value == pytest.approx(
        metrics.d2_log_loss_score(y, p, sample_weight=w), rel=1e-12
    )
    auc = metrics.roc_auc_score(y, p, sample_weight=w)
    assert result.auc.low - 1e-14 <= auc <= result.auc.high + 1e-14
    assert result.auc.high - result.auc.low < 0.002
    for label, estimate in ((1, result.log_loss_y1), (0, result.log_loss_y0)):
        mine = y == label
        expected = metrics.log_loss(
            y[mine], p[mine], sample_weight=None if w is None else w[mine], labels=[0, 1]
        )
        assert estimate.value == pytest.approx(expected, rel=1e-13)


def test_log_loss_is_the_exact_sum_over_the_exact_weight():
    rows = table()
    loss = logloss.binary_cross_entropy_with_logits(
        rows["late"].to_numpy(), rows["logit"].to_numpy(), reduction="none"
    )
    weight = rows["weight"].to_numpy()
    result = score(rows, "late", logit="logit", weight="weight")
    assert result.log_loss.value == math.fsum(weight * loss) / math.fsum(weight)


def test_threads_and_cuts_do_not_change_a_bit(tmp_path):
    rows = table(3000)
    pq.write_table(rows, tmp_path / "cut.parquet", row_group_size=211)
    asked = {"logit": "logit", "weight": "weight", "cluster": "day", "by": ["carrier", "gate"]}
    whole = score(rows, "late", **asked)
    for n_threads in (1, 3):
        engine = LocalEngine(n_threads)
        assert score(tmp_path / "cut.parquet", "late", **asked, engine=engine) == whole


def test_gain_is_the_paired_difference_to_the_constant():
    rows = table()
    y, z = rows["late"].to_numpy(), rows["logit"].to_numpy()
    result = score(rows, "late", logit="logit", base_rate=0.3)
    loss = np.logaddexp(0, np.where(y == 1, -z, z))
    constant = np.where(y == 1, -math.log(0.3), -math.log(0.7))
    difference = constant - loss
    reach = (result.gain.high - result.gain.low) / 2
    assert result.baseline.value == pytest.approx(constant.mean(), rel=1e-13)
    assert result.gain.value == pytest.approx(difference.mean(), rel=1e-13)
    assert reach == pytest.approx(1.9647 * difference.std(ddof=1) / math.sqrt(500), rel=1e-4)


def test_the_interval_of_the_gain_is_narrower_than_that_of_the_loss():
    result = score(table(), "late", logit="logit", cluster="day")
    assert result.gain.high - result.gain.low < result.log_loss.high - result.log_loss.low


def test_bias_is_claimed_less_realised():
    result = score(table(), "late", logit="logit")
    assert result.bias.value == pytest.approx(
        result.mean_probability.value - result.base_rate.value, rel=1e-12
    )


def test_probabilities_and_their_logits_score_alike():
    rows = table()
    one, other = score(rows, "late", prob="probability"), score(rows, "late", logit="logit")
    assert one.log_loss.value == pytest.approx(other.log_loss.value, rel=1e-13)
    assert one.auc == other.auc


def test_proportions_split_the_loss_by_their_size():
    y, logits, _ = forecasts(200, soft=True)
    result = score(pa.table({"share": y, "z": logits}), "share", logit="z")
    loss1, loss0 = np.logaddexp(0, -logits), np.logaddexp(0, logits)
    assert result.log_loss_y1.value == pytest.approx((y * loss1).sum() / y.sum(), rel=1e-13)
    assert result.log_loss_y0.value == pytest.approx(
        ((1 - y) * loss0).sum() / (1 - y).sum(), rel=1e-13
    )
    assert result.log_loss.value == pytest.approx((y * loss1 + (1 - y) * loss0).mean(), rel=1e-13)


def test_float32_forecasts_are_scored_as_float32():
    rows = table()
    small = rows.set_column(1, "logit", rows["logit"].cast(pa.float32()))
    loss = logloss.binary_cross_entropy_with_logits(
        rows["late"].to_numpy(), small["logit"].to_numpy(), reduction="none"
    )
    assert loss.dtype == np.float32
    assert score(small, "late", logit="logit").log_loss.value == math.fsum(loss) / 500


def test_forecasts_of_any_number_type_are_read():
    said = pa.array([0.3, 0.5, 0.7])
    asked = [
        score(pa.table({"y": [0, 1, 1], "p": column}), "y", prob="p").log_loss.value
        for column in (said, said.dictionary_encode(), said.cast(pa.decimal128(5, 3)))
    ]
    assert asked[0] == asked[1] == asked[2]


def test_text_targets_need_to_be_told_what_is_positive():
    rows = pa.table({"late": ["yes", "no", "yes"], "p": [0.9, 0.2, 0.6]})
    expected = -math.log(0.9 * 0.8 * 0.6) / 3
    assert score(rows, "late", prob="p", positive="yes").log_loss.value == pytest.approx(expected)
    with pytest.raises(errors.TargetError, match="positive"):
        score(rows, "late", prob="p")


@pytest.mark.parametrize("label", [0, 1, False, True])
def test_one_label_alone_can_be_scored(label):
    result = score(pa.table({"y": [label] * 3, "p": [0.2, 0.5, 0.5]}), "y", prob="p")
    right = [0.2, 0.5, 0.5] if label else [0.8, 0.5, 0.5]
    assert result.log_loss.value == pytest.approx(-np.log(right).mean())
    assert math.isnan(result.auc.value)
    assert math.isnan((result.log_loss_y0 if label else result.log_loss_y1).value)
    assert "nan" not in str(result)


def test_another_value_alone_is_no_target():
    with pytest.raises(errors.TargetError, match="two values"):
        score(pa.table({"y": [7, 7], "p": [0.5, 0.5]}), "y", prob="p")


def test_the_worst_rows_come_with_their_columns():
    rows = pa.table({"y": [1, 0, 1], "p": [0.9, 0.95, 0.5], "flight": ["a", "b", "c"]})
    result = score(rows, "y", prob="p", worst=2)
    assert [(w.row, w.y, w.probability, w.columns["flight"]) for w in result.worst] == [
        (1, 0, 0.95, "b"),
        (2, 1, 0.5, "c"),
    ]
    assert result.worst[0].loss == pytest.approx(-math.log(0.05))


def test_infinite_loss_is_reported_with_its_rows():
    rows = pa.table({"y": [1, 0, 1, 0, 0], "p": [0.5, 1.0, 0.0, 0.5, 0.25]})
    result = score(rows, "y", prob="p")
    assert result.log_loss.value == result.log_loss_y1.value == result.log_loss_y0.value == math.inf
    assert result.gain.value == result.skill.value == -math.inf
    assert (result.infinite.n, result.infinite.rows) == (2, (1, 2))
    assert result.infinite.log_loss_without == pytest.approx(-np.log([0.5, 0.5, 0.75]).mean())
    assert result.worst[0].loss == math.inf
    assert "infinite loss on 2 rows (1, 2)" in str(result)


def test_infinite_logits_that_are_right_cost_nothing():
    rows = pa.table({"y": [1, 0], "z": [math.inf, -math.inf]})
    assert score(rows, "y", logit="z").log_loss.value == 0


@pytest.mark.parametrize(
    ("clip", "loss"), [("sklearn", 36.04365338911715), ("torch", 100.0), (1e-3, -math.log(1e-3))]
)
def test_clipping_is_as_asked_and_counted(clip, loss):
    result = score(pa.table({"y": [1, 0], "p": [0.0, 0.5]}), "y", prob="p", clip=clip)
    assert result.log_loss_y1.value == pytest.approx(loss)
    assert (result.clip, result.n_clipped) == (clip, 1)
    assert "changed 1 row" in str(result)


def predictions(path, record):
    rows = pa.table({"late": [0, 1, 0, 0], "probability": [0.2, 0.6, 0.4, 0.1]})
    rows = rows.replace_schema_metadata({b"logloss": json.dumps(record).encode()})
    pq.write_table(rows, path)
    return path


RECORD = {"format": "logloss-predictions", "version": 1, "base_rate": 0.3, "target": "late"}


def test_the_training_rate_comes_with_the_predictions(tmp_path):
    result = score(predictions(tmp_path / "p.parquet", RECORD), "late", prob="probability")
    assert (result.baseline_rate, result.baseline_origin) == (0.3, "training")
    assert result.baseline.value == pytest.approx(-(3 * math.log(0.7) + math.log(0.3)) / 4)


@pytest.mark.parametrize(
    "change", [{"target": "cancelled"}, {"base_rate": "high"}, {"base_rate": 7}]
)
def test_metadata_of_another_target_tell_nothing(tmp_path, change):
    path = predictions(tmp_path / "p.parquet", RECORD | change)
    result = score(path, "late", prob="probability")
    assert (result.baseline_rate, result.baseline_origin) == (0.25, "observed")


def test_metadata_from_the_future_are_refused(tmp_path):
    path = predictions(tmp_path / "p.parquet", RECORD | {"version": 99})
    with pytest.raises(errors.ModelError, match="99"):
        score(path, "late", prob="probability")


@pytest.mark.parametrize(("rate", "baseline"), [(0.0, math.inf), (1.0, math.inf)])
def test_a_base_rate_of_certainty_costs_what_it_must(rate, baseline):
    result = score(table(), "late", logit="logit", base_rate=rate)
    assert result.baseline.value == baseline
    assert result.gain.value == math.inf
    assert math.isnan(result.skill.value)


def test_a_model_scores_as_its_logits_on_paper(tmp_path):
    rows = table(400).select(["late", "day", "carrier", "gate", "weight"])
    model = logloss.fit(rows, "late", drop=["weight"])
    model.predict(rows, tmp_path / "p.parquet")
    model.save(tmp_path / "m.json")
    written = score(tmp_path / "p.parquet", "late", logit="logit", weight="weight", by="day")
    direct = score(rows, "late", model=tmp_path / "m.json", weight="weight", by="day")
    same = {"forecast", "worst", "histogram"}
    for name, value in vars(written).items():
        if name not in same:
            assert value == getattr(direct, name), name


def test_to_dict_is_ready_for_json():
    rows = table().append_column("when", pa.array([date(2013, 11, 1)] * 500))
    record = score(rows, "late", logit="logit", by=["gate", "when"]).to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["by"][-1]["level"] == "2013-11-01"
    assert record["worst"][0]["columns"]["when"] == "2013-11-01"
    assert set(record["log_loss"]) == {"value", "low", "high", "kind"}


CALLS = [
    ({}, errors.ArgumentError, "exactly one of `prob`, `logit` and `model`; got none"),
    ({"prob": "p", "logit": "z"}, errors.ArgumentError, "got `prob` and `logit`"),
    ({"prob": "p", "clip": 0.7}, errors.ArgumentError, "`clip`"),
    ({"prob": "p", "clip": "jax"}, errors.ArgumentError, "`clip`.*'jax'"),
    ({"logit": "z", "clip": 0.1}, errors.ArgumentError, "`clip` goes with `prob`"),
    ({"prob": "p", "worst": -1}, errors.ArgumentError, "`worst`.*-1"),
    ({"prob": "p", "base_rate": 1.5}, errors.ArgumentError, "`base_rate`.*1.5"),
    ({"prob": "q"}, errors.ColumnError, "no column 'q'"),
    ({"prob": "p", "weight": "wait"}, errors.ColumnError, "did you mean 'weight'"),
    ({"prob": "p", "by": "name"}, errors.ColumnError, "asked for as by"),
    ({"prob": "text"}, errors.ColumnError, "'text' holds string, where numbers"),
    ({"prob": "z"}, errors.ProbabilityError, r"column 'z', row 1: 2.0 is not a probability"),
    ({"prob": "hole"}, errors.ProbabilityError, r"row 2: an empty value"),
    ({"logit": "hole"}, errors.LogitError, r"row 2: an empty value"),
    (
        {"prob": "p", "weight": "minus"},
        errors.WeightError,
        r"weight column 'minus'.*row 1 has -1\.0",
    ),
    ({"prob": "p", "weight": "zero"}, errors.WeightError, "sum to zero"),
    ({"prob": "p", "cluster": "one"}, errors.ArgumentError, "at least two clusters"),
]


@pytest.mark.parametrize(("asked", "error", "message"), CALLS)
def test_what_is_wrong_is_named(asked, error, message):
    rows = pa.table(
        {
            "y": [0, 1, 1],
            "p": [0.1, 0.5, 0.5],
            "z": [1.0, 2.0, -3.0],
            "hole": [0.5, 0.5, None],
            "text": ["a", "b", "c"],
            "weight": [1, 1, 1],
            "minus": [1, -1, 1],
            "zero": [0, 0, 0],
            "one": [1, 1, 1],
        }
    )
    with pytest.raises(error, match=message):
        score(rows, "y", **asked)


def test_a_row_error_says_which_row_of_the_whole_table():
    p = np.full(70_000, 0.5)
    p[69_000] = 1.5
    with pytest.raises(errors.ProbabilityError) as caught:
        score(pa.table({"y": np.arange(70_000) % 2, "p": p}), "y", prob="p")
    assert (caught.value.index, caught.value.value) == (69_000, 1.5)


def test_a_null_target_is_refused_with_its_row():
    with pytest.raises(errors.TargetError, match="row 1"):
        score(pa.table({"y": [0, None, 1], "p": [0.5] * 3}), "y", prob="p")


def test_two_columns_of_one_name_are_refused():
    rows = pa.table([[0, 1], [0.5, 0.5], [0.5, 0.5]], names=["y", "p", "p"])
    with pytest.raises(errors.InputError, match="'p'"):
        score(rows, "y", prob="p")


def test_nothing_cannot_be_scored():
    with pytest.raises(errors.InputError, match="no rows"):
        score(Source((), pa.schema({"y": pa.int8(), "p": pa.float64()})), "y", prob="p")


def test_a_model_is_scored_on_the_column_that_is_asked_for():
    x = np.linspace(-2, 2, 60)
    late = (np.arange(60) % 3 == 0).astype(int)
    rows = pa.table({"late": late, "on_time": 1 - late, "x": x})
    model = logloss.fit(rows, "late", features=["x"])
    said = model.predict(rows.select(["x"]))
    expected = metrics.log_loss(1 - late, said["probability"].to_numpy())
    result = score(rows, "on_time", model=model)
    assert (result.target, result.log_loss.value) == ("on_time", pytest.approx(expected))
    with pytest.raises(errors.TargetError, match=r"'x': row 0 has -2\.0; it must be 0 or 1"):
        score(rows, "x", model=model)


@pytest.mark.parametrize("positive", [0, "0"])
def test_a_positive_class_other_than_the_models_is_refused(positive):
    rows = pa.table({"late": [0, 1, 0, 1], "x": [1.0, 2, 3, 4]})
    model = logloss.fit(rows, "late")
    assert score(rows, "late", model=model, positive="1") == score(rows, "late", model=model)
    with pytest.raises(errors.ArgumentError, match="fitted to 1 as positive"):
        score(rows, "late", model=model, positive=positive)


@pytest.mark.parametrize("cluster", [None, "day"])
@pytest.mark.parametrize("size", [1e200, 1.7e308])
def test_losses_too_large_to_be_squared_have_no_interval(size, cluster):
    rows = pa.table({"y": [0, 1] * 4, "z": [size, 1.0] * 4, "day": [0, 1] * 4})
    result = score(rows, "y", logit="z", by="day", cluster=cluster)
    assert result.log_loss.value == pytest.approx(size / 2) or math.isinf(4 * size)
    assert math.isnan(result.log_loss.low)
    assert math.isnan(result.by[0].log_loss.low)


@pytest.mark.parametrize("weight", [1e-300, 1e300])
def test_weights_that_cannot_be_squared_are_refused(weight):
    rows = pa.table({"y": [0, 1], "p": [0.1, 0.8], "w": [1.0, weight]})
    with pytest.raises(errors.WeightError, match="row 1 has 1e"):
        score(rows, "y", prob="p", weight="w")
    with pytest.raises(errors.WeightError, match="row 1 has 1e"):
        logloss.fit(rows, "y", weight="w")
