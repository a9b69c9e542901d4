"""The scorer's word: always small enough, always whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from device_scorer.contract import outcome_message
from device_scorer.contract.outcome_message import (
    MAX_MESSAGE_BYTES,
    Outcome,
    RowCounts,
    exit_code,
    format_intervals,
    outcome_record,
    termination_message,
)

REASONS = [
    *("ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible", "DataInvalid", "DataTooLarge"),
    *("DeadlineExceeded", "ConfigurationInvalid", "Unknown"),
]
FAILURES = st.builds(
    Outcome,
    st.just(outcome_message.FAILED),
    st.sampled_from(REASONS),
    st.text(max_size=500),
)
PASSINGS = st.builds(
    Outcome,
    st.just(outcome_message.TRANSIENT),
    st.sampled_from(["StorageUnavailable", "IdentityUnavailable"]),
    st.text(max_size=500),
)
FIGURES = st.builds(RowCounts, *[st.integers(0, 3_000_000)] * 4)
OTHERS = st.builds(
    Outcome,
    st.sampled_from(
        [outcome_message.SCORED, outcome_message.PARTIAL, outcome_message.EMPTY, outcome_message.ALREADY_SCORED]
    ),
    st.just(""),
    st.text(max_size=300),
    FIGURES,
    st.booleans(),
)
MIXES = st.lists(FAILURES | PASSINGS | OTHERS, min_size=1, max_size=500).map(lambda made: dict(enumerate(made)))


def indexes(notation: str) -> list[int]:
    spans = [part.split("-") for part in notation.split(",") if part]
    return [index for span in spans for index in range(int(span[0]), int(span[-1]) + 1)]


def read(word: bytes) -> dict[str, Any]:
    found = json.loads(word)
    assert isinstance(found, dict)
    return found


@hypothesis_settings(max_examples=150)
@given(MIXES)
def test_any_mix_of_up_to_500_devices_fits_and_names_every_device_once(outcomes: dict[int, Outcome]) -> None:
    raw = termination_message(outcomes, len(outcomes))
    assert len(raw) <= MAX_MESSAGE_BYTES
    word = read(raw)
    named = [
        index
        for sets in (word["outcomes"], word.get("transient", {}))
        for text in sets.values()
        for index in indexes(text)
    ]
    assert sorted(named) == list(range(len(outcomes)))
    failed = [index for text in word.get("reasons", {}).values() for index in indexes(text)]
    assert sorted(failed) == indexes(word["outcomes"].get("failed", ""))


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 9, 11])
def test_the_most_scattered_mixes_fit(step: int) -> None:
    """Neighbours always differ: no interval is longer than one, and the failed ones are named twice."""
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


def test_the_word_adds_up_what_was_scored() -> None:
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


def test_samples_show_each_reason_before_a_second_of_one() -> None:
    outcomes = {index: Outcome(outcome_message.FAILED, "ModelNotFound", "none") for index in range(100)}
    outcomes[99] = Outcome(outcome_message.FAILED, "DataTooLarge", "rare")
    assert [sample[1] for sample in read(termination_message(outcomes, 100))["samples"]][:2] == [
        "ModelNotFound",
        "DataTooLarge",
    ]


def test_the_record_has_every_devices_message() -> None:
    outcomes = {index: Outcome(outcome_message.FAILED, "ModelNotFound", "x" * 400) for index in range(400)}
    outcomes[400] = Outcome(outcome_message.SCORED, row_counts=RowCounts(1))
    found = read(outcome_record(outcomes, [f"press-{index}" for index in range(401)]))
    assert len(found["messages"]) == outcome_message.count_failures(outcomes) == 400
    assert found["messages"]["7"] == ["failed", "ModelNotFound", "x" * 400, "press-7"]


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
def test_exit_codes(kinds: list[str], devices: int, code: int) -> None:
    assert exit_code({index: Outcome(kind) for index, kind in enumerate(kinds)}, devices) == code


@pytest.mark.parametrize(
    ("numbers", "notation"),
    [([], ""), ([3], "3"), ([3, 1, 2], "1-3"), ([0, 2, 4, 5], "0,2,4-5")],
)
def test_intervals(numbers: list[int], notation: str) -> None:
    assert format_intervals(numbers) == notation
