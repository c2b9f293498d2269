"""Each verb gives what the same call of the package gives, and nothing else."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import logloss


def test_fit_writes_the_model_that_python_fits(folder, tmp_path, call):
    outcome = call(
        "fit", folder / "table.parquet", "--target", "survived", "--features", "fare,deck",
        "-o", tmp_path / "model.json",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert str(tmp_path / "model.json") in outcome.out
    assert (tmp_path / "model.json").read_text() == (folder / "model.json").read_text()


def test_fit_passes_every_option_on(folder, tmp_path, call, monkeypatch):
    given = {}

    def fit(source, target, **options):
        given.update(source=source, target=target, **options)
        return original(source, target, **options)

    original = logloss.fit
    monkeypatch.setattr(logloss, "fit", fit)
    outcome = call(
        "fit", folder / "table.parquet", "--target", "outcome", "--positive", "yes",
        "--drop", 'survived, "day"', "--weight", "weight", "--offset", "day", "--prior", "none",
        "--alpha", "0.5", "--memory", "512MiB", "--checkpoint", tmp_path / "c",
        "--base-rate", "0.02", "--cluster", "day",
        "--weighting", "sampling", "-o", tmp_path / "model.json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert given == {
        "source": str(folder / "table.parquet"),
        "model": "logistic",
        "quality": "default",
        "epochs": None,
        "random_state": 0,
        "target": "outcome",
        "formula": None,
        "positive": "yes",
        "features": None,
        "drop": ("survived", "day"),
        "weight": "weight",
        "offset": "day",
        "prior": None,
        "alpha": 0.5,
        "method": "mle",
        "intervals": "wald",
        "base_rate": 0.02,
        "covariance": "model",
        "cluster": ("day",),
        "weighting": "sampling",
        "memory": "512MiB",
        "checkpoint": tmp_path / "c",
        "watch": None,
        "progress": None,
    }


def test_fit_by_firth_s_likelihood_has_no_prior_unless_asked(folder, tmp_path, call):
    arguments = [
        "fit", folder / "table.parquet", "--target", "survived", "--features", "fare,deck",
        "--method", "firth", "--intervals", "profile", "-o", tmp_path / "model.json",
    ]  # fmt: skip
    outcome = call(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert logloss.load(tmp_path / "model.json").summary().method == "firth"
    assert call(*arguments, "--prior", "weak").code == 2


def test_an_output_that_cannot_be_written_is_told_before_the_fit(
    folder, tmp_path, call, monkeypatch
):
    monkeypatch.setattr(logloss, "fit", lambda *_, **__: pytest.fail("a fit began"))
    output = tmp_path / "none" / "model.json"
    outcome = call("fit", folder / "table.parquet", "--target", "survived", "-o", output)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"logloss: error: cannot write {output}: the folder does not exist; create it first\n"
    )


def test_fit_takes_a_formula(folder, tmp_path, call):
    outcome = call(
        "fit", folder / "table.parquet", "--formula", "survived ~ log1p(fare) * deck",
        "-o", tmp_path / "model.json",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert "formula: survived ~ log1p(fare) * deck\n" in outcome.out
    assert call("info", tmp_path / "model.json").code == 0
    predicted = call(
        "predict", tmp_path / "model.json", folder / "table.parquet", "-o", tmp_path / "p.parquet"
    )
    assert (predicted.code, predicted.err) == (0, "")
    model = logloss.load(tmp_path / "model.json")
    expected = logloss.fit(folder / "table.parquet", formula="survived ~ log1p(fare) * deck")
    assert model.predictor.to_dict() == expected.predictor.to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formula", "survived ~ poly(fare, 2)"], "poly"),
        (["--formula", "~ fare"], "target must be named"),
        ([], "--target"),
    ],
)
def test_a_formula_that_says_too_much_or_too_little_is_one_line(
    arguments, message, folder, tmp_path, call
):
    outcome = call("fit", folder / "table.parquet", *arguments, "-o", tmp_path / "m.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_fit_answers_in_json(folder, tmp_path, call):
    outcome = call(
        "fit", folder / "table.parquet", "--target", "survived", "--drop", "outcome",
        "-o", tmp_path / "model.json", "--json",
    )  # fmt: skip
    answer = json.loads(outcome.out)
    assert answer["model"] == str(tmp_path / "model.json")
    assert answer["summary"]["status"] == "converged"


def test_predict_keeps_the_columns_and_adds_two(folder, tmp_path, call):
    outcome = call(
        "predict", folder / "model.json", folder / "table.parquet", "-o", tmp_path / "p.parquet"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert "600 rows" in outcome.out
    table, predicted = (
        pq.read_table(folder / "table.parquet"),
        pq.read_table(tmp_path / "p.parquet"),
    )
    assert predicted.select(table.column_names).equals(table)
    assert predicted.column_names[-2:] == ["probability", "logit"]


def test_standard_input_is_a_source(folder, tmp_path, process):
    table = pq.read_table(folder / "table.parquet").drop_columns(["outcome"])
    pa.csv.write_csv(table, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as stream:
        done = process("predict", folder / "model.json", "-", "-o", "p.parquet", stdin=stream)
    assert done.returncode == 0, done.stderr
    ours = pq.read_table(tmp_path / "p.parquet")["logit"]
    assert ours.equals(pq.read_table(folder / "predictions.parquet")["logit"])


def test_standard_input_may_be_an_arrow_stream(folder, tmp_path, process):
    table = pq.read_table(folder / "table.parquet")
    with pa.ipc.new_stream(tmp_path / "table.arrows", table.schema) as writer:
        writer.write_table(table)
    arguments = ["--target", "survived", "--model", folder / "model.json", "--json"]
    with (tmp_path / "table.arrows").open("rb") as stream:
        done = process("score", "-", *arguments, stdin=stream)
    assert done.returncode == 0, done.stderr
    ours, same = map(
        json.loads, (done.stdout, process("score", folder / "table.parquet", *arguments).stdout)
    )
    assert ours["log_loss"] == same["log_loss"]


def test_score_says_what_python_says(folder, call):
    outcome = call(
        "score", folder / "predictions.parquet", "--target", "survived", "--logit", "logit",
        "--by", "deck", "--cluster", "day", "--weight", "weight", "--worst", "2",
    )  # fmt: skip
    same = logloss.score(
        folder / "predictions.parquet",
        "survived",
        logit="logit",
        by=["deck"],
        cluster=["day"],
        weight="weight",
        worst=2,
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"{same}\n"


def test_predictions_of_csv_keep_whole_numbers_whole(folder, tmp_path, call):
    table = pq.read_table(folder / "table.parquet")
    whole = table.set_column(1, "fare", table["fare"].cast(pa.int64(), safe=False))
    pa.csv.write_csv(whole, tmp_path / "table.csv")
    outcome = call(
        "predict", folder / "model.json", tmp_path / "table.csv", "-o", tmp_path / "p.parquet"
    )
    assert outcome.code == 0
    assert pq.read_table(tmp_path / "p.parquet")["fare"].equals(whole["fare"])


def test_the_written_logits_score_as_the_model_does_to_the_last_bit(folder, call):
    written = call(
        "score", folder / "predictions.parquet", "--target", "survived", "--logit", "logit",
        "--json",
    )  # fmt: skip
    model = call(
        "score", folder / "table.parquet", "--target", "survived",
        "--model", folder / "model.json", "--json",
    )  # fmt: skip
    one, other = json.loads(written.out), json.loads(model.out)
    assert one["log_loss"] == other["log_loss"]
    assert one["gain"] == other["gain"]


def test_json_round_trips_every_number(folder, call):
    outcome = call(
        "score", folder / "predictions.parquet", "--target", "survived", "--prob", "probability",
        "--json",
    )  # fmt: skip
    record = json.loads(outcome.out)
    same = logloss.score(folder / "predictions.parquet", "survived", prob="probability").to_dict()
    assert record["log_loss"] == same["log_loss"]
    assert record["worst"][0]["loss"] == same["worst"][0]["loss"]
    assert (record["format"], record["version"]) == ("logloss-score", 1)


def test_json_writes_infinity_as_a_string(tmp_path, call):
    pq.write_table(pa.table({"y": [0, 1, 1], "p": [0.5, 0.5, 0.0]}), tmp_path / "certain.parquet")
    outcome = call("score", tmp_path / "certain.parquet", "--target", "y", "--prob", "p", "--json")
    record = json.loads(outcome.out, parse_constant=pytest.fail)
    assert record["log_loss"]["value"] == "inf"
    assert math.isinf(float(record["log_loss"]["value"]))
    assert record["infinite"]["rows"] == [2]


@pytest.mark.parametrize(("clip", "loss"), [("1e-7", 16.118), ("sklearn", 36.0437), ("torch", 100)])
def test_clip_is_a_number_or_a_policy(clip, loss, tmp_path, call):
    pq.write_table(pa.table({"y": [0, 1], "p": [0.0, 0.0]}), tmp_path / "certain.parquet")
    outcome = call(
        "score", tmp_path / "certain.parquet", "--target", "y", "--prob", "p",
        "--clip", clip, "--json",
    )  # fmt: skip
    assert json.loads(outcome.out)["log_loss_y1"]["value"] == pytest.approx(loss, rel=1e-5)


def test_fail_if_exits_with_1_and_still_answers(folder, call):
    arguments = [
        "score",
        folder / "predictions.parquet",
        "--target",
        "survived",
        "--logit",
        "logit",
    ]
    plain = call(*arguments)
    failed = call(*arguments, "--fail-if", "log_loss>0.1", "--fail-if", "auc<0.1")
    assert (failed.code, failed.out) == (1, plain.out)
    assert failed.err.startswith("logloss: failed: log_loss is 0.")
    assert failed.err.endswith("and --fail-if says log_loss > 0.1\n")
    assert failed.err.count("\n") == 1


def test_fail_if_lets_a_good_score_pass(folder, call):
    passed = call(
        "score", folder / "predictions.parquet", "--target", "survived", "--logit", "logit",
        "--fail-if", "log_loss>5", "--fail-if", "gain.low<=-1",
    )  # fmt: skip
    assert (passed.code, passed.err) == (0, "")


@pytest.mark.parametrize("kind", ["sigmoid", "loss"])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plot_draws_the_curves(kind, ending, tmp_path, call):
    outcome = call("plot", kind, "-o", tmp_path / f"{kind}.{ending}")
    assert (outcome.code, outcome.err) == (0, "")
    head = (tmp_path / f"{kind}.{ending}").read_bytes()[:8]
    assert head.startswith(b"\x89PNG" if ending == "png" else b"<?xml")


def test_plot_draws_reliability(folder, tmp_path, call):
    outcome = call(
        "plot", "reliability", folder / "table.parquet", "--target", "survived",
        "--model", folder / "model.json", "-o", tmp_path / "reliability.png",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert (tmp_path / "reliability.png").stat().st_size > 10_000


@pytest.mark.parametrize("output", ["none/reliability.png", "reliability.txt"])
def test_a_picture_that_cannot_be_written_is_told_before_the_scoring(
    output, folder, tmp_path, call, monkeypatch
):
    monkeypatch.setattr(logloss, "score", lambda *_, **__: pytest.fail("a scoring began"))
    outcome = call(
        "plot", "reliability", folder / "table.parquet", "--target", "survived",
        "--model", folder / "model.json", "-o", tmp_path / output,
    )  # fmt: skip
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("logloss: error: ")
    assert str(tmp_path / output) in outcome.err


def test_plot_draws_the_path_of_a_fit(folder, tmp_path, call):
    outcome = call("plot", "training", folder / "model.json", "-o", tmp_path / "training.png")
    assert (outcome.code, outcome.err) == (0, "")
    assert (tmp_path / "training.png").stat().st_size > 10_000


def test_info_shows_the_coefficients(folder, call):
    outcome = call("info", folder / "model.json")
    assert (outcome.code, outcome.err) == (0, "")
    assert str(logloss.load(folder / "model.json").summary()) in outcome.out


def test_info_in_json_is_the_models_own_record(folder, call):
    record = json.loads(call("info", folder / "model.json", "--json").out)
    assert record["target"]["name"] == "survived"
    assert record["summary"]["n"] == 600


def test_info_tests_coefficients_together(folder, tmp_path, call):
    path = tmp_path / "plain.json"
    logloss.fit(folder / "table.parquet", "survived", features=["fare", "deck"], prior=None).save(
        path
    )
    test = logloss.load(path).summary().wald_test(["fare", "deck"])
    assert call("info", path, "--wald", "fare,deck").out.endswith(f"\n\n{test}\n")
    record = json.loads(call("info", path, "--wald", "fare,deck", "--json").out)
    assert record["wald_test"] == {**test.to_dict(), "hypothesis": list(test.hypothesis)}
    wrong = call("info", path, "--wald", "fares")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)


def test_plot_alone_shows_its_help(call):
    outcome = call("plot")
    assert outcome.code == 0
    assert "reliability" in outcome.out
    assert outcome.err == ""
