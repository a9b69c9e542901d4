import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.views import JobView
from scoring_operator.controller.controller import Controller
from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.controller.timings import ControllerTimings, Timings
from scoring_operator.errors import ApiError, Forbidden, Invalid, LeaseLost, QuotaExceeded, Unavailable
from scoring_operator.resources.jobs import ScorerImage
from tests.testkit.builders import a_body, a_job, a_message
from tests.testkit.conditions import condition as condition_of
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.testkit.waiting import until_async
from tests.unit.operator.controller.in_memory_client import InMemoryClient

if TYPE_CHECKING:
    from scoring_operator.kube.informer import Informer

RUNS = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns"
JOBS = "/apis/batch/v1/namespaces/scoring/jobs"
SHORT = Timings(
    controller=ControllerTimings(min_reconcile_interval=0, save_interval=0, status_interval=0, list_retry_interval=0)
)


class Jobs:
    """The part of an informer that the controller uses."""

    def on_change(self, listener: Callable[[JobView | None, JobView | None], None]) -> None:
        self.notify = listener

    def __init__(self) -> None:
        self.listed = asyncio.Event()
        self.listed.set()

    async def wait_for_sync(self) -> None:
        return

    async def wait_for_namespace(self, _namespace: str) -> None:
        await self.listed.wait()


class Cluster:
    """A controller with its API server, its storage and its informer."""

    def __init__(self, *bodies: dict[str, Any], timings: ControllerTimings = SHORT.controller) -> None:
        self.client = InMemoryClient()
        self.storage = InMemoryStorage(["fan-1", "press-1"])
        self.jobs = Jobs()
        for body in bodies:
            self.add(body)
        self.client.lists[RUNS] = list(bodies)
        self.controller = Controller(
            self.client,
            cast("Informer[JobView]", self.jobs),
            {"default": a_fleet("scoring")},
            self.storage,
            ScorerImage("scorer:test"),
            namespaces=("scoring",),
            timings=Timings(controller=timings),
        )

    def add(self, body: dict[str, Any]) -> None:
        self.client.objects[f"{RUNS}/{body['metadata']['name']}"] = body

    def notify(self, name: str, body: dict[str, Any] | None = None) -> None:
        self.controller.on_run_event("scoring", name, body)

    def status(self, name: str = "hourly") -> dict[str, Any]:
        status: dict[str, Any] = self.client.objects[f"{RUNS}/{name}"].get("status", {})
        return status

    def job_names(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.client.objects if path.startswith(JOBS)]

    def loads(self) -> list[tuple[int, bool, str]]:
        return [(load.active, load.queued, load.stalled_reason) for load in self.controller.loads()]

    async def until(self, done: Callable[[], object]) -> None:
        await until_async(done)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.controller.run())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_listed_run_is_reconciled() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: cluster.status().get("phase") == "Running")
        await cluster.until(lambda: cluster.loads() == [(2, False, "")])


@pytest.mark.parametrize(("devices", "seconds"), [(19, 0.0), (20, 0.3)])
async def test_events_are_gathered_while_20_jobs_are_active(devices: int, seconds: float) -> None:
    cluster = Cluster(a_body(parallelism=20))
    cluster.storage.models = [f"press-{number}" for number in range(devices)]
    assert cluster.controller.gathering_time == 0.0
    async with cluster.running():
        await cluster.until(lambda: cluster.loads() == [(devices, False, "")])
        assert cluster.controller.gathering_time == seconds
        cluster.client.urgent = True
        assert cluster.controller.gathering_time == 0.0


@pytest.mark.parametrize(("phase", "jobs"), [("", 2), ("Queued", 2), ("Pending", 0)])
async def test_pass_of_a_discovery_is_followed_at_once_if_it_changes_the_phase(phase: str, jobs: int) -> None:
    body = a_body() | {"status": {"phase": phase}}
    cluster = Cluster(body, timings=ControllerTimings(min_reconcile_interval=3600))
    async with cluster.running():
        await cluster.until(lambda: any("configmaps" in path for path in cluster.client.objects))
        for _ in range(100):  # far more turns than a pass takes in memory
            await asyncio.sleep(0)
        assert len(cluster.job_names()) == jobs


async def test_run_of_an_event_is_reconciled() -> None:
    cluster = Cluster()
    async with cluster.running():
        cluster.add(a_body())
        cluster.notify("hourly", a_body())
        await cluster.until(lambda: cluster.status().get("phase") == "Running")


async def test_deleted_run_is_removed() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(cluster.loads)
        del cluster.client.objects[f"{RUNS}/hourly"]
        cluster.notify("hourly")
        await cluster.until(lambda: not cluster.loads())


async def test_slow_check_of_a_deleted_run_does_not_delay_other_events(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, checks = Cluster(a_body()), []

    async def never_ends(reconciler: RunReconciler) -> None:
        checks.append(reconciler.run.name)
        await asyncio.Event().wait()

    monkeypatch.setattr(RunReconciler, "refresh", never_ends)
    async with cluster.running():
        await cluster.until(cluster.loads)
        cluster.notify("hourly")
        await cluster.until(lambda: checks == ["hourly"])
        other = a_body("other", uid="other-uid")
        cluster.add(other)
        cluster.notify("other", other)
        await cluster.until(lambda: cluster.status("other").get("phase") == "Queued")


async def test_run_that_a_late_event_calls_deleted_is_kept() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(cluster.loads)
        cluster.notify("hourly")
        cluster.notify("unknown")
        await asyncio.sleep(0.05)
        assert len(cluster.loads()) == 1


async def test_new_run_of_a_deleted_name_replaces_the_old_one() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: cluster.status().get("phase") == "Running")
        new = a_body(uid="new-uid")
        new["metadata"]["creationTimestamp"] = "2026-11-24T13:00:00Z"
        cluster.add(new)
        cluster.notify("hourly", new)
        await cluster.until(lambda: cluster.status().get("phase") == "Running")
        cluster.notify("hourly", a_body())  # a late event of the old run
        await asyncio.sleep(0.05)
        assert len(cluster.loads()) == 1


@pytest.mark.fault("T12")
async def test_jobs_of_a_run_that_is_being_deleted_are_deleted_and_count_meanwhile() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: len(cluster.job_names()) == 2)
        for name in cluster.job_names():
            cluster.client.objects[f"{JOBS}/{name}"]["metadata"]["uid"] = "job-uid"
            cluster.jobs.notify(None, a_job(name))
        body = cluster.client.objects[f"{RUNS}/hourly"]
        body["metadata"] |= {"deletionTimestamp": "2026-11-24T12:00:00Z", "resourceVersion": "99"}
        cluster.notify("hourly", body)
        await cluster.until(lambda: not cluster.job_names())
        assert cluster.loads() == [(2, False, "")]


async def test_run_that_is_being_deleted_at_the_start_creates_no_job() -> None:
    body = a_body()
    body["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    cluster = Cluster(body)
    async with cluster.running():
        await cluster.until(cluster.loads)
        await asyncio.sleep(0.05)
        assert (cluster.loads(), cluster.job_names()) == ([(0, False, "")], [])


async def test_job_of_another_namespace_is_not_the_runs() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: len(cluster.job_names()) == 2)
        job = a_job(cluster.job_names()[0], complete=True)
        elsewhere = msgspec.structs.replace(job, metadata=msgspec.structs.replace(job.metadata, namespace="elsewhere"))
        cluster.jobs.notify(None, elsewhere)
        assert cluster.loads() == [(2, False, "")]


async def test_invalid_run_has_the_reason_in_its_status() -> None:
    cluster = Cluster(a_body(parallelism="many"))
    async with cluster.running():
        await cluster.until(cluster.status)
    condition = cluster.status()["conditions"][-1]
    assert (condition["type"], condition["reason"]) == ("Stalled", "InvalidSpec")
    assert "parallelism" in condition["message"]


async def test_conflicting_run_is_queued_until_the_other_has_ended() -> None:
    second = a_body("second", uid="second-uid")
    cluster = Cluster(a_body(), second)
    async with cluster.running():
        await cluster.until(lambda: cluster.status("second").get("phase") == "Queued")
        assert [queued for _, queued, _ in cluster.loads()] == [False, True]
        cancelled = cluster.client.edit(f"{RUNS}/hourly", cancel=True)
        cluster.notify("hourly", cancelled)
        await cluster.until(lambda: cluster.status("second").get("phase") == "Running")


async def test_failed_pass_of_one_run_is_retried_and_does_not_stop_another() -> None:
    window = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}
    cluster = Cluster(a_body(), a_body("second", uid="second-uid", window=window))
    cluster.client.failures["PATCH", f"{RUNS}/hourly"] = Unavailable("no response")
    async with cluster.running():
        await cluster.until(lambda: cluster.status("second").get("phase") == "Running")
        await cluster.until(lambda: cluster.status().get("phase") == "Running")


@pytest.mark.parametrize(
    ("error", "condition", "reason"),
    [
        (QuotaExceeded("exceeded quota: count/configmaps=2"), "Waiting", "QuotaExceeded"),
        (Forbidden("a policy denies it"), "Stalled", "Forbidden"),
        (Invalid("a label is missing"), "Stalled", "RequestRejected"),
    ],
    ids=["quota", "policy", "rule"],
)
async def test_rejected_device_list_is_reported_until_it_is_stored(
    error: ApiError, condition: str, reason: str
) -> None:
    cluster = Cluster(a_body(), timings=replace(SHORT.controller, discovery_retry_interval=0.05))
    cluster.client.rejected["POST", "configmaps"] = error
    async with cluster.running():
        await cluster.until(lambda: true_condition(cluster.status(), condition))
        assert condition_of(cluster.status(), condition)["reason"] == reason
        assert cluster.status()["message"].endswith(error.message)
        cluster.client.rejected.clear()
        await cluster.until(lambda: cluster.status()["phase"] == "Running")
    assert not true_condition(cluster.status(), condition)


async def test_rejected_progress_is_reported_until_it_is_saved() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: cluster.loads() == [(2, False, "")])
        await cluster.until(lambda: cluster.status().get("devices"))
        cluster.client.rejected["PUT", "configmaps"] = Invalid("the field is immutable when `immutable` is set")
        before = cluster.status()["devices"]
        for name in cluster.job_names():
            cluster.storage.records[name] = a_message(1).encode()
            cluster.jobs.notify(None, a_job(name, complete=True))

        def is_stalled() -> object:
            cluster.notify("hourly", cluster.client.edit(f"{RUNS}/hourly", parallelism=9))  # the next pass, at once
            return true_condition(cluster.status(), "Stalled")

        await cluster.until(is_stalled)
        found = cluster.status()
        assert condition_of(found, "Stalled")["reason"] == "RequestRejected"
        assert (found["phase"], found["devices"]) == ("Running", before)
        cluster.client.rejected.clear()
        cluster.notify("hourly", cluster.client.edit(f"{RUNS}/hourly", parallelism=9))
        await cluster.until(lambda: cluster.status()["phase"] == "Complete")
    assert not true_condition(cluster.status(), "Stalled")


async def test_change_of_metadata_needs_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, passes, reconcile = Cluster(a_body()), [], RunReconciler.reconcile

    async def counted(reconciler: RunReconciler) -> float | None:
        passes.append(reconciler.run.resource_version)
        return await reconcile(reconciler)

    monkeypatch.setattr(RunReconciler, "reconcile", counted)
    async with cluster.running():
        await cluster.until(lambda: cluster.loads() == [(2, False, "")])
        await cluster.until(lambda: cluster.status().get("devices", {}).get("active") == 2)
        await asyncio.sleep(0.05)
        before = len(passes)
        for number in range(20):
            body = cluster.client.objects[f"{RUNS}/hourly"]
            body["metadata"] |= {"resourceVersion": f"9{number:02}", "annotations": {"x": str(number)}}
            cluster.notify("hourly", body)
            await asyncio.sleep(0.001)
        assert len(passes) == before
        cluster.notify("hourly", cluster.client.edit(f"{RUNS}/hourly", parallelism=1))
        await cluster.until(lambda: len(passes) > before)


async def test_lost_lease_ends_the_controller() -> None:
    cluster = Cluster(a_body())
    cluster.client.failures["PATCH", f"{RUNS}/hourly"] = LeaseLost("not the leader")
    with pytest.raises(ExceptionGroup) as ended:
        await cluster.controller.run()
    assert ended.group_contains(LeaseLost)


async def test_jobs_that_are_visible_before_their_run_belong_to_it() -> None:
    cluster = Cluster(a_body())
    job = a_job("early")
    cluster.jobs.notify(None, a_job("other", owner=""))
    cluster.jobs.notify(None, job)
    cancelled = {"type": "Failed", "status": "True", "reason": "Cancelled"}
    ended = a_body() | {"status": {"phase": "Cancelled", "conditions": [cancelled]}}
    cluster.client.lists[RUNS] = [ended]
    cluster.client.objects[f"{JOBS}/early"] = {"metadata": {"name": "early", "uid": "job-uid"}}
    async with cluster.running():
        await cluster.until(lambda: f"{JOBS}/early" not in cluster.client.objects)
        cluster.jobs.notify(job, None)
        await cluster.until(lambda: cluster.loads() == [(0, False, "")])


async def test_run_has_no_pass_before_the_jobs_of_its_namespace_are_listed() -> None:
    cluster = Cluster(a_body())
    cluster.jobs.listed.clear()
    async with cluster.running():
        await cluster.until(cluster.loads)
        await asyncio.sleep(0.05)
        assert cluster.client.count("PATCH") == 0
        cluster.jobs.listed.set()
        await cluster.until(lambda: cluster.status().get("phase") == "Running")


async def test_runs_are_listed_again_after_a_failure() -> None:
    cluster = Cluster(a_body())
    cluster.client.failures["LIST", f"{RUNS}?&"] = Unavailable("no response")
    async with cluster.running():
        await cluster.until(lambda: cluster.status().get("phase") == "Running")
    assert cluster.client.count("LIST") == 2


async def test_run_that_is_missing_in_a_list_is_removed() -> None:
    cluster = Cluster(a_body(), timings=replace(SHORT.controller, resync_interval=0.05))
    async with cluster.running():
        await cluster.until(cluster.loads)
        cluster.client.lists[RUNS] = []
        await asyncio.sleep(0.1)
        assert len(cluster.loads()) == 1  # the object exists, so the list was stale
        del cluster.client.objects[f"{RUNS}/hourly"]
        await cluster.until(lambda: not cluster.loads())


async def test_run_that_cannot_be_read_is_kept() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: cluster.status().get("phase") == "Running")
        cluster.client.failures["GET", f"{RUNS}/hourly"] = Unavailable("no response")
        cluster.notify("hourly")
        await cluster.until(lambda: not cluster.client.failures)
        assert len(cluster.loads()) == 1


async def test_end_of_a_job_wakes_its_run() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: cluster.loads() == [(2, False, "")])
        for path in [path for path in cluster.client.objects if path.startswith(JOBS)]:
            name = path.rpartition("/")[2]
            cluster.storage.records[name] = a_message(1).encode()
            cluster.jobs.notify(None, a_job(name, complete=True))
        await cluster.until(lambda: cluster.status().get("phase") == "Complete")


async def test_rejection_of_passes_is_reported_when_the_next_retry_is_in_8_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster(a_body())
    cluster.client.rejected["GET", "configmaps"] = Forbidden("a right is missing")

    def delays() -> list[int]:
        return [int(text) for text in re.findall(r"retry in (\d+) s", caplog.text)]

    before_each_write: list[list[int]] = []

    def record() -> None:
        if cluster.client.requests[-1][0] == "PATCH":
            before_each_write.append(delays())

    def is_reported() -> object:
        cluster.notify("hourly", cluster.client.edit(f"{RUNS}/hourly", parallelism=9))  # the next pass, at once
        return cluster.status()

    cluster.client.on_request = record
    async with cluster.running():
        await cluster.until(is_reported)
    assert before_each_write[0] == [1, 2, 4, 8]


async def test_invalid_run_is_reported_again_after_a_failure() -> None:
    invalid = a_body(parallelism="many")
    cluster = Cluster(invalid)
    cluster.client.failures["PATCH", f"{RUNS}/hourly"] = Unavailable("no response")
    async with cluster.running():
        await cluster.until(lambda: not cluster.client.failures)
        cluster.notify("hourly", invalid)
        await cluster.until(cluster.status)
        writes = cluster.client.count("PATCH")
        cluster.notify("hourly", cluster.client.objects[f"{RUNS}/hourly"])
        await asyncio.sleep(0.05)
        assert cluster.client.count("PATCH") == writes


async def test_job_without_owner_and_labels_takes_no_slot_when_its_run_is_deleted() -> None:
    cluster = Cluster(a_body())
    async with cluster.running():
        await cluster.until(lambda: len(cluster.job_names()) == 2)
        job = a_job(cluster.job_names()[0])
        cluster.jobs.notify(None, job)
        labels = msgspec.structs.replace(job.metadata.labels, run_uid="")
        stripped = msgspec.structs.replace(job.metadata, labels=labels, owner_references=())
        cluster.jobs.notify(job, msgspec.structs.replace(job, metadata=stripped))
        del cluster.client.objects[f"{JOBS}/{job.name}"]
        await cluster.until(lambda: len(set(cluster.job_names()) - {job.name}) == 2)  # its device has a new Job
