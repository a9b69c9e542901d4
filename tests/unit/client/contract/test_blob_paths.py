"""Names of blobs; tests/contract compares the rule with the scorer's."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window
from fleetscore.errors import UsageInvalid

WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
IDS = {"press-7": "press-7", "a#b": "a%23b", "..": "%2E%2E", "_x": "%5Fx", "hall/1": "hall%2F1", "ü~": "%C3%BC%7E"}


@pytest.mark.parametrize(("device", "segment"), IDS.items())
def test_id_becomes_one_segment_and_is_decoded_again(device: str, segment: str) -> None:
    assert blob_paths.encode_id(device) == segment
    assert blob_paths.decode_id(segment) == device


@pytest.mark.parametrize("segment", ["a#b", "%2f", "_x", "..", "%FF", "", "m\udcfcller"])
def test_segment_that_the_rule_does_not_produce_is_not_a_device(segment: str) -> None:
    assert blob_paths.decode_id(segment) is None


def test_names_follow_the_templates_of_the_fleet() -> None:
    assert blob_paths.model_name("{device}.joblib", "a#b") == "a%23b.joblib"
    assert blob_paths.prediction_name("{window}/{device}.csv", WINDOW, "d") == f"{WINDOW.slug}/d.csv"
    assert blob_paths.prediction_prefix("{window}/{device}.csv", WINDOW) == f"{WINDOW.slug}/"
    template = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    names = blob_paths.data_names(template, timedelta(minutes=30), WINDOW, "d")
    assert names == ["20180828T2300Z/d.csv", "20180828T2330Z/d.csv"]


def test_device_of_a_name_is_found_and_other_names_have_none() -> None:
    template = "{window}/{device}.csv"
    assert blob_paths.device_from_name(template, f"{WINDOW.slug}/a%23b.csv") == "a#b"
    assert blob_paths.device_from_name(template, f"{WINDOW.slug}/_failures.csv") is None
    assert blob_paths.device_from_name(template, f"{WINDOW.slug}/deeper/d.csv") is None


@pytest.mark.parametrize("device", ["", "\udcff", 7, None], ids=["empty", "not-unicode", "number", "none"])
def test_value_that_is_not_an_id_is_rejected(device: str) -> None:
    with pytest.raises(UsageInvalid, match=r"device id .* is invalid: .*; correct it"):
        blob_paths.encode_id(device)


def test_window_of_too_many_partitions_is_rejected() -> None:
    with pytest.raises(UsageInvalid, match="partitions of readings, more than 10,000; name a shorter window"):
        blob_paths.data_names("{device}", timedelta(hours=1), Window.parse("1000-01-01/9000-01-01T00:00Z"), "a")
