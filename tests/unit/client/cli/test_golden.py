"""The output of the commands; `UPDATE_GOLDEN=1 pytest ...` writes the golden files; review the diff.

The golden files of `device` are those of test_device. The reference of the client shows the files of this folder.
"""

import os
import re
import shlex
import shutil
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hack.client_reference import RUN, SHOWN

from fleetscore import Fleet
from fleetscore.cli import main
from fleetscore.replay import Replay
from tests.testkit import fake_release as fake
from tests.testkit.client_fleet import LAST, make_folder
from tests.testkit.fake_release import FakeRelease

GOLDEN = Path(__file__).parent / "golden"
FORMS = ("table", "wide", "json", "yaml", "name")
MUTES = "press-*,2018-01-01T00:00:00Z,2999-01-01T00:00:00Z,new valve,ann\n"
FAILURES = "Device,Outcome,Reason,Message\npress-4,failed,ModelInvalid,press-4.joblib is not a model\n"
NOW = datetime(2018, 8, 29, 2, 30, tzinfo=UTC)
WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
VARYING = (
    (re.compile(r" --store \S+(?=`)"), ""),
    (re.compile(r"-0\.\d+"), "-0.0362"),
    (re.compile(r"(\d\.\d{4})\d+"), r"\1"),
    (re.compile(r"-(manual|retry)-[0-9a-f]{6}\b"), r"-\1-0a1b2c"),
    (re.compile(r"/\S+/(store|out)/"), r"/\1/"),
    (re.compile(r"((?:written|kept) +\d*) +\d+"), r"\1   1000"),
    (re.compile(r"([Bb]ytes\W+|the )\d+"), r"\g<1>1000"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:10000"),
)
"""Parts that differ between machines: scores and sizes of a version of scikit-learn, generated names, paths, ports."""


def a_run(condition: str = "Complete", **status: Any) -> dict[str, Any]:
    own = {
        "phase": condition,
        "window": LAST.column,
        "devices": {"total": 3, "scored": 2, "failed": 1},
        "results": {"anomalies": 1},
        "failures": [{"device": "press-4", "reason": "ModelInvalid", "message": "press-4.joblib is not a model"}],
        "duration": "12s",
        "message": "3 of 3 devices done",
        "conditions": [{"type": condition, "status": "True"}],
    }
    metadata = {"name": RUN, "namespace": fake.NAMESPACE, "creationTimestamp": "2018-08-29T00:05:00Z"}
    return {"metadata": metadata, "spec": {"fleet": "default", "window": WINDOW}, "status": own | status}


SUSPENDED = a_run(
    "Suspended", devices={"total": 3, "scored": 1, "pending": 2}, message="1 of 3 devices done", failures=[]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_folder(tmp_path_factory.mktemp("golden") / "store")
    (path / "predictions" / "_mutes.csv").write_text(MUTES)
    (path / "predictions" / LAST.slug / "_failures.csv").write_text(FAILURES)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", ["anomalies", "failed", "incidents", "mutes", "sensors"])
def test_list_has_the_golden_output(command: str, form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*shown(command), "--store", str(folder), "-o", form]) == 0
    check_golden(command, form, capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
def test_compact_has_the_golden_output(
    form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / one) if one == "out" else one for one in shown("compact")]
    assert main([*words, "--store", str(folder), "-o", form]) == 0
    check_golden("compact", form, capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
def test_open_has_the_golden_output(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*shown("open"), "--store", str(folder), "-o", form]) == 0
    check_golden("open", form, capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", ["mute", "unmute"])
def test_change_of_mutes_has_the_golden_output(
    command: str, form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "predictions").mkdir()
    shutil.copy2(folder / "predictions" / "_mutes.csv", tmp_path / "predictions")
    own = ["--from", "2018-08-28", "--who", "bob"] if command == "mute" else []
    assert main([*shown(command), *own, "--store", str(tmp_path), "-o", form]) == 0
    check_golden(command, form, capsys.readouterr().out)


@pytest.fixture(scope="module")
def replayed(folder: Path) -> Replay:
    return Fleet.folder(folder).replay("press-2", LAST)


@pytest.mark.parametrize("form", FORMS)
def test_replay_has_the_golden_output(
    form: str, folder: Path, replayed: Replay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Fleet, "replay", lambda *_, **__: replayed)  # one process of the scorer for all formats
    assert main([*shown("replay"), "--store", str(folder), "-o", form]) == 0
    check_golden("replay", form, capsys.readouterr().out)


RUN_CASES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("status", "status-run", "run", "run-dry", "retry", "backfill", "backfill-dry"), a_run()),
    **dict.fromkeys(("status-suspended", "suspend", "resume", "cancel"), SUSPENDED),
    "wait": a_run("Failed", phase="Cancelled", message="cancelled by the user"),
}
"""The run that exists, by case."""


def shown(case: str) -> list[str]:
    """Return the arguments of the command that the reference shows with the output of a case."""
    return shlex.split(SHOWN["status-run" if case == "status-suspended" else case])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", sorted(RUN_CASES))
def test_command_for_runs_has_the_golden_output(
    case: str, form: str, fake_release: FakeRelease, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RUN_CASES[case]
    monkeypatch.setattr("fleetscore.cli.backfill.time", SimpleNamespace(sleep=lambda _: None))  # no run needs a wait
    fake_release.lists[fake.RUNS] = [{**run, "spec": dict(run["spec"])}]
    fake_release.new_status = a_run(failures=[], devices={"total": 3, "scored": 3})["status"]
    assert main([*shown(case), "-o", form]) == (2 if case == "wait" else 0)
    check_golden(case, form, capsys.readouterr().out)


class _Clock(datetime):
    """A clock whose time is always NOW."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Clock":
        return cls.fromtimestamp(NOW.timestamp(), tz)


@pytest.mark.parametrize("form", FORMS)
def test_schedules_have_the_golden_output(
    form: str, fake_release: FakeRelease, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fleetscore.cli.schedules.datetime", _Clock)
    hourly, daily = fake.cron_job(), fake.cron_job(schedule="0 7 * * *", suspend=True)
    hourly["metadata"]["creationTimestamp"] = "2018-08-28T22:05:00Z"
    hourly["status"] = {"lastScheduleTime": "2018-08-29T02:05:00Z"}
    daily["metadata"] |= {"name": "fleetscore-daily", "labels": {"fleetscore.dev/schedule": "daily"}}
    fake_release.lists |= {fake.CRON_JOBS: [hourly, daily], fake.RUNS: [a_run()]}
    assert main(["schedules", "-o", form]) == 0
    check_golden("schedules", form, capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
def test_doctor_has_the_golden_output(form: str, fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    del fake_release.objects[fake.SECRET]
    assert main(["doctor", "-o", form]) == 1
    check_golden("doctor", form, capsys.readouterr().out)


def check_golden(command: str, form: str, out: str) -> None:
    """Compare an output with its golden file, without what varies and spaces at the ends of lines.

    A command that prints a sentence has the same output in the forms table and wide, and no golden file of wide.
    """
    for pattern, replacement in VARYING:
        out = pattern.sub(replacement, out)
    found = "".join(f"{line.rstrip()}\n" for line in out.splitlines())
    path = GOLDEN / f"{command}.{form}"
    if form == "wide" and not path.exists():
        path = path.with_suffix(".table")
    elif os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text(), "UPDATE_GOLDEN=1 rewrites it; review the diff"
