"""Tests of the pickle reader. Malicious pickles are tested in test_bundle.py, with both readers."""

import pickle
import pickletools
import struct
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer

from device_scorer.errors import ModelInvalid, ModelRejected
from device_scorer.models import unpickler
from device_scorer.models.inert import Array, Dtype
from device_scorer.models.pickle_functions import validate_shape
from device_scorer.models.unpickler import load_inert
from tests.testkit.scorer_fleet import a_model


def test_object_of_the_file_becomes_an_inert_object() -> None:
    record = load_inert(pickle.dumps({"1": a_model()}))["1"]
    assert record.class_name == "sklearn.pipeline.Pipeline"
    assert not hasattr(record, "predict")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("code", ["f8", "f4", "i8", "i4", "u8", "u4", "b1", ">f8", ">i4"])
def test_array_of_each_number_type_is_read(protocol: int, code: str) -> None:
    values = np.array([0, 1, 1], dtype=code)
    assert load_inert(pickle.dumps(values, protocol)).to_floats() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("protocol", range(6))
def test_array_of_a_memory_map_is_read(tmp_path: Path, protocol: int) -> None:
    np.save(tmp_path / "values.npy", [0.5, 1.5])
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    joblib.dump(values, tmp_path / "values.joblib", protocol=protocol)
    assert load_inert(pickle.dumps(values, protocol)).to_floats() == [0.5, 1.5]
    assert load_inert((tmp_path / "values.joblib").read_bytes()).to_floats() == [0.5, 1.5]


@pytest.mark.parametrize("protocol", range(6))
def test_scalar_becomes_a_float(protocol: int) -> None:
    assert load_inert(pickle.dumps([np.float64(1.5), np.int32(7)], protocol)) == [1.5, 7.0]


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3), ()])
def test_vector_of_any_orientation_returns_its_elements(shape: tuple[int, ...]) -> None:
    count = 3 if shape else 1
    array = Array(Dtype("f8"), shape, struct.pack(f"<{count}d", *range(count)))
    assert array.to_floats() == [0.0, 1.0, 2.0][:count]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (Array(Dtype("f8"), (2, 2), bytes(32)), "not a vector of numbers"),
        (Array(Dtype("O8"), (1,), bytes(8)), "not a vector of numbers"),
        (Array(None, (1,), bytes(8)), "not a vector of numbers"),
        (Array(Dtype("f8"), (3,), bytes(16)), "does not match its shape"),
    ],
)
def test_array_that_is_not_a_vector_of_numbers_is_invalid(array: Array, message: str) -> None:
    with pytest.raises(ModelInvalid, match=message):
        array.to_floats()


@pytest.mark.fault("T15")
@pytest.mark.parametrize("shape", [(-1,), (2**40,), (1.5,)])
def test_array_with_a_malformed_shape_is_invalid(shape: tuple[float, ...]) -> None:
    with pytest.raises(ModelInvalid, match="shape of an array is malformed"):
        validate_shape(shape)


def test_detector_outside_the_closed_form_is_skipped() -> None:
    record = load_inert(pickle.dumps({"1": PowerTransformer(), "2": a_model()}))
    assert record["1"].class_name == "an object that only scikit-learn evaluates"
    assert record["2"].class_name == "sklearn.pipeline.Pipeline"


@pytest.mark.fault("F31")
def test_every_instruction_that_could_call_a_function_is_replaced() -> None:
    calling = {"REDUCE", "NEWOBJ", "BUILD", "INST", "OBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"}
    codes = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
    original = pickle._Unpickler.dispatch
    replaced = unpickler._InertUnpickler.dispatch
    assert {name for name in calling if original[codes[name]] is replaced[codes[name]]} == set()


@pytest.mark.fault("F31")
@pytest.mark.parametrize(
    "content",
    [
        b"P0\n.",
        b"K\x01Q.",
        b"\x82\x01.",
        b"(cnumpy\ndtype\no.",
        b"(inumpy\ndtype\n.",
        b"\x80\x04cnumpy\ndtype\n)}\x92.",
    ],
    ids=["PERSID", "BINPERSID", "EXT1", "OBJ", "INST", "NEWOBJ_EX"],
)
def test_instruction_that_models_do_not_need_is_rejected(content: bytes) -> None:
    with pytest.raises(ModelRejected, match="pickle instruction"):
        load_inert(content)


@pytest.mark.fault("F31")
@pytest.mark.parametrize(
    "content",
    [b"\x80\x02csklearn.svm._classes\nOneClassSVM\nK\x01\x85\x81.", b"\x80\x02K\x01)\x81.", b"\x80\x02K\x01)R."],
    ids=["arguments", "object of a number", "call of a number"],
)
def test_object_that_is_not_created_from_a_class_alone_is_invalid(content: bytes) -> None:
    with pytest.raises(ModelInvalid, match=r"it creates an object with arguments|not a function"):
        load_inert(content)


@pytest.mark.fault("D7")
def test_pickle_without_an_end_is_truncated() -> None:
    with pytest.raises(ModelInvalid, match="its pickle is truncated"):
        load_inert(pickle.dumps({"1": 1})[:-1])


@pytest.mark.fault("T15")
def test_byte_array_longer_than_its_file_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="truncated"):
        load_inert(b"\x80\x05\x96" + struct.pack("<Q", 1_500_000_000) + b".")


@pytest.mark.fault("T15")
@pytest.mark.parametrize("key", [b"]" + b"\x85" * 50_000, b"X\x10\x00\x00\x00" + b"\r\n" * 8], ids=["deep", "lines"])
def test_error_of_any_key_of_the_file_is_one_short_line(key: bytes) -> None:
    record = b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00V8\x85R(K\x03X\x01\x00\x00\x00|N" + key + b"\x85}K\x08t"
    with pytest.raises(ModelInvalid) as invalid:
        load_inert(record + b"b.")
    assert "\n" not in str(invalid.value)
    assert len(str(invalid.value)) < 300


def test_key_that_is_not_a_plain_value_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="a dictionary key is not a plain value"):
        load_inert(pickle.dumps({(1, 2): 1}))


def test_key_is_an_integer_below_2_to_the_power_31_and_an_error_has_160_characters() -> None:
    assert (unpickler.MAX_INTEGER_KEY, unpickler.MAX_TEXT_CHARS) == (2_147_483_648, 160)
