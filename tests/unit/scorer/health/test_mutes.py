"""The file of mutes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.health.mutes import MAX_MUTES, MAX_MUTES_BYTES, MAX_REPORTED_LINES, MAX_WHY_CHARS, Mutes, parse_mutes
from tests.testkit.scorer_report import WINDOW

HEADER = b"Devices,From,Until,Why,Who\n"


def test_mutes_apply_by_glob_and_time() -> None:
    content = HEADER + (
        b"press-*,2018-08-28T00:00:00Z,2018-08-29T12:00:00Z,repair,Ann\n"
        b"old-*,2018-08-01T00:00:00Z,2018-08-28T23:00:00Z,over,\n"
        b"new-*,2018-08-29T00:00:00Z,,later,\n"
        b"always,,,,\n"
    )
    mutes = parse_mutes(content, WINDOW)
    assert mutes.problems == []
    reasons = {device: mutes.reason(device) for device in ("press-1", "old-1", "new-1", "always", "other")}
    assert reasons == {"press-1": "repair (Ann)", "old-1": None, "new-1": None, "always": "", "other": None}


def test_bad_lines_are_reported_and_good_lines_apply() -> None:
    content = HEADER + b'a,soon,,,\nb,,,\n,,,,\n"c,,,,\n\xff,,,,\n\nd,,,good,\n'
    mutes = parse_mutes(content, WINDOW)
    assert mutes.reason("d") == "good"
    assert [text.split()[1] for text in mutes.problems] == ["2", "3", "4", "5", "6"]
    assert "of _mutes.csv is ignored: time 'soon' is invalid" in mutes.problems[0]


def test_mute_that_ends_before_it_starts_is_reported() -> None:
    mutes = parse_mutes(HEADER + b"a,2018-08-29,2018-08-28,,\nb,2018-08-28,2018-08-28,,\n", WINDOW)
    assert mutes.problems == [f"line {line} of _mutes.csv is ignored: Until is not after From" for line in (2, 3)]


def test_number_of_mutes_and_of_reported_lines_is_bounded() -> None:
    mutes = parse_mutes(b"a*,,,,\n" * 600, WINDOW)
    assert len(mutes.mutes) == MAX_MUTES == 500
    assert len(mutes.problems) == MAX_REPORTED_LINES == 20


def test_large_file_mutes_no_device() -> None:
    mutes = parse_mutes(b"a,,,,\n" * 200_000, WINDOW)
    assert mutes.reason("a") is None
    assert "more than 1,048,576 bytes" in mutes.problems[0]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_mutes_with_problems(content: bytes) -> None:
    assert isinstance(parse_mutes(HEADER + content, WINDOW), Mutes)


@pytest.mark.parametrize("why", ["x" * 900, "a\x07b"])
def test_reason_is_short_and_printable(why: str) -> None:
    reason = parse_mutes(f"a,,,{why},\n".encode(), WINDOW).reason("a")
    assert reason is not None
    assert len(reason) <= MAX_WHY_CHARS == 200
    assert reason.isprintable()


def test_file_of_mutes_has_at_most_1_mib() -> None:
    assert MAX_MUTES_BYTES == 1_048_576
