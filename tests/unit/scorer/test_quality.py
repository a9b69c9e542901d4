"""The fleet's expectations of its sensors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.errors import UsageInvalid
from device_scorer.quality import (
    MAX_ABSOLUTE_VALUE,
    MAX_DURATION_SECONDS,
    MAX_NAME_CHARS,
    MAX_PATTERNS,
    MAX_TEXT_CHARS,
    MAX_VALUES,
    NO_QUALITY,
    SensorRule,
    parse_quality,
)

EVERYTHING: dict[str, Any] = {
    "interval": "15s",
    "minShare": 0.5,
    "staleAfter": "PT15M",
    "flatLine": {"for": "1h30m", "tolerance": 0.1},
    "range": [-5, 120.5],
    "rateOfChange": 5,
    "badValues": [-9999, 32767],
    "badWhen": {"column": "Quality", "values": ["Bad", 0, True]},
}


def test_every_key_is_read() -> None:
    assert parse_quality(json.dumps(EVERYTHING)).rule("t") == SensorRule(
        interval=15,
        min_share=0.5,
        stale_after=900,
        flat_for=5400,
        tolerance=0.1,
        low=-5,
        high=120.5,
        max_rate=5,
        bad_values=frozenset({-9999, 32767}),
        bad_column="Quality",
        bad_texts=frozenset({"Bad", "0", "0.0", "true", "True", "TRUE"}),
    )


def test_empty_text_has_no_rules() -> None:
    assert parse_quality("") is NO_QUALITY
    assert NO_QUALITY.rule("t") == SensorRule()
    assert (NO_QUALITY.excludes_rows, NO_QUALITY.bad_columns) == (False, ())


def test_more_specific_pattern_wins_key_by_key_in_any_order() -> None:
    tags = {"temp-1*": {"range": [3, 4]}, "*": {"interval": "1m"}, "temp-*": {"range": [1, 2], "rateOfChange": 7}}
    for order in (tags, dict(reversed(tags.items()))):
        quality = parse_quality(json.dumps({"interval": "15s", "range": [0, 9], "tags": order}))
        assert quality.rule("temp-12") == SensorRule(interval=60, low=3, high=4, max_rate=7)
        assert quality.rule("temp-2") == SensorRule(interval=60, low=1, high=2, max_rate=7)
        assert quality.rule("other") == SensorRule(interval=60, low=0, high=9)


def test_row_is_excluded_by_its_value_or_by_its_column() -> None:
    quality = parse_quality(json.dumps({"tags": {"a": EVERYTHING}}))
    assert quality.excludes("a", -9999.0, {})
    assert quality.excludes("a", 1.0, {"Quality": " Bad "})
    assert not quality.excludes("a", 1.0, {"Quality": "Good"})
    assert not quality.excludes("a", 1.0, {})
    assert not quality.excludes("b", -9999.0, {"Quality": "Bad"})
    assert quality.bad_columns == ("Quality",)
    assert quality.may_exclude([1.0], [["Good", "Bad"]])
    assert quality.may_exclude([32767.0], [["Good"]])
    assert not quality.may_exclude([1.0], [["Good"]])


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (192, "192"),
        (192, "192.0"),
        (192.0, "192"),
        (2.5, "2.5"),
        (True, "True"),
        (True, "TRUE"),
        (False, "False"),
        ("", " "),
        ("192", "192"),
    ],
)
def test_row_is_excluded_by_each_spelling_of_a_number_or_truth_value(value: object, cell: str) -> None:
    quality = parse_quality(json.dumps({"badWhen": {"column": "Q", "values": [value]}}))
    assert quality.excludes("t", 1.0, {"Q": cell})
    assert quality.may_exclude([1.0], [[cell]])
    assert not quality.excludes("t", 1.0, {"Q": "1"})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "quality is invalid: it must be a JSON object"),
        ("[]", "quality is invalid: it must be an object"),
        ("[" * 10_000, "quality is invalid"),
        ({"intervall": "15s"}, r"quality\.intervall is invalid: the keys are interval, minShare"),
        ({"interval": 15}, r"quality\.interval is invalid: it must be a duration"),
        ({"interval": "0s"}, "must be a duration"),
        ({"interval": "367d"}, "at most 366 days"),
        ({"interval": ""}, "must be a duration"),
        ({"minShare": 1.5}, "must be a number from 0 to 1"),
        ({"minShare": True}, "must be a number"),
        ({"rateOfChange": -1}, "must be a number from 0"),
        ({"rateOfChange": 10**400}, "must be a number"),
        ({"range": [2, 1]}, "must not be above its second"),
        ({"range": [1]}, r"must be \[lowest, highest\]"),
        ({"flatLine": {"from": 1}}, "its keys are for and tolerance"),
        ({"flatLine": 1}, "must be an object"),
        ({"badValues": ["x"]}, r"quality\.badValues is invalid: it must be a number"),
        ({"badValues": [1] * (MAX_VALUES + 1)}, "at most 100 numbers"),
        ({"badWhen": {"column": "Q"}}, "must have a column and a list of values"),
        ({"badWhen": {"column": "", "values": ["a"]}}, "the name of a column"),
        ({"badWhen": {"column": "Q", "values": [{}]}}, "a text or a number"),
        ({"badWhen": {"column": "Q", "values": [float("nan")]}}, r"quality\.badWhen is invalid: it must be a number"),
        ({"tags": {"temp-*": {"tags": {}}}}, r"quality\.tags\['temp-\*'\]\.tags is invalid"),
        ({"tags": {"": {}}}, "1 to 256 characters"),
        ({"tags": {str(number): {} for number in range(MAX_PATTERNS + 1)}}, "at most 200 patterns"),
        (" " * (MAX_TEXT_CHARS + 1), "more than 65,536 characters"),
    ],
)
def test_invalid_rule_is_rejected_with_its_path(document: Any, message: str) -> None:
    with pytest.raises(UsageInvalid, match=message):
        parse_quality(document if isinstance(document, str) else json.dumps(document))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*EVERYTHING, "for", "x"]), inner),
    max_leaves=8,
)


@given(JSON)
def test_any_document_is_parsed_or_rejected(document: Any) -> None:
    try:
        parse_quality(json.dumps(document)).rule("t")
    except UsageInvalid:
        return


def test_quality_has_at_most_200_patterns_100_values_and_64_kib_of_text() -> None:
    assert (MAX_PATTERNS, MAX_VALUES, MAX_NAME_CHARS, MAX_TEXT_CHARS) == (200, 100, 256, 65_536)
    assert (MAX_DURATION_SECONDS, MAX_ABSOLUTE_VALUE) == (31_622_400, 1e150)
