"""The admission policies of the chart on a real API server: what authors cannot create, and what still works."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcluster.errors import ClusterError
from tests.testkit.chart import a_fleet, a_schedule, render
from tests.testkit.runs import HOUR, Runs
from tests.testkit.waiting import until

pytestmark = pytest.mark.usefixtures("helm")

AUTHOR, OPERATOR = "author", "fleetscore-operator"
SCHEDULED, LABELLED = "set by the schedules of the chart only", "are set by the operator only"
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}
RULES = [
    (["fleetscore.dev"], ["scoringruns"], ["*"]),
    (["batch"], ["jobs"], ["*"]),
    ([""], ["configmaps"], ["*"]),
]


@pytest.fixture
def guarded(runs: Runs) -> Iterator[Runs]:
    """Return a namespace with the policies of a release, an author and the account of the operator."""
    values = {"fleets": [a_fleet()], "schedules": [a_schedule()], "watch": {"namespaces": [runs.namespace]}}
    manifests = [one for one in render(values, namespace=runs.namespace) if "AdmissionPolicy" in one["kind"]]
    assert len(manifests) == 4
    text = "\n---\n".join(json.dumps(one) for one in manifests)
    runs.cluster.kubectl("apply", "-f", "-", input=text)
    for account in (AUTHOR, OPERATOR):
        runs.cluster.kubectl("-n", runs.namespace, "create", "serviceaccount", account)
        runs.grant(account, f"{account}-writes", RULES)
    run = run_body("probe", labels={"fleetscore.dev/schedule": "hourly"})
    child = {**CONFIG_MAP, "metadata": {"name": "probe", "labels": {"fleetscore.dev/run-uid": "1"}}}
    for probe, message in ((run, SCHEDULED), (child, LABELLED)):  # each policy has its own delay
        until(lambda: message in rejection(runs, AUTHOR, probe), f"the API server says {message!r}", interval=0.2)  # noqa: B023  called at once
    yield runs
    runs.cluster.kubectl("delete", "-f", "-", input=text)


def run_body(name: str, **metadata: Any) -> dict[str, Any]:
    window = metadata.pop("window", HOUR)
    api = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun"}
    return {**api, "metadata": {"name": name, **metadata}, "spec": {"window": window}}


def with_owner(body: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "ownerReferences": [owner]}}


def rejection(runs: Runs, account: str, body: dict[str, Any], verb: str = "create") -> str:
    """Return the message with which the API server rejects a request of an account, or an empty text."""
    user = f"--as=system:serviceaccount:{runs.namespace}:{account}"
    try:
        runs.cluster.kubectl("-n", runs.namespace, user, verb, "-f", "-", input=json.dumps(body))
    except ClusterError as error:
        return str(error)
    return ""


@pytest.mark.value("admissionPolicy.enabled")
@pytest.mark.fault("T1")
def test_author_creates_ordinary_runs_and_no_others(guarded: Runs) -> None:
    assert rejection(guarded, AUTHOR, run_body("plain")) == ""
    hourly = run_body("scheduled", labels={"fleetscore.dev/schedule": "hourly"})
    assert SCHEDULED in rejection(guarded, AUTHOR, hourly)
    held = run_body("held", finalizers=["x.example/hold"])
    assert "remove metadata.finalizers" in rejection(guarded, AUTHOR, held)
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    window = {"start": f"{later - timedelta(days=2):%FT%TZ}", "end": f"{later:%FT%TZ}"}
    assert "the window has not ended" in rejection(guarded, AUTHOR, run_body("early", window=window))


@pytest.mark.fault("T1")
def test_author_cannot_forge_children_and_the_operator_creates_them(guarded: Runs) -> None:
    owner = guarded.create("owner")["metadata"]
    reference = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "name": "owner", "uid": owner["uid"]}
    child = {**CONFIG_MAP, "metadata": {"name": "child", "ownerReferences": [reference]}, "data": {"a": "1"}}
    assert "only the operator creates children" in rejection(guarded, AUTHOR, child)
    renamed = {**reference, "apiVersion": "example.com/v1"}  # the operator compares kind and uid
    assert "only the operator creates children" in rejection(guarded, AUTHOR, with_owner(child, renamed))
    labelled = {**CONFIG_MAP, "metadata": {"name": "labelled", "labels": {"fleetscore.dev/run-uid": owner["uid"]}}}
    assert LABELLED in rejection(guarded, AUTHOR, labelled)
    assert rejection(guarded, OPERATOR, child) == ""
    changed = {**child, "data": {"a": "2"}}
    assert "which only the operator changes" in rejection(guarded, AUTHOR, changed, "replace")
    frozen = {**child, "immutable": True}
    assert "which only the operator changes" in rejection(guarded, AUTHOR, frozen, "replace")
    assert rejection(guarded, OPERATOR, changed, "replace") == ""
    assert rejection(guarded, AUTHOR, {**CONFIG_MAP, "metadata": {"name": "own"}, "data": {"a": "1"}}) == ""


@pytest.mark.value("admissionPolicy.trustedGroups")
def test_groups_that_are_trusted_are_not_checked() -> None:
    values = {"fleets": [a_fleet()], "admissionPolicy": {"trustedGroups": ["platform"]}}
    policies = [one for one in render(values) if one["kind"] == "ValidatingAdmissionPolicy"]
    assert len(policies) == 2
    for policy in policies:
        (condition,) = [one for one in policy["spec"]["matchConditions"] if one["name"] == "untrusted"]
        assert 'one in ["platform"]' in condition["expression"]
    switched_off = render({**values, "admissionPolicy": {"enabled": False}})
    assert [one for one in switched_off if "AdmissionPolicy" in one["kind"]] == []
