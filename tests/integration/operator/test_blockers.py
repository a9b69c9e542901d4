"""A blocker of a run is reported as Stalled or Waiting, and the run continues afterwards; on a real API server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from localcluster.nodes import stages
from scoring_operator.api.names import progress_config_map_name
from scoring_operator.api.scoringrun import RunRef
from scoring_operator.controller.timings import ControllerTimings, Timings
from scoring_operator.errors import Throttled
from scoring_operator.kube.client import ClientTimeouts
from scoring_operator.kube.transport import Request, Transport
from tests.testkit.conditions import blocked, condition
from tests.testkit.in_memory_storage import InMemoryStorage, storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import PodBehaviour, Runs, ended, hour, until_status


async def stalled(runs: Runs, reason: str) -> dict[str, Any]:
    """Wait until the run is Stalled or Waiting for this reason; the condition."""
    status = await until_status(runs, lambda status: blocked(status).get("reason") == reason)
    assert "completionTime" not in status
    assert blocked(status)["message"] in status["message"]
    return blocked(status)


async def recovered(runs: Runs, scored: int) -> None:
    status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", scored)
    assert not blocked(status)
    assert condition(status, "Ready")["status"] == "True"


SHORT_TIMINGS = Timings(controller=ControllerTimings(stall_timeout=2.0, inspection_interval=1.0))


async def test_run_with_unstartable_pods_stalls_and_fails_at_its_deadline(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.keep_pods_pending("no-image", arguments=["nothing"], reason="ImagePullBackOff", weight=100_000)
    )
    async with running_controller(InMemoryStorage(["nothing"]), timings=SHORT_TIMINGS):
        runs.create(pendingDeadlineSeconds=3600)
        runs.create("hasty", pendingDeadlineSeconds=8, window=hour(1))
        await stalled(runs, "ImagePullBackOff")
        status = await ended(runs, "hasty")
        assert "completionTime" not in runs.status()
    assert condition(status, "Failed")["reason"] == "PendingDeadlineExceeded"


async def test_job_quota_slows_the_run_without_failures(runs: Runs, running_controller: RunController) -> None:
    quota = runs.create_quota("jobs", {"count/jobs.batch": "2"})
    async with running_controller(storage_with_devices(5)):
        runs.create()
        await stalled(runs, "QuotaExceeded")
        runs.cluster.api.request("DELETE", quota)
        await recovered(runs, 5)


async def test_run_whose_config_maps_are_rejected_says_so_and_continues(
    runs: Runs, running_controller: RunController
) -> None:
    quota = runs.create_quota("maps", {"count/configmaps": "0"})
    async with running_controller(storage_with_devices(6)):
        uid = runs.create(parallelism=1)["metadata"]["uid"]
        assert "exceeded quota" in (await stalled(runs, "QuotaExceeded"))["message"]
        runs.cluster.api.request("DELETE", quota)
        await until_status(runs, lambda status: status.get("devices", {}).get("scored", 0) >= 1)
        name = progress_config_map_name(RunRef("hourly", runs.namespace, uid))
        runs.cluster.kubectl("-n", runs.namespace, "patch", "cm", name, "-p", '{"immutable":true}')
        assert "immutable" in (await stalled(runs, "RequestRejected"))["message"]
        runs.cluster.kubectl("-n", runs.namespace, "delete", "cm", name)
        await recovered(runs, 6)


async def test_pods_rejected_by_a_quota_stall_the_run_until_allowed(
    runs: Runs, running_controller: RunController
) -> None:
    quota = runs.create_quota("pods", {"pods": "0"})
    async with running_controller(storage_with_devices(2), timings=SHORT_TIMINGS):
        runs.create()
        assert "exceeded quota" in (await stalled(runs, "PodsRejected"))["message"]
        runs.cluster.api.request("DELETE", quota)
        await recovered(runs, 2)


async def test_pods_rejected_by_admission_stall_the_run_with_the_message(
    runs: Runs, running_controller: RunController
) -> None:
    group, name = {"apiVersion": "admissionregistration.k8s.io/v1"}, f"no-pods-{runs.namespace}"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": runs.namespace}}
    policy = {
        "matchConstraints": {"resourceRules": [pods], "namespaceSelector": here},
        "validations": [{"expression": "false", "message": "no pods on Sundays"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    objects = [
        {**group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {**group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    ]
    runs.cluster.kubectl("apply", "-f", "-", input="".join(f"---\n{json.dumps(one)}\n" for one in objects))
    try:
        async with running_controller(storage_with_devices(2), timings=SHORT_TIMINGS):
            await asyncio.to_thread(_until_pods_are_refused, runs)
            runs.create()
            assert "no pods on Sundays" in (await stalled(runs, "PodsRejected"))["message"]
            runs.cluster.kubectl("delete", "validatingadmissionpolicybinding", name)
            await recovered(runs, 2)
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            runs.cluster.kubectl("delete", kind, name, "--ignore-not-found")


def _until_pods_are_refused(runs: Runs) -> None:
    """Wait until the API server applies a new policy, which takes a moment."""
    pod = {"containers": [{"name": "x", "image": "x"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "try-"}, "spec": pod}
    runs.until_rejected("POST", f"/api/v1/namespaces/{runs.namespace}/pods?dryRun=All", body)


async def test_missing_right_to_create_jobs_stalls_the_run_until_granted(
    runs: Runs, running_controller: RunController
) -> None:
    rules = [
        (["fleetscore.dev"], ["scoringruns"], ["get", "list", "watch", "delete"]),
        (["fleetscore.dev"], ["scoringruns/status"], ["patch"]),
        (["batch"], ["jobs"], ["get", "list", "watch", "patch", "delete"]),
        ([""], ["pods"], ["list"]),
        ([""], ["configmaps"], ["get", "create", "update"]),
        ([""], ["events"], ["list", "create"]),
    ]
    runs.cluster.kubectl("-n", runs.namespace, "create", "serviceaccount", "operator")
    runs.grant("operator", "most", rules)
    kubeconfig = runs.cluster.create_kubeconfig(runs.namespace, "operator")
    async with running_controller(storage_with_devices(3), kubeconfig=str(kubeconfig)):
        runs.create()
        assert "cannot create resource" in (await stalled(runs, "Forbidden"))["message"]
        runs.grant("operator", "the-rest", [(["batch"], ["jobs"], ["create"])])
        await recovered(runs, 3)


async def test_overloaded_api_server_stalls_the_run_until_it_recovers(
    runs: Runs, running_controller: RunController
) -> None:
    busy = [True]

    class Busy(Transport):
        @asynccontextmanager
        async def send(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
            if busy and request.verb == "POST" and request.path.endswith("/jobs"):
                raise Throttled("too many requests, please try again later", retry_after=0.1)
            async with super().send(request) as response:
                yield response

    timings = Timings(client=ClientTimeouts(retry_budget=1))
    async with running_controller(storage_with_devices(3), timings=timings, transport_type=Busy):
        runs.create()
        await stalled(runs, "Throttled")
        busy.clear()
        await recovered(runs, 3)


async def test_storage_outage_at_the_start_stalls_the_run_until_it_ends(
    runs: Runs, running_controller: RunController
) -> None:
    storage = storage_with_devices(3)
    storage.down = True
    async with running_controller(storage):
        runs.create()
        await stalled(runs, "StorageUnavailable")
        storage.down = False
        await recovered(runs, 3)
