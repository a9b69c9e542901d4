"""A run's ConfigMaps are deleted while no operator looks; on a real API server."""

import json
from typing import Any

import pytest

from localcluster.nodes import stages
from scoring_operator.api.names import progress_config_map_name
from scoring_operator.api.scoringrun import parse_run
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.conditions import blocked, condition
from tests.testkit.in_memory_storage import InMemoryStorage, storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, ended, until_status

DEVICES = 12


def delete_config_maps(runs: Runs, *, progress: bool) -> None:
    """Delete the progress of the run, or its device list."""
    path = f"/api/v1/namespaces/{runs.namespace}/configmaps"
    name = progress_config_map_name(parse_run(runs.get()))
    for item in runs.cluster.api.request("GET", path)["items"]:
        if (
            "fleetscore.dev/run" in item["metadata"].get("labels", {})
            and (item["metadata"]["name"] == name) is progress
        ):
            runs.cluster.api.request("DELETE", f"{path}/{item['metadata']['name']}")


async def begun(runs: Runs, running_controller: RunController, storage: InMemoryStorage, **spec: Any) -> None:
    """Create a run and end its operator after some devices are scored, before the last one is."""
    last = stages.finish_pods(
        "last", arguments=["press-9"], after_seconds=15, message_template=ALL_SCORED, weight=100_000
    )
    runs.cluster.add_stage(last)
    try:
        async with running_controller(storage):
            runs.create(parallelism=3, **spec)
            await until_status(runs, lambda status: status.get("devices", {}).get("scored", 0) >= 4)
    finally:
        runs.cluster.remove_stage("last")


def adds_up(status: dict[str, Any]) -> bool:
    counts = dict(status["devices"])
    return bool(counts.pop("total") == sum(counts.values()) == DEVICES)


@pytest.mark.parametrize("per_job", [1, 2])
async def test_deleted_progress_is_rebuilt_and_no_device_runs_twice(
    runs: Runs, running_controller: RunController, per_job: int
) -> None:
    storage = storage_with_devices(DEVICES)
    await begun(runs, running_controller, storage, devicesPerJob=per_job)
    delete_config_maps(runs, progress=True)
    finished = next(job for job in runs.jobs() if job["status"].get("succeeded"))
    name = finished["metadata"]["name"]
    every = "0" if per_job == 1 else "0-1"
    record = {"v": 1, "devices": per_job, "outcomes": {"scored": every}, "rows": 60 * per_job}
    storage.records[name] = json.dumps(record).encode()
    runs.cluster.kubectl("-n", runs.namespace, "delete", "job", name)
    seen = [runs.status()["devices"]["scored"]]

    def over(status: dict[str, Any]) -> bool:
        seen.append(status["devices"]["scored"])
        return "completionTime" in status

    async with running_controller(storage):
        status = await until_status(runs, over)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", DEVICES)
    assert status["results"]["rows"] == 60 * DEVICES
    assert seen == sorted(seen)
    created = runs.created_jobs()
    assert set(created.values()) == {1}
    assert len(created) == DEVICES // per_job


@pytest.mark.parametrize("devices", [None, {"ids": [f"press-{n}" for n in range(DEVICES)]}])
async def test_deleted_device_list_is_rebuilt_from_the_same_listing(
    runs: Runs, running_controller: RunController, devices: dict[str, Any] | None
) -> None:
    storage = storage_with_devices(DEVICES)
    await begun(runs, running_controller, storage, **({"devices": devices} if devices else {}))
    delete_config_maps(runs, progress=False)
    async with running_controller(storage):
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", DEVICES)
    assert set(runs.created_jobs().values()) == {1}


@pytest.mark.parametrize("reason", ["ProgressLost", "DeviceListLost"])
async def test_deleted_state_fails_the_run_if_the_fleet_has_changed(
    runs: Runs, running_controller: RunController, reason: str
) -> None:
    storage = storage_with_devices(DEVICES)
    await begun(runs, running_controller, storage)
    delete_config_maps(runs, progress=reason == "ProgressLost")
    storage.models.append("a-new-one")
    async with running_controller(storage):
        status = await ended(runs)
        assert condition(status, "Failed")["reason"] == reason
        assert "retryOf" in condition(status, "Failed")["message"]
        assert adds_up(status)
        assert status["devices"]["scored"] >= 4
        again = runs.create("again")
        assert (await ended(runs, "again"))["phase"] == "Complete", again


async def test_deleted_state_is_rebuilt_after_a_storage_outage(runs: Runs, running_controller: RunController) -> None:
    storage = storage_with_devices(DEVICES)
    await begun(runs, running_controller, storage)
    delete_config_maps(runs, progress=False)
    storage.down = True
    async with running_controller(storage):
        status = await until_status(runs, lambda status: bool(blocked(status)))
        assert adds_up(status)
        storage.down = False
        assert (await ended(runs))["devices"]["scored"] == DEVICES
