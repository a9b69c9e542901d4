"""The command `schedules` on a fake API server."""

import json
from datetime import timedelta
from typing import Any

import pytest

from fleetscore.cli import main
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

CONFIG_MAPS = f"/api/v1/namespaces/{fake.NAMESPACE}/configmaps"


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["schedules", "-o", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_windows_without_a_complete_run_are_listed_and_counted(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.CRON_JOBS] = [fake.cron_job(created=timedelta(hours=4))]
    (one,) = listed(capsys)
    assert [window["State"] for window in one["Open"]] in (["missing"] * 3, ["missing"] * 4)
    assert main(["schedules"]) == 0
    assert capsys.readouterr().out.split()[-1] == str(len(one["Open"]))


def test_suspended_schedule_has_no_next_firing(fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    fake_release.lists[fake.CRON_JOBS][0]["spec"]["suspend"] = True
    (one,) = listed(capsys)
    assert (one["Suspended"], one["Next"]) == (True, "")
    assert main(["schedules"]) == 0
    assert "suspended" in capsys.readouterr().out


def test_right_that_is_missing_leaves_the_open_windows_unknown(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.forbidden.add(CONFIG_MAPS)
    assert main(["schedules", "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["Open"] is None
    assert err.startswith("the open windows are unknown: ")
    assert "configmaps" in err


def test_right_that_is_missing_for_the_schedules_is_one_line(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fake.CRON_JOBS.replace("cronjobs", f"namespaces/{fake.NAMESPACE}/cronjobs")
    fake_release.forbidden |= {CONFIG_MAPS, path}
    assert main(["schedules"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not allow this user to list cronjobs" in line
