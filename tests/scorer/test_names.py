"""Ids, paths, windows, settings and arguments: what is accepted, and where it leads."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_scorer import settings
from device_scorer.contract import blob_paths
from device_scorer.errors import UsageInvalid
from device_scorer.scoring import request
from device_scorer.settings import AnomalousWhen, Settings
from device_scorer.window import Window, parse_duration, parse_instant
from tests.testkit.scorer_fleet import END, START, WINDOW

HOUR = timedelta(hours=1)
DATA = Settings().data_path


@pytest.mark.fault("T8")
@given(st.text(min_size=1))
@example(".")
@example("..")
@example("../models/x")
@example("_SUCCESS")
def test_an_id_is_one_segment_and_comes_back(identifier: str) -> None:
    segment = blob_paths.encode_id(identifier)
    assert segment not in ("", ".", "..")
    assert not set(segment) & set("/\\?#% ") - {"%"}
    assert not segment.startswith("_")
    assert segment.isascii()
    assert blob_paths.decode_id(segment) == identifier


@pytest.mark.parametrize(
    "text", ["", "a/b", "%2f", "%41", "a%", "%ZZ", "..", ".", "%FF", "a~", "a b", "%2e", "_a", "_SUCCESS"]
)
def test_a_segment_that_the_rule_would_not_write_is_no_id(text: str) -> None:
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
def test_segments(device: str, segment: str) -> None:
    assert blob_paths.encode_id(device) == segment


@given(st.text(min_size=1))
def test_a_name_made_by_a_template_gives_its_device_back(device: str) -> None:
    assert blob_paths.device_from_name("{device}.joblib", blob_paths.model_name("{device}.joblib", device)) == device
    name = blob_paths.prediction_name("{window}/{device}.csv", WINDOW, device)
    assert blob_paths.device_from_name("{window}/{device}.csv", name) == device
    assert blob_paths.device_from_name(DATA, blob_paths.data_name(DATA, WINDOW.start, device)) == device


@pytest.mark.parametrize("name", ["x.csv", "20180828T2300Z/a/b.csv", "2018/a.csv", "20180828T2300Z/%2f.csv"])
def test_a_name_that_does_not_fit_the_template_has_no_device(name: str) -> None:
    assert blob_paths.device_from_name(DATA, name) is None


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
def test_all_partitions_that_overlap_the_window_are_read(
    start: str, end: str, partition: str, names: list[str]
) -> None:
    day = "2018-08-28" if end > start else "2018-08-29"
    window = Window(parse_instant(f"2018-08-28T{start}"), parse_instant(f"{day}T{end}"))
    assert blob_paths.data_names(DATA, parse_duration(partition), window, "d") == [f"{name}/d.csv" for name in names]


def test_a_shared_blob_is_read_once() -> None:
    window = Window(WINDOW.start, WINDOW.start + 3 * HOUR)
    assert blob_paths.data_names("{yyyy}/all.csv", HOUR, window, "d") == ["2018/all.csv"]


@pytest.mark.parametrize("template", ["{device}", "x/{device}.joblib"])
def test_good_templates(template: str) -> None:
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
def test_bad_templates_are_refused(template: str) -> None:
    only = frozenset({"device"})
    with pytest.raises(UsageInvalid, match="path template"):
        blob_paths.validate_template(template, only, required=only)


@pytest.mark.fault("T8")
def test_a_run_and_job_are_names_of_one_segment() -> None:
    assert blob_paths.outcome_name("3f-1", "hourly-abc") == "_runs/3f-1/hourly-abc.json"
    for bad in ("", "..", "a/b", ".hidden"):
        with pytest.raises(UsageInvalid):
            blob_paths.outcome_name(bad, "job")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (START, datetime(2018, 8, 28, 23, tzinfo=UTC)),
        ("2018-08-29T01:00:00+02:00", datetime(2018, 8, 28, 23, tzinfo=UTC)),
        ("2018-08-28T23:00:00", datetime(2018, 8, 28, 23, tzinfo=UTC)),
    ],
)
def test_window_bounds(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize("text", ["", "today", "2018-08-28T23:00:00.5Z", "2018-08-28T99:00:00Z"])
def test_bad_window_bounds_are_refused(text: str) -> None:
    with pytest.raises(UsageInvalid):
        parse_instant(text)


def test_a_window_must_hold_a_second() -> None:
    with pytest.raises(UsageInvalid, match="swap them"):
        Window(WINDOW.end, WINDOW.start)


@pytest.mark.parametrize(("text", "seconds"), [("PT1H", 3600), ("PT15M", 900), ("P1D", 86400), ("P1DT1H1M1S", 90061)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1h", "PT0S", "P1W", "-PT1H", "P99999999999D"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageInvalid):
        parse_duration(text)


def test_a_folder_needs_no_environment_and_has_the_fleets_defaults() -> None:
    found = settings.read_settings({}, "somewhere")
    assert (found.data_path, found.models_path, found.predictions_path) == (
        "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv",
        "{device}.joblib",
        "{window}/{device}.csv",
    )
    assert (found.anomalous_when, found.allow_overwrite) == (AnomalousWhen(share=0.01, min_rows=3), False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEETSCORE_AUTH", "password"),
        ("FLEETSCORE_DATA_PATH", "../{device}"),
        ("FLEETSCORE_MODELS_PATH", "model.joblib"),
        ("FLEETSCORE_MODELS_TRUST", "maybe"),
        ("FLEETSCORE_MODELS_CONTAINER", "Up"),
        ("FLEETSCORE_ANOMALOUS_SHARE", "101%"),
        ("FLEETSCORE_ANOMALOUS_SHARE", "0.01"),
        ("FLEETSCORE_ANOMALOUS_MIN_ROWS", "-1"),
        ("FLEETSCORE_MAX_DATA_BYTES", "1G"),
        ("FLEETSCORE_ALLOW_OVERWRITE", "yes"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageInvalid, match=name):
        settings.read_settings({name: value}, "somewhere")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "FLEETSCORE_ACCOUNT_URL"),
        ({"FLEETSCORE_AUTH": "connectionString"}, "AZURE_STORAGE_CONNECTION_STRING"),
        ({"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": "https://a"}, "AZURE_STORAGE_SAS_TOKEN"),
        ({"FLEETSCORE_ACCOUNT_URL": "https://a?sig=secret"}, "no http"),
    ],
)
def test_storage_that_is_not_named_is_asked_for(environment: dict[str, str], named: str) -> None:
    with pytest.raises(UsageInvalid, match=named) as refused:
        settings.read_settings(environment)
    assert "secret" not in str(refused.value)


@pytest.mark.fault("T13")
def test_secrets_are_not_in_the_settings_words() -> None:
    environment = {
        "FLEETSCORE_AUTH": "connectionString",
        "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=canary1",
        "AZURE_STORAGE_SAS_TOKEN": "?sig=canary2",
    }
    assert "canary" not in repr(settings.read_settings(environment))


def parsed(*words: str, environment: dict[str, str] | None = None) -> request.ScoreRequest:
    parser = argparse.ArgumentParser()
    request.add_arguments(parser)
    line = ["--window-start", START, "--window-end", END, *words]
    return request.parse_request(parser.parse_args(line), environment or {})


def test_a_task_has_what_the_job_says() -> None:
    found = parsed("--tag", "1", "--tag=-4", "--run-uid", "u", "--job-name", "j", "--", "a", "-b")
    assert found.devices == ("a", "-b")
    assert found.tags == frozenset({"1", "-4"})
    assert found.record_name == "_runs/u/j.json"
    assert parsed("--", "a").tags is None


@pytest.mark.fault("T9")
@pytest.mark.parametrize(
    "words",
    [
        ("--run-uid", "u", "--", "a"),
        ("--run-uid", "../u", "--job-name", "j", "--", "a"),
        ("--tag", "", "--", "a"),
        ("--tag", "a\nb", "--", "a"),
        ("--tag", "x" * 257, "--", "a"),
        ("--device-deadline-seconds", "0", "--", "a"),
        ("--device-deadline-seconds", "nan", "--", "a"),
        ("--", "a", "a"),
    ],
)
def test_wrong_arguments_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageInvalid):
        parsed(*words)
