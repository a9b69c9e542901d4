"""The checks of the cluster: each breakage is found, and its cure is named; a healthy cluster has only OKs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.doctor.cluster_checks import check_cluster
from fleetscore.doctor.facts import Crd, Facts, Lease, Operator, Server
from fleetscore.doctor.findings import Finding, Result, Right, Unseen, exit_code

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
CREATE_JOBS = Right("create", "jobs", "batch", "scoring")
CREATE_RUNS = Right("create", "scoringruns", "fleetscore.dev", "scoring")
LIST_RUNS = Right("list", "scoringruns", "fleetscore.dev", "scoring")
LEASE = Lease("operator-1", NOW - timedelta(seconds=3))
OPERATOR = Operator(
    "scoring", "fleetscore-operator", "0.1.0", ("scoring",), pods=("operator-1",), lease=LEASE,
    rights={CREATE_JOBS: True},
)  # fmt: skip
UNSEEN = Right("list", "deployments", "apps").unseen()


def healthy(**changes: Any) -> Facts:
    facts = Facts(
        namespace="scoring",
        client_version="0.1.0",
        server=Server("v1.34.0", NOW, NOW + timedelta(seconds=1)),
        crd=Crd(("v1alpha1",), "0.1.0"),
        operators=(OPERATOR,),
        rights={CREATE_RUNS: True, LIST_RUNS: True},
    )
    return replace(facts, **changes)


def findings(**changes: Any) -> list[Finding]:
    return list(check_cluster(healthy(**changes)))


def wrong(**changes: Any) -> list[Finding]:
    return [finding for finding in findings(**changes) if finding.result is not Result.OK]


def operator(**changes: Any) -> dict[str, Any]:
    return {"operators": (replace(OPERATOR, **changes),)}


def test_healthy_cluster_has_one_ok_per_check() -> None:
    found = findings()
    assert [(one.result, one.check) for one in found] == [
        (Result.OK, check) for check in ("crd", "versions", "operator", "lease", "rights", "user", "clock")
    ]
    assert not any(one.cure for one in found)
    assert exit_code(found) == 0


@pytest.mark.parametrize(
    ("changes", "check", "message", "cure"),
    [
        ({"crd": Crd(())}, "crd", "the CRD does not exist", "crds.enabled"),
        ({"crd": Crd(("v2",))}, "crd", "serves v2, and this client needs v1alpha1", "install the client"),
        ({"crd": Crd(("v1alpha1",), "0.0.9")}, "versions", "of version 0.0.9, and the operator of 0.1.0", "apply"),
        (operator(ready=0, blocker="ImagePullBackOff: no image"), "operator", "0 of 1 pods are ready: Image", "logs"),
        (operator(replicas=0, ready=0), "operator", "has 0 replicas", "scale deployment"),
        ({"operators": ()}, "operator", "no operator handles runs of namespace scoring", "install the chart"),
        (operator(watches=("other",)), "operator", "fleetscore-operator watches other", "add scoring to its watch.n"),
        (operator(lease=None), "lease", "no operator holds the Lease", "logs"),
        (operator(lease=Lease("", None)), "lease", "no operator holds the Lease", "logs"),
        (operator(lease=Lease("laptop", NOW)), "lease", "held by laptop, which is not a pod", "stop that operator"),
        (operator(lease=replace(LEASE, renewed=NOW - timedelta(hours=1))), "lease", "for 3,600 s", "logs deployment"),
        (operator(lease=replace(LEASE, renewed=NOW + timedelta(minutes=2))), "clock", "120 s ahead of the API", "NTP"),
        (operator(lease=replace(LEASE, ahead=3600)), "clock", "3,600 s ahead of the API server's", "operator's node"),
        (operator(lease=replace(LEASE, ahead=-3600)), "clock", "3,600 s behind the API server's", "operator's node"),
        (operator(rights={CREATE_JOBS: False}), "rights", "may not create jobs.batch in namespace", "helm upgr"),
        ({"rights": {LIST_RUNS: False}}, "user", "may not list scoringruns.fleetscore.dev", "ClusterRole view"),
        ({"server": Server("v1", NOW, NOW + timedelta(minutes=5))}, "clock", "300 s ahead of the API server's", "NTP"),
        ({"server": Server("v1", NOW, NOW - timedelta(minutes=5))}, "clock", "300 s behind the API server's", "NTP"),
    ],
    ids=[
        "crd-missing", "crd-version", "crd-release", "operator-down", "operator-scaled", "operator-missing",
        "operator-elsewhere", "lease-missing", "lease-free", "lease-foreign", "lease-stale",
        "lease-in-future", "node-clock-ahead", "node-clock-behind",
        "operator-right", "user-right", "clock-ahead", "clock-behind",
    ],
)  # fmt: skip
def test_breakage_is_a_problem_with_its_cure(changes: dict[str, Any], check: str, message: str, cure: str) -> None:
    found = wrong(**changes)
    assert [(one.result, one.check) for one in found] == [(Result.PROBLEM, check)]
    assert message in found[0].message
    assert cure in found[0].cure
    assert exit_code(found) == 1


@pytest.mark.parametrize("watches", [("scoring", "other"), ()], ids=["named", "all"])
def test_two_operators_of_one_namespace_are_a_problem(watches: tuple[str, ...]) -> None:
    second = replace(OPERATOR, namespace="old", name="second", watches=watches)
    found = [one for one in wrong(operators=(OPERATOR, second)) if one.check == "operator"]
    assert [one.message for one in found] == [
        "scoring/fleetscore-operator and old/second both handle runs of scoring",
    ]
    assert "helm uninstall" in found[0].cure


def test_operators_of_other_namespaces_do_not_count() -> None:
    elsewhere = replace(OPERATOR, namespace="b", watches=("b",), ready=0)
    stopped = replace(OPERATOR, namespace="c", name="stopped", replicas=0, ready=0, watches=("c",))
    assert wrong(operators=(OPERATOR, elsewhere, stopped)) == []


def test_client_of_another_version_and_a_right_to_write_are_warnings() -> None:
    found = wrong(client_version="0.0.9", rights={CREATE_RUNS: False})
    assert [(one.result, one.check) for one in found] == [(Result.WARNING, "versions"), (Result.WARNING, "user")]
    assert "with `rbac.aggregateClusterRoles` of the chart, the ClusterRole edit has it" in found[1].cure
    assert exit_code(found) == 0
    assert "only `logs` needs it" in wrong(rights={Right("get", "pods/log", "", "scoring"): False})[0].cure


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"crd": UNSEEN}, "crd"),
        ({"crd": Crd(("v1alpha1",), UNSEEN)}, "versions"),
        ({"operators": UNSEEN}, "operator"),
        ({"others": UNSEEN}, "operator"),
        (operator(lease=UNSEEN), "lease"),
        (operator(rights=UNSEEN), "rights"),
        ({"rights": UNSEEN}, "user"),
        ({"server": UNSEEN}, "clock"),
        ({"operators": (), "others": UNSEEN}, "operator"),
    ],
    ids=["crd", "crd-label", "operators", "others", "lease", "operator-rights", "user", "clock", "none-seen"],
)
def test_missing_right_is_named_and_is_not_a_problem(changes: dict[str, Any], check: str) -> None:
    found = wrong(**changes)
    assert [(one.result, one.check) for one in found] == [(Result.UNKNOWN, check)]
    assert 'rule {apiGroups: ["apps"], resources: [deployments], verbs: [list]}' in found[0].cure
    assert exit_code(found) == 0


def test_unseen_pods_do_not_make_the_holder_a_stranger() -> None:
    found = wrong(**operator(pods=Unseen("no", "ask"), lease=replace(LEASE, holder="elsewhere")))
    assert [(one.result, one.check, one.cure) for one in found] == [(Result.UNKNOWN, "lease", "ask")]
