"""Every command of the client against a real cluster with containers and a storage account."""

import csv
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fleetscore.cli.commands import app
from tests.testkit.client_command import ClientCommand
from tests.testkit.release import WINDOW_END, WINDOW_START, Release

ELSEWHERE = {"ui", "completion"}
"""The commands with tests of their own: a server and a script."""

DEVICES = tuple(f"press-{number}" for number in range(1, 5))
BROKEN = DEVICES[2]
WINDOW = f"{WINDOW_START:%Y-%m-%dT%H:%MZ}/1h"
SCORED = {"N", "S", "A"}  # the states of a device with predictions
EARLIER = WINDOW_START - timedelta(hours=1)


@pytest.fixture
def client(
    release: Release, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ClientCommand:
    monkeypatch.setenv("KUBECONFIG", str(release.cluster.kubeconfig))
    monkeypatch.setenv("FLEETSCORE_USE_FLEET_SECRET", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return ClientCommand(release.namespace, capsys)


def report_rows(release: Release, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(release.report()[name].decode())))


def score_with_a_broken_device_and_retry(release: Release, client: ClientCommand) -> None:
    model = release.storage.get("models", f"{BROKEN}.joblib")
    release.storage.put("models", f"{BROKEN}.joblib", b"this is no model")
    client("run", "--window", WINDOW, "--name", "first")
    assert "3 scored, 1 failed" in client("wait", "first", "--timeout", "180")
    assert f'"device": "{DEVICES[0]}"' in client("logs", DEVICES[0])
    release.kubectl("wait", "scoringrun/first", "--for=condition=Reported", "--timeout=300s")
    assert [(row["Device"], row["Reason"]) for row in client.json("failed")] == [(BROKEN, "ModelInvalid")]
    release.storage.put("models", f"{BROKEN}.joblib", model)
    retried = client("retry", "first", "-o", "name").strip()
    assert "1 of 1 devices done: 1 scored" in client("wait", retried, "--timeout", "180")
    release.kubectl("wait", f"scoringrun/{retried}", "--for=condition=Reported", "--timeout=300s")
    assert client.json("failed") == []
    assert [row["metadata"]["name"] for row in client.json("status")] == ["first", retried]


def read_the_report(release: Release, client: ClientCommand) -> None:
    for command, file, keys in (
        ("anomalies", "_anomalies.csv", ("Device", "Tag")),
        ("incidents", "_incidents.csv", ("Id", "Device", "Cause")),
        ("sensors", "_sensors.csv", ("Device", "Tag", "Flag")),
    ):
        written = csv.DictReader(StringIO(release.report()[file].decode()))
        expected = [[row[key] for key in keys] for row in written]
        assert [[row[key] for key in keys] for row in client.json(command)] == expected, command
    assert client.json("device", BROKEN)["windows"][-1]["state"] in SCORED
    page = Path(client("open", "--print").strip())
    assert page.read_bytes() == release.report()["report.html"]


def replay_before_and_after_a_change_of_the_model(release: Release, client: ClientCommand) -> None:
    found = client.json("replay", DEVICES[0])
    assert (found["same"], found["bytes"]) == (True, len(release.predictions()[DEVICES[0]]))
    release.storage.put("models", f"{DEVICES[0]}.joblib", release.storage.get("models", f"{DEVICES[1]}.joblib"))
    assert "model" in client.json("replay", DEVICES[0], code=2)["differences"][0]
    client("run", "--window", WINDOW, "--name", "changed", "-d", DEVICES[0], "--write-policy", "IfChanged")
    assert "1 of 1 devices done: 1 scored" in client("wait", "changed", "--timeout", "180")
    assert client.json("replay", DEVICES[0], "--window", WINDOW)["same"]


def mute_a_device(client: ClientCommand) -> None:
    client("mute", DEVICES[0], "--for", "2h", "--why", "oil")
    assert [(row["Devices"], row["Why"]) for row in client.json("mutes")] == [(DEVICES[0], "oil")]
    client("unmute", DEVICES[0])
    assert client.json("mutes") == []


def hold_cancel_and_backfill_the_hour_before(release: Release, client: ClientCommand) -> None:
    window = {"start": f"{EARLIER:%Y-%m-%dT%H:%M:%SZ}", "end": f"{WINDOW_START:%Y-%m-%dT%H:%M:%SZ}"}
    release.start_run("held", window=window, parallelism=1, suspend=True)  # it must not end before it is cancelled
    client("resume", "held")
    client("suspend", "held")
    assert release.get("scoringrun", "held")["spec"]["suspend"] is True
    client("cancel", "held")
    assert "cancelled" in client("wait", "held", "--timeout", "180", code=2).lower()
    client("backfill", "--from", f"{EARLIER:%Y-%m-%dT%H:%MZ}", "--to", f"{WINDOW_START:%Y-%m-%dT%H:%MZ}")
    assert {row["status"]["phase"] for row in client.json("status")} == {"Complete", "Cancelled"}


def test_every_command_works_with_a_cluster_and_a_storage_account(
    release: Release, client: ClientCommand, fleet_of: Callable[[int], Path], tmp_path: Path
) -> None:
    release.upload(fleet_of(len(DEVICES)))
    release.install(schedules=[{"name": "yearly", "cron": "30 7 1 1 *", "fleet": "default"}])
    score_with_a_broken_device_and_retry(release, client)
    read_the_report(release, client)
    replay_before_and_after_a_change_of_the_model(release, client)
    mute_a_device(client)
    hold_cancel_and_backfill_the_hour_before(release, client)
    span = ["--start", f"{EARLIER:%Y-%m-%dT%H:%MZ}", "--end", f"{WINDOW_END:%Y-%m-%dT%H:%MZ}"]
    files = [
        Path(row["File"]) for row in client.json("compact", *span, "--to", str(tmp_path / "out"), "--format", "csv")
    ]
    rows = sum(len(body.splitlines()) - 1 for body in release.predictions().values())
    assert [len(file.read_text().splitlines()) - 1 for file in files][-1] == rows
    assert [row["Name"] for row in client.json("schedules")] == ["yearly"]
    assert [row for row in client.json("doctor") if row["result"] == "PROBLEM"] == []
    known: Any = typer.main.get_command(app)
    assert client.names == set(known.commands) - ELSEWHERE
