"""Incidents by the real operator and its report Jobs: the alerts in a real Alertmanager, with windows of a minute."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.testkit.alertmanager import Alertmanager
from tests.testkit.release import WINDOW_START, Release
from tests.testkit.scorer_fleet import NORMAL, SPIKE, a_model, bundle, csv_of

MINUTE = timedelta(minutes=1)
DEVICES = tuple(f"press-{number}" for number in range(1, 13))
MACHINE, MUTED, SECOND = "press-7", "press-8", "press-9"
# The anomalous devices of each minute, from the second one.
TROUBLE: tuple[tuple[str, ...], ...] = (
    *((MACHINE, MUTED), (MACHINE, MUTED)),
    *((MACHINE, MUTED, SECOND), (MACHINE, MUTED, SECOND)),  # without Alertmanager
    *((SECOND,), (SECOND,), (), (), DEVICES),
)


@pytest.fixture
def alertmanager(release: Release, tmp_path: Path) -> Iterator[Alertmanager]:
    """Return an Alertmanager that pods reach."""
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    started = Alertmanager(folder, release.cluster.host_address)
    yield started
    started.stop()


def upload_hour(release: Release) -> None:
    """Upload the models, and the readings of an hour with one reading per 12 seconds."""
    model = bundle({"1": a_model()})
    for device in DEVICES:
        rows = []
        for minute in range(len(TROUBLE) + 1):
            anomalous = minute > 0 and device in TROUBLE[minute - 1]
            for at, value in enumerate(NORMAL):
                time = WINDOW_START + minute * MINUTE + timedelta(seconds=12 * at)
                rows.append((f"{time:%FT%TZ}", device, "1", str(SPIKE if anomalous else value)))
        release.storage.put("models", f"{device}.joblib", model)
        release.storage.put("data", f"{WINDOW_START:%Y%m%dT%H%MZ}/{device}.csv", csv_of(*rows))
    release.storage.put("predictions", "_mutes.csv", f"Devices,From,Until,Why,Who\n{MUTED},,,repair,Ann\n".encode())


def end_minute(release: Release, minute: int) -> dict[str, Any]:
    """Score and report one minute, and return the status of its run."""
    start = WINDOW_START + minute * MINUTE
    name = f"minute-{minute}"
    window = {"start": f"{start:%FT%TZ}", "end": f"{start + MINUTE:%FT%TZ}"}
    release.start_run(name, window=window, devicesPerJob=len(DEVICES))
    release.wait_for_end(name)
    release.kubectl("wait", f"scoringrun/{name}", "--for=condition=Reported", "--timeout=120s")
    return release.status(name)


def test_alerts_of_machines_and_halls_reach_alertmanager_and_end(release: Release, alertmanager: Alertmanager) -> None:
    receiver = {"name": "alerts", "type": "alertmanager", "url": alertmanager.url}
    owner = {"devices": "press-*", "name": "Hall 3", "contact": "hall3@example.com"}
    release.fleets = [{**release.fleet(), "notify": [receiver], "owners": [owner]}]
    upload_hour(release)
    release.install()

    for minute in range(2):
        end_minute(release, minute)
        assert alertmanager.alerts() == []
    end_minute(release, 2)
    (alert,) = alertmanager.alerts()
    labels = {"fleet": "default", "device": MACHINE, "cause": "machine", "owner": "Hall 3"}
    assert alert["labels"] == {"alertname": "FleetscoreIncident", **labels}
    assert alert["annotations"]["since"] == f"{WINDOW_START + MINUTE:%FT%TZ}"
    assert alert["annotations"]["contact"] == "hall3@example.com"

    alertmanager.stop()
    for minute in (3, 4):
        end_minute(release, minute)
    alertmanager.start()
    end_minute(release, 5)
    assert alertmanager.devices() == [MACHINE, SECOND]
    end_minute(release, 6)
    assert alertmanager.devices() == [SECOND]
    for minute in (7, 8):
        end_minute(release, minute)
    assert alertmanager.alerts() == []

    end_minute(release, 9)
    (alert,) = alertmanager.alerts()
    assert (alert["labels"]["cause"], alert["annotations"]["description"]) == ("fleet", "1 window; 12 devices")
