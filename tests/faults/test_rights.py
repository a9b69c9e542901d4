"""The chart's rights are those that its programs use, by the API server's audit log: none is refused, none is idle.

NEEDED says what each right is for; docs/operations/security.md lists it. The operator goes through a run's whole life and its
troubles, a schedule through a firing and a backfill; afterwards each granted verb was used.
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
from tests.faults.conftest import NewPlace
from tests.faults.harness import Place
from tests.testkit.audit import Audit, Request
from tests.testkit.chart import a_fleet, a_schedule, render
from tests.testkit.scheduler import Scheduler
from tests.testkit.waiting import until

VALUES = {"fleets": [a_fleet()], "schedules": [a_schedule()]}
NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods"},
    "spec": {"hard": {"pods": "0"}},
}


def used(requests: list[Request]) -> set[tuple[str, str]]:
    """Verb and resource of what was asked for."""
    return {(one.verb, "/".join(filter(None, (one.resource, one.subresource)))) for one in requests}


def refused(requests: list[Request]) -> list[Request]:
    return [one for one in requests if one.code in (401, 403)]


@pytest.mark.needs_services
@pytest.mark.parametrize("account", ["operator", "scheduler"])
def test_granted_rights_are_exactly_the_rights_with_a_purpose(account: str) -> None:
    assert granted(render(VALUES), account) == NEEDED[account].keys()


def live_through(place: Place) -> None:
    """Take a run through refused pods, a deleted Job, suspension and its end, then retry it, then let one expire."""
    place.cluster.kubectl("-n", place.namespace, "create", "-f", "-", input=json.dumps(NO_PODS))
    place.run("first", parallelism=2)
    until(lambda: place.condition("first", "Stalled").get("reason") == "PodsRejected", "the quota is told", seconds=60)
    lost = place.jobs("first")[0]["metadata"]["name"]
    place.cluster.kubectl("-n", place.namespace, "delete", "job", lost)
    until(lambda: len(place.created("first")) > 2, "another Job takes the place of the deleted one", seconds=60)
    patch(place, "first", suspend=True)
    until(lambda: place.status("first").get("phase") == "Suspended", "it is suspended")
    place.cluster.kubectl("-n", place.namespace, "delete", "resourcequota", "no-pods")
    patch(place, "first", suspend=False)
    place.until_ended("first")
    place.run("retry", devices={"retryOf": {"name": "first", "outcomes": ["Failed", "Empty"]}})
    place.until_ended("retry")
    place.run("short", ttlSecondsAfterFinished=0)
    until(lambda: not exists(place, "short"), "the run that lives no longer is deleted", seconds=120)
    until(lambda: not place.jobs("first"), "the Jobs of the ended run are deleted", seconds=60)


def patch(place: Place, run: str, **spec: Any) -> None:
    body = json.dumps({"spec": spec})
    place.cluster.kubectl("-n", place.namespace, "patch", "scoringrun", run, "--type=merge", "--patch", body)


def exists(place: Place, run: str) -> bool:
    return bool(place.cluster.kubectl("-n", place.namespace, "get", "scoringrun", run, "--ignore-not-found"))


@pytest.mark.fault("T3")
def test_the_operator_is_refused_nothing_and_uses_every_right_it_has(
    new_place: NewPlace, short_timeouts: list[str]
) -> None:
    place = new_place(8)
    with place.operator("operator", "--grace", "1", *short_timeouts):
        live_through(place)
    requests = place.requests()
    assert refused(requests) == []
    assert NEEDED["operator"].keys() - used(requests) == set()


@pytest.fixture
def everywhere(fault_cluster: Cluster, new_place: NewPlace) -> Iterator[Place]:
    """A place whose operator watches all namespaces, by the chart's ClusterRole alone."""
    place = new_place(2)
    for kind in ("role", "rolebinding"):
        fault_cluster.kubectl("-n", place.namespace, "delete", kind, "fleetscore-operator")
    place.release.all_namespaces = True
    place.release.install()
    yield place
    for kind in ("clusterrole", "clusterrolebinding"):
        fault_cluster.kubectl("delete", kind, "fleetscore-operator")


@pytest.mark.value("watch.allNamespaces")
def test_operator_for_all_namespaces_is_rejected_nothing_in_another_namespace(
    everywhere: Place, new_place: NewPlace, short_timeouts: list[str]
) -> None:
    elsewhere = new_place(2)
    fleets = [a_fleet(namespaces=[elsewhere.namespace])]
    (everywhere.release.folder / "fleets.yaml").write_text(yaml.safe_dump({"fleets": fleets}))
    with everywhere.operator("operator", *short_timeouts):
        elsewhere.run("there")
        elsewhere.until_ended("there")
    assert elsewhere.status("there")["devices"]["scored"] == 2
    account = f"system:serviceaccount:{everywhere.namespace}:fleetscore-operator"
    requests = [one for one in elsewhere.audit.of(elsewhere.namespace) if one.user == account]
    assert ("create", "jobs") in used(requests)
    assert refused(requests) == []


@pytest.fixture
def scheduler(
    fault_cluster: Cluster, new_place: NewPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Scheduler:
    place = new_place(1)
    made = Scheduler(fault_cluster, place.namespace, tmp_path)
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
    assert refused(requests) == []
    assert NEEDED["scheduler"].keys() - used(requests) == set()
