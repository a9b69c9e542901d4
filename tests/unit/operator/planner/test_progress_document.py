import json
import zlib
from typing import Any

import msgspec
import pytest

from scoring_operator.planner.progress_codec import encode_progress
from scoring_operator.planner.progress_document import (
    MAX_DEVICES,
    MAX_DOCUMENT_BYTES,
    MAX_SNAPSHOT_BYTES,
    parse_document,
)
from tests.testkit.builders import a_progress


def edited(**change: Any) -> bytes:
    return zlib.compress(json.dumps(json.loads(zlib.decompress(encode_progress(a_progress(3)))) | change).encode())


def test_sets_are_the_places_of_positions() -> None:
    document = parse_document(edited(waiting="2", outcomes={"scored": "0"}, open={"job": ["1", 0, 0, 0, 1]}))
    assert list(document.sets()) == ["2", "0", "1"]


def test_limits_of_a_progress_document_are_the_documented_ones() -> None:
    assert (MAX_DEVICES, MAX_DOCUMENT_BYTES, MAX_SNAPSHOT_BYTES) == (1_000_000, 4_194_304, 262_144)


def test_text_of_a_sample_has_at_most_1024_characters() -> None:
    assert parse_document(edited(samples=[[0, "OOMKilled", "x" * 1024]])).samples
    with pytest.raises(ValueError, match="1024"):
        parse_document(edited(samples=[[0, "OOMKilled", "x" * 1025]]))


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 3}, "its format is 3; this operator reads formats 1 to 2"),
        ({"v": 0}, "its format is 0; this operator reads formats 1 to 2"),
        ({"v": 2, "labels": [["-", ""]], "places": "00"}, "it has not one label for each device"),
        ({"padding": " " * MAX_DOCUMENT_BYTES}, "more than 4,194,304 bytes"),
        ({"frozen": {"fleet": {"a": " " * MAX_SNAPSHOT_BYTES}}}, "more than 262,144 bytes"),
        ({"waiting": "0,2,4,6"}, "more intervals than devices"),
        ({"reasons": {"Unknown": "0,2", "Other": "4,6"}}, "more intervals than devices"),
        ({"queue": [["", 0, 0, 0, 0]]}, "a batch without devices"),
    ],
)
def test_document_beyond_a_limit_is_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_document(edited(**change))


@pytest.mark.parametrize("cut", [1, 4, 40])
def test_truncated_document_is_rejected(cut: int) -> None:
    with pytest.raises(ValueError, match="it is truncated"):
        parse_document(edited()[:-cut])


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "change",
    [
        {"total": MAX_DEVICES + 1},
        {"total": -1},
        {"podSeconds": 2**53 + 1},
        {"open": {"job": [[], 0, 0, 0, 0]}},
        {"labels": [["-", ""]] * 33},
        {"labels": [["x" * 65, ""]]},
        {"labels": [["failed", "\x1b[2J"]]},
        {"places": "00/"},
        {"places": "00p"},
    ],
)
def test_document_with_other_types_or_ranges_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse_document(edited(**change))
