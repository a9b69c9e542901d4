"""The request of one scoring process."""

from typing import Any

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.scoring.request import (
    DEFAULT_DEADLINE_SECONDS,
    ENGINES,
    MAX_DEADLINE_SECONDS,
    MAX_TAG_CHARS,
    WRITE_POLICIES,
    ScoreRequest,
)
from tests.testkit.scorer_fleet import WINDOW


def test_request_has_tags_of_256_characters_a_deadline_of_a_week_and_3_policies() -> None:
    assert (MAX_TAG_CHARS, MAX_DEADLINE_SECONDS, DEFAULT_DEADLINE_SECONDS) == (256, 604_800, 300)
    assert WRITE_POLICIES == ("CreateOnly", "IfChanged", "Overwrite")
    assert ENGINES == ("auto", "sklearn")


def test_record_is_named_by_run_and_job() -> None:
    assert ScoreRequest(("a",), WINDOW, run_uid="u", job_name="j").record_name == "_runs/u/j.json"
    assert ScoreRequest(("a",), WINDOW).record_name is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"devices": ("a", "b", "b", "a")}, "device 'b' is given twice"),
        ({"tags": frozenset({""})}, "--tag '' is invalid: a tag has 1 to 256 printable characters"),
        ({"tags": frozenset({"x" * 257})}, "--tag 'x+' is invalid"),
        ({"tags": frozenset({"a\nb"})}, "--tag .* is invalid"),
        ({"device_deadline_seconds": 0.0}, "more than 0 and at most a week"),
        ({"device_deadline_seconds": 604_801.0}, "more than 0 and at most a week"),
        ({"device_deadline_seconds": float("nan")}, "more than 0 and at most a week"),
        ({"run_uid": "u"}, "belong together"),
        ({"job_name": "j"}, "belong together"),
        ({"run_uid": "../u", "job_name": "j"}, "run uid"),
    ],
)
def test_invalid_request_is_rejected(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageInvalid, match=text):
        ScoreRequest(**{"devices": ("a",), "window": WINDOW, **fields}).validate()


@pytest.mark.parametrize("tags", [None, frozenset({"x" * 256}), frozenset({"-4", "temperature \u00b0C"})])
def test_valid_tags_are_accepted(tags: frozenset[str] | None) -> None:
    ScoreRequest(("a",), WINDOW, tags=tags, device_deadline_seconds=604_800.0).validate()
