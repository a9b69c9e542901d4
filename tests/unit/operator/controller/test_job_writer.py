from typing import Any

import pytest

from scoring_operator.api.names import report_job_name
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.job_writer import Creation, JobWriter, blocker_for, run_all
from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    LeaseLost,
    NameConflict,
    NotFound,
    QuotaExceeded,
    Throttled,
    Unavailable,
)
from scoring_operator.planner.types import JobSnapshot
from scoring_operator.resources.jobs import ScorerImage
from tests.testkit.builders import UID, a_batch, a_job, a_run
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

JOBS = "/apis/batch/v1/namespaces/scoring/jobs"
RUN, FLEET = a_run(), a_fleet("scoring")


class Cluster:
    """A writer with its API server and its tracker."""

    def __init__(self) -> None:
        self.client = InMemoryClient()
        self.jobs = JobTracker(30.0)
        self.writer = JobWriter(self.client, ScorerImage("scorer:test"), self.jobs)

    async def create(self, *names: str) -> Creation:
        return await self.writer.create(RUN, FLEET, ["press-1"], dict.fromkeys(names, a_batch("0")))

    def add(self, name: str, *, owner: str = UID, version: str = "7") -> None:
        metadata: dict[str, Any] = {"name": name, "uid": "job-uid", "resourceVersion": version}
        metadata["ownerReferences"] = [{"uid": owner, "kind": "ScoringRun", "name": "x"}]
        self.client.objects[f"{JOBS}/{name}"] = {"metadata": metadata}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_created_job_has_the_device_of_its_batch_and_is_assumed(cluster: Cluster) -> None:
    assert await cluster.create("job") == Creation(created=["job"])
    container = cluster.client.objects[f"{JOBS}/job"]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][-1] == "press-1"
    assert cluster.jobs.snapshot().assumed == {"job"}


async def test_one_pass_creates_at_most_200_jobs(cluster: Cluster) -> None:
    await cluster.create(*(f"job-{n}" for n in range(201)))
    assert len(cluster.client.objects) == 200


async def test_existing_job_of_the_run_counts_as_created(cluster: Cluster) -> None:
    cluster.add("job")
    assert await cluster.create("job") == Creation(created=["job"])
    assert cluster.jobs.snapshot().assumed == {"job"}


async def test_existing_job_of_another_owner_is_a_blocker(cluster: Cluster) -> None:
    cluster.add("job", owner="another")
    blocker = (await cluster.create("job")).rejected["job"]
    assert (blocker.reason, blocker.message) == (
        "NameConflict",
        "a Job job exists and belongs to ScoringRun x; delete it, or give the run another name",
    )
    assert cluster.jobs.snapshot().assumed == frozenset()


async def test_rejected_job_does_not_stop_the_others(cluster: Cluster) -> None:
    cluster.client.failures["POST", f"{JOBS}/first"] = QuotaExceeded("exceeded quota")
    creation = await cluster.create("first", "second")
    assert creation.rejection is not None
    assert (creation.rejection.reason, creation.rejected, creation.created) == ("QuotaExceeded", {}, ["second"])
    assert cluster.jobs.snapshot().assumed == {"second"}


@pytest.mark.parametrize("error", [Forbidden("a policy denies it"), Invalid("a field is invalid")])
async def test_rejection_that_may_concern_one_job_only_has_its_name(cluster: Cluster, error: ApiError) -> None:
    cluster.client.failures["POST", f"{JOBS}/first"] = error
    creation = await cluster.create("first", "second")
    assert (creation.rejection, creation.rejected) == (None, {"first": blocker_for(error)})
    assert creation.created == ["second"]


async def test_report_job_is_created_and_assumed(cluster: Cluster) -> None:
    assert await cluster.writer.create_report(RUN, FLEET, ["list"]) is None
    assert cluster.jobs.snapshot().assumed == {report_job_name(RUN)}


async def test_suspend_changes_each_job(cluster: Cluster) -> None:
    cluster.add("first")
    cluster.add("second")
    await cluster.writer.suspend(RUN, {"first": True, "second": False, "missing": True})
    suspended = [item["spec"]["suspend"] for item in cluster.client.objects.values()]
    assert suspended == [True, False]
    marks = [item["metadata"]["annotations"]["fleetscore.dev/suspended"] for item in cluster.client.objects.values()]
    assert marks == ["true", None]


@pytest.mark.parametrize("change", ["delete", "suspend"])
async def test_job_that_the_api_server_does_not_have_is_not_visible_any_more(cluster: Cluster, change: str) -> None:
    cluster.add("kept")
    for name in ("kept", "gone"):
        cluster.jobs.on_event(None, a_job(name))
    if change == "delete":
        await cluster.writer.delete(RUN, ["gone"], cluster.jobs.snapshot())
    else:
        await cluster.writer.suspend(RUN, {"gone": True, "kept": True})
    assert list(cluster.jobs.snapshot().visible) == ["kept"]


async def test_replaced_job_is_kept_if_it_has_changed_meanwhile(cluster: Cluster) -> None:
    cluster.add("same", version="7")
    cluster.add("started", version="8")
    visible = {name: a_job(name) for name in ("same", "started")}
    jobs = JobSnapshot(visible, frozenset(), frozenset())
    await cluster.writer.delete(RUN, ["same", "started", "missing"], jobs, unchanged=True)
    assert list(cluster.client.objects) == [f"{JOBS}/started"]


async def test_template_is_computed_once_for_a_fleet_and_is_that_of_created_jobs(cluster: Cluster) -> None:
    fleet = a_fleet("scoring")
    template = cluster.writer.template(RUN, fleet)
    assert cluster.writer.template(RUN, None) == ""
    assert cluster.writer.template(RUN, a_fleet("scoring", scorer={"priorityClassName": "high"})) != template
    await cluster.writer.create(RUN, fleet, ["press-1"], {"job": a_batch("0")})
    job = cluster.client.objects[f"{JOBS}/job"]
    assert job["metadata"]["annotations"]["fleetscore.dev/template"] == template


async def test_delete_keeps_a_new_job_of_the_same_name(cluster: Cluster) -> None:
    cluster.add("same")
    cluster.add("new")
    visible = {"same": a_job("same"), "new": a_job("new", uid="earlier-uid")}
    await cluster.writer.delete(RUN, ["same", "new", "missing"], JobSnapshot(visible, frozenset(), frozenset()))
    assert list(cluster.client.objects) == [f"{JOBS}/new"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QuotaExceeded("exceeded quota"), "QuotaExceeded"),
        (Forbidden("not allowed"), "Forbidden"),
        (Invalid("spec is invalid"), "JobRejected"),
        (Throttled("too many requests"), "Throttled"),
        (NotFound("namespace not found"), "NamespaceNotFound"),
        (NameConflict("a Job of another run"), "NameConflict"),
        (ApiError("HTTP 418"), "ApiError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_rejected_request_returns_blocker_with_reason(error: ApiError, reason: str) -> None:
    blocker = blocker_for(error)
    assert blocker is not None
    assert blocker.reason == reason
    assert error.message in blocker.message


def test_webhook_that_does_not_respond_is_named() -> None:
    text = 'Internal error occurred: failed calling webhook "jobs.kyverno.io": connection refused'
    blocker = blocker_for(Unavailable(text, status=500))
    assert blocker is not None
    assert (blocker.reason, blocker.permanent) == ("WebhookFailed", False)
    assert text in blocker.message


@pytest.mark.parametrize("error", [Conflict("changed"), AlreadyExists("exists"), Unavailable("no response")])
def test_transient_api_error_returns_no_blocker(error: ApiError) -> None:
    assert blocker_for(error) is None


@pytest.mark.parametrize("error", [LeaseLost("not the leader"), ValueError("a defect")])
async def test_lost_lease_and_unexpected_error_are_raised_after_all_requests_ended(error: Exception) -> None:
    ended = []

    async def fail() -> None:
        raise error

    async def succeed() -> None:
        ended.append(True)

    with pytest.raises(type(error)):
        await run_all([fail(), succeed()])
    assert ended
