from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.scoringrun import Window
from scoring_operator.contract.blob_paths import (
    DEVICE_ID_PATTERN,
    MAX_FAILURES_BYTES,
    PathPattern,
    compile_pattern,
    data_patterns,
    decode_id,
    encode_id,
    failures_name,
    outcome_record_name,
    prediction_pattern,
    report_name,
)
from scoring_operator.errors import ConfigurationInvalid


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2018, 8, 28, hour, minute, tzinfo=UTC)


@given(st.from_regex(DEVICE_ID_PATTERN, fullmatch=True))
def test_device_id_is_one_segment_and_decodes_to_itself(device: str) -> None:
    text = encode_id(device)
    assert "/" not in text
    assert text not in {".", ".."}
    assert decode_id(text) == device


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a b",
        "a%2fb",
        "a%2Fb",
        "%41",
        "%e4",
        "%E4",
        "%C3%A4",
        "a~b",
        "x" * 129,
        "100%",
        "a*b",
        "a@b",
        "_a",
        "_runs",
    ],
)
def test_segment_that_encode_id_does_not_produce_is_not_a_device(text: str) -> None:
    assert decode_id(text) is None


@pytest.mark.parametrize(
    ("template", "blob", "device"),
    [
        ("{device}.joblib", "press-1.joblib", "press-1"),
        ("{device}.joblib", "%23%25.joblib", "#%"),
        ("{device}.joblib", "press-1.joblib.bak", None),
        ("{device}.joblib", "sub/press-1.joblib", None),
        ("{device}.joblib", ".joblib", None),
        ("{window}/{device}.csv".replace("{window}", "w"), "w/_failures.csv", None),
        ("{device}.joblib", "%5Fa.joblib", "_a"),
        ("models/{device}/model.joblib", "models/a/model.joblib", "a"),
        ("models/{device}/model.joblib", "models/model.joblib", None),
    ],
)
def test_blob_name_yields_its_device(template: str, blob: str, device: str | None) -> None:
    assert compile_pattern(template).device_id(blob) == device


@pytest.mark.parametrize(
    "template", ["model.joblib", "{device}/{device}", "{window}/{device}", "{device", "{}{device}"]
)
def test_invalid_template_is_rejected(template: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="fix it"):
        compile_pattern(template)


def test_each_partition_that_overlaps_the_window_has_a_pattern() -> None:
    template = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    places = data_patterns(template, timedelta(hours=1), Window(start=at(21, 30), end=at(23)))
    assert places == [PathPattern("20180828T2100Z/", ".csv"), PathPattern("20180828T2200Z/", ".csv")]


def test_window_of_too_many_partitions_is_rejected_before_they_are_made() -> None:
    window = Window(start=at(0), end=at(0) + timedelta(seconds=50_000))
    assert len(data_patterns("{device}.csv", timedelta(seconds=1), window)) == 1
    longer = Window(start=at(0), end=window.end + timedelta(seconds=1))
    message = "the window has 50,001 partitions of 1 seconds, and at most 50,000 are listed; create runs of shorter"
    with pytest.raises(ConfigurationInvalid, match=message):
        data_patterns("{device}.csv", timedelta(seconds=1), longer)


def test_partitions_that_share_a_folder_have_one_pattern() -> None:
    places = data_patterns("{device}/{yyyy}.csv", timedelta(hours=1), Window(start=at(1), end=at(9)))
    assert places == [PathPattern("", "/2018.csv")]


def test_names_of_blobs_are_those_of_the_scorer() -> None:
    window = Window(start=at(22), end=at(23))
    assert prediction_pattern("{window}/{device}.csv", window) == PathPattern(
        "20180828T220000Z_20180828T230000Z/", ".csv"
    )
    assert failures_name(window) == "20180828T220000Z_20180828T230000Z/_failures.csv"
    assert report_name(window) == "20180828T220000Z_20180828T230000Z/report.html"
    assert outcome_record_name("uid", "job") == "_runs/uid/job.json"


def test_list_of_failed_devices_has_at_most_32_mib() -> None:
    assert MAX_FAILURES_BYTES == 33_554_432
