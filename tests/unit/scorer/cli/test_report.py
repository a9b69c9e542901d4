"""The command `device-scorer report`: arguments, output and exit code."""

import json
from pathlib import Path

import pytest

from device_scorer.contract.digest import DeviceDigest, TagDigest, encode_digest
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_report import (
    ARGUMENTS,
    SLUG,
    BusyStore,
    is_marked_complete,
    read_page,
    read_summary,
    read_table,
    report,
    report_on,
    write_predictions,
)


@pytest.mark.parametrize(
    "progress", [b"no json", b"{}", b"\x78\x01malformed", b'{"outcomes":{"failed":"7"},"reasons":{},"samples":[]}']
)
def test_invalid_progress_file_is_wrong_usage(tmp_path: Path, progress: bytes) -> None:
    (tmp_path / "list").write_text("press-0\n")
    (tmp_path / "progress").write_bytes(progress)
    words = ("--devices", tmp_path / "list", "--progress", tmp_path / "progress")
    result = scorer("report", "--store", tmp_path, *ARGUMENTS, *words)
    assert result.code == 64
    assert "Traceback" not in result.err


def test_store_that_is_not_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    result = scorer("report", "--store", tmp_path / "typo", *ARGUMENTS)
    assert (result.code, "typo is invalid: it is not a folder; name one" in result.err) == (64, True)
    assert list(tmp_path.iterdir()) == []


def test_window_that_is_scored_during_the_report_has_no_success_marker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"})
    report_on(BusyStore(tmp_path, "write", "_SUCCESS", times=4), tmp_path)
    assert "is being scored again; the next report writes _SUCCESS" in capsys.readouterr().err
    assert not is_marked_complete(tmp_path)


def test_an_empty_window_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    result = report(tmp_path)
    assert "no devices" in result.out
    assert "no data for the previous window" in read_page(tmp_path)


def test_progress_without_devices_is_wrong_usage(tmp_path: Path) -> None:
    result = scorer("report", "--store", tmp_path, *ARGUMENTS, "--progress", tmp_path / "progress")
    assert (result.code, "--progress requires --devices" in result.err) == (64, True)


def test_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    result = scorer("report", "--store", tmp_path, *ARGUMENTS, "--devices", tmp_path / "none")
    assert (result.code, "none cannot be read" in result.err) == (64, True)


def test_output_has_outcomes_anomalies_and_the_page(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000111"})
    assert report(tmp_path).out == (
        "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z: 1 scored; 3 anomalies in 6 readings, 1 anomalous device\n"
        f"{SLUG}/report.html, complete\n"
    )


def test_window_that_changes_all_the_time_is_collected_four_times(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000"})
    busy = BusyStore(tmp_path, "read", "press-1.csv", times=40)
    report_on(busy, tmp_path)
    # Each of four collections reads the blob for its list, its statistics and its chart, each check for its list.
    assert 40 - busy.left == 4 * 4
    assert read_summary(tmp_path)["results"]["anomalies"] == 3
    assert not is_marked_complete(tmp_path)


def test_unreadable_readings_of_a_chart_are_named(tmp_path: Path) -> None:
    digest = encode_digest(DeviceDigest((TagDigest("1", 5, anomalies=5),), 0, (5, *[0] * 59)))
    metadata = {"window": "w", "rows": "5", "anomalies": "5", "digest": digest}
    for device in ("press-1", "press-2"):
        content = b"<html>" if device == "press-1" else PREDICTIONS_HEADER
        FolderStore(tmp_path).write("predictions", f"{SLUG}/{device}.csv", content, metadata=metadata)
    report(tmp_path)
    assert [(row["Device"], row["Outcome"]) for row in read_table(tmp_path, "_failures.csv")] == [
        ("press-1", "unreadable")
    ]
    assert read_summary(tmp_path)["devices"] == {"total": 1, "scored": 1}


@pytest.mark.slow
@pytest.mark.parametrize("hours", [1, 2])
def test_removed_and_frozen_sensors_are_exactly_the_ones_that_are_named(tmp_path: Path, hours: int) -> None:
    small = ("--devices", "4", "--tags", "2", "--hours", "6", "--end", "2018-08-29T00:00:00Z", "--anomaly-hours", "0")
    assert scorer("simulate", "--store", tmp_path, *small).code == 0
    assert scorer("train", "--store", tmp_path, "--end", "2018-08-28T22:00:00Z").code == 0
    for hour in (22, 23)[-hours:]:
        removed, frozen = (tmp_path / "data" / f"20180828T{hour}00Z" / f"press-{one}.csv" for one in (2, 3))
        lines = removed.read_text().splitlines(keepends=True)
        removed.write_text("".join(line for line in lines if ",1," not in line))
        rows = [line.split(",") for line in frozen.read_text().splitlines()]
        value = next(row[3] for row in rows if row[2] == "2")
        frozen.write_text("".join(",".join([*row[:3], value if row[2] == "2" else row[3]]) + "\n" for row in rows))
    for number in (22, 23):
        before = ("--window-start", "2018-08-28T22:00:00Z", "--window-end", "2018-08-28T23:00:00Z")
        window = ARGUMENTS if number == 23 else before
        assert scorer("score", "--store", tmp_path, *window, "--", *(f"press-{one}" for one in range(1, 5))).code == 0
        assert scorer("report", "--store", tmp_path, *window).code == 0
    found = {(row["Device"], row["Tag"], row["Flag"]) for row in read_table(tmp_path, "_sensors.csv")}
    assert found == {("press-2", "1", "silent"), ("press-3", "2", "stuck")}
    incidents = [(row["Device"], row["Cause"], row["State"]) for row in read_table(tmp_path, "_incidents.csv")]
    assert incidents == [("press-2", "sensor", "opened"), ("press-3", "sensor", "opened")] * (hours - 1)


@pytest.mark.parametrize("rules", [None, "", " "])
def test_report_without_the_rules_of_a_fleet_does_not_replace_its_incidents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: str | None
) -> None:
    write_predictions(tmp_path, "press-1", {"1": "111"})
    monkeypatch.setenv("FLEETSCORE_INCIDENTS", '{"fleet": "hall 3", "openAfter": 1}')
    report(tmp_path)
    before = read_table(tmp_path, "_incidents.csv")
    assert len(before) == 1
    monkeypatch.delenv("FLEETSCORE_INCIDENTS")
    if rules is not None:
        monkeypatch.setenv("FLEETSCORE_INCIDENTS", rules)
    result = scorer("report", "--store", tmp_path, *ARGUMENTS)
    assert result.code == 64
    message = json.loads(result.err)["message"]
    assert "the store has the history of the fleet hall 3" in message
    assert """FLEETSCORE_INCIDENTS='{"fleet": "hall 3"}'""" in message
    assert read_table(tmp_path, "_incidents.csv") == before
    assert [path.name for path in (tmp_path / "predictions" / "_history").iterdir()] == ["hall%203"]
