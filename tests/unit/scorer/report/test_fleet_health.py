"""The health of a fleet in a window."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from device_scorer.contract.digest import SensorFlag
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.health.incidents import History
from device_scorer.health.mutes import parse_mutes
from device_scorer.health.settings import parse_incident_settings
from device_scorer.report.fleet_health import (
    MAX_STRIPS,
    MAX_TAGS,
    STRIP_WINDOWS,
    FleetHealth,
    assess,
    format_epoch,
    incidents_csv,
    sensors_csv,
    state_letter,
    state_letters,
)
from device_scorer.report.statistics import DeviceFigures, FlaggedSensor, TagStatistics
from device_scorer.report.summary import AnomalyRule, Comparison, Coverage, DeviceRow, Summary, build_row
from tests.testkit.scorer_report import NEWEST, WINDOW

STUCK = FlaggedSensor("temp", 240, SensorFlag("stuck", 1_535_497_200, "=the same value for 50 min"), True)
ANOMALOUS = {"temp": TagStatistics(240, 9, "t1", "t2", "t3", "5", -0.5)}
OTHER_TAG = {**ANOMALOUS, "speed": TagStatistics(240, 9)}
SETTINGS = parse_incident_settings('{"owners": [{"devices": "d*", "name": "Ann"}]}')


def a_row(device: str = "d1", outcome: str = "scored", **figures: Any) -> DeviceRow:
    values = {"rows": 240, "newest_epoch_seconds": NEWEST, **figures}
    return build_row(device, DeviceOutcome(outcome), DeviceFigures(**values), WINDOW, AnomalyRule())


def health_of(*rows: DeviceRow, mutes: bytes = b"", **states: str) -> FleetHealth:
    return health_of_fleet(rows, states, mutes)


def health_of_fleet(rows: Sequence[DeviceRow], states: Mapping[str, str], mutes: bytes = b"") -> FleetHealth:
    summary = Summary(WINDOW, AnomalyRule(), rows, Comparison(WINDOW, has_previous=False))
    length = max(map(len, states.values()))
    past = History(states, int(WINDOW.start.timestamp()) - 3600 * (length - 1), 3600)
    return assess(summary, past, SETTINGS, parse_mutes(mutes, WINDOW), ["a problem"])


@pytest.mark.parametrize(
    ("row", "letter"),
    [
        (a_row(outcome="failed", rows=0), "F"),
        (a_row(outcome="empty", rows=0), "E"),
        (a_row(outcome="partial", anomalies=2), "P"),
        (a_row(outcome="partial", anomalies=9, tags=ANOMALOUS), "A"),
        (a_row(outcome="partial", anomalies=9, tags=ANOMALOUS, flagged=(STUCK,)), "S"),
        (a_row(anomalies=9, tags=ANOMALOUS, flagged=(STUCK,)), "S"),
        (a_row(anomalies=9, tags=ANOMALOUS), "A"),
        (a_row(anomalies=18, tags=OTHER_TAG, flagged=(STUCK,)), "A"),
        (a_row(anomalies=11, tags={**ANOMALOUS, "speed": TagStatistics(240, 2)}, flagged=(STUCK,)), "S"),
        (a_row(flagged=(STUCK,)), "S"),
        (a_row(outcome="alreadyScored", anomalies=2), "N"),
        (a_row(outcome="notRun", rows=0), "-"),
        (a_row(outcome="quarantined", rows=0), "-"),
        (a_row(outcome="missing", rows=0), "-"),
    ],
)
def test_state_is_the_first_that_applies(row: DeviceRow, letter: str) -> None:
    assert state_letter(row, AnomalyRule()) == letter


@pytest.mark.parametrize(
    ("stuck", "tags", "anomalies", "letter"), [(3, 3, 9, "A"), (2, 3, 9, "S"), (1, 1, 9, "S"), (3, 3, 0, "S")]
)
def test_machine_whose_sensors_are_all_stuck_is_anomalous(stuck: int, tags: int, anomalies: int, letter: str) -> None:
    flagged = tuple(replace(STUCK, tag=f"t{number}") for number in range(stuck))
    statistics = {"t0": TagStatistics(80, anomalies)} if anomalies else {}
    row = a_row(anomalies=anomalies, tags=statistics, flagged=flagged, tags_with_rows=tags)
    assert state_letter(row, AnomalyRule()) == letter


@pytest.mark.parametrize(
    ("left_out", "tags", "letter"),
    [
        ((0, 0, 0, 2, 0, 0, 18), 4, "S"),
        ((0, 0, 0, 2, 0, 0, 18), 3, "A"),
        ((0, 0, 0, 2, 0, 0, 9), 4, "A"),
        ((2, 0, 0, 0, 0, 0, 0), 4, "A"),
        ((0, 0, 0, 0, 0, 0, 10**15), 4, "S"),
    ],
    ids=["faulty", "all stuck", "one is sound", "silent", "more than all"],
)
def test_anomalies_of_faulty_sensors_that_are_left_out_do_not_count(
    left_out: tuple[int, ...], tags: int, letter: str
) -> None:
    statistics = ANOMALOUS | {f"t{number}": TagStatistics(80, 9) for number in range(2)}
    row = a_row(anomalies=27, tags=statistics, flagged=(STUCK,), tags_with_rows=tags, left_out_flags=left_out)
    assert state_letter(row, AnomalyRule()) == letter


@pytest.mark.parametrize(("reason", "letter"), [("ModelInvalid", "F"), ("StorageUnavailable", "-"), ("JobLost", "-")])
def test_failure_for_a_reason_outside_the_device_counts_as_not_run(reason: str, letter: str) -> None:
    row = build_row("d1", DeviceOutcome("failed", reason), DeviceFigures(), WINDOW, AnomalyRule())
    assert state_letter(row, AnomalyRule()) == letter


def test_device_with_unreadable_predictions_failed() -> None:
    summary = Summary(WINDOW, AnomalyRule(), [a_row()], Comparison(WINDOW, has_previous=False), unreadable={"u": "x"})
    assert state_letters(summary) == {"d1": "N", "u": "F"}


def test_device_with_a_damaged_digest_is_not_normal() -> None:
    rows = [a_row(), a_row(device="d2", anomalies=9, tags=ANOMALOUS), a_row(device="d3")]
    coverage = Coverage(damaged_digests=("d1", "d2"))
    summary = Summary(WINDOW, AnomalyRule(), rows, Comparison(WINDOW, has_previous=False), coverage=coverage)
    assert state_letters(summary) == {"d1": "P", "d2": "A", "d3": "N"}


def test_incident_has_since_tags_owner_and_mute() -> None:
    row = a_row(anomalies=9, tags=ANOMALOUS)
    health = health_of(row, mutes=b"d1,,,repair,\nx\n", d1="NAA")
    (line,) = csv.DictReader(incidents_csv(health).decode().splitlines())
    assert len(line.pop("Id")) == 16
    assert line == {
        "Device": "d1",
        "Cause": "machine",
        "State": "opened",
        "Since": "2018-08-28T22:00:00Z",
        "Until": "",
        "Windows": "2",
        "Tags": "temp (9 anomalies)",
        "Strongest": "-0.5",
        "Owner": "Ann",
        "Muted": "repair",
    }
    assert health.counts == {"open": 1, "opened": 1, "closed": 0, "muted": 1, "causes": {"machine": 1}}
    assert [text[:6] for text in health.problems] == ["a prob", "line 2"]


def test_cause_of_an_incident_does_not_change_while_it_closes() -> None:
    for states in ("NAA", "NAAN", "NAANN"):
        assert health_of(a_row(flagged=(STUCK,)), d1=states).incidents[0].incident.cause == "machine"
    for states in ("NSS", "NSSN", "NSSNN"):
        assert health_of(a_row(), d1=states).incidents[0].incident.cause == "sensor"


def test_closed_incident_has_an_end() -> None:
    health = health_of(a_row(), d1="AANN")
    assert [(row.incident.state, f"{row.until:%H:%M}") for row in health.incidents] == [("closed", "22:00")]
    assert health.counts["closed"] == 1


def test_device_that_does_not_belong_to_the_fleet_any_more_has_no_incident() -> None:
    assert health_of(a_row("d2"), d1="NAA?", d2="NNNN").incidents == []


def test_incident_of_the_fleet_counts_its_devices() -> None:
    rows = [a_row(f"d{number}", "empty", rows=0) for number in range(10, 30)]
    health = health_of_fleet(rows, {row.device: "NE" for row in rows})
    (one,) = health.incidents
    assert (one.incident.cause, one.tags, one.incident.device) == (
        *("fleet", ["20 devices have no readings: d10, d11, d12 and 17 more"]),
        "",
    )


@pytest.mark.parametrize(
    ("mutes", "reason"),
    [(b"", None), (b"d1*,,,stop,\n", None), (b"d1*,,,stop,\nd2*,,,belt,\n", "belt"), (b"*,,,all,\n", "all")],
    ids=["none", "some", "each", "all"],
)
def test_incident_of_the_fleet_is_muted_if_each_device_is(mutes: bytes, reason: str | None) -> None:
    rows = [a_row(f"d{number}", "empty", rows=0) for number in range(10, 30)]
    (one,) = health_of_fleet(rows, {row.device: "NE" for row in rows}, mutes).incidents
    assert one.muted == reason


@pytest.mark.parametrize(
    ("mutes", "muted"),
    [(b"", False), (b"d1*,,,stop,\n", False), (b"d1*,,,stop,\nd2*,,,belt,\n", True), (b"*,,,all,\n", True)],
    ids=["none", "some", "each", "all"],
)
def test_vanished_incident_of_the_fleet_is_muted_if_all_devices_are(mutes: bytes, *, muted: bool) -> None:
    rows = [a_row(f"d{number}") for number in range(10, 30)]
    health = health_of_fleet(rows, {row.device: "NEENNN" for row in rows}, mutes)
    assert health.incidents == []
    assert (health.mute_of("") is not None) is muted
    assert (health.mute_of("d10") is not None) is bool(mutes)


def test_incident_of_the_fleet_ends_with_its_last_bad_window() -> None:
    rows = [a_row(f"d{number}") for number in range(10, 30)]
    (one,) = health_of_fleet(rows, {row.device: "NEENN" for row in rows}).incidents
    assert (one.incident.state, f"{one.since:%H:%M}", f"{one.until:%H:%M}") == ("closed", "20:00", "22:00")


def test_sensors_are_listed_with_since_and_detail() -> None:
    health = health_of(a_row(flagged=(STUCK,)), d1="NS")
    assert sensors_csv(health).decode().splitlines() == [
        "Device,Tag,Flag,Since,Rows,Detail",
        "d1,temp,stuck,2018-08-28T23:00:00Z,240,'=the same value for 50 min",
    ]
    assert health.sensor_counts == {"stuck": 1}


def test_times_out_of_range_are_empty() -> None:
    assert (format_epoch(0), format_epoch(10**15 - 1), format_epoch(-(10**15) + 1)) == ("", "", "")


def test_incident_names_10_tags_and_a_strip_shows_the_last_48_windows() -> None:
    assert (MAX_TAGS, STRIP_WINDOWS) == (10, 48)
    many = {f"t{number:02}": TagStatistics(20, 20, worst_score=-1) for number in range(12)}
    health = health_of(a_row(anomalies=240, tags=many), d1="AA")
    assert health.incidents[0].tags[-1] == "and 2 more"
    row = a_row(anomalies=9, tags=ANOMALOUS)
    assert len(health_of(row, d1="N" * 60).strips["d1"]) == 48
    assert health_of(a_row(), d1="N" * 60).strips == {}
    assert MAX_STRIPS == 20
