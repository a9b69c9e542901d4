"""The tables of all commands on a terminal of 80 columns, with long names of devices and runs."""

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fleetscore.cli import main
from fleetscore.cli.commands import app
from tests.testkit import fake_release as fake
from tests.testkit import scorer_fleet
from tests.testkit.client_fleet import FIRST, LAST, score, write_inputs
from tests.testkit.fake_release import FakeRelease

COLUMNS = 80
DEVICES = tuple(f"hall-3-line-{number:02}-press-machine{number}" for number in range(10, 13))
BROKEN = "hall-3-line-99-press-machine99"
RUN = "hourly-of-the-second-hall-20180828t2300z"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
SPAN = ("--from", "2018-08-28T20:00Z", "--to", "2018-08-28T23:00Z")

FOLDER_TABLES: dict[str, tuple[str, ...]] = {
    "anomalies": DEVICES[1:2],
    "device": DEVICES[1:2],
    "failed": (BROKEN,),
    "incidents": DEVICES[:2],
    "mutes": ("hall-3-*",),
    "replay": DEVICES[1:2],
    "sensors": DEVICES[:2],
    "compact": (LAST.column,),
}
"""The texts that identify the rows, for each command that reads a folder."""

CLUSTER_TABLES: dict[str, tuple[str, ...]] = {
    "backfill": ("2018-08-28T20:00Z/1h",),
    "doctor": ("crd", "storage"),
    "schedules": ("hourly",),
    "status": (RUN,),
}
"""The texts that identify the rows, for each command that reads the cluster."""

WITHOUT_TABLE = {
    "cancel", "completion", "logs", "mute", "open", "resume", "retry", "run", "suspend", "ui", "unmute", "wait",
}  # fmt: skip
"""The commands that print sentences, a path, a log or a script."""


def words_of(command: str, folder: Path) -> list[str]:
    """Return the arguments of a command."""
    own = {
        "device": [DEVICES[1]],
        "replay": [DEVICES[1]],
        "compact": ["--start", "2018-08-28", "--end", "2018-08-29", "--to", str(folder / "out"), "--format", "csv"],
        "backfill": [*SPAN, "--dry-run", "client"],
    }
    return [command, *own.get(command, [])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet with incidents, flagged sensors, an anomaly, a failed device and a mute."""
    path = tmp_path_factory.mktemp("width") / "store"
    bad = (*scorer_fleet.NORMAL, scorer_fleet.SPIKE)
    for hour in (22, 23):
        write_inputs(path, hour, {DEVICES[0]: scorer_fleet.NORMAL, DEVICES[1]: bad, BROKEN: scorer_fleet.NORMAL})
    (path / "models" / f"{BROKEN}.joblib").write_bytes(b"broken")
    for window in (FIRST, LAST):
        score(path, window, (*DEVICES, BROKEN))
    mute = "hall-3-*,2018-01-01T00:00:00Z,2999-01-01T00:00:00Z,the valve of the press is replaced,ann@example.com\n"
    (path / "predictions" / "_mutes.csv").write_text(mute)
    return path


def run_on_terminal(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a command with a standard output that is a terminal of 80 columns, and return its text."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(words)
    return capsys.readouterr().out


def check(out: str, identities: tuple[str, ...]) -> None:
    """Assert that no line is too wide, and that each identity is whole in a line."""
    lines = ESCAPES.sub("", out).splitlines()
    assert lines
    assert [line for line in lines if len(line.rstrip()) > COLUMNS] == []
    assert [one for one in identities if not any(one in line for line in lines)] == []


def test_each_command_is_listed_with_or_without_a_table() -> None:
    known: Any = typer.main.get_command(app)
    assert set(known.commands) == {*FOLDER_TABLES, *CLUSTER_TABLES, *WITHOUT_TABLE}


@pytest.mark.parametrize("command", sorted(FOLDER_TABLES))
def test_table_of_a_folder_fits_into_80_columns(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(
        run_on_terminal([*words_of(command, folder), "--store", str(folder)], capsys, monkeypatch),
        FOLDER_TABLES[command],
    )


@pytest.mark.parametrize("command", sorted(CLUSTER_TABLES))
def test_table_of_a_cluster_fits_into_80_columns(
    command: str,
    fake_release: FakeRelease,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_release.lists[fake.CRON_JOBS] = [fake.cron_job(created=timedelta(hours=4))]
    devices = {"total": 10_000, "scored": 9_990, "failed": 10}
    window = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    run = {
        "metadata": {"name": RUN, "namespace": fake.NAMESPACE, "creationTimestamp": "2018-08-29T00:05:00Z"},
        "spec": {"fleet": "default", "window": window},
        "status": {
            "phase": "PartiallyFailed", "window": LAST.column, "devices": devices, "results": {"anomalies": 12345}
        },
    }  # fmt: skip
    fake_release.lists[fake.RUNS] = [run]
    check(run_on_terminal(words_of(command, folder), capsys, monkeypatch), CLUSTER_TABLES[command])
