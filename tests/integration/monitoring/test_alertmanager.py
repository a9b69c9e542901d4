"""Alerts of a fleet in a real Alertmanager: a machine goes anomalous, Alertmanager restarts, the machine recovers."""

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcluster.toolchain import debian
from tests.testkit import scorer_fleet
from tests.testkit.scorer_command import CommandResult, scorer
from tests.testkit.waiting import until

pytestmark = pytest.mark.needs_services

PROGRAM = "prometheus-alertmanager"
SETTINGS = {
    "route": {"receiver": "none", "group_by": ["fleet"], "group_wait": "0s"},
    "receivers": [{"name": "none"}],
}
FIRST = datetime(2018, 8, 28, 18, tzinfo=UTC)
DEVICES = ("press-1", "press-7")


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


class Alertmanager:
    """A process of Alertmanager with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        (folder / "alertmanager.json").write_text(json.dumps(SETTINGS))
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        options = [
            f"--config.file={self._folder}/alertmanager.json",
            f"--storage.path={self._folder}/data",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--cluster.listen-address=",
        ]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen([PROGRAM, *options], stdout=log, stderr=log)
        until(self._is_ready, "Alertmanager is ready")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are not resolved."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?active=true") as response:  # noqa: S310
            found: list[dict[str, Any]] = json.load(response)
        return found

    def groups(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts/groups") as response:  # noqa: S310
            found: list[dict[str, Any]] = json.load(response)
        return found

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):  # noqa: S310
                return True
        except OSError:
            return False


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    if not shutil.which(PROGRAM):
        debian.install([PROGRAM])
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    started = Alertmanager(folder)
    yield started
    started.stop()


class HourlyFleet:
    """A fleet in a folder whose windows are scored and reported one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._start = folder, FIRST
        (folder / "models").mkdir(parents=True)
        for device in DEVICES:
            (folder / "models" / f"{device}.joblib").write_bytes(scorer_fleet.bundle({"1": scorer_fleet.a_model()}))

    def next_window(self, *, anomalous: bool) -> CommandResult:
        """Write the readings of the next hour, score and report them."""
        start, end = self._start, self._start + timedelta(hours=1)
        self._start = end
        partition = self._folder / "data" / f"{start:%Y%m%dT%H%MZ}"
        partition.mkdir(parents=True)
        for device in DEVICES:
            values = (99.0, 98.0, 97.0) if anomalous and device == "press-7" else scorer_fleet.NORMAL
            rows = [(f"{start + timedelta(minutes=m):%FT%TZ}", device, "1", str(v)) for m, v in enumerate(values, 50)]
            (partition / f"{device}.csv").write_bytes(scorer_fleet.csv_of(*rows))
        window = ["--store", str(self._folder), "--window-start", f"{start:%FT%TZ}", "--window-end", f"{end:%FT%TZ}"]
        assert scorer("score", *window, *DEVICES).code == 0
        return scorer("report", *window)


def test_alert_opens_survives_a_restart_and_resolves(
    alertmanager: Alertmanager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = [{"name": "alerts", "type": "alertmanager", "url": alertmanager.url}]
    owners = [{"devices": "press-*", "name": "Hall 3", "contact": "hall3@example.com"}]
    monkeypatch.setenv("FLEETSCORE_NOTIFY", json.dumps(receivers))
    monkeypatch.setenv("FLEETSCORE_INCIDENTS", json.dumps({"fleet": "plant", "owners": owners}))
    fleet = HourlyFleet(tmp_path / "fleet")

    fleet.next_window(anomalous=False)
    fleet.next_window(anomalous=True)
    assert alertmanager.alerts() == []
    fleet.next_window(anomalous=True)
    (alert,) = alertmanager.alerts()
    expected = {"alertname": "FleetscoreIncident", "fleet": "plant", "device": "press-7", "cause": "machine"}
    assert alert["labels"] == {**expected, "owner": "Hall 3"}
    assert alert["annotations"]["since"] == "2018-08-28T19:00:00Z"
    assert "1 (3 anomalies)" in alert["annotations"]["tags"]
    assert [group["labels"] for group in alertmanager.groups()] == [{"fleet": "plant"}]

    alertmanager.stop()
    result = fleet.next_window(anomalous=True)
    assert result.code == 0
    assert "a notice is not delivered: alerts: Connection refused" in result.err
    alertmanager.start()
    fleet.next_window(anomalous=True)
    assert [one["labels"]["device"] for one in alertmanager.alerts()] == ["press-7"]

    fleet.next_window(anomalous=False)
    assert len(alertmanager.alerts()) == 1
    fleet.next_window(anomalous=False)
    assert alertmanager.alerts() == []
