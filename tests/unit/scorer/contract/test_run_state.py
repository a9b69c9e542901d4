"""Tests of reading a run's device list, progress and outcome records."""

import json
import zlib

import pytest

from device_scorer.contract.outcome_message import FAILED, PARTIAL, SCORED, Outcome, outcome_record
from device_scorer.contract.run_state import (
    DeviceOutcome,
    read_device_list,
    read_outcome_record,
    read_outcomes,
    with_messages,
)
from device_scorer.errors import UsageInvalid

DEVICES = [f"press-{number}" for number in range(9)]
PROGRESS = json.dumps(
    {
        "outcomes": {"scored": "0-3,7", "failed": "4-5", "empty": "6"},
        "reasons": {"ModelInvalid": "4", "OOMKilled": "5"},
        "samples": [[4, "ModelInvalid", "no pickle"]],
    }
).encode()


@pytest.mark.parametrize("content", [PROGRESS, zlib.compress(PROGRESS)], ids=["plain", "compressed"])
def test_progress_returns_the_outcome_of_each_device(content: bytes) -> None:
    assert read_outcomes(content, DEVICES) == {
        **{f"press-{number}": DeviceOutcome("scored") for number in (0, 1, 2, 3, 7)},
        "press-4": DeviceOutcome("failed", "ModelInvalid", "no pickle"),
        "press-5": DeviceOutcome("failed", "OOMKilled"),
        "press-6": DeviceOutcome("empty"),
    }


DENSE = {
    "labels": [["", ""], ["-", ""], ["scored", ""], ["failed", ""], ["failed", "OOMKilled"]],
    "places": "01234RRST",  # R, S and T are in the canary
    "samples": [[8, "OOMKilled", "too large"]],
}


def test_progress_with_a_character_per_device_returns_the_outcome_of_each() -> None:
    assert read_outcomes(json.dumps(DENSE).encode(), DEVICES) == {
        "press-2": DeviceOutcome("scored"),
        "press-3": DeviceOutcome("failed"),
        "press-4": DeviceOutcome("failed", "OOMKilled"),
        **{f"press-{number}": DeviceOutcome("scored") for number in (5, 6)},
        "press-7": DeviceOutcome("failed"),
        "press-8": DeviceOutcome("failed", "OOMKilled", "too large"),
    }


@pytest.mark.parametrize(
    "change", [{"places": "5"}, {"places": "2" * 10}, {"places": [2]}, {"labels": [[]]}, {"labels": 7}], ids=str
)
def test_malformed_progress_with_a_character_per_device_is_rejected(change: dict[str, object]) -> None:
    with pytest.raises(UsageInvalid, match="does not belong to these devices"):
        read_outcomes(json.dumps(DENSE | change).encode(), DEVICES)


def test_device_list_in_parts_is_joined_in_order() -> None:
    assert read_device_list([b"a\nb\n", b"c"]) == ["a", "b", "c"]
    assert read_device_list([zlib.compress(b"a\nb\n"), b"c"]) == ["a", "b", "c"]


@pytest.mark.parametrize("content", [b"\x78\x9cdamaged", b"[]", b"text", b'{"outcomes": {"failed": "9"}}'])
def test_malformed_progress_is_rejected(content: bytes) -> None:
    with pytest.raises(UsageInvalid):
        read_outcomes(content, DEVICES)


def test_progress_of_more_devices_is_rejected() -> None:
    with pytest.raises(UsageInvalid, match="--progress is invalid: it does not belong to these devices"):
        read_outcomes(PROGRESS, DEVICES[:5])


@pytest.mark.parametrize("notation", ["0-8,0", "0-99999999999", "0-4,2-6,1"])
def test_repeated_position_is_rejected_before_it_costs_time(notation: str) -> None:
    with pytest.raises(UsageInvalid, match="does not belong to these devices"):
        read_outcomes(json.dumps({"outcomes": {"scored": notation}, "reasons": {}, "samples": []}).encode(), DEVICES)


def test_deeply_nested_progress_is_rejected() -> None:
    with pytest.raises(UsageInvalid, match="RecursionError"):
        read_outcomes(b"[" * 100_000, DEVICES)


def test_device_list_of_more_than_a_million_devices_is_rejected() -> None:
    assert read_device_list([b"a\n\n\nb\n"]) == ["a", "b"]
    full = b"a\n" * 1_000_000
    assert len(read_device_list([full])) == 1_000_000
    with pytest.raises(UsageInvalid, match="more than 1,000,000 devices"):
        read_device_list([full, b"c\n"])


@pytest.mark.fault("T15")
def test_device_list_above_64_mib_is_rejected() -> None:
    assert len(read_device_list([zlib.compress(b"d" * (64 * 2**20), 1)])[0]) == 64 * 2**20
    with pytest.raises(UsageInvalid, match="67,108,864 bytes"):
        read_device_list([zlib.compress(b"d" * (64 * 2**20 + 1), 1)])


@pytest.mark.parametrize(("end", "more"), [(-1, b""), (-9, b""), (None, b"rest")], ids=["checksum", "cut", "rest"])
def test_device_list_that_is_cut_or_has_a_rest_is_rejected(end: int | None, more: bytes) -> None:
    content = zlib.compress(b"".join(b"press-%d\n" % number for number in range(1000)))
    with pytest.raises(UsageInvalid, match="it is cut, or has other bytes at its end"):
        read_device_list([content[:end] + more])


def test_record_completes_a_device_of_the_same_outcome_and_reason() -> None:
    outcomes = {
        "a": DeviceOutcome("failed", "ModelInvalid"),
        "b": DeviceOutcome("failed", "DataInvalid"),
        "c": DeviceOutcome("failed", "ModelInvalid", "known"),
        "d": DeviceOutcome("partial"),
        "e": DeviceOutcome("scored"),
    }
    recorded = {
        0: Outcome(FAILED, "ModelInvalid", "x" * 600),
        1: Outcome(FAILED, "ModelInvalid", "another reason"),
        2: Outcome(FAILED, "ModelInvalid", "new"),
        3: Outcome(PARTIAL, "ModelInvalid", "tag 4 could not be scored"),
        4: Outcome(SCORED, message="a note"),
        5: Outcome(FAILED, "ModelInvalid", "a device of another run"),
    }
    failures = read_outcome_record(outcome_record(recorded, "abcdef"))
    assert failures is not None
    assert with_messages(outcomes, failures) == {
        **outcomes,
        "a": DeviceOutcome("failed", "ModelInvalid", "x" * 500),
        "d": DeviceOutcome("partial", "", "tag 4 could not be scored"),
    }


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"messages": [1]}', b"[" * 10**5])
def test_malformed_record_has_no_failures(record: bytes) -> None:
    assert read_outcome_record(record) is None


def test_malformed_message_of_a_record_is_ignored() -> None:
    assert read_outcome_record(b'{"messages": {"0": 1, "1": ["failed", 1, 2, 3]}}') == []
