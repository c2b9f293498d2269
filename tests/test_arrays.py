"""The door for arrays: every form that comes in, every dtype, and every error by name and place."""

from __future__ import annotations

import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from logloss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    loss_gradient,
    loss_gradient_hessian,
)
from logloss.errors import ArgumentError, LabelError, LogitError, ProbabilityError, WeightError

Y = np.array([0, 1, 1, 0, 1, 0])
Z = np.array([-1.5, 2.0, -0.25, 0.5, 3.0, -4.0])
W = np.array([1.0, 2.0, 0.5, 1.5, 3.0, 0.25])
PLAIN = binary_cross_entropy_with_logits(Y, Z, sample_weight=W)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((len(array), 3), array.dtype)
    wide[:, 1] = array
    return wide[:, 1]


def unaligned(array: np.ndarray) -> np.ndarray:
    packed = np.zeros(len(array), [("pad", "u1"), ("value", array.dtype)])
    packed["value"] = array
    return packed["value"]


# --- forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        read_only,
        strided,
        unaligned,
        lambda array: array[::-1].copy()[::-1],
        lambda array: array.astype(array.dtype.newbyteorder()),
        np.ma.array,
        pd.Series,
        lambda array: pd.Series(array, index=range(len(array), 0, -1)),
        pl.Series,
        pa.array,
        torch.tensor,
        memoryview,
    ],
    ids=(
        "list tuple read-only strided unaligned reversed byte-swapped unmasked pandas "
        "pandas-index polars pyarrow torch memoryview"
    ).split(),
)
def test_every_form_of_an_array_gives_the_same_loss(form: Any) -> None:
    assert binary_cross_entropy_with_logits(form(Y), form(Z), sample_weight=form(W)) == PLAIN


@pytest.mark.parametrize("form", [strided, unaligned, lambda array: array[::-1].copy()[::-1]])
def test_every_layout_gives_the_same_derivatives(form: Any) -> None:
    for ours, plain in zip(
        loss_gradient_hessian(form(Y), form(Z), reduction="none"),
        loss_gradient_hessian(Y, Z, reduction="none"),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize(
    "dtype", [bool, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", ">i4"]
)
def test_labels_of_every_dtype_mean_the_same(dtype: Any) -> None:
    assert binary_cross_entropy_with_logits(Y.astype(dtype), Z, sample_weight=W) == PLAIN


@pytest.mark.parametrize("dtype", ["i2", "u8", "f4", ">f8", "f2"])
def test_weights_of_every_dtype_mean_the_same(dtype: Any) -> None:
    weight = np.array([1, 2, 0, 3, 1, 1])
    assert binary_cross_entropy_with_logits(
        Y, Z, sample_weight=weight.astype(dtype)
    ) == binary_cross_entropy_with_logits(Y, Z, sample_weight=weight)


def test_a_broadcast_label_serves_every_logit() -> None:
    ones = np.broadcast_to(np.int8(1), Z.shape)
    expected = binary_cross_entropy_with_logits(np.ones(6), Z)
    assert binary_cross_entropy_with_logits(ones, Z) == expected
    assert binary_cross_entropy_with_logits(1, Z) == expected


def test_matrices_in_either_order_give_the_same_bits() -> None:
    y, z = Y.reshape(2, 3), Z.reshape(2, 3)
    c_order = binary_cross_entropy_with_logits(y, z, reduction="none")
    f_order = binary_cross_entropy_with_logits(
        np.asfortranarray(y), np.asfortranarray(z), reduction="none"
    )
    np.testing.assert_array_equal(c_order, f_order)


def test_scalars_and_arrays_without_axes_give_floats() -> None:
    for z in (2, 2.0, np.float64(2), np.array(2.0)):
        loss = binary_cross_entropy_with_logits(1, z, reduction="none")
        assert type(loss) is float
        assert loss == binary_cross_entropy_with_logits([1], [2.0])


def test_inputs_are_left_as_they_are() -> None:
    y, z, w = Y.copy(), Z.copy(), W.copy()
    loss_gradient(y, z, sample_weight=w, pos_weight=2, label_smoothing=0.1)
    for after, before in ((y, Y), (z, Z), (w, W)):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (np.float16, np.float32),
        (ml_dtypes.bfloat16, np.float32),
        (np.float32, np.float32),
        (">f4", np.float32),
        (np.float64, np.float64),
        (np.longdouble, np.float64),
        (np.int32, np.float64),
        (bool, np.float64),
    ],
)
def test_logits_are_computed_in_the_dtype_that_the_docs_name(given: Any, computed: Any) -> None:
    for values in loss_gradient_hessian(Y, np.ones(6).astype(given), reduction="none"):
        assert values.dtype == computed


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_computed_through_float32(dtype: Any) -> None:
    z = Z.astype(dtype)
    assert binary_cross_entropy_with_logits(Y, z) == binary_cross_entropy_with_logits(
        Y, z.astype(np.float32)
    )


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "p", "place", "index", "value"),
    [
        ([0, 2], [0.5, 0.5], "y_true[1]", (1,), 2),
        ([0, -1], [0.5, 0.5], "y_true[1]", (1,), -1),
        ([[0.5, 1.5]], [[0.5, 0.5]], "y_true[0, 1]", (0, 1), 1.5),
        ([1, 7], [[0.5, 0.5]] * 3, "y_true[1]", (1,), 7),
        (3, [0.5, 0.5], "y_true", (), 3),
        ([0, 1], [0.5, 1.5], "y_prob[1]", (1,), 1.5),
        ([0, 1], [-0.5, 3], "y_prob[0]", (0,), -0.5),
        ([[0], [1]], [0.5, 1.5], "y_prob[1]", (1,), 1.5),
    ],
)
def test_the_first_value_out_of_range_is_named(
    y: Any, p: Any, place: str, index: Any, value: Any
) -> None:
    error = LabelError if place.startswith("y_true") else ProbabilityError
    with pytest.raises(error) as caught:
        binary_cross_entropy(y, p)
    assert f"must lie in [0, 1]; {place} is {value!r}. " in str(caught.value)
    assert (caught.value.index, caught.value.value) == (index, value)


@pytest.mark.parametrize(
    ("function", "y", "scores", "error", "message"),
    [
        (binary_cross_entropy, [0, np.nan], [0.5, 0.5], LabelError, "y_true[1] is nan"),
        (binary_cross_entropy, [0, 1], [np.nan, 0.5], ProbabilityError, "y_prob[0] is nan"),
        (binary_cross_entropy_with_logits, [0, 1], [0, np.nan], LogitError, "logits[1] is"),
        (loss_gradient, [0, np.nan], [0.0, 0.0], LabelError, "y_true[1] is nan"),
        (loss_gradient_hessian, [0, 1], [0, np.nan], LogitError, "logits[1] is"),
    ],
)
def test_nan_is_named(function: Any, y: Any, scores: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        function(y, scores)
    assert message in str(caught.value)


@pytest.mark.parametrize("scores", ["y_prob", "logits"])
def test_a_wrong_label_reminds_of_the_order_of_the_arguments(scores: str) -> None:
    call = binary_cross_entropy if scores == "y_prob" else binary_cross_entropy_with_logits
    with pytest.raises(LabelError, match=rf"\(y_true, {scores}\); torch's is the reverse"):
        call([3.5], [0.5])


def test_logits_given_as_probabilities_are_told_where_to_go() -> None:
    with pytest.raises(ProbabilityError, match="use binary_cross_entropy_with_logits"):
        binary_cross_entropy([1], [3.5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", [0, 1, 500, 1023, 1024, 2999])
def test_nan_is_named_wherever_it_stands(row: int, dtype: Any) -> None:
    logits = np.linspace(-5, 5, 3000, dtype=dtype)
    logits[row] = np.nan
    for labels in (np.zeros(3000, np.uint8), np.full(3000, 0.25)):
        with pytest.raises(LogitError, match=rf"logits\[{row}\]"):
            binary_cross_entropy_with_logits(labels, logits)


@pytest.mark.parametrize("name", ["sample_weight", "pos_weight"])
@pytest.mark.parametrize(("bad", "shown"), [(-1.0, "-1.0"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_bad_weight_is_named(name: str, bad: float, shown: str) -> None:
    with pytest.raises(
        WeightError, match=rf"{name} must be finite and at least 0; {name}\[1\] is {shown}"
    ):
        binary_cross_entropy_with_logits([0, 1], [0.0, 0.0], **{name: [1.0, bad]})


@pytest.mark.parametrize("weight", [[0, 0], [0.0, 0.0], [1e308, 1e308]])
def test_a_mean_needs_a_finite_weight_above_zero(weight: Any) -> None:
    with pytest.raises(WeightError, match="sample_weight must leave every mean a finite weight"):
        binary_cross_entropy([0, 1], [0.5, 0.5], sample_weight=weight)


def test_a_sum_may_have_no_weight() -> None:
    assert binary_cross_entropy([0, 1], [0.5, 0.5], sample_weight=[0, 0], reduction="sum") == 0


def test_every_mean_along_an_axis_needs_weight() -> None:
    said = r"where must leave every mean a finite weight above 0; that of mean\[1\] is 0.0"
    with pytest.raises(WeightError, match=said) as caught:
        binary_cross_entropy([[0], [1]], 0.5, where=[[True], [False]], axis=1)
    assert caught.value.index == (1,)


def test_weights_and_a_mask_are_both_named_where_they_leave_no_weight() -> None:
    given = {"sample_weight": [0.0, 1.0], "where": [True, False]}
    with pytest.raises(WeightError, match=r"sample_weight and where must .* of mean is 0.0"):
        binary_cross_entropy([0, 1], [0.5, 0.5], **given)


def test_the_place_is_that_of_the_first_fault_behind_many_rows_and_a_mask() -> None:
    y = np.zeros((1000, 500))
    y[800, 300], y[900, 0] = 5, 6
    mask = np.ones(y.shape, bool)
    mask[::3] = False
    with pytest.raises(LabelError, match=r"y_true\[800, 300\] is 5.0"):
        binary_cross_entropy_with_logits(y, 0.0, where=mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "y_true and y_prob must hold at least one entry; their shape is (0,)"),
        ((np.zeros((3, 0)), 0.5), "their shape is (3, 0)"),
        (
            ([0, 1, 0], [0.5, 0.5]),
            "shapes must broadcast to one; they are y_true (3,), y_prob (2,)",
        ),
        (([0, "1"], [0.5, 0.5]), "y_true must be bool, integers or floats; its dtype is <U21"),
        (([0, None], [0.5, 0.5]), "y_true must be bool, integers or floats; its dtype is object"),
        (([0], [0.5 + 0j]), "y_prob must be bool, integers or floats; its dtype is complex128"),
        ((np.array(["2020-01-01"], "M8[D]"), [0.5]), "its dtype is datetime64[D]"),
        (([[0], [1, 0]], [0.5]), "y_true cannot be read as an array"),
        ((np.ma.array([0, 1], mask=[1, 0]), 0.5), "y_true is a masked array"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_name(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        binary_cross_entropy(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "median"}, "reduction must be 'mean', 'sum' or 'none'; got 'median'"),
        ({"axis": 1}, "axis must name axes of the 1 there are"),
        ({"axis": (0, 0)}, "axis must name axes"),
        ({"axis": 0.5}, "axis must name axes"),
        ({"n_threads": 0}, "n_threads must be at least 1; got 0"),
        ({"label_smoothing": 1.5}, "label_smoothing must lie in [0, 1]; got 1.5"),
        ({"label_smoothing": np.nan}, "label_smoothing must lie in [0, 1]; got nan"),
        ({"clip": 0.5}, "`clip` must be None, a number between 0 and 0.5"),
        ({"clip": "jax"}, "'sklearn', 'keras' or 'torch'; got 'jax'"),
        ({"clip": True}, "got True"),
        ({"where": [1, 0]}, "where must be a boolean mask; its dtype is int64"),
        ({"where": [False, False]}, "at least one entry that `where` selects"),
        ({"where": [True] * 3}, "where (3,)"),
        ({"sample_weight": [1] * 3}, "sample_weight (3,)"),
        ({"sample_weight": ["1", "2"]}, "sample_weight must be bool, integers or floats"),
        ({"pos_weight": [[None]]}, "pos_weight must be bool, integers or floats"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        binary_cross_entropy([0, 1], [0.5, 0.5], **options)
    assert message in str(caught.value)


def test_an_error_keeps_its_place_through_a_pickle() -> None:
    with pytest.raises(LabelError) as caught:
        binary_cross_entropy([[0, 9]], 0.5)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.index, again.value) == (str(caught.value), (0, 1), 9)
