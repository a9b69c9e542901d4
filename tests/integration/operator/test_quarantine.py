"""Devices whose last windows all failed, on a real API server."""

from typing import Any

from localcluster.nodes import stages
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.controller.timings import Timings
from scoring_operator.planner.types import PlannerLimits
from tests.testkit.builders import a_body, a_message
from tests.testkit.conditions import condition
from tests.testkit.history_tiles import tiles_before
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import RunController, a_fleet
from tests.testkit.runs import PodBehaviour, Runs, ended, hour, until_status

DEVICES = ["broken", "sound"]
ON = {"after": 24, "retryEvery": 24}
KEPT_JOBS = Timings(planner=PlannerLimits(cleanup_delay=600))  # the tests read the Jobs of all runs at the end


def a_history(windows: int = 24, first: int = 0) -> dict[str, bytes]:
    """Return the tiles in which one of two devices failed in each window before an hour of the day of the tests."""
    window = parse_run(a_body(window=hour(first))).spec.window
    return tiles_before(window, broken="F" * windows, sound="N" * windows)


async def test_broken_device_has_one_job_in_24_windows(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    message = a_message(outcomes={"failed": "0"}, reasons={"ModelInvalid": "0"})
    pod_behaviour(stages.finish_pods("broken", arguments=["broken"], weight=100_000, exit_code=65, message=message))
    storage = InMemoryStorage(DEVICES, history=a_history())
    async with running_controller(storage, a_fleet(runs.namespace, quarantine=ON), timings=KEPT_JOBS):
        for at in range(23):
            runs.create(f"hour-{at}", window=hour(at), maxFailedDevices="100%")
        runs.create("hour-23", window=hour(22) | {"start": hour(23)["start"], "end": "2018-08-02T00:00:00Z"})
        statuses = [await ended(runs, f"hour-{at}") for at in range(24)]
        left_out = [at for at, status in enumerate(statuses) if status["devices"]["quarantined"]]
        assert len(left_out) == 23
        # An event is written after the status that it reports.
        name = f"hour-{left_out[0]}"
        await until_status(runs, lambda _: "Quarantined" in runs.events(name), name)
    jobs = [runs.devices_of(f"hour-{at}") for at in range(24)]
    assert sorted(jobs) == [DEVICES] + [["sound"]] * 23
    status = statuses[left_out[0]]
    assert status["quarantined"] == {"count": 1, "samples": ["broken"]}
    assert condition(status, "Degraded")["reason"] == "DevicesQuarantined"


async def test_ids_and_retries_run_a_device_in_quarantine(runs: Runs, running_controller: RunController) -> None:
    storage = InMemoryStorage(DEVICES, history=a_history(first=5))
    fleet = a_fleet(runs.namespace, quarantine=ON | {"retryEvery": 10_080})
    async with running_controller(storage, fleet, timings=KEPT_JOBS):
        sources: dict[str, dict[str, Any]] = {
            "all": {},
            "some": {"include": ["b*"]},
            "named": {"ids": ["broken"]},
            "again": {"retryOf": {"name": "all", "outcomes": ["Quarantined"]}},
        }
        for name, source in sources.items():
            runs.create(name, devices=source, window=hour(5))
            await ended(runs, name)
    assert {name: runs.devices_of(name) for name in sources} == {
        "all": ["sound"],
        "some": [],
        "named": ["broken"],
        "again": ["broken"],
    }
    assert runs.status("some")["phase"] == "Complete"


async def test_damaged_history_puts_no_device_in_quarantine(runs: Runs, running_controller: RunController) -> None:
    storage = InMemoryStorage(DEVICES, history=dict.fromkeys(a_history(first=5), b"damaged"))
    async with running_controller(storage, a_fleet(runs.namespace, quarantine=ON)):
        runs.create(window=hour(5))
        status = await ended(runs)
        # An event is written after the status that it reports.
        await until_status(runs, lambda _: "HistoryNotUsable" in runs.events())
    assert status["devices"]["scored"] == 2
    assert status["quarantined"]["problem"].startswith("the history is not usable, so no device is in quarantine")
