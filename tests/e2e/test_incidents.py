"""Incidents by the chart's CronJob, the real operator and its report Jobs, with windows of a minute.

Every run is created by a pod of the CronJob. The receivers are a real Alertmanager and a webhook.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.testkit.alertmanager import Alertmanager
from tests.testkit.conditions import condition
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.release import Release
from tests.testkit.scorer_fleet import NORMAL, SPIKE, a_model, bundle, csv_of
from tests.testkit.waiting import until

MINUTE = timedelta(minutes=1)
DEVICES = tuple(f"press-{number:02}" for number in range(1, 16))
MACHINE, MUTED, SECOND = "press-07", "press-08", "press-09"
HALL = tuple(device for device in DEVICES if device not in (MACHINE, MUTED, SECOND))
# The anomalous devices of the first minutes; the last line is that of all later ones.
ANOMALOUS: tuple[tuple[str, ...], ...] = (
    (MACHINE, MUTED, SECOND),
    DEVICES,
    (MUTED, SECOND),
)
LATER_MINUTES = 20
SCHEDULE = {"name": "minutely", "cron": "* * * * *", "window": "PT1M", "delay": "PT0S", "fleet": "default"}


@dataclass
class Hook:
    """The events that a webhook got while it was up."""

    up: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """The number of events by type and subject."""
        return Counter((event["type"].rpartition(".")[2], event["subject"]) for event in self.events)


class _HookHandler(RequestHandler):
    hook: Hook

    def handle_request(self) -> None:
        events, up = json.loads(self.read_body()), self.hook.up
        if up:
            self.hook.events += events
        self.respond(200 if up else 503)


@pytest.fixture
def alertmanager(release: Release, tmp_path: Path) -> Iterator[Alertmanager]:
    """Return an Alertmanager that pods reach."""
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    started = Alertmanager(folder, release.cluster.host_address)
    yield started
    started.stop()


def next_minute(seconds: float) -> datetime:
    """Return the first full minute that is at least some seconds away."""
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    return now.replace(second=0, microsecond=0) + MINUTE


def upload_readings(release: Release, first: datetime) -> None:
    """Upload a reading per 12 seconds, normal ones before the first minute."""
    for device in DEVICES:
        partitions: dict[datetime, list[tuple[str, str, str, str]]] = {}
        for minute in range(-LATER_MINUTES, LATER_MINUTES):
            anomalous = minute >= 0 and device in ANOMALOUS[min(minute, len(ANOMALOUS) - 1)]
            start = first + minute * MINUTE
            rows = partitions.setdefault(start.replace(minute=0), [])
            for at, value in enumerate(NORMAL):
                time = start + timedelta(seconds=12 * at)
                rows.append((f"{time:%FT%TZ}", device, "1", str(SPIKE if anomalous else value)))
        for hour, rows in partitions.items():
            release.storage.put("data", f"{hour:%Y%m%dT%H%MZ}/{device}.csv", csv_of(*rows))


def install(release: Release) -> datetime:
    """Install the chart with the schedule, and return the start of the first window with anomalies."""
    release.prepare({"connectionString": release.storage.connection_string})
    model = bundle({"1": a_model()})
    for device in DEVICES:
        release.storage.put("models", f"{device}.joblib", model)
    release.storage.put("predictions", "_mutes.csv", f"Devices,From,Until,Why,Who\n{MUTED},,,repair,Ann\n".encode())
    firing = next_minute(10)
    upload_readings(release, firing - MINUTE)
    release.helm_upgrade(schedules=[SCHEDULE])
    created = release.get("cronjob", "fleetscore-minutely")["metadata"]["creationTimestamp"]
    if datetime.fromisoformat(created) >= firing:  # it was too late for that minute
        firing += MINUTE
        upload_readings(release, firing - MINUTE)
    return firing - MINUTE


def reported(release: Release, start: datetime) -> str:
    """Wait for the report of a window's run, and return its message."""
    name = f"minutely-{start:%Y%m%dt%H%M%Sz}"

    def message() -> str:
        for run in release.get("scoringruns")["items"]:
            if run["metadata"]["name"] == name:
                found = condition(run.get("status") or {}, "Reported")
                return str(found["message"]) if found.get("status") == "True" else ""
        return ""

    return until(message, f"the report of {name}", seconds=240, interval=1)


@pytest.mark.timeout(1200)
def test_alerts_of_machines_and_halls_reach_alertmanager_and_end(release: Release, alertmanager: Alertmanager) -> None:
    hook = Hook()
    with serve(_HookHandler, host=release.cluster.host_address, hook=hook) as url:
        receivers = [
            {"name": "alerts", "type": "alertmanager", "url": alertmanager.url},
            {"name": "hook", "type": "webhook", "url": url},
        ]
        owner = {"devices": "press-*", "name": "Hall 3", "contact": "hall3@example.com"}
        release.fleets = [{**release.fleet(), "notify": receivers, "owners": [owner]}]
        first = install(release)

        # The windows may be reported late on a busy machine, so each state is one that lasts for two windows.
        assert "problem" not in reported(release, first)
        assert alertmanager.alerts() == []
        undelivered = [reported(release, first + MINUTE)]

        def three() -> list[dict[str, Any]]:
            found = alertmanager.alerts()
            return found if [one["labels"].get("device", "") for one in found] == ["", MACHINE, SECOND] else []

        fleet, machine, _ = until(three, "three alerts", seconds=240, interval=1)
        labels = {"fleet": "default", "device": MACHINE, "cause": "machine", "owner": "Hall 3"}
        assert machine["labels"] == {"alertname": "FleetscoreIncident", **labels}
        assert machine["annotations"]["since"] == f"{first:%FT%TZ}"
        assert machine["annotations"]["contact"] == "hall3@example.com"
        assert fleet["labels"]["cause"] == "fleet"
        assert f"; {len(HALL)} devices are anomalous: " in fleet["annotations"]["description"]

        alertmanager.stop()
        undelivered.append(reported(release, first + 2 * MINUTE))
        alertmanager.start()
        assert all("with receivers of notices" in message for message in undelivered)
        hook.up = True
        reported(release, first + 3 * MINUTE)
        until(lambda: alertmanager.devices() == [SECOND], "one alert", seconds=240, interval=1)
        expected = [("opened", MACHINE), ("opened", SECOND), ("opened", "default")]
        expected += [("closed", MACHINE), ("closed", "default")]
        until(
            lambda: hook.counts == Counter(expected),
            "the events",
            seconds=240,
            interval=1,
            state=lambda: str(hook.counts),
        )
    runs = release.get("scoringruns")["items"]
    assert {run["metadata"]["labels"]["fleetscore.dev/schedule"] for run in runs} == {"minutely"}
    firings = release.get("jobs", "-l", "app.kubernetes.io/component=scheduler")["items"]
    assert {job["metadata"]["ownerReferences"][0]["kind"] for job in firings} == {"CronJob"}
