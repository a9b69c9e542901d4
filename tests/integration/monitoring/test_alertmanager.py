"""Alerts of a fleet in a real Alertmanager: incidents open and close, halls, mutes, and times without Alertmanager."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.testkit import scorer_fleet
from tests.testkit.alertmanager import Alertmanager
from tests.testkit.scorer_command import CommandResult, scorer
from tests.testkit.waiting import until

pytestmark = pytest.mark.needs_services

FIRST = datetime(2018, 8, 28, 18, tzinfo=UTC)
DEVICES = tuple(f"press-{number}" for number in range(1, 13))


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    started = Alertmanager(folder)
    yield started
    started.stop()


@pytest.fixture
def fleet(tmp_path: Path, alertmanager: Alertmanager, monkeypatch: pytest.MonkeyPatch) -> "HourlyFleet":
    """Return a fleet whose owner is Hall 3 and whose receiver is the Alertmanager."""
    receivers = [{"name": "alerts", "type": "alertmanager", "url": alertmanager.url}]
    owners = [{"devices": "press-*", "name": "Hall 3", "contact": "hall3@example.com"}]
    monkeypatch.setenv("FLEETSCORE_NOTIFY", json.dumps(receivers))
    monkeypatch.setenv("FLEETSCORE_INCIDENTS", json.dumps({"fleet": "plant", "owners": owners}))
    return HourlyFleet(tmp_path / "fleet")


class HourlyFleet:
    """A fleet in a folder whose windows are scored and reported one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._start = folder, FIRST
        (folder / "models").mkdir(parents=True)
        for device in DEVICES:
            (folder / "models" / f"{device}.joblib").write_bytes(scorer_fleet.bundle({"1": scorer_fleet.a_model()}))

    def mute(self, devices: str) -> None:
        """Mute devices without a limit of time."""
        path = self._folder / "predictions" / "_mutes.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"Devices,From,Until,Why,Who\n{devices},,,repair,Ann\n")

    def next_window(self, *anomalous: str) -> CommandResult:
        """Write the readings of the next hour, in which some devices are anomalous; score and report them."""
        start, end = self._start, self._start + timedelta(hours=1)
        self._start = end
        partition = self._folder / "data" / f"{start:%Y%m%dT%H%MZ}"
        partition.mkdir(parents=True)
        for device in DEVICES:
            values = (99.0, 98.0, 97.0) if device in anomalous else scorer_fleet.NORMAL
            rows = [(f"{start + timedelta(minutes=m):%FT%TZ}", device, "1", str(v)) for m, v in enumerate(values, 50)]
            (partition / f"{device}.csv").write_bytes(scorer_fleet.csv_of(*rows))
        window = ["--store", str(self._folder), "--window-start", f"{start:%FT%TZ}", "--window-end", f"{end:%FT%TZ}"]
        assert scorer("score", *window, *DEVICES).code == 0
        return scorer("report", *window)


def test_alert_opens_survives_a_restart_and_resolves(alertmanager: Alertmanager, fleet: HourlyFleet) -> None:
    fleet.next_window()
    fleet.next_window("press-7")
    assert alertmanager.alerts() == []
    fleet.next_window("press-7")
    (alert,) = alertmanager.alerts()
    expected = {"alertname": "FleetscoreIncident", "fleet": "plant", "device": "press-7", "cause": "machine"}
    assert alert["labels"] == {**expected, "owner": "Hall 3"}
    assert alert["annotations"]["since"] == "2018-08-28T19:00:00Z"
    assert "1 (3 anomalies)" in alert["annotations"]["tags"]
    until(lambda: [group["labels"] for group in alertmanager.groups()] == [{"fleet": "plant"}], "the group")

    alertmanager.stop()
    result = fleet.next_window("press-7")
    assert result.code == 0
    assert "a notice is not delivered: alerts: Connection refused" in result.err
    alertmanager.start()
    fleet.next_window("press-7")
    assert alertmanager.devices() == ["press-7"]

    fleet.next_window()
    assert len(alertmanager.alerts()) == 1
    fleet.next_window()
    assert alertmanager.alerts() == []


def test_two_windows_without_a_receiver_lose_no_alert(alertmanager: Alertmanager, fleet: HourlyFleet) -> None:
    fleet.next_window()
    for _ in range(2):
        fleet.next_window("press-7")
    alertmanager.stop()
    for _ in range(2):  # press-7 recovers, press-9 opens
        fleet.next_window("press-9")
    alertmanager.start()
    fleet.next_window("press-9")
    assert alertmanager.devices() == ["press-9"]


def test_hall_is_one_alert_and_a_device_that_stays_bad_gets_its_own(
    alertmanager: Alertmanager, fleet: HourlyFleet
) -> None:
    fleet.next_window()
    fleet.next_window(*DEVICES)
    (alert,) = alertmanager.alerts()
    assert (alert["labels"]["cause"], alert["labels"].get("device")) == ("fleet", None)
    assert "12 devices" in alert["annotations"]["description"]
    fleet.next_window(*DEVICES)
    assert alertmanager.devices() == [""]
    for _ in range(2):
        fleet.next_window("press-3")
    assert alertmanager.devices() == ["press-3"]


def test_muted_device_is_silent_and_a_mute_ends_its_alert(alertmanager: Alertmanager, fleet: HourlyFleet) -> None:
    fleet.mute("press-8")
    fleet.next_window()
    for _ in range(2):
        fleet.next_window("press-7", "press-8")
    assert alertmanager.devices() == ["press-7"]
    fleet.mute("press-7")
    fleet.next_window("press-7", "press-8")
    assert alertmanager.devices() == ["press-8"]
