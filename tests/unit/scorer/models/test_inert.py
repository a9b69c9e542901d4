"""Tests of the checked reading of attributes."""

import math
import struct

import numpy as np
import pytest

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.inert import (
    Array,
    ClosedFormMissing,
    Dtype,
    InertObject,
    read_array,
    read_count,
    read_matrix,
    read_number,
    read_vector,
)


def vector(*numbers: float) -> Array:
    return Array(Dtype("f8"), (len(numbers),), struct.pack(f"<{len(numbers)}d", *numbers))


def model(value: object) -> InertObject:
    return InertObject("", {"x": value})


@pytest.mark.parametrize("value", [2, 2.0, vector(2.0), Array(Dtype("i4", ">"), (1, 1), b"\0\0\0\2")])
def test_number_of_each_form_is_read(value: object) -> None:
    assert read_number(model(value), "x") == 2.0
    assert read_count(model(value), "x") == 2


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    "value", [10**400, -(2**63), math.nan, math.inf, "2", [2.0], None, vector(1.0, 2.0), vector(math.nan)]
)
def test_value_that_is_not_one_finite_number_is_invalid(value: object) -> None:
    with pytest.raises(ModelInvalid):
        read_number(model(value), "x")


@pytest.mark.parametrize("value", [-1, 1.5])
def test_number_that_is_not_a_count_is_invalid(value: float) -> None:
    with pytest.raises(ModelInvalid, match="x is not a count"):
        read_count(model(value), "x")


def test_first_name_that_exists_is_read() -> None:
    assert read_vector(model(vector(1.0)), "y", "x") == [1.0]
    with pytest.raises(ModelInvalid, match=r"not fitted \(no y\)"):
        read_vector(model(vector(1.0)), "y", "z")


@pytest.mark.parametrize("value", ["text", Array(Dtype("O8"), (1,), None), Array(Dtype("c16"), (1,), bytes(16))])
def test_attribute_of_another_type_is_left_to_scikit_learn(value: object) -> None:
    with pytest.raises(ClosedFormMissing):
        read_array(model(value), "x")


def test_several_columns_of_support_vectors_are_incompatible() -> None:
    svm = InertObject("", {"support_vectors_": Array(Dtype("f8"), (1, 2), bytes(16))})
    with pytest.raises(ModelIncompatible, match="expects 2 features"):
        read_vector(svm, "support_vectors_")


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    "array",
    [
        Array(Dtype("f8"), (2, 2), bytes(32)),
        Array(Dtype("f8"), (3,), bytes(24)),
        Array(Dtype("f8"), (2,), bytes(8)),
        vector(1.0, math.inf),
    ],
    ids=["dimensions", "size", "bytes", "infinity"],
)
def test_matrix_of_another_shape_or_content_is_invalid(array: Array) -> None:
    with pytest.raises(ModelInvalid):
        read_matrix(model(array), "x", (2,))


def test_order_of_a_matrix_is_kept() -> None:
    matrix = Array(Dtype("i8", ">"), (2, 3), np.arange(6, dtype=">i8").tobytes(), is_fortran=True)
    found = read_matrix(model(matrix), "x", (2, None))
    assert found.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert found.dtype.isnative


def records(**fields: tuple[str, int]) -> Array:
    dtype = Dtype("V8", fields={name: (Dtype(code), offset) for name, (code, offset) in fields.items()}, size=8)
    return Array(dtype, (1,), bytes(8))


def test_records_of_numbers_are_read() -> None:
    assert records(a=("i4", 0), b=("f4", 4)).to_numpy().tolist() == [(0, 0.0)]


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "array",
    [
        records(a=("i8", 4)),
        records(a=("i8", -1)),
        records(a=("O8", 0)),
        records(),
        records(**{f"f{number}": ("u1", 0) for number in range(17)}),
    ],
    ids=["behind the record", "before the record", "objects", "no fields", "many fields"],
)
def test_malformed_records_are_invalid(array: Array) -> None:
    with pytest.raises(ModelInvalid):
        array.to_numpy()


@pytest.mark.parametrize(("code", "size"), [("f8", 8), ("U5", 20), ("V", 0), ("x" * 20, 0), ("f8888888888", 0)])
def test_size_of_an_element_follows_from_its_type(code: str, size: int) -> None:
    assert Dtype(code).size == size
