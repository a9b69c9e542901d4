"""ScoringRuns of authors who mean harm, and pods that lie; on a real API server."""

import json
from typing import Any

import pytest

from localcluster.errors import ClusterError
from localcluster.kubernetes.api import ApiError
from localcluster.nodes import stages
from tests.testkit.conditions import condition
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import HOUR, PodBehaviour, Runs, ended, hour, until_status

POD = {"hostNetwork": True, "serviceAccountName": "theirs", "containers": [{"name": "theirs", "image": "theirs"}]}


@pytest.mark.fault("T1", "T2")
async def test_unknown_fields_of_a_run_are_dropped_and_pods_are_unchanged(
    runs: Runs, running_controller: RunController
) -> None:
    smuggled = {"image": "theirs", "serviceAccountName": "theirs", "template": {"spec": POD}, "podSpecPatch": "{}"}
    async with running_controller(storage_with_devices(2)):
        runs.create("plain", window=hour(1))
        stored = runs.create("wild", labels={"azure.workload.identity/use": "true"}, window=hour(2), **smuggled)
        assert not smuggled.keys() & stored["spec"].keys()
        for name in ("plain", "wild"):
            assert (await ended(runs, name))["phase"] == "Complete"
    plain, wild = ([without_arguments(pod) for pod in runs.pod_specs(name)] for name in ("plain", "wild"))
    assert wild == plain
    assert len(wild) == 2


def without_arguments(pod: dict[str, Any]) -> dict[str, Any]:
    return pod | {"containers": [container | {"args": []} for container in pod["containers"]]}


@pytest.mark.fault("T10", "T11")
async def test_largest_allowed_run_is_applied_scored_and_deleted(runs: Runs, running_controller: RunController) -> None:
    ids = [f"{number:04}{'#' * 124}" for number in range(1000)]
    spec = {"window": HOUR, "devices": {"ids": ids}, "tags": [f"{n:02}{'€' * 254}" for n in range(100)]}
    run = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "metadata": {"name": "hourly"}}
    async with running_controller(storage_with_devices(0)):
        # As people do it: kubectl keeps a copy of all of it in an annotation.
        body = json.dumps(run | {"spec": spec | {"devicesPerJob": 500}})
        runs.cluster.kubectl("-n", runs.namespace, "apply", "-f", "-", input=body)
        status = await ended(runs)
        assert (status["phase"], status["devices"]["scored"]) == ("Complete", 1000)
        assert len(json.dumps(status)) < 32 * 1024
        meta = runs.get()["metadata"]
        assert set(meta["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
        assert "finalizers" not in meta
        runs.cluster.kubectl("-n", runs.namespace, "delete", "sr", "hourly", "--timeout=180s")


@pytest.mark.fault("T10")
@pytest.mark.parametrize(
    "spec",
    [
        {"devices": {"ids": [f"{number}" for number in range(1001)]}},
        {"devices": {"ids": ["x" * 129]}},
        {"devices": {"include": ["*" * 129]}},
        {"devices": {"include": [f"{number}*" for number in range(101)]}},
        {"tags": [f"{number}" for number in range(101)]},
        {"tags": ["x" * 257]},
        {"fleet": "x" * 64},
        {"parallelism": 10**9},
        {"maxDevices": 10**9},
        {"resources": {"limits": {"memory": "9" * 25}}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_run_above_a_limit_of_the_crd_is_rejected(runs: Runs, spec: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match=r"may not be more|must have at most|Too long|less than or equal|should match"):
        runs.create(**spec)


@pytest.mark.fault("F24")
@pytest.mark.parametrize(
    ("bad", "good"),
    [
        pytest.param({"parallelism": 0}, {"parallelism": 10_000}, id="rejected by a limit"),
        pytest.param({"parallelism": "many"}, {"parallelism": 1}, id="of another type"),
        pytest.param({"window": hour(3)}, {"maxFailedDevices": 0}, id="not to be changed"),
        pytest.param({"maxEmptyDevices": "200%"}, {"maxEmptyDevices": "100%"}, id="rejected by a rule"),
        pytest.param({"activeDeadlineSeconds": 10**12}, {"activeDeadlineSeconds": 604_800}, id="beyond all numbers"),
    ],
)
async def test_run_continues_after_an_invalid_edit_is_corrected(
    runs: Runs, running_controller: RunController, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    async with running_controller(storage_with_devices(8)):
        runs.create(parallelism=2)
        await until_status(runs, lambda status: status.get("devices", {}).get("scored", 0) >= 1)
        with pytest.raises(ClusterError, match=r"Invalid value|cannot be changed|must be|is invalid"):
            runs.change(**bad)
        runs.change(**good)
        assert (await ended(runs))["devices"]["scored"] == 8
    assert set(runs.created_jobs().values()) == {1}


@pytest.mark.fault("F24")
async def test_constantly_edited_run_scores_every_device_once(runs: Runs, running_controller: RunController) -> None:
    async with running_controller(storage_with_devices(8)):
        runs.create(parallelism=2)
        for _ in range(4):
            runs.change(suspend=True, parallelism=1, maxFailedDevices=0)
            runs.change(suspend=False, parallelism=4, maxFailedDevices="100%")
        assert (await ended(runs))["devices"]["scored"] == 8


LIES = {
    "binary": "\x01\x02\x1b[2J",
    "long": "A" * 4096,
    "nested": "[" * 4000,
    "more-devices": '{"v":1,"devices":9,"outcomes":{"scored":"0-8"},"rows":9}',
    "others": '{"v":1,"devices":1,"outcomes":{"scored":"7"},"rows":9}',
    "twice": '{"v":1,"devices":1,"outcomes":{"scored":"0","failed":"0"},"rows":9}',
    "huge": '{"v":1,"devices":1,"outcomes":{"scored":"0-999999999"},"rows":99999999999999999999}',
}


@pytest.mark.fault("T9", "T18")
async def test_false_message_of_a_pod_affects_only_its_own_device(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    storage = storage_with_devices(0)
    storage.models = [*LIES, "honest"]
    for name, lie in LIES.items():
        pod_behaviour(stages.finish_pods(f"lie-{name}", arguments=[name], weight=100_000, message=lie))
    async with running_controller(storage):
        runs.create(maxFailedDevices="100%", backoffLimit=0)
        await until_status(runs, lambda status: status.get("devices", {}).get("total") == len(LIES) + 1)
        storage.records.update((job["metadata"]["name"], b"\xff" * 99) for job in runs.jobs())
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"], status["devices"]["failed"]) == ("Complete", 1, len(LIES))
    assert status["results"]["rows"] == 60
    assert condition(status, "Degraded")["status"] == "True"
    assert "\x1b" not in json.dumps(status, ensure_ascii=False)
