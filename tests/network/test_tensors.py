"""The file of a network: safetensors as specified, and every damage an error."""

import json

import numpy as np
import pytest

from logloss.errors import ModelError
from logloss.network.tensors import read_tensors, write_tensors

TENSORS = {
    "weight": np.arange(6.0).reshape(2, 3),
    "steps": np.array([3, -4]),
    "state": np.array([1, 2, 3], np.uint8),
    "small": np.array([0.5], np.float32),
    "none": np.empty((0, 4)),
}
RECORD = {"format": "example", "version": 1, "names": ["ä", "b"], "loss": float("inf")}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "m.safetensors"
    write_tensors(path, TENSORS, RECORD)
    return path


def test_what_was_written_is_read(path):
    tensors, record = read_tensors(path, "example", 1)
    assert tensors.keys() == TENSORS.keys()
    for name, values in TENSORS.items():
        assert tensors[name].dtype == values.dtype
        np.testing.assert_array_equal(tensors[name], values)
    assert record == {**RECORD, "loss": "inf"}


def test_the_file_is_what_the_format_says(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert all(isinstance(value, str) for value in header["__metadata__"].values())
    entry = header["weight"]
    assert (entry["dtype"], entry["shape"]) == ("F64", [2, 3])
    begin, end = entry["data_offsets"]
    got = np.frombuffer(content[8 + length :][begin:end], "<f8")
    np.testing.assert_array_equal(got, np.arange(6.0))
    assert sorted(e["data_offsets"] for n, e in header.items() if n != "__metadata__")[0][0] == 0


def test_every_truncation_is_an_error(path):
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match="damaged"):
            read_tensors(path, "example", 1)


def test_every_altered_byte_is_an_error_or_changes_nothing(path):
    content = path.read_bytes()
    want = read_tensors(path, "example", 1)
    for at in range(len(content)):
        altered = bytearray(content)
        altered[at] ^= 0x04
        path.write_bytes(altered)
        try:
            got = read_tensors(path, "example", 1)
        except ModelError:
            continue
        assert got[1] == want[1]
        for name, values in want[0].items():
            np.testing.assert_array_equal(got[0][name], values)


def test_bytes_behind_the_end_are_an_error(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="bytes of numbers"):
        read_tensors(path, "example", 1)


def test_a_file_of_another_format_is_refused(path):
    with pytest.raises(ModelError, match="not a other"):
        read_tensors(path, "other", 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.safetensors"):
        read_tensors(tmp_path / "nowhere.safetensors", "example", 1)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    path = tmp_path / "evil.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(ModelError, match="damaged"):
        read_tensors(path, "example", 1)
    assert not (tmp_path / "ran").exists()
