"""Collection of a window's predictions and of the run's records."""

from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.collector import MAX_RECORD_BYTES, MAX_RESTARTS, ReportCollector
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from device_scorer.settings import Settings
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_report import (
    SLUG,
    WINDOW,
    BusyStore,
    add_empty_readings,
    add_models,
    is_marked_complete,
    read_page,
    read_summary,
    read_table,
    report,
    report_on,
    run_state,
    write_predictions,
)


def test_run_over_some_devices_is_incomplete_while_others_lack_predictions(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1", "press-2")
    write_predictions(tmp_path, "press-1", {"1": "000"})
    add_empty_readings(tmp_path, "press-2")
    some = run_state(
        tmp_path, ["press-1", "stray"], {"outcomes": {"scored": "0", "failed": "1"}, "reasons": {"X": "1"}}
    )
    report(tmp_path, *some, "--include-modelled")
    assert [row["Device"] for row in read_table(tmp_path, "_failures.csv")] == ["press-2", "stray"]
    assert not is_marked_complete(tmp_path)


def test_device_with_a_model_and_no_readings_is_complete(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1", "press-2")
    write_predictions(tmp_path, "press-1", {"1": "000"})
    report(tmp_path)
    assert read_summary(tmp_path)["devices"] == {"total": 2, "scored": 1, "empty": 1}
    assert is_marked_complete(tmp_path)


def test_partial_predictions_make_the_window_incomplete(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"}, complete=False)
    report(tmp_path)
    assert not is_marked_complete(tmp_path)
    assert read_table(tmp_path, "_failures.csv")[0]["Outcome"] == "partial"


def test_progress_gives_reasons_and_messages(tmp_path: Path) -> None:
    devices = [f"press-{number}" for number in range(6)]
    write_predictions(tmp_path, "press-0", {"1": "000"})
    outcomes = {"failed": "1-2,4", "empty": "3", "notRun": "5"}
    progress = {"outcomes": outcomes, "reasons": {"ModelInvalid": "1-2", "OOMKilled": "4"}}
    report(tmp_path, *run_state(tmp_path, devices, {**progress, "samples": [[2, "ModelInvalid", "cut, short"]]}))
    assert read_summary(tmp_path)["devices"] == {"total": 6, "scored": 1, "empty": 1, "failed": 3, "notRun": 1}
    assert read_summary(tmp_path)["failureReasons"] == {"ModelInvalid": 2, "OOMKilled": 1, "notRun": 1}
    failures = {
        row["Device"]: [row["Outcome"], row["Reason"], row["Message"]] for row in read_table(tmp_path, "_failures.csv")
    }
    assert failures == {
        "press-1": ["failed", "ModelInvalid", ""],
        "press-2": ["failed", "ModelInvalid", "cut, short"],
        "press-4": ["failed", "OOMKilled", ""],
        "press-5": ["notRun", "", ""],
    }


def test_outcome_records_give_messages_of_failures(tmp_path: Path) -> None:
    devices = ["press-0", "press-1", "press-2", "press-3"]
    store = FolderStore(tmp_path)
    for device in devices[:2]:
        store.write("models", f"{device}.joblib", b"malformed")
        store.write("data", f"20180828T2300Z/{device}.csv", b"TS,Device,Tag,Value\n")
    window = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z")
    run = ("--run-uid", "u-1", "--job-name", "j-1")
    assert scorer("score", "--store", tmp_path, *window, *run, "--", *devices[:3]).code == 65
    for name, content in (
        ("malformed", b"[" * 99_999),
        ("other", b'{"messages": {"0": ["failed", 1, [], {}], "1": 2}}'),
    ):
        store.write("predictions", f"_runs/u-1/{name}.json", content, metadata={"failures": "1"})
    progress: dict[str, object] = {
        "outcomes": {"failed": "0-3"},
        "reasons": {"ModelInvalid": "0-1", "OOMKilled": "2", "JobLost": "3"},
        "samples": [[1, "ModelInvalid", "as the run reports it"]],
    }
    state = run_state(tmp_path, devices, progress)
    report(tmp_path, *state, "--run-uid", "u-1")
    messages = {row["Device"]: row["Message"] for row in read_table(tmp_path, "_failures.csv")}
    assert messages.pop("press-0").startswith("the model is invalid: it is not a readable pickle")
    # The message of the run is kept. A record with another reason belongs to an earlier attempt.
    assert messages == {"press-1": "as the run reports it", "press-2": "", "press-3": ""}
    report(tmp_path, *state, "--run-uid", "u-2")
    assert read_table(tmp_path, "_failures.csv")[0]["Message"] == ""


def test_existing_predictions_override_a_recorded_failure(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-0", {"1": "000"})
    report(tmp_path, *run_state(tmp_path, ["press-0"], {"outcomes": {"failed": "0"}, "reasons": {"JobLost": "0"}}))
    assert read_summary(tmp_path)["devices"] == {"total": 1, "scored": 1}


def test_unreadable_predictions_are_named_and_make_the_window_incomplete(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"})
    (tmp_path / "predictions" / SLUG / "press-2.csv").write_text("<html>")
    result = report(tmp_path)
    assert "incomplete" in result.out
    assert read_table(tmp_path, "_failures.csv")[0]["Device"] == "press-2"
    assert "unreadable" in read_page(tmp_path)
    assert read_summary(tmp_path)["devices"] == {"total": 1, "scored": 1}


def test_predictions_with_the_pages_name_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_PREDICTIONS_PATH", "{window}/{device}")
    store = FolderStore(tmp_path)
    store.write("predictions", f"{SLUG}/report.html", PREDICTIONS_HEADER, metadata={"window": "w"})
    result = report(tmp_path)
    assert "exists and holds a device's predictions" in result.err
    assert read_page(tmp_path) == PREDICTIONS_HEADER.decode()
    assert read_summary(tmp_path)["devices"] == {"total": 1, "scored": 1}


def test_report_describes_the_predictions_that_exist_when_it_is_written(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"})
    # The folder's listing reads each blob once; the next read is the one for the statistics.
    busy = BusyStore(tmp_path, "read", "press-1.csv", times=2)
    report_on(busy, tmp_path)
    assert busy.left == 0
    assert read_summary(tmp_path)["results"]["anomalies"] == 3
    assert is_marked_complete(tmp_path)


def test_predictions_of_some_tags_make_the_window_incomplete(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"}, tags="1 4")
    write_predictions(tmp_path, "press-2", {"1": "000"})
    report(tmp_path, *run_state(tmp_path, ["press-1", "press-2"], {"outcomes": {"scored": "0-1"}, "reasons": {}}))
    assert read_summary(tmp_path)["devices"] == {"total": 2, "scored": 1, "partial": 1}
    assert not is_marked_complete(tmp_path)
    assert "only the tags that a run requested" in read_table(tmp_path, "_failures.csv")[0]["Message"]


def test_report_restarts_3_times_and_reads_records_of_at_most_2_mib() -> None:
    assert (MAX_RESTARTS, MAX_RECORD_BYTES) == (3, 2_097_152)


def a_collector(folder: Path, store: FolderStore | None = None) -> ReportCollector:
    return ReportCollector(store or FolderStore(folder), Settings(folder=folder), WINDOW)


def test_collected_window_is_outdated_after_a_new_scoring(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"})
    collector = a_collector(tmp_path)
    collected = collector.collect(None, {})
    assert not collector.is_outdated(collected)
    write_predictions(tmp_path, "press-1", {"1": "001"})
    assert collector.is_outdated(collected)
    assert not collector.is_outdated(collector.collect(None, {}))


def test_series_have_the_readings_of_the_three_worst_tags(tmp_path: Path) -> None:
    labels = {"a": "00000", "b": "00001", "c": "00011", "d": "00111", "e": "01111"}
    write_predictions(tmp_path, "press-1", labels)
    write_predictions(tmp_path, "press-2", {"1": "00000"})
    collector = a_collector(tmp_path)
    series, unreadable = collector.series(collector.collect(None, {}))
    assert not unreadable
    assert {device: list(tags) for device, tags in series.items()} == {"press-1": ["e", "d", "c"]}
    assert [(point.offset_seconds, point.value, point.anomalous) for point in series["press-1"]["e"][:2]] == [
        (59 * 60, 0.5, False),
        (58 * 60, 1.5, True),
    ]


def test_records_without_failures_or_above_the_limit_are_not_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for name, content, failures in (("a", b"read", "1"), ("b", b"none", "0"), ("c", bytes(2_097_152), "1")):
        store.write("predictions", f"_runs/u/{name}.json", content, metadata={"failures": failures})
    damaged: list[str] = []
    too_large: list[str] = []
    assert not list(a_collector(tmp_path).recorded_failures("u", too_large, damaged))
    assert (damaged, too_large) == (["_runs/u/a.json"], ["_runs/u/c.json"])


@pytest.mark.parametrize(
    ("metadata", "recorded", "outcome"),
    [
        ({}, None, "scored"),
        ({"complete": "false"}, None, "partial"),
        ({"complete": "false"}, DeviceOutcome("partial", "", "tag 2"), "partial"),
        ({"tags": "1 2"}, DeviceOutcome("scored"), "partial"),
        ({}, DeviceOutcome("alreadyScored"), "alreadyScored"),
        ({}, DeviceOutcome("failed", "JobLost"), "scored"),
    ],
)
def test_device_with_predictions_is_scored_or_partial_as_its_metadata_says(
    tmp_path: Path, metadata: dict[str, str], recorded: DeviceOutcome | None, outcome: str
) -> None:
    content = PREDICTIONS_HEADER + b"2018-08-28T23:00:00Z,press-1,1,1,0,0.5\n"
    FolderStore(tmp_path).write("predictions", f"{SLUG}/press-1.csv", content, metadata={"window": "w", **metadata})
    outcomes = {} if recorded is None else {"press-1": recorded}
    (row,) = a_collector(tmp_path).collect(["press-1"], outcomes).summary.devices
    assert row.outcome.kind == outcome
    assert recorded is None or not recorded.message or row.outcome == recorded


def test_expected_device_with_unreadable_predictions_counts_as_unreadable_only(tmp_path: Path) -> None:
    add_models(tmp_path, "press-2")
    (tmp_path / "predictions" / SLUG).mkdir(parents=True)
    (tmp_path / "predictions" / SLUG / "press-2.csv").write_text("<html>")
    report(tmp_path)
    failures = [(row["Device"], row["Outcome"]) for row in read_table(tmp_path, "_failures.csv")]
    assert failures == [("press-2", "unreadable")]
    assert read_summary(tmp_path)["devices"] == {"total": 0}
