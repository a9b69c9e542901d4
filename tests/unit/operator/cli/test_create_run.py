"""The command `create-run`, against an API server with canned responses."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from scoring_operator.cli import create_run as command
from tests.testkit.canned_api import JOB, CannedApi


def create_run(file: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = ["--schedules-file", str(file), "--schedule", "hourly", "--job", "hourly-29", "--namespace", "scoring"]
    return command.run(parser.parse_args([*arguments, *more]))


def test_create_run_creates_the_run_of_the_jobs_window(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create_run(schedules_file) == 0
    (run,) = canned_api.created
    assert run["metadata"]["name"] == "hourly-20180828t230000z"
    assert run["spec"]["window"] == {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    assert run["spec"]["parallelism"] == 7
    assert "ScoringRun scoring/hourly-20180828t230000z created" in capsys.readouterr().out


def test_job_and_namespace_default_to_the_environment(
    canned_api: CannedApi, schedules_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_NAME", "hourly-29")
    monkeypatch.setenv("POD_NAMESPACE", "scoring")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--schedules-file", str(schedules_file), "--schedule", "hourly"])
    assert command.run(args) == 0
    assert canned_api.created[0]["metadata"]["namespace"] == "scoring"


def test_run_that_exists_already_is_a_success(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canned_api.reject(409, "AlreadyExists", "exists")
    assert create_run(schedules_file) == 0
    assert "exists already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        pytest.param(422, "Invalid", 65, id="invalid"),
        pytest.param(403, "Forbidden", 75, id="forbidden"),
        pytest.param(404, "NotFound", 75, id="no CRD"),
        pytest.param(500, "InternalError", 75, id="broken"),
    ],
)
def test_rejection_is_printed_and_only_a_permanent_one_exits_with_65(
    canned_api: CannedApi,
    schedules_file: Path,
    capsys: pytest.CaptureFixture[str],
    code: int,
    reason: str,
    exit_code: int,
) -> None:
    canned_api.reject(code, reason, "the message of the server")
    assert create_run(schedules_file) == exit_code
    errors = capsys.readouterr().err
    assert "the message of the server" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--schedule", "weekly"], "are named 'weekly'; the file has: hourly", id="unknown schedule"),
        pytest.param(["--job", "other"], "Job scoring/other does not exist", id="unknown job"),
        pytest.param(["--job", ""], "no job is given", id="no job"),
        pytest.param(["--namespace", ""], "no namespace is given", id="no namespace"),
        pytest.param(["--schedules-file", "/nowhere"], "/nowhere: No such file", id="no file"),
        pytest.param(["--schedules-file", "{garbage}"], "is not YAML", id="not YAML"),
    ],
)
@pytest.mark.usefixtures("canned_api")
def test_invalid_arguments_exit_with_64_and_name_the_problem(
    schedules_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "garbage").write_text("a: [")
    assert create_run(schedules_file, *[a.replace("{garbage}", str(tmp_path / "garbage")) for a in arguments]) == 64
    assert message in capsys.readouterr().err


def test_job_with_a_malformed_time_exits_with_64(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canned_api.answers["GET", JOB] = (200, {"metadata": {"creationTimestamp": "soon"}})
    assert create_run(schedules_file) == 64
    assert "Job scoring/hourly-29: scheduled time 'soon' must be an RFC 3339 time" in capsys.readouterr().err


@pytest.mark.fault("F20")
def test_firing_far_ahead_of_the_api_servers_clock_creates_no_run(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early = datetime.now(UTC) + timedelta(hours=2)
    canned_api.answers["GET", JOB] = (200, {"metadata": {"creationTimestamp": early.isoformat()}})
    assert create_run(schedules_file) == 75
    assert "after the API server's time; check the clock of the controller manager's node" in capsys.readouterr().err
    assert not canned_api.created


@pytest.mark.slow
@pytest.mark.fault("F20")
def test_firing_slightly_ahead_waits_until_the_readings_are_due(canned_api: CannedApi, schedules_file: Path) -> None:
    due = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    begins = datetime(1970, 1, 1, tzinfo=UTC)
    delay = (due - begins) % timedelta(hours=1)  # so that the readings of a window are due at that time
    entry = {"name": "hourly", "fleet": "default", "delay": f"PT{int(delay.total_seconds())}S"}
    schedules_file.write_text(yaml.safe_dump({"schedules": [entry]}))
    canned_api.answers["GET", JOB] = (200, {"metadata": {"creationTimestamp": due.isoformat()}})
    assert create_run(schedules_file) == 0
    assert due <= datetime.now(UTC)
    assert canned_api.created[0]["spec"]["window"]["end"] == f"{due - delay:%Y-%m-%dT%H:%M:%SZ}"


def test_firing_may_be_at_most_60_seconds_early() -> None:
    assert command.MAX_WAIT_SECONDS == 60
