"""Tests of the outcome message: it is always small enough and complete."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from device_scorer.contract import outcome_message
from device_scorer.contract.outcome_message import (
    Outcome,
    RowCounts,
    exit_code,
    format_intervals,
    outcome_record,
    termination_message,
)
from tests.testkit.scorer_outcomes import OUTCOMES, REASONS

MAX_MESSAGE_BYTES = 4096  # the kubelet's limit


def indexes(notation: str) -> list[int]:
    spans = [part.split("-") for part in notation.split(",") if part]
    return [index for span in spans for index in range(int(span[0]), int(span[-1]) + 1)]


def read(message: bytes) -> dict[str, Any]:
    found = json.loads(message)
    assert isinstance(found, dict)
    return found


def test_message_limit_equals_the_kubelets() -> None:
    assert outcome_message.MAX_MESSAGE_BYTES == MAX_MESSAGE_BYTES


@hypothesis_settings(max_examples=150)
@given(OUTCOMES)
def test_message_of_any_500_devices_fits_and_lists_each_once(outcomes: dict[int, Outcome]) -> None:
    raw = termination_message(outcomes, len(outcomes))
    assert len(raw) <= MAX_MESSAGE_BYTES
    message = read(raw)
    named = [
        index
        for sets in (message["outcomes"], message.get("transient", {}))
        for text in sets.values()
        for index in indexes(text)
    ]
    assert sorted(named) == list(range(len(outcomes)))
    failed = [index for text in message.get("reasons", {}).values() for index in indexes(text)]
    assert sorted(failed) == indexes(message["outcomes"].get("failed", ""))


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 9, 11])
def test_message_of_500_scattered_outcomes_fits(step: int) -> None:
    """Neighbours always differ: no interval is longer than one, and failed devices are listed twice."""
    kinds = [
        *(Outcome(outcome_message.FAILED, reason, "é" * 500) for reason in REASONS),
        *(Outcome(kind, row_counts=RowCounts(10**6, 10**6, 10**6, 10**6)) for kind in outcome_message.KINDS[:4]),
        Outcome(outcome_message.TRANSIENT, "StorageUnavailable"),
    ]
    outcomes = {index: kinds[index * step % len(kinds)] for index in range(500)}
    assert len(termination_message(outcomes, 500)) <= MAX_MESSAGE_BYTES
    assert "tooLong" not in read(termination_message(outcomes, 500))
    alternating = {index: kinds[(index % 2) * step % len(kinds)] for index in range(500)}
    assert "tooLong" not in read(termination_message(alternating, 500))


def test_message_whose_sets_do_not_fit_is_marked_too_long() -> None:
    outcomes = {index: Outcome(outcome_message.KINDS[index % 4]) for index in range(5000)}
    assert read(termination_message(outcomes, 5000)) == {"v": 1, "devices": 5000, "tooLong": True}


def test_message_adds_up_rows_of_scored_devices() -> None:
    outcomes = {
        0: Outcome(outcome_message.SCORED, row_counts=RowCounts(100, 1, 2, 30), anomalous=True),
        1: Outcome(
            outcome_message.PARTIAL,
            message="tag 4 could not be scored",
            row_counts=RowCounts(50, 0, 0, 40),
            anomalous=True,
        ),
        2: Outcome(outcome_message.EMPTY, message="no readings"),
        3: Outcome(outcome_message.FAILED, "DataInvalid", "no such column"),
        4: Outcome(outcome_message.SCORED, row_counts=RowCounts(10)),
    }
    assert read(termination_message(outcomes, 5)) == {
        "v": 1,
        "devices": 5,
        "outcomes": {"scored": "0,4", "partial": "1", "empty": "2", "failed": "3"},
        "rows": 160,
        "badRows": 1,
        "unscoredRows": 2,
        "anomalies": 70,
        "anomalousDevices": 2,
        "reasons": {"DataInvalid": "3"},
        "top": [[1, 50, 40], [0, 100, 30]],
        "samples": [[1, "", "tag 4 could not be scored"], [2, "", "no readings"], [3, "DataInvalid", "no such column"]],
    }


def test_transient_devices_have_their_own_key_and_no_outcome() -> None:
    outcomes = {0: Outcome(outcome_message.SCORED), 1: Outcome(outcome_message.TRANSIENT, "IdentityUnavailable")}
    message = read(termination_message(outcomes, 2))
    assert (message["outcomes"], message["transient"]) == ({"scored": "0"}, {"IdentityUnavailable": "1"})


def test_samples_show_each_reason_before_a_second_of_one() -> None:
    outcomes = {index: Outcome(outcome_message.FAILED, "ModelNotFound", "none") for index in range(100)}
    outcomes[99] = Outcome(outcome_message.FAILED, "DataTooLarge", "rare")
    assert [sample[1] for sample in read(termination_message(outcomes, 100))["samples"]][:2] == [
        "ModelNotFound",
        "DataTooLarge",
    ]


def test_samples_and_top_are_five_each_and_messages_200_characters() -> None:
    failed = {index: Outcome(outcome_message.FAILED, "ModelNotFound", "x" * 500) for index in range(20)}
    scored = {index: Outcome(outcome_message.SCORED, row_counts=RowCounts(9, 0, 0, index)) for index in range(20, 40)}
    message = read(termination_message(failed | scored, 40))
    assert [len(text) for _, _, text in message["samples"]] == [200] * 5
    assert [index for index, _, _ in message["top"]] == [39, 38, 37, 36, 35]


def test_record_has_the_message_of_every_failed_device() -> None:
    outcomes = {index: Outcome(outcome_message.FAILED, "ModelNotFound", "x" * 400) for index in range(400)}
    outcomes[400] = Outcome(outcome_message.SCORED, row_counts=RowCounts(1))
    found = read(outcome_record(outcomes, [f"press-{index}" for index in range(401)]))
    assert len(found["messages"]) == outcome_message.count_failures(outcomes) == 400
    assert found["messages"]["7"] == ["failed", "ModelNotFound", "x" * 400, "press-7"]


def test_record_has_a_message_of_each_device_unless_plainly_scored() -> None:
    kinds = [*outcome_message.KINDS, outcome_message.TRANSIENT]
    outcomes = {index: Outcome(kind) for index, kind in enumerate(kinds)} | {6: Outcome("scored", message="a note")}
    found = read(outcome_record(outcomes, "abcdefg"))
    assert {index: message[0] for index, message in found["messages"].items()} == {
        "1": "partial",
        "2": "empty",
        "3": "alreadyScored",
        "4": "failed",
        "5": "transient",
        "6": "scored",
    }
    assert outcome_message.count_failures(outcomes) == 2


@pytest.mark.parametrize(
    ("kinds", "devices", "code"),
    [
        (["scored"], 1, 0),
        (["scored", "failed"], 2, 0),
        (["empty"], 1, 0),
        (["alreadyScored", "failed"], 2, 0),
        (["failed"], 1, 65),
        (["failed", "failed"], 2, 65),
        (["failed", "transient"], 2, 75),
        (["scored", "transient"], 2, 75),
        (["scored"], 2, 75),
        ([], 1, 75),
    ],
)
def test_exit_code_follows_from_the_outcomes(kinds: list[str], devices: int, code: int) -> None:
    assert exit_code({index: Outcome(kind) for index, kind in enumerate(kinds)}, devices) == code


@pytest.mark.parametrize(
    ("numbers", "notation"),
    [([], ""), ([3], "3"), ([3, 1, 2], "1-3"), ([0, 2, 4, 5], "0,2,4-5")],
)
def test_indexes_are_formatted_as_intervals(numbers: list[int], notation: str) -> None:
    assert format_intervals(numbers) == notation


def test_message_and_record_count_devices_whose_readings_changed() -> None:
    outcomes = {
        0: Outcome(outcome_message.ALREADY_SCORED, changed=True),
        1: Outcome(outcome_message.ALREADY_SCORED),
    }
    assert read(termination_message(outcomes, 2))["changed"] == 1
    assert read(outcome_record(outcomes, ["a", "b"]))["changed"] == 1
    assert "changed" not in read(termination_message({0: outcomes[1]}, 1))
