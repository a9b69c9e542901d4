"""The chart's rights are exactly those that its programs use, by the API server's audit log.

hack/chart_rights.py has the purpose of each right; docs/operations/security.md lists them. The operator takes runs
through their whole life and several faults, a schedule through a firing and a backfill. Afterwards no request was
rejected and each granted verb was used.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.chart_rights import NEEDED, granted

from localcluster.cluster import Cluster
from scoring_operator.cli import main
from tests.faults.conftest import NewSite
from tests.faults.harness import Site
from tests.testkit.audit import Audit, Request
from tests.testkit.chart import a_fleet, a_schedule, render
from tests.testkit.runs import Runs
from tests.testkit.scheduler import Scheduler
from tests.testkit.waiting import until

VALUES = {"fleets": [a_fleet()], "schedules": [a_schedule()]}


def used(requests: list[Request]) -> set[tuple[str, str]]:
    """Verb and resource of what was asked for."""
    return {(one.verb, "/".join(filter(None, (one.resource, one.subresource)))) for one in requests}


def rejected(requests: list[Request]) -> list[Request]:
    return [one for one in requests if one.code in (401, 403)]


@pytest.mark.needs_services
@pytest.mark.parametrize("account", ["operator", "scheduler"])
def test_granted_rights_are_exactly_the_rights_with_a_purpose(account: str) -> None:
    assert granted(render(VALUES), account) == NEEDED[account].keys()


def patch(site: Site, run: str, **spec: Any) -> None:
    body = json.dumps({"spec": spec})
    site.cluster.kubectl("-n", site.namespace, "patch", "scoringrun", run, "--type=merge", "--patch", body)


def exists(site: Site, run: str) -> bool:
    return bool(site.cluster.kubectl("-n", site.namespace, "get", "scoringrun", run, "--ignore-not-found"))


@pytest.fixture(scope="module")
def operated_site(new_site: NewSite, short_timeouts: list[str]) -> Iterator[Site]:
    """Run an operator at one site; the tests up to the last one of this site take it through the life of its runs."""
    site = new_site(8)
    with site.operator("operator", "--grace", "1", *short_timeouts):
        yield site


@pytest.fixture(scope="module")
def stalled_run(operated_site: Site) -> Site:
    """Create a run whose pods are rejected by a quota."""
    site = operated_site
    Runs(site.cluster, site.namespace).create_quota("no-pods", {"pods": "0"})
    site.run("first", parallelism=2)
    return site


def test_run_with_rejected_pods_is_stalled(stalled_run: Site) -> None:
    def is_reported() -> bool:
        return stalled_run.condition("first", "Waiting").get("reason") == "PodsRejected"

    until(is_reported, "the quota is reported")


def test_deleted_job_of_a_stalled_run_is_replaced(stalled_run: Site) -> None:
    lost = until(lambda: stalled_run.jobs("first"), "a Job exists")[0]["metadata"]["name"]
    stalled_run.cluster.kubectl("-n", stalled_run.namespace, "delete", "job", lost)
    until(lambda: len(stalled_run.created("first")) > 2, "another Job replaces the deleted one")


def test_stalled_run_is_suspended(stalled_run: Site) -> None:
    patch(stalled_run, "first", suspend=True)
    until(lambda: stalled_run.status("first").get("phase") == "Suspended", "the run is suspended")


@pytest.fixture(scope="module")
def finished_run(stalled_run: Site) -> Site:
    """Resume the run without the quota, and wait for its end."""
    stalled_run.cluster.kubectl("-n", stalled_run.namespace, "delete", "resourcequota", "no-pods")
    patch(stalled_run, "first", suspend=False)
    stalled_run.until_ended("first")
    return stalled_run


def test_retry_of_the_finished_run_ends(finished_run: Site) -> None:
    finished_run.run("retry", devices={"retryOf": {"name": "first", "outcomes": ["Failed", "Empty"]}})
    finished_run.until_ended("retry")


def test_run_without_time_to_live_is_deleted(finished_run: Site) -> None:
    finished_run.run("short", ttlSecondsAfterFinished=0)
    until(lambda: not exists(finished_run, "short"), "the run is deleted")


def test_jobs_of_the_finished_run_are_deleted(finished_run: Site) -> None:
    until(lambda: not finished_run.jobs("first"), "the Jobs of the run are deleted")


@pytest.mark.fault("T3")
def test_operator_is_rejected_nothing_and_uses_every_right(finished_run: Site) -> None:
    """The last test of this site."""
    requests = finished_run.requests()
    assert rejected(requests) == []
    assert NEEDED["operator"].keys() - used(requests) == set()


@pytest.fixture
def everywhere(fault_cluster: Cluster, new_site: NewSite) -> Iterator[Site]:
    """Return a site whose operator watches all namespaces by the chart's ClusterRole."""
    site = new_site(2)
    for kind in ("role", "rolebinding"):
        fault_cluster.kubectl("-n", site.namespace, "delete", kind, "fleetscore-operator")
    site.release.all_namespaces = True
    site.release.install()
    yield site
    for kind in ("clusterrole", "clusterrolebinding"):
        fault_cluster.kubectl("delete", kind, f"{site.namespace}.fleetscore-operator")


@pytest.mark.value("watch.allNamespaces")
def test_operator_for_all_namespaces_is_rejected_nothing_in_another_namespace(
    everywhere: Site, new_site: NewSite, short_timeouts: list[str]
) -> None:
    elsewhere = new_site(2)
    fleets = [a_fleet(namespaces=[elsewhere.namespace])]
    (everywhere.release.folder / "fleets.yaml").write_text(yaml.safe_dump({"fleets": fleets}))
    with everywhere.operator("operator", *short_timeouts):
        elsewhere.run("there")
        elsewhere.until_ended("there")
    assert elsewhere.status("there")["devices"]["scored"] == 2
    account = f"system:serviceaccount:{everywhere.namespace}:fleetscore-operator"
    requests = [one for one in elsewhere.audit.of(elsewhere.namespace) if one.user == account]
    assert ("create", "jobs") in used(requests)
    assert rejected(requests) == []


@pytest.fixture
def scheduler(fault_cluster: Cluster, new_site: NewSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    site = new_site(1)
    made = Scheduler(fault_cluster, site.namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
    return made


@pytest.mark.fault("T3")
def test_schedule_is_rejected_nothing_and_uses_every_right(scheduler: Scheduler, audit: Audit) -> None:
    assert scheduler.fire("hourly-1", "2018-08-29T00:05:00Z") == 0
    days = ["--from", "2018-08-28T22:00:00Z", "--to", "2018-08-28T23:00:00Z", "--dry-run"]
    words = ["--schedules-file", str(scheduler.file), "--schedule", "hourly", "--namespace", scheduler.namespace]
    assert main(["backfill", *words, *days]) == 0
    account = f"system:serviceaccount:{scheduler.namespace}:fleetscore-scheduler"
    requests = [one for one in audit.of(scheduler.namespace) if one.user == account]
    assert rejected(requests) == []
    assert NEEDED["scheduler"].keys() - used(requests) == set()
