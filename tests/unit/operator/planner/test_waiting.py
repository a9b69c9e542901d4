from datetime import timedelta

import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.planner.queueing import ELSEWHERE
from scoring_operator.planner.types import Allocation
from scoring_operator.planner.waiting import blocked_too_long, wait_for_window, waits_for_run, waits_for_slots
from tests.testkit.builders import NOW, a_run, an_observation

FLEET = parse_fleet({"name": "default", "namespaces": ["scoring"], "delay": "PT10M", "maxQueueTime": "PT1H"})
RUN = a_run(window={"start": "2026-11-24T11:00:00Z", "end": "2026-11-24T12:00:00Z"})  # ends NOW


def test_run_waits_until_its_window_and_the_delay_of_its_fleet_are_over() -> None:
    waiting = wait_for_window(RUN, FLEET, NOW + timedelta(seconds=1))
    assert waiting is not None
    assert waiting[0].reason == "WindowNotOver"
    assert waiting[0].message == (
        "waiting until 2026-11-24T12:10:00Z: the window ends at 2026-11-24T12:00:00Z, and readings of fleet default "
        "may be late by 10m0s"
    )
    assert waiting[1] == 599
    assert wait_for_window(RUN, FLEET, NOW + timedelta(seconds=600)) is None


def test_run_of_the_last_window_waits_until_the_latest_time() -> None:
    run = a_run(window={"start": "9999-12-31T23:00:00Z", "end": "9999-12-31T23:59:59Z"})
    waiting = wait_for_window(run, FLEET, NOW)
    assert waiting is not None
    assert waiting[0].message.startswith("waiting until 9999-12-31T23:59:59Z: the window ends at 9999-12-31T23:59:59Z")


def test_run_of_a_fleet_without_a_delay_waits_for_the_end_of_its_window() -> None:
    waiting = wait_for_window(RUN, None, NOW - timedelta(days=2))
    assert waiting is not None
    assert waiting[0].message == "waiting until 2026-11-24T12:00:00Z: the window ends at 2026-11-24T12:00:00Z"
    assert waiting[1] == 3600
    assert wait_for_window(RUN, None, NOW) is None


def test_name_of_a_run_in_another_namespace_is_not_shown() -> None:
    assert waits_for_run(an_observation(blocked_by="first")).message == "waiting for run first to end"
    pausing = waits_for_run(an_observation(blocked_by="first", blocker_pauses=True))
    assert pausing.message == "waiting for run first to pause"
    elsewhere = waits_for_run(an_observation(blocked_by=ELSEWHERE))
    assert elsewhere.message == "waiting for a run in another namespace to end"


@pytest.mark.parametrize(("seconds", "stalled"), [(3600, False), (3601, True)])
def test_run_that_waits_longer_than_its_fleet_allows_is_stalled(seconds: float, *, stalled: bool) -> None:
    observation = an_observation(blocked_by="first", blocked_seconds=seconds, fleet=FLEET)
    blocker = blocked_too_long(observation)
    assert (blocker is not None) == stalled
    assert blocker is None or (blocker.permanent, blocker.reason) == (True, "WaitingForRun")
    assert blocked_too_long(an_observation(blocked_by="first", blocked_seconds=seconds)) is None


@pytest.mark.parametrize(("seconds", "waits"), [(59, False), (60, True)])
def test_run_without_a_slot_for_a_minute_reports_it(seconds: float, *, waits: bool) -> None:
    blocker = waits_for_slots(Allocation("", 0, 1, 0, blocked_seconds=0, starved_seconds=seconds))
    assert (blocker is not None) == waits
    assert blocker is None or (blocker.reason, blocker.permanent) == ("WaitingForSlots", False)
