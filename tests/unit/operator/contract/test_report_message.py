"""The termination message of a report's pod is bounded and consistent, or ignored."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.contract.report_message import CAUSES, FLAGS, parse_report_message


def text(**keys: Any) -> str:
    return json.dumps({"v": 1} | keys)


def test_counts_of_known_faults_and_causes_are_kept_in_order() -> None:
    causes = {"fleet": 1, "machine": 2, "newer": 4}
    message = parse_report_message(text(sensors={"stuck": 3, "newer": 9}, incidents={"open": 7, "causes": causes}))
    assert message is not None
    assert message.sensors == {**dict.fromkeys(FLAGS, 0), "stuck": 3}
    assert message.incidents.causes == {**dict.fromkeys(CAUSES, 0), "fleet": 1, "machine": 2}


def test_keys_that_are_missing_are_zero_and_unknown_keys_are_ignored() -> None:
    message = parse_report_message(text(newer="text"))
    assert message is not None
    assert (message.problems, message.incidents.open, message.complete) == (0, 0, False)


@pytest.mark.fault("T11")
@pytest.mark.parametrize(
    "raw",
    [
        "",
        "killed",
        "[]",
        "null",
        "{}",
        '{"v":2}',
        '{"v":"1"}',
        text(unreadable=-1),
        text(unreadable=10**15 + 1),
        text(unreadable=0.5),
        text(unreadable="1"),
        text(unreadable=True),
        text(unreadable=None),
        text(sensors=[1]),
        text(sensors={"stuck": -1}),
        text(incidents={"open": 1, "opened": 2}),
        text(incidents={"open": 2, "opened": 1, "openedUnmuted": 2}),
        text(incidents={"open": 1, "causes": {"machine": 2}}),
        text(incidents={"open": 2, "opened": 1, "openedFleet": 1, "causes": {"machine": 1}}),
        text(incidents={"open": 2, "opened": 0, "openedFleet": 1, "causes": {"fleet": 1}}),
        text(problems=1, notifyProblems=2),
        text(complete="yes"),
        text(padding="x" * 4096),
        "[" * 4000,
        '{"v":1,"unreadable":' + "9" * 4000 + "}",
        '{"v":1,"unreadable":NaN}',
        "\ud800",
    ],
    ids=range(27),
)
def test_message_that_is_malformed_or_contradicts_itself_is_ignored(raw: str) -> None:
    assert parse_report_message(raw) is None


@given(st.text() | st.recursive(st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)).map(json.dumps))
def test_any_text_is_a_message_or_ignored(raw: str) -> None:
    parse_report_message(raw)
