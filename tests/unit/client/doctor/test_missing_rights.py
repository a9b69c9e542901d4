"""A user who lacks one right: a line names it with the cure, nothing unseen is OK, and the other checks continue."""

from collections.abc import Iterator
from typing import Any

import pytest

from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.cluster_checks import check_cluster
from fleetscore.doctor.console_checks import check_consoles
from fleetscore.doctor.findings import Finding, Result
from fleetscore.doctor.fleet_checks import check_fleets, check_schedules
from fleetscore.doctor.gather import gather
from fleetscore.doctor.gather_fleets import Options
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

CORE, BATCH = f"/api/v1/namespaces/{fake.NAMESPACE}", f"/apis/batch/v1/namespaces/{fake.NAMESPACE}"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scoringruns.fleetscore.dev"
ACCOUNTS = {f"{CORE}/serviceaccounts/{name}" for name in ("operator", "scheduler")}
WARNING, PROBLEM, UNKNOWN = Result.WARNING, Result.PROBLEM, Result.UNKNOWN

RIGHTS: dict[str, tuple[set[str], list[tuple[Result, str]]]] = {
    "get namespaces": ({CORE}, [(UNKNOWN, "namespace")]),
    "get customresourcedefinitions": ({CRD}, [(UNKNOWN, "versions")]),
    "list deployments": (
        {fake.DEPLOYMENTS, f"/apis/apps/v1/namespaces/{fake.NAMESPACE}/deployments"}, [(UNKNOWN, "operator")],
    ),
    "get leases": ({fake.LEASE}, [(UNKNOWN, "lease")]),
    "create localsubjectaccessreviews": ({"localsubjectaccessreviews"}, [(UNKNOWN, "rights")] * 2),
    "create scoringruns": (set(), [(WARNING, "user")]),
    "patch scoringruns": (set(), [(WARNING, "user")]),
    "get scoringruns": (set(), [(PROBLEM, "user")]),
    "list scoringruns": ({fake.RUNS}, [(PROBLEM, "user"), (UNKNOWN, "schedules")]),
    "list jobs": ({f"{BATCH}/jobs"}, [(WARNING, "user"), (UNKNOWN, "schedules")]),
    "list pods": ({f"{CORE}/pods"}, [(WARNING, "user"), (UNKNOWN, "schedules")]),
    "list events": ({f"{CORE}/events"}, [(UNKNOWN, "schedules")]),
    "list cronjobs": ({fake.CRON_JOBS, f"{BATCH}/cronjobs"}, [(UNKNOWN, "schedules")]),
    "list configmaps": ({"/api/v1/configmaps", f"{CORE}/configmaps"}, [(UNKNOWN, "fleets"), (UNKNOWN, "schedules")]),
    "get secrets": ({fake.SECRET}, [(UNKNOWN, "secrets")]),
    "get serviceaccounts": (ACCOUNTS, [(UNKNOWN, "schedules")]),
    "get nodes": ({"/api/v1/nodes"}, []),
}  # fmt: skip
"""The paths that need a right, and the findings without it. No check needs the right to read nodes."""

DEPENDENT = {"list deployments": {"lease", "rights", "versions"}, "list configmaps": {"secrets"}}
"""The checks of what only the missing objects name."""


@pytest.fixture(autouse=True)
def holder(fake_release: FakeRelease) -> None:
    fake_release.objects[fake.LEASE]["spec"]["holderIdentity"] = "fleetscore-operator-1"
    (pod,) = fake_release.lists[f"{CORE}/pods"]
    pod["metadata"]["name"] = "fleetscore-operator-1"


def add_job(release: FakeRelease, **status: Any) -> None:
    """Add a Job of the schedule without a pod, and the event with the reason."""
    own = {"namespace": fake.NAMESPACE, "creationTimestamp": fake.api_time()}
    labels = {**fake.SCHEDULER, "fleetscore.dev/schedule": "hourly"}
    job = {"metadata": {"name": "hourly-1", "labels": labels, **own}, "status": status}
    release.lists["/apis/batch/v1/jobs"] = [job]
    event = {"type": "Warning", "reason": "FailedCreate", "message": "exceeded quota: narrow"}
    release.lists["/api/v1/events"] = [{"metadata": {"name": "hourly-1.1", **own}, **event}]


def forbid(release: FakeRelease, right: str) -> None:
    release.forbidden |= RIGHTS[right][0]
    release.denied_to_user.add(right)


def findings() -> Iterator[Finding]:
    """Yield the findings except those about storage: the fleet's account is a name without a server."""
    facts = gather(Cluster.connect(), "0.1.0", Options({}))
    for check in (check_cluster, check_fleets, check_schedules, check_consoles):
        yield from (one for one in check(facts) if one.check != "storage")


@pytest.mark.parametrize("right", RIGHTS)
def test_missing_right_is_named_with_its_cure_and_others_continue(right: str, fake_release: FakeRelease) -> None:
    if right in ("list jobs", "list pods", "list events"):
        add_job(fake_release)  # its reason is not seen without the right
    seen = set(findings())
    forbid(fake_release, right)
    found = list(findings())
    missing = [one for one in found if one.result is not Result.OK and one not in seen]
    assert [(one.result, one.check) for one in missing] == RIGHTS[right][1]
    assert all(right in one.message and "ask for " in one.cure for one in missing)
    assert {one for one in found if one.result is Result.OK} <= seen
    affected = {one.check for one in missing} | DEPENDENT.get(right, set()) | {"user"}
    assert {one for one in seen if one.check not in affected} <= set(found)


def test_job_without_a_pod_is_a_problem_with_the_message_of_its_event(fake_release: FakeRelease) -> None:
    add_job(fake_release)
    assert [(one.check, one.message) for one in findings() if one.result is PROBLEM] == [
        ("schedules", "Job hourly-1: FailedCreate: exceeded quota: narrow")
    ]


@pytest.mark.parametrize("right", ["list pods", "list events"])
def test_job_that_has_ended_needs_neither_pods_nor_events(right: str, fake_release: FakeRelease) -> None:
    forbid(fake_release, right)
    add_job(fake_release, conditions=[{"type": "Complete", "status": "True"}])
    assert "schedules" not in {one.check for one in findings() if one.result is not Result.OK}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    add_job(fake_release, conditions=[failed])
    (found,) = (one for one in findings() if one.check == "schedules")
    assert (found.result, found.message) == (PROBLEM, "Job hourly-1: BackoffLimitExceeded")


def test_lease_of_an_unknown_holder_is_not_ok_without_the_right_to_list_pods(fake_release: FakeRelease) -> None:
    forbid(fake_release, "list pods")
    fake_release.objects[fake.LEASE]["spec"]["holderIdentity"] = "a-laptop"
    (found,) = (one for one in findings() if one.check == "lease")
    assert (found.result, found.message) == (UNKNOWN, "this user may not list pods")
