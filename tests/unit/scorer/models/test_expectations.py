"""The behaviour of sensors in training, in a bundle."""

import json
from typing import Any

import numpy as np
import pytest

from device_scorer.models.expectations import Expectation, decode_expectations, encode_expectations

SENSORS = {"a": Expectation(15.0, -1.0, 2.5, 30.0), "b": Expectation(0.0, 7.0, 7.0, 0.0)}


def test_expectations_are_read_back_as_written() -> None:
    assert decode_expectations(encode_expectations(SENSORS)) == SENSORS


def test_document_has_only_plain_values() -> None:
    assert decode_expectations(json.loads(json.dumps(encode_expectations(SENSORS)))) == SENSORS


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], {}, {"version": 2, "tags": {"a": [1.0, 1.0, 1.0, 1.0]}}, {"version": 1}),
        {"version": 1, "tags": [1]},
        {"version": np.array([1, 2]), "tags": {}},
        {"version": 1, "tags": {str(number): [1.0, 1.0, 1.0, 1.0] for number in range(100_001)}},
    ],
    ids=["none", "list", "empty", "newer version", "no tags", "no dict", "array", "too many"],
)
def test_document_that_is_malformed_newer_or_above_100000_tags_has_no_expectations(document: Any) -> None:
    assert decode_expectations(document) == {}


@pytest.mark.parametrize(
    "numbers",
    [
        *([1.0, 2.0, 3.0], [1, 2, 3, 4], [1.0, 3.0, 2.0, 0.0], [-1.0, 1.0, 2.0, 0.0], [1.0, 1.0, 2.0, -1.0]),
        *([1.0, 1.0, 1e200, 0.0], [float("nan"), 1.0, 2.0, 0.0], "1234", None),
    ],
)
def test_invalid_entry_is_skipped(numbers: Any) -> None:
    document = {"version": 1, "tags": {"bad": numbers, "good": [1.0, 1.0, 2.0, 0.0], 7: [1.0, 1.0, 2.0, 0.0]}}
    assert list(decode_expectations(document)) == ["good"]


def test_document_of_100000_tags_is_read() -> None:
    document = {"version": 1, "tags": {str(number): [1.0, 1.0, 1.0, 1.0] for number in range(100_000)}}
    assert len(decode_expectations(document)) == 100_000
