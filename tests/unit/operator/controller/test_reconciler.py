import asyncio
from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.errors import Conflict, QuotaExceeded, RunDeleted, Unavailable
from scoring_operator.planner.progress_codec import decode_progress
from scoring_operator.resources import config_maps
from tests.testkit.builders import UID, a_body, a_job, a_message, a_run, later, pod_metadata
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient
from tests.unit.operator.controller.one_run import IMMEDIATE, JOBS, PODS, PROGRESS, RUN_PATH, OneRun

VERSION = {"resourceVersion": "99"}  # of an edited object


@pytest.fixture
def cluster() -> OneRun:
    return OneRun()


async def test_first_pass_discovers_and_second_creates_the_jobs(cluster: OneRun) -> None:
    assert await cluster.reconcile() == 0.0
    assert (cluster.reconciler.phase, cluster.job_names()) == ("Pending", [])
    await cluster.reconcile()
    assert (cluster.reconciler.phase, len(cluster.job_names())) == ("Running", 2)
    assert cluster.limiter.active(UID) == 2


async def test_job_is_created_after_its_reservation_is_saved(cluster: OneRun) -> None:
    await cluster.reconcile(2)
    requests = [request for request in cluster.client.requests if request[1] == PROGRESS or request[1].startswith(JOBS)]
    creations = [index for index, request in enumerate(requests) if request[1].startswith(JOBS)]
    assert ("PUT", PROGRESS) in requests[: creations[0]]
    content = config_maps.config_map_content(cluster.client.objects[PROGRESS], config_maps.PROGRESS_KEY)
    assert set(cluster.job_names()) == set(decode_progress(content).open_batches)


async def test_failed_save_creates_no_job(cluster: OneRun) -> None:
    await cluster.reconcile()
    cluster.client.failures["PUT", PROGRESS] = Unavailable("no response")
    with pytest.raises(Unavailable):
        await cluster.reconcile()
    assert cluster.job_names() == []
    await cluster.reconcile()
    assert len(cluster.job_names()) == 2


async def test_run_completes_with_the_results_of_its_jobs(cluster: OneRun) -> None:
    await cluster.reconcile(2)
    for name in cluster.job_names():
        cluster.complete(name)
    await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["scored"]) == ("Complete", 2)
    await cluster.reconcile()
    assert report_job_name(cluster.reconciler.run) in cluster.job_names()


async def test_cancelled_run_waits_for_the_results_of_complete_jobs(cluster: OneRun) -> None:
    await cluster.reconcile(2)
    first, second = cluster.job_names()
    cluster.show(second)
    cluster.complete(first)
    cluster.reconciler.update(parse_run(a_body(generation=2, cancel=True) | {"status": cluster.status}))
    cluster.client.objects[RUN_PATH]["metadata"]["resourceVersion"] = "7"
    assert await cluster.reconcile() == 0.0
    assert cluster.status["phase"] == "Running"
    async with asyncio.timeout(120):
        while cluster.status["phase"] == "Running":  # the results are collected concurrently
            await asyncio.sleep(0)
            await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["scored"]) == ("Cancelled", 1)


async def test_cancelled_run_ends_although_an_outcome_record_cannot_be_read() -> None:
    cluster = OneRun(replace(IMMEDIATE, storage_backoff=0.01))
    await cluster.reconcile(2)
    first, second = cluster.job_names()
    cluster.show(second)
    cluster.complete(first)
    cluster.storage.down = True
    cluster.reconciler.update(parse_run(a_body(generation=2, cancel=True) | {"status": cluster.status}))
    cluster.client.objects[RUN_PATH]["metadata"]["resourceVersion"] = "7"
    async with asyncio.timeout(120):
        while cluster.status["phase"] == "Running":
            await asyncio.sleep(0)
            await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["notRun"]) == ("Cancelled", 2)


@pytest.mark.fault("T3")
@pytest.mark.parametrize(
    ("edit", "reason"),
    [({"binaryData": {}}, "ProgressInvalid"), ({"metadata": VERSION}, "NameConflict")],
    ids=["damaged", "without an owner"],
)
async def test_run_ends_if_its_progress_becomes_invalid_while_the_operator_runs(
    cluster: OneRun, edit: dict[str, Any], reason: str
) -> None:
    await cluster.reconcile(2)
    cluster.client.objects[PROGRESS] |= {"metadata": cluster.client.objects[PROGRESS]["metadata"] | VERSION} | edit
    cluster.complete(cluster.job_names()[0])
    with pytest.raises(Conflict):
        await cluster.reconcile()
    await cluster.reconcile()
    failed = true_condition(cluster.status, "Failed")
    assert failed is not None
    assert failed.reason == reason


@pytest.mark.parametrize(
    ("fleets", "reason"),
    [
        ([], "FleetNotFound"),
        ([a_fleet("elsewhere")], "NamespaceNotAllowed"),
        ([a_fleet("scoring", storage={"models": "elsewhere"})], "FleetChanged"),
    ],
)
async def test_run_that_loses_its_fleet_ends_with_the_cause_and_the_results_in_pods(
    fleets: list[Fleet], reason: str
) -> None:
    cluster = OneRun()
    await cluster.reconcile(2)
    first, second = cluster.job_names()
    cluster.restart(*fleets)
    cluster.storage.down = True
    cluster.show(first, complete=True)
    cluster.show(second, ready=True)
    ended = {"name": "scorer", "state": {"terminated": {"exitCode": 0, "message": a_message(1)}}}
    pod = {"metadata": pod_metadata(first), "status": {"phase": "Succeeded", "containerStatuses": [ended]}}
    cluster.client.lists[PODS] = [pod]
    async with asyncio.timeout(120):
        while cluster.status["phase"] == "Running":
            await cluster.reconcile()
            await asyncio.sleep(0)
    failed = true_condition(cluster.status, "Failed")
    assert failed is not None
    assert failed.reason == reason
    assert (cluster.status["devices"]["scored"], cluster.status["devices"]["notRun"]) == (1, 1)


def waiting(cluster: OneRun) -> str:
    """Return the reason of the condition Waiting, if it is True."""
    found = true_condition(cluster.status, "Waiting")
    return found.reason if found else ""


async def at_its_deadline() -> OneRun:
    """Return a run whose first scorer has ended, although its pod runs, and whose second scorer runs."""
    cluster = OneRun(activeDeadlineSeconds=3)
    await cluster.reconcile(2)
    first, second = sorted(cluster.job_names())
    cluster.show(first)
    cluster.show(second, ready=True)
    await cluster.reconcile()
    ended = {"name": "scorer", "state": {"terminated": {"exitCode": 0, "message": a_message(1)}}}
    pod = {"metadata": pod_metadata(first), "status": {"phase": "Running", "containerStatuses": [ended]}}
    cluster.client.lists[PODS] = [pod]
    cluster.client.time = later(4)
    return cluster


async def test_run_ends_at_its_deadline_with_the_results_of_scorers_that_ended() -> None:
    cluster = await at_its_deadline()
    assert await cluster.reconcile() == 0.0
    assert cluster.status["phase"] == "Running"
    await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["scored"], cluster.status["devices"]["notRun"]) == (
        "Failed",
        1,
        1,
    )


async def test_results_before_the_end_are_read_again_after_a_failed_pass() -> None:
    cluster = await at_its_deadline()
    await cluster.reconcile()
    cluster.client.failures["PUT", PROGRESS] = Unavailable("no response")
    with pytest.raises(Unavailable):
        await cluster.reconcile()
    await cluster.reconcile(2)
    assert (cluster.status["phase"], cluster.status["devices"]["scored"]) == ("Failed", 1)


async def test_unavailable_storage_stalls_the_run_and_is_retried(cluster: OneRun) -> None:
    cluster.storage.down = True
    assert await cluster.reconcile() == 5.0
    await cluster.reconcile()
    assert waiting(cluster) == "StorageUnavailable"
    cluster.storage.down = False
    await cluster.reconcile(2)
    assert cluster.reconciler.phase == "Running"


async def test_rejected_job_stalls_the_run(cluster: OneRun) -> None:
    await cluster.reconcile(2)
    names = cluster.job_names()
    other = OneRun()
    await other.reconcile()
    for name in names:
        other.client.failures["POST", f"{JOBS}/{name}"] = QuotaExceeded("exceeded quota")
    await other.reconcile(2)
    assert waiting(other) == "QuotaExceeded"


async def test_progress_is_saved_once_per_interval_but_a_new_phase_at_once() -> None:
    cluster = OneRun(replace(IMMEDIATE, save_interval=60))
    await cluster.reconcile(2)
    assert cluster.status["phase"] == "Running"
    saves = cluster.client.count("PUT")
    cluster.complete(cluster.job_names()[0])
    await cluster.reconcile(3)
    assert cluster.client.count("PUT") == saves
    assert cluster.status["devices"]["scored"] == 0


async def test_idle_running_run_is_inspected_after_the_stall_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    cluster = OneRun()
    await cluster.reconcile(3)
    assert await cluster.reconcile() == pytest.approx(20.1)


def test_older_state_of_the_run_is_ignored(cluster: OneRun) -> None:
    newer, older = a_run(generation=3), a_run(generation=2)
    cluster.reconciler.update(newer)
    cluster.reconciler.update(older)
    assert cluster.reconciler.run is newer


async def test_state_that_is_read_later_than_a_newer_event_is_ignored(cluster: OneRun) -> None:
    newer = a_run(generation=3)
    cluster.reconciler.update(newer)
    await cluster.reconciler.refresh()
    assert cluster.reconciler.run is newer


async def test_job_event_of_an_ended_run_requires_no_pass(cluster: OneRun) -> None:
    await cluster.reconcile(2)
    name = cluster.job_names()[0]
    assert cluster.show(name, ready=True)  # the first pod
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    cluster.reconciler.update(a_run(generation=2, status=ended))
    assert not cluster.show(name, complete=True)


async def test_deleted_run_ends_the_passes(cluster: OneRun) -> None:
    await cluster.reconcile()
    del cluster.client.objects[RUN_PATH]
    with pytest.raises(RunDeleted):
        await cluster.reconciler.refresh()
    cluster.limiter.remove(UID)
    with pytest.raises(RunDeleted):
        await cluster.reconcile()


async def test_event_during_a_pass_is_not_replaced_by_the_written_run(cluster: OneRun) -> None:
    cancelled = a_body(generation=2, cancel=True)
    cancelled["metadata"]["resourceVersion"] = "99"

    class Client(InMemoryClient):
        async def patch(self, *arguments: Any, **options: Any) -> Any:
            written = await super().patch(*arguments, **options)
            cluster.reconciler.update(parse_run(cancelled))
            return written

    await cluster.reconcile()
    cluster.client.__class__ = Client
    await cluster.reconcile()
    assert cluster.reconciler.run.spec.cancel


def test_deletion_of_a_finished_job_of_an_ended_run_requires_no_pass(cluster: OneRun) -> None:
    reported = {"type": "Reported", "status": "Unknown", "reason": "ReportPending"}
    status = {"conditions": [{"type": "Complete", "status": "True"}, reported]}
    cluster.reconciler.update(a_run(generation=3, status=status))
    good, report = a_job("good", complete=True), a_job(report_job_name(a_run()), complete=True)
    assert not cluster.reconciler.on_job_event(good, None)  # the clean-up is paced
    assert cluster.reconciler.on_job_event(report, None)
