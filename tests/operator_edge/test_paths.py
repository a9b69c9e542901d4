from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.scoringrun import Window
from scoring_operator.contract.blob_paths import (
    DEVICE_ID,
    PathPattern,
    compile_pattern,
    data_patterns,
    decode_id,
    encode_id,
    window_slug,
)
from scoring_operator.errors import ConfigurationInvalid


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2018, 8, 28, hour, minute, tzinfo=UTC)


@given(st.from_regex(DEVICE_ID, fullmatch=True))
def test_every_device_id_is_one_segment_and_comes_back_from_it(device: str) -> None:
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
def test_a_segment_that_no_id_is_written_as_denotes_no_device(text: str) -> None:
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
def test_a_blob_tells_its_device(template: str, blob: str, device: str | None) -> None:
    assert compile_pattern(template).device_id(blob) == device


@pytest.mark.parametrize(
    "template", ["model.joblib", "{device}/{device}", "{window}/{device}", "{device", "{}{device}"]
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="mend it"):
        compile_pattern(template)


def test_every_partition_that_overlaps_the_window_is_looked_into() -> None:
    template = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    places = data_patterns(template, timedelta(hours=1), Window(start=at(21, 30), end=at(23)))
    assert places == [PathPattern("20180828T2100Z/", ".csv"), PathPattern("20180828T2200Z/", ".csv")]


def test_partitions_that_share_a_folder_are_listed_once() -> None:
    places = data_patterns("{device}/{yyyy}.csv", timedelta(hours=1), Window(start=at(1), end=at(9)))
    assert places == [PathPattern("", "/2018.csv")]


def test_a_window_is_written_in_utc_to_the_second() -> None:
    assert window_slug(Window(start=at(22), end=at(23))) == "20180828T220000Z_20180828T230000Z"
