"""The command `backfill`, against an API server with canned responses."""

from pathlib import Path

import pytest

from scoring_operator.cli import main
from scoring_operator.cli.backfill import POLL_INTERVAL_SECONDS, PROGRESS_INTERVAL_SECONDS
from scoring_operator.kube.client import ClientTimeouts
from tests.testkit.canned_api import RUNS, CannedApi

DAY = ("--from", "2018-08-28", "--to", "2018-08-29")


LIST = f"{RUNS}?limit={ClientTimeouts().page_size}"


def backfill(file: Path, *more: str) -> int:
    return main(["backfill", "--schedules-file", str(file), "--schedule", "hourly", "--namespace", "scoring", *more])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--from", "yesterday", "--to", "2018-08-29"], "is not a time such as 2018", id="not a time"),
        pytest.param(["--from", "0001-01-01T00:00:00+05:00", "--to", "2018-08-29"], "is not a time", id="year 0"),
        pytest.param(["--from", "2018-08-28", "--to", "9999-12-31T23:00:00-05:00"], "is not a time", id="year 10000"),
        pytest.param(["--from", "2018-08-28T13:00:00", "--to", "2018-08-29"], "has no time zone", id="no zone"),
        pytest.param([*DAY, "--max-concurrent", "0"], "'0' must be a whole number from 1", id="zero runs"),
        pytest.param(["--from", "2018-08-29", "--to", "2018-08-28"], "no complete window", id="end before start"),
        pytest.param(["--from", "2199-01-01", "--to", "2199-01-02"], "no complete window", id="future"),
        pytest.param(["--from", "1970-01-01", "--to", "2018-08-28"], "choose a shorter range", id="too many windows"),
        pytest.param([*DAY, "--schedule", "weekly"], "'weekly'; the file has: hourly", id="no such schedule"),
        pytest.param([*DAY, "--namespace", ""], "no namespace is given", id="no namespace"),
    ],
)
def test_invalid_arguments_exit_with_64_and_name_the_problem(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    canned_api.answers["GET", LIST] = (200, {"metadata": {}, "items": []})
    assert backfill(schedules_file, *arguments) == 64
    assert message in capsys.readouterr().err
    assert not canned_api.created


def test_dry_run_prints_the_windows_and_creates_nothing(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canned_api.answers["GET", LIST] = (200, {"metadata": {}, "items": []})
    assert (
        backfill(schedules_file, "--from", "2018-08-28T01:00:00+02:00", "--to", "2018-08-28T01:00:00Z", "--dry-run")
        == 0
    )
    printed = capsys.readouterr().out
    assert "2 windows from 2018-08-27T23:00:00Z to 2018-08-28T01:00:00Z" in printed
    assert "  2018-08-28T00:00:00Z to 2018-08-28T01:00:00Z" in printed
    assert not canned_api.created


def test_account_without_rights_gets_the_names_of_the_rights(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canned_api.answers["GET", LIST] = (403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"})
    assert backfill(schedules_file, *DAY) == 75
    assert "needs list and create on scoringruns" in capsys.readouterr().err


def test_run_rejected_by_the_api_server_exits_with_65(
    canned_api: CannedApi, schedules_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canned_api.answers["GET", LIST] = (200, {"metadata": {}, "items": []})
    canned_api.reject(422, "Invalid", "spec.parallelism is too large")
    assert backfill(schedules_file, *DAY) == 65
    assert "spec.parallelism is too large" in capsys.readouterr().err
    assert len(canned_api.created) == 1


def test_runs_are_listed_every_3_s_and_progress_is_printed_after_30_s() -> None:
    assert (POLL_INTERVAL_SECONDS, PROGRESS_INTERVAL_SECONDS) == (3, 30)
