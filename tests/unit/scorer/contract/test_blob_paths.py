"""Tests of the names of blobs."""

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_scorer.contract import blob_paths
from device_scorer.errors import UsageInvalid
from device_scorer.settings import Settings
from device_scorer.window import Window, parse_duration, parse_instant
from tests.testkit.scorer_fleet import WINDOW

HOUR = timedelta(hours=1)
DATA = Settings().data_path


@pytest.mark.fault("T8")
@given(st.text(min_size=1))
@example(".")
@example("..")
@example("../models/x")
@example("_SUCCESS")
def test_id_is_encoded_into_one_segment_and_decoded_again(identifier: str) -> None:
    segment = blob_paths.encode_id(identifier)
    assert segment not in ("", ".", "..")
    assert not set(segment) & set("/\\?#% ") - {"%"}
    assert not segment.startswith("_")
    assert segment.isascii()
    assert blob_paths.decode_id(segment) == identifier


@pytest.mark.parametrize(
    "text",
    ["", "a/b", "%2f", "%41", "a%", "%ZZ", "..", ".", "%FF", "a~", "a b", "%2e", "_a", "_SUCCESS", "m\udcfcller"],
)
def test_segment_that_encode_does_not_write_has_no_id(text: str) -> None:
    assert blob_paths.decode_id(text) is None


@pytest.mark.parametrize(
    ("device", "segment"),
    [
        ("..", "%2E%2E"),
        ("a.b", "a.b"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("a~", "a%7E"),
        ("é", "%C3%A9"),
        ("_runs", "%5Fruns"),
        ("a_b", "a_b"),
    ],
)
def test_special_characters_of_an_id_are_percent_encoded(device: str, segment: str) -> None:
    assert blob_paths.encode_id(device) == segment


@pytest.mark.parametrize(("device", "allowed"), [("d" * 128, True), ("d" * 129, False), ("", False), ("a b", False)])
def test_device_id_has_1_to_128_allowed_characters(device: str, *, allowed: bool) -> None:
    assert bool(blob_paths.DEVICE_ID_PATTERN.fullmatch(device)) == allowed


@given(st.from_regex(blob_paths.DEVICE_ID_PATTERN, fullmatch=True))
def test_device_is_found_in_a_name_of_each_template(device: str) -> None:
    assert blob_paths.device_from_name("{device}.joblib", blob_paths.model_name("{device}.joblib", device)) == device
    name = blob_paths.prediction_name("{window}/{device}.csv", WINDOW, device)
    assert blob_paths.device_from_name("{window}/{device}.csv", name) == device
    assert blob_paths.device_from_name(DATA, blob_paths.data_name(DATA, WINDOW.start, device)) == device


@pytest.mark.parametrize("name", ["x.csv", "20180828T2300Z/a/b.csv", "2018/a.csv", "20180828T2300Z/%2f.csv"])
def test_name_that_does_not_match_the_template_has_no_device(name: str) -> None:
    assert blob_paths.device_from_name(DATA, name) is None


def test_name_of_a_template_without_device_has_no_device() -> None:
    assert blob_paths.device_from_name("{yyyy}/all.csv", "2018/all.csv") is None


@pytest.mark.parametrize(
    ("start", "end", "partition", "names"),
    [
        ("23:00", "00:00", "PT1H", ["20180828T2300Z"]),
        ("23:30", "00:30", "PT1H", ["20180828T2300Z", "20180829T0000Z"]),
        ("23:15", "23:30", "PT1H", ["20180828T2300Z"]),
        ("23:00", "23:30", "PT15M", ["20180828T2300Z", "20180828T2315Z"]),
        ("23:00", "00:00", "P1D", ["20180828T0000Z"]),
    ],
)
def test_data_names_cover_all_partitions_of_the_window(start: str, end: str, partition: str, names: list[str]) -> None:
    day = "2018-08-28" if end > start else "2018-08-29"
    window = Window(parse_instant(f"2018-08-28T{start}"), parse_instant(f"{day}T{end}"))
    assert blob_paths.data_names(DATA, parse_duration(partition), window, "d") == [f"{name}/d.csv" for name in names]


def test_data_blob_of_several_partitions_is_listed_once() -> None:
    window = Window(WINDOW.start, WINDOW.start + 3 * HOUR)
    assert blob_paths.data_names("{yyyy}/all.csv", HOUR, window, "d") == ["2018/all.csv"]


@pytest.mark.parametrize("template", ["{device}", "x/{device}.joblib"])
def test_valid_template_is_returned(template: str) -> None:
    only = frozenset({"device"})
    assert blob_paths.validate_template(template, only, required=only) == template


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{tag}.csv",
        "x.csv",
        "../{device}",
        "a//{device}",
        "{device}/{device}",
        "/{device}",
        "{device",
        "./{device}",
        "{}",
    ],
)
def test_invalid_template_is_rejected(template: str) -> None:
    only = frozenset({"device"})
    with pytest.raises(UsageInvalid, match="path template"):
        blob_paths.validate_template(template, only, required=only)


@pytest.mark.fault("T8")
def test_outcome_name_accepts_only_a_run_uid_and_job_of_one_segment() -> None:
    assert blob_paths.outcome_name("3f-1", "hourly-abc") == "_runs/3f-1/hourly-abc.json"
    for bad in ("", "..", "a/b", ".hidden"):
        with pytest.raises(UsageInvalid):
            blob_paths.outcome_name(bad, "job")
        with pytest.raises(UsageInvalid):
            blob_paths.outcome_name("3f-1", bad)
