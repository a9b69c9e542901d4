"""The facts of schedules: CronJobs, their newest Jobs, and windows without a run."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.contract.schedules import Schedule
from fleetscore.doctor.findings import Result, Unseen
from fleetscore.doctor.gather_schedules import missing_windows, schedule_settings, served


def test_windows_without_a_run_are_missing() -> None:
    schedule, now = Schedule("hourly", "default"), datetime.now(UTC)
    found = missing_windows(schedule, now - timedelta(hours=3), [])
    assert isinstance(found, tuple)
    assert [one.length for one in found] == [timedelta(hours=1)] * len(found)
    assert len(found) in (2, 3)
    assert missing_windows(schedule, now, []) == ()
    assert missing_windows(schedule, now, Unseen("no", "ask")) == Unseen("no", "ask")
    wrong_clock = missing_windows(schedule, now, [], now + timedelta(hours=5))
    assert isinstance(wrong_clock, tuple)
    assert len(wrong_clock) in (4, 5)


def a_map(**data: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "scoring", "name": "fleetscore-fleets"}, "data": data}


def test_fleets_and_schedules_of_a_namespace_are_those_of_its_fleets_files() -> None:
    entries = [{"namespace": "scoring", "name": "hourly"}, {"namespace": "other", "name": "daily"}]
    fleets = [
        {"name": "plant", "namespaces": ["scoring"], "schedules": entries},
        {"name": "far", "namespaces": ["other"], "schedules": entries},
    ]
    assert served([a_map(**{"fleets.yaml": json.dumps({"fleets": fleets})}), a_map()], "scoring") == (
        {"plant"},
        {"hourly"},
    )
    assert served([a_map(**{"fleets.yaml": "["})], "scoring") == (None, set())


@pytest.mark.parametrize("text", ["schedules: [", "schedules: 1", "schedules: [{name: a, fleet: b, window: x}]"])
def test_invalid_schedules_file_is_a_problem(text: str) -> None:
    found = schedule_settings(([a_map(**{"schedules.yaml": text})], None), "scoring")
    assert isinstance(found, Unseen)
    assert found.result is Result.PROBLEM
    assert "invalid" in found.reason
    assert found.cure
