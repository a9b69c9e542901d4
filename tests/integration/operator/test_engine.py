"""The engine on a real API server with simulated pods."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from localcluster.nodes import stages
from scoring_operator.controller.timings import ControllerTimings, Timings
from tests.testkit.builders import a_message
from tests.testkit.conditions import condition
from tests.testkit.in_memory_storage import InMemoryStorage, storage_with_devices
from tests.testkit.running_controller import RunController, a_fleet
from tests.testkit.runs import HOUR, PodBehaviour, Runs, ended, hour, reported, until_status


async def test_run_over_all_devices_completes_with_its_results(runs: Runs, running_controller: RunController) -> None:
    storage = storage_with_devices(12)
    storage.data = ["press-1", "stray-1"]
    async with running_controller(storage):
        runs.create(parallelism=5)
        status = await ended(runs)
    assert status["phase"] == "Complete"
    assert condition(status, "Complete")["status"] == "True"
    assert status["devices"]["total"] == status["devices"]["scored"] == 12
    assert status["results"]["rows"] == 12 * 60
    assert status["withoutModel"] == {"count": 1, "samples": ["stray-1"]}
    assert status["window"] == "2018-08-28T23:00Z/1h"
    jobs = runs.jobs()
    assert len(jobs) == 12
    # Twelve pods of a second each, by clocks of whole seconds; each runs within the time of its Job.
    assert 6 <= status["podSeconds"] <= sum(map(seconds_of, jobs))
    assert all(job["metadata"]["ownerReferences"][0]["kind"] == "ScoringRun" for job in jobs)


def seconds_of(job: Mapping[str, Any]) -> float:
    start, end = (datetime.fromisoformat(job["status"][name]) for name in ("startTime", "completionTime"))
    return (end - start).total_seconds()


async def test_running_phase_is_reported_before_progress_is_saved(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    timings = Timings(controller=ControllerTimings(save_interval=600))
    pod_behaviour(
        stages.finish_pods(
            "hangs", labels={"fleetscore.dev/run": "hourly"}, after_seconds=stages.NEVER_SECONDS, weight=100_000
        )
    )
    async with running_controller(storage_with_devices(3), timings=timings):
        runs.create()
        status = await until_status(runs, lambda status: status.get("phase") == "Running")
    assert status["devices"]["total"] == 3


@pytest.mark.field("spec.devicesPerJob")
async def test_packed_jobs_score_every_device_once(runs: Runs, running_controller: RunController) -> None:
    async with running_controller(storage_with_devices(23)):
        runs.create(devicesPerJob=5)
        status = await ended(runs)
        assert status["devices"]["scored"] == 23
        assert len(runs.jobs()) == 5
        runs.create("other", devicesPerJob=12, window=hour(1))
        status = await ended(runs, "other")
        assert status["devices"]["scored"] == 23
        assert len(runs.jobs()) == 5 + 2


async def test_device_that_kills_its_packed_job_is_isolated(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(stages.finish_pods("oom", arguments=["poison"], exit_code=137, reason="OOMKilled", weight=100_000))
    storage = InMemoryStorage([*(f"press-{number}" for number in range(7)), "poison"])
    async with running_controller(storage):
        runs.create(devicesPerJob=8, backoffLimit=0, maxFailedDevices=1)
        status = await ended(runs)
    assert status["phase"] == "Complete"
    assert status["devices"]["scored"] == 7
    assert status["failureReasons"] == {"OOMKilled": 1}
    assert status["failures"][0]["device"] == "poison"
    assert condition(status, "Degraded")["status"] == "True"


async def test_too_many_failed_devices_end_the_run_early(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    message = a_message(
        outcomes={"failed": "0"}, reasons={"ModelInvalid": "0"}, samples=[[0, "ModelInvalid", "no pipeline"]]
    )
    for number in range(3):
        pod_behaviour(
            stages.finish_pods(
                f"bad-{number}", arguments=[f"bad-{number}"], exit_code=65, message=message, weight=100_000
            )
        )
    async with running_controller(
        InMemoryStorage([*(f"bad-{number}" for number in range(3)), *(f"press-{n}" for n in range(40))])
    ):
        runs.create(parallelism=3, maxFailedDevices=2)
        status = await ended(runs)
        assert condition(status, "Failed")["reason"] == "MaxFailedDevicesExceeded"
        assert status["devices"]["notRun"] > 30
        assert {"device": "bad-0", "reason": "ModelInvalid", "message": "no pipeline"} in status["failures"]


@pytest.mark.field("spec.suspend")
async def test_suspended_run_pauses_and_completes_after_resume(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    # The run does not end before it is suspended, however late that is.
    pod_behaviour(
        stages.finish_pods("last-hangs", arguments=["press-19"], after_seconds=stages.NEVER_SECONDS, weight=100_000)
    )
    async with running_controller(storage_with_devices(20)):
        runs.create(parallelism=2)
        await until_status(runs, lambda status: status.get("devices", {}).get("scored", 0) > 0)
        runs.change(suspend=True)
        await until_status(runs, lambda status: status["phase"] == "Suspended")
        # A Job that was created just before is suspended when the operator sees it.
        await until_status(runs, lambda _: all(job["spec"]["suspend"] for job in unfinished_jobs(runs)))
        runs.cluster.remove_stage("last-hangs")
        runs.change(suspend=False, parallelism=20)
        status = await ended(runs)
        await until_status(
            runs, lambda _: "Reported" in runs.events()
        )  # an event is written after the status it reports
    assert status["devices"]["scored"] == 20
    assert condition(status, "Suspended")["status"] == "False"
    assert runs.events() == ["Pending", "Running", "Suspended", "Running", "AllDevicesDone", "Reported"]


def unfinished_jobs(runs: Runs) -> list[dict[str, Any]]:
    return [job for job in runs.jobs() if not job["status"].get("conditions")]


@pytest.mark.field("spec.cancel")
async def test_cancelled_run_keeps_its_results_and_deletes_its_jobs(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(stages.finish_pods("hangs", arguments=["slow"], after_seconds=stages.NEVER_SECONDS, weight=100_000))
    async with running_controller(InMemoryStorage(["press-1", "slow"])):
        runs.create()
        await until_status(runs, lambda status: status.get("devices", {}).get("scored") == 1)
        runs.change(cancel=True)
        status = await ended(runs)
        assert status["phase"] == "Cancelled"
        assert (status["devices"]["scored"], status["devices"]["notRun"]) == (1, 1)
        await asyncio.to_thread(_until_gone, runs, "slow")


def _until_run_gone(runs: Runs, name: str) -> None:
    runs.cluster.kubectl("-n", runs.namespace, "wait", "--for=delete", f"sr/{name}", "--timeout=180s")


def _until_gone(runs: Runs, device: str) -> None:
    runs.cluster.kubectl(
        "-n", runs.namespace, "wait", "--for=delete", "job", "-l", f"fleetscore.dev/device={device}", "--timeout=180s"
    )


@pytest.mark.fault("F22")
@pytest.mark.field("spec.overlapPolicy")
async def test_overlapping_runs_of_a_schedule_are_queued_or_skipped(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.finish_pods(
            "first-hangs", labels={"fleetscore.dev/run": "first"}, after_seconds=stages.NEVER_SECONDS, weight=100_000
        )
    )
    labels = {"fleetscore.dev/schedule": "hourly"}
    next_hour = {"start": HOUR["end"], "end": "2018-08-29T01:00:00Z"}
    async with running_controller(storage_with_devices(8)):
        runs.create("first", labels=labels, parallelism=2)
        await until_status(runs, lambda status: status.get("phase") == "Running", "first")
        runs.create("second", labels=labels, window=next_hour)
        runs.create("third", labels=labels, window=next_hour, overlapPolicy="Skip")
        assert (await ended(runs, "third"))["phase"] == "Skipped"
        queued = await until_status(runs, lambda status: "phase" in status, "second")
        assert (queued["phase"], queued["message"]) == ("Queued", "waiting for run first to end")
        runs.change("first", cancel=True)
        second, first = await ended(runs, "second"), runs.status("first")
    assert second["phase"] == "Complete"
    assert second["startTime"] >= first["completionTime"]


@pytest.mark.fault("T2")
@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"fleet": "unknown"}, "FleetNotFound"),
        ({"fleet": "foreign"}, "NamespaceNotAllowed"),
        ({"resources": {"limits": {"memory": "2Gi"}}}, "ResourcesNotAllowed"),
        ({"writePolicy": "Overwrite"}, "OverwriteNotAllowed"),
        ({"maxDevices": 2}, "TooManyDevices"),
        ({"devices": {"include": ["pump-*"]}}, "NoDevices"),
        ({"devices": {"retryOf": {"name": "gone"}}}, "RetryRunNotFound"),
    ],
)
async def test_rejected_run_fails_with_its_reason_and_creates_no_job(
    runs: Runs, running_controller: RunController, spec: dict[str, Any], reason: str
) -> None:
    foreign = a_fleet("elsewhere")
    fleets = a_fleet(runs.namespace), type(foreign)(name="foreign", namespaces=("elsewhere",))
    async with running_controller(storage_with_devices(3), *fleets):
        runs.create(**spec)
        status = await ended(runs)
    assert condition(status, "Failed")["reason"] == reason
    assert condition(status, "Failed")["message"] == status["message"]
    assert runs.jobs() == []


async def test_deleted_job_is_run_once_more_before_its_device_fails(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.finish_pods("hangs-too", arguments=["slow"], after_seconds=stages.NEVER_SECONDS, weight=100_000)
    )
    async with running_controller(InMemoryStorage(["slow"])):
        runs.create(maxFailedDevices="100%")
        for round_ in ("0", "1"):
            await asyncio.to_thread(_delete_job_of_round, runs, round_)
        status = await ended(runs)
    assert status["failureReasons"] == {"JobLost": 1}


def _delete_job_of_round(runs: Runs, round_: str) -> None:
    selector = f"fleetscore.dev/round={round_}"
    runs.cluster.kubectl("-n", runs.namespace, "wait", "--for=create", "job", "-l", selector, "--timeout=180s")
    runs.cluster.kubectl("-n", runs.namespace, "delete", "job", "-l", selector)


async def test_missing_job_with_an_outcome_record_is_not_run_again(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.finish_pods("hangs-three", arguments=["slow"], after_seconds=stages.NEVER_SECONDS, weight=100_000)
    )
    storage = InMemoryStorage(["slow"])
    async with running_controller(storage):
        runs.create()
        await until_status(runs, lambda status: status.get("devices", {}).get("active") == 1)
        name = runs.jobs()[0]["metadata"]["name"]
        storage.records[name] = b'{"v":1,"devices":1,"outcomes":{"scored":"0"},"rows":42}'
        await asyncio.to_thread(_delete_job_of_round, runs, "0")
        status = await ended(runs)
    assert (status["devices"]["scored"], status["results"]["rows"]) == (1, 42)


@pytest.mark.field("spec.ttlSecondsAfterFinished")
async def test_finished_run_is_deleted_after_its_time_to_live(runs: Runs, running_controller: RunController) -> None:
    async with running_controller(storage_with_devices(2)):
        runs.create("stays", window=hour(1))
        runs.create(ttlSecondsAfterFinished=0)
        await asyncio.to_thread(_until_run_gone, runs, "hourly")
        await reported(runs, "stays")
        runs.change("stays", ttlSecondsAfterFinished=1)
        await asyncio.to_thread(_until_run_gone, runs, "stays")


@pytest.mark.field("spec.historyLimit")
async def test_run_beyond_the_history_limit_of_its_schedule_is_deleted(
    runs: Runs, running_controller: RunController
) -> None:
    def names() -> set[str]:
        return {item["metadata"]["name"] for item in runs.cluster.api.request("GET", runs.path)["items"]}

    async def end_one(name: str, start: int, schedule: str = "hourly", **spec: Any) -> None:
        labels = {"fleetscore.dev/schedule": schedule} if schedule else {}
        runs.create(name, labels=labels, window=hour(start), **spec)
        await reported(runs, name)

    async with running_controller(storage_with_devices(1)):
        await end_one("first", 1, historyLimit=1)
        await end_one("second", 2, historyLimit=2)
        await end_one("by-hand", 0, "", historyLimit=1)
        await end_one("elsewhere", 0, "other", historyLimit=1)
        await asyncio.to_thread(_until_run_gone, runs, "first")
        assert names() == {"second", "by-hand", "elsewhere"}
        await end_one("third", 3)
        assert names() == {"second", "third", "by-hand", "elsewhere"}
        await end_one("fourth", 4)
        await asyncio.to_thread(_until_run_gone, runs, "second")
        assert names() == {"third", "fourth", "by-hand", "elsewhere"}


async def test_retry_of_a_deleted_run_uses_the_devices_of_the_windows_report(
    runs: Runs, running_controller: RunController
) -> None:
    storage = storage_with_devices(3)
    async with running_controller(storage):
        runs.create("nothing", devices={"retryOf": {"name": "gone"}})
        assert "_failures.csv" in (await ended(runs, "nothing"))["message"]
        storage.failures = b"Device,Outcome,Reason,Message\npress-0,failed,ModelInvalid,x\npress-2,partial,,\n"
        runs.create("again", devices={"retryOf": {"name": "gone", "outcomes": ["Failed"]}})
        status = await ended(runs, "again")
    assert (status["phase"], runs.devices_of("again")) == ("Complete", ["press-0"])


@pytest.mark.fault("T12")
async def test_limit_of_active_jobs_holds_over_all_runs(runs: Runs, running_controller: RunController) -> None:
    most = 0
    async with running_controller(storage_with_devices(4), max_jobs=3) as controller:
        for hour in range(4):
            window = {"start": f"2018-08-28T0{hour}:00:00Z", "end": f"2018-08-28T0{hour + 1}:00:00Z"}
            runs.create(f"run-{hour}", window=window)
        waiting = [asyncio.create_task(ended(runs, f"run-{hour}")) for hour in range(4)]
        while not all(task.done() for task in waiting):
            most = max(most, sum(load.active for load in controller.loads()))
            await asyncio.sleep(0.02)
        scored = [(await task)["devices"]["scored"] for task in waiting]
    assert scored == [4] * 4
    assert most == 3
