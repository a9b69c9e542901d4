"""Fields of spec, one by one: another value, another outcome; on a real API server with simulated scorers.

The effect of a field on a real scorer is tested with the scorer. Here the arguments of a simulated scorer show that
it received the field. Fields that other tests change are marked there; docs/development/traceability.md lists all.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from localcluster.nodes import stages
from tests.testkit.builders import a_message
from tests.testkit.conditions import condition
from tests.testkit.in_memory_storage import InMemoryStorage, storage_with_devices
from tests.testkit.running_controller import RunController, a_fleet
from tests.testkit.runs import HOUR, PodBehaviour, Runs, ended, hour, until_status

WHOLE = {"complete": "true", "tags": "*", "window": f"{HOUR['start']}/{HOUR['end']}"}


def a_stage(name: str, *arguments: str, **options: Any) -> dict[str, Any]:
    """Return a stage that precedes those of all other tests."""
    return stages.finish_pods(name, arguments=arguments, weight=100_000, **options)


def that_fails(device: str) -> dict[str, Any]:
    message = a_message(outcomes={"failed": "0"}, reasons={"DataInvalid": "0"})
    return a_stage(f"fails-{device}", device, exit_code=65, message=message)


def that_is_empty(device: str) -> dict[str, Any]:
    return a_stage(f"empty-{device}", device, message=a_message(outcomes={"empty": "0"}, rows=0))


def that_hangs(device: str) -> dict[str, Any]:
    return a_stage(f"hangs-{device}", device, after_seconds=stages.NEVER_SECONDS)


async def outcomes(runs: Runs, **specs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Create runs of different windows, unless they say which, and wait for their end."""
    for place, (name, spec) in enumerate(specs.items()):
        runs.create(name, **{"window": hour(place), **spec})
    every = await asyncio.gather(*(ended(runs, name) for name in specs))
    return dict(zip(specs, every, strict=True))


def counts(status: dict[str, Any]) -> dict[str, int]:
    return {key: count for key, count in status["devices"].items() if count and key != "total"}


def active(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: bool(status.get("devices", {}).get("active") == count)


@pytest.mark.field("spec.fleet")
async def test_fleet_selects_the_devices(runs: Runs, running_controller: RunController) -> None:
    storage = InMemoryStorage(["press-1"], of_fleet={"pumps": ["pump-1", "pump-2"]})
    fleets = [a_fleet(runs.namespace, name=name) for name in ("default", "pumps")]
    async with running_controller(storage, *fleets):
        found = await outcomes(runs, own={}, others={"fleet": "pumps"}, none={"fleet": "fans"})
    assert counts(found["own"]) == {"scored": 1}
    assert counts(found["others"]) == {"scored": 2}
    assert condition(found["none"], "Failed")["reason"] == "FleetNotFound"


@pytest.mark.field("spec.window.start", "spec.window.end")
async def test_predictions_of_another_window_do_not_count(runs: Runs, running_controller: RunController) -> None:
    storage = storage_with_devices(1)
    storage.predictions = {"press-0": WHOLE}
    earlier, later = HOUR | {"start": "2018-08-28T22:00:00Z"}, HOUR | {"end": "2018-08-29T01:00:00Z"}
    async with running_controller(storage):
        found = await outcomes(runs, same={"window": HOUR}, earlier={"window": earlier}, later={"window": later})
    assert {name: (status["window"], counts(status)) for name, status in found.items()} == {
        "same": ("2018-08-28T23:00Z/1h", {"alreadyScored": 1}),
        "earlier": ("2018-08-28T22:00Z/2h", {"scored": 1}),
        "later": ("2018-08-28T23:00Z/2h", {"scored": 1}),
    }


@pytest.mark.field("spec.devices.retryOf.name", "spec.devices.retryOf.outcomes")
async def test_retry_selects_devices_by_run_and_outcome(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    for stage in (that_fails("bad"), that_is_empty("dry"), that_fails("worse")):
        pod_behaviour(stage)
    async with running_controller(InMemoryStorage(["bad", "dry", "good", "worse"])):
        first: dict[str, Any] = {"maxFailedDevices": "100%", "maxEmptyDevices": "100%", "window": HOUR}
        for name, devices in (("one", ["bad", "dry", "good"]), ("two", ["good", "worse"])):
            runs.create(name, devices={"ids": devices}, **first)
            await ended(runs, name)
        for name, source in (
            ("failed", {"name": "one", "outcomes": ["Failed"]}),
            ("empty", {"name": "one", "outcomes": ["Empty"]}),
            ("default", {"name": "one"}),
            ("other", {"name": "two"}),
        ):
            runs.create(name, devices={"retryOf": source}, **first)
            await ended(runs, name)
    assert {name: runs.devices_of(name) for name in ("failed", "empty", "default", "other")} == {
        "failed": ["bad"],
        "empty": ["dry"],
        "default": ["bad"],
        "other": ["worse"],
    }


@pytest.mark.field("spec.tags")
async def test_predictions_of_other_tags_do_not_count(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(a_stage("tag-4", "--tag=4", message=a_message(rows=4)))
    storage = storage_with_devices(1)
    storage.predictions = {"press-0": WHOLE | {"tags": "1 2"}}
    async with running_controller(storage):
        specs: dict[str, dict[str, Any]] = {"all": {}, "those": {"tags": ["2"]}, "others": {"tags": ["2", "4"]}}
        for name, spec in specs.items():
            runs.create(name, window=HOUR, **spec)
            await ended(runs, name)
    assert counts(runs.status("those")) == {"alreadyScored": 1}
    assert [runs.status(name)["results"]["rows"] for name in ("all", "others")] == [60, 4]


@pytest.mark.field("spec.writePolicy")
async def test_write_policy_keeps_or_replaces_existing_predictions(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    for number, policy in enumerate(("IfChanged", "Overwrite"), start=1):
        pod_behaviour(a_stage(f"policy-{policy.lower()}", policy, message=a_message(rows=number)))
    storage = storage_with_devices(1)
    storage.predictions = {"press-0": WHOLE}
    fleets = [a_fleet(runs.namespace), a_fleet(runs.namespace, name="free", predictions={"allowOverwrite": True})]
    async with running_controller(storage, *fleets):
        found = await outcomes(
            runs,
            keep={"window": HOUR, "fleet": "free"},
            refused={"writePolicy": "Overwrite"},
            changed={"writePolicy": "IfChanged"},
            anew={"writePolicy": "Overwrite", "fleet": "free"},
        )
    assert counts(found["keep"]) == {"alreadyScored": 1}
    assert condition(found["refused"], "Failed")["reason"] == "OverwriteNotAllowed"
    assert [found[name]["results"]["rows"] for name in ("changed", "anew")] == [1, 2]


@pytest.mark.field("spec.parallelism")
async def test_parallelism_limits_active_jobs_and_can_be_raised(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    for number in range(6):
        pod_behaviour(that_hangs(f"slow-{number}"))

    async with running_controller(InMemoryStorage([f"slow-{number}" for number in range(6)])):
        runs.create(parallelism=2)
        await until_status(runs, active(2))
        assert len(runs.jobs()) == 2
        runs.change(parallelism=5)
        await until_status(runs, active(5))
        assert len(runs.jobs()) == 5


@pytest.mark.field("spec.backoffLimit")
async def test_backoff_limit_is_the_number_of_retries_of_a_job(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(a_stage("crashes", "press-0", exit_code=1))
    async with running_controller(storage_with_devices(1)):
        await outcomes(runs, never={"backoffLimit": 0}, once={"backoffLimit": 1})
    tries = {job["metadata"]["labels"]["fleetscore.dev/run"]: job["status"]["failed"] for job in runs.jobs()}
    assert tries == {"never": 1, "once": 2}


@pytest.mark.field("spec.maxFailedDevices")
@pytest.mark.parametrize(("below", "enough"), [(1, 2), ("25%", "26%")])
async def test_run_fails_above_max_failed_devices(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour, below: int | str, enough: int | str
) -> None:
    for number in range(2):
        pod_behaviour(that_fails(f"press-{number}"))
    async with running_controller(storage_with_devices(4)):
        found = await outcomes(runs, below={"maxFailedDevices": below}, enough={"maxFailedDevices": enough})
    assert condition(found["below"], "Failed")["reason"] == "MaxFailedDevicesExceeded"
    assert condition(found["enough"], "Degraded")["status"] == "True"
    assert counts(found["enough"]) == {"scored": 2, "failed": 2}


@pytest.mark.field("spec.maxEmptyDevices")
@pytest.mark.parametrize(("below", "enough"), [(1, 2), ("25%", "26%")])
async def test_run_fails_above_max_empty_devices(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour, below: int | str, enough: int | str
) -> None:
    for number in range(2):
        pod_behaviour(that_is_empty(f"press-{number}"))
    async with running_controller(storage_with_devices(4)):
        found = await outcomes(runs, below={"maxEmptyDevices": below}, enough={"maxEmptyDevices": enough})
    assert condition(found["below"], "Failed")["reason"] == "NoData"
    assert found["enough"]["phase"] == "Complete"
    assert counts(found["enough"]) == {"scored": 2, "empty": 2}


async def test_max_failed_devices_can_be_lowered_while_the_run_is_active(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    for stage in (that_fails("bad"), that_hangs("slow")):
        pod_behaviour(stage)
    async with running_controller(InMemoryStorage(["bad", "slow"])):
        runs.create(maxFailedDevices="100%")
        await until_status(runs, lambda status: status.get("devices", {}).get("failed") == 1)
        runs.change(maxFailedDevices=0)
        assert condition(await ended(runs), "Failed")["reason"] == "MaxFailedDevicesExceeded"


@pytest.mark.field("spec.canary.jobs", "spec.canary.maxFailedPercent")
async def test_failed_canary_touches_only_its_own_devices(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    for number in range(3):
        pod_behaviour(that_fails(f"press-{number}"))
    all_may_fail = {"maxFailedDevices": "100%"}
    async with running_controller(storage_with_devices(9)):
        found = await outcomes(
            runs,
            default={"canary": {}} | all_may_fail,
            longer={"canary": {"jobs": 6}} | all_may_fail,
            strict={"canary": {"jobs": 6, "maxFailedPercent": 49}} | all_may_fail,
            packed={"canary": {"jobs": 1}, "devicesPerJob": 9} | all_may_fail,
        )
    assert condition(found["default"], "Failed")["reason"] == "CanaryFailed"
    assert found["default"]["message"].startswith("3 of 3 devices of the canary (3 Jobs) failed, most often as Data")
    assert counts(found["default"]) == {"failed": 3, "notRun": 6}
    assert runs.devices_of("default") == ["press-0", "press-1", "press-2"]
    assert counts(found["longer"]) == {"failed": 3, "scored": 6}
    assert counts(found["strict"]) == {"failed": 3, "scored": 3, "notRun": 3}
    assert found["packed"]["phase"] == "Complete"


async def test_canary_continues_after_a_pause_and_a_restart_of_the_operator(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(that_hangs("press-1"))
    storage = storage_with_devices(6)
    async with running_controller(storage):
        runs.create(canary={"jobs": 2})
        await until_status(runs, lambda status: "canary: 1 of 2 Jobs ended" in status.get("message", ""))
        runs.change(suspend=True)
        await until_status(
            runs,
            lambda status: status["phase"] == "Suspended" and any(job["spec"].get("suspend") for job in runs.jobs()),
        )
    assert runs.devices_of("") == ["press-0", "press-1"]
    runs.cluster.remove_stage("hangs-press-1")  # before a pod waits in it again
    async with running_controller(storage):
        runs.change(suspend=False)
        status = await ended(runs)
    assert counts(status) == {"scored": 6}
    jobs = {job["metadata"]["labels"]["fleetscore.dev/device"]: job for job in runs.jobs()}
    others = [jobs[f"press-{number}"]["metadata"]["creationTimestamp"] for number in range(2, 6)]
    assert min(others) >= jobs["press-1"]["status"]["completionTime"]


@pytest.mark.field("spec.maxDevices")
async def test_run_above_max_devices_fails_without_starting(runs: Runs, running_controller: RunController) -> None:
    async with running_controller(storage_with_devices(3)):
        found = await outcomes(runs, few={"maxDevices": 2}, enough={"maxDevices": 3})
    assert condition(found["few"], "Failed")["reason"] == "TooManyDevices"
    assert counts(found["enough"]) == {"scored": 3}


@pytest.mark.field("spec.pendingDeadlineSeconds")
async def test_run_without_a_started_pod_fails_at_its_pending_deadline(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(stages.keep_pods_pending("not-yet", arguments=["press-0"], reason="ImagePullBackOff", weight=100_000))
    async with running_controller(storage_with_devices(1)):
        runs.create("patient", pendingDeadlineSeconds=600)
        found = await outcomes(runs, hasty={"pendingDeadlineSeconds": 3})
        assert condition(found["hasty"], "Failed")["reason"] == "PendingDeadlineExceeded"
        await until_status(runs, active(1), "patient")


@pytest.mark.field("spec.activeDeadlineSeconds")
async def test_active_deadline_counts_from_the_first_pod_and_can_be_changed(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(that_hangs("press-0"))
    async with running_controller(storage_with_devices(1)):
        runs.create("patient", activeDeadlineSeconds=600)
        found = await outcomes(runs, hasty={"activeDeadlineSeconds": 3})
        assert condition(found["hasty"], "Failed")["reason"] == "DeadlineExceeded"
        await until_status(runs, active(1), "patient")
        runs.change("patient", activeDeadlineSeconds=1)
        assert condition(await ended(runs, "patient"), "Failed")["reason"] == "DeadlineExceeded"


@pytest.mark.field("spec.deviceDeadlineSeconds")
async def test_device_deadline_reaches_the_scorer_and_limits_its_pod(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    late = a_message(outcomes={"failed": "0"}, reasons={"DeadlineExceeded": "0"})
    pod_behaviour(a_stage("keeps-7-seconds", "7", exit_code=65, message=late))
    async with running_controller(storage_with_devices(1)):
        found = await outcomes(
            runs, hasty={"deviceDeadlineSeconds": 7, "maxFailedDevices": 1}, patient={"deviceDeadlineSeconds": 100}
        )
    assert found["hasty"]["failureReasons"] == {"DeadlineExceeded": 1}
    assert counts(found["patient"]) == {"scored": 1}
    deadlines = {pod["activeDeadlineSeconds"] for pod in runs.pod_specs()}
    assert deadlines == {607, 700}


@pytest.mark.parametrize(
    ("part", "name", "value", "too_much"),
    [
        pytest.param("requests", "cpu", "100m", "2", marks=pytest.mark.field("spec.resources.requests.cpu")),
        pytest.param("requests", "memory", "64Mi", "2Gi", marks=pytest.mark.field("spec.resources.requests.memory")),
        pytest.param(
            "requests",
            "ephemeral-storage",
            "64Mi",
            "2Gi",
            marks=pytest.mark.field("spec.resources.requests.ephemeral-storage"),
        ),
        pytest.param("limits", "cpu", "500m", "2", marks=pytest.mark.field("spec.resources.limits.cpu")),
        pytest.param("limits", "memory", "512Mi", "2Gi", marks=pytest.mark.field("spec.resources.limits.memory")),
        pytest.param(
            "limits",
            "ephemeral-storage",
            "512Mi",
            "2Gi",
            marks=pytest.mark.field("spec.resources.limits.ephemeral-storage"),
        ),
    ],
)
async def test_resources_of_a_run_apply_within_the_fleets_maximum(
    runs: Runs, running_controller: RunController, part: str, name: str, value: str, too_much: str
) -> None:
    async with running_controller(storage_with_devices(1)):
        found = await outcomes(
            runs, fleets={}, own={"resources": {part: {name: value}}}, greedy={"resources": {part: {name: too_much}}}
        )
    assert condition(found["greedy"], "Failed")["reason"] == "ResourcesNotAllowed"
    assert counts(found["own"]) == {"scored": 1}
    fleets, own = (runs.pod_specs(run)[0]["containers"][0]["resources"] for run in ("fleets", "own"))
    assert own[part] == {**fleets[part], name: value}
    assert own != fleets
