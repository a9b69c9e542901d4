"""The checks of the operators: rollouts, crashes, accounts, and Leases of pods that have ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.doctor.facts import Crd, Facts, Lease, Operator, Server
from fleetscore.doctor.findings import Finding, Result
from fleetscore.doctor.operator_checks import check_operators

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LEASE = Lease("fleetscore-operator-1", NOW - timedelta(seconds=3))
OPERATOR = Operator(
    "scoring", "fleetscore-operator", "0.1.0", ("scoring",), pods=("fleetscore-operator-1",), lease=LEASE
)
QUOTA = 'FailedCreate: pods "x" is forbidden: exceeded quota: q'


def wrong(**changes: Any) -> list[Finding]:
    operators = (replace(OPERATOR, **changes),)
    facts = Facts("scoring", "0.1.0", Server("v1", NOW, NOW), Crd(("v1alpha1",)), operators)
    return [one for one in check_operators(facts) if one.result is not Result.OK]


@pytest.mark.parametrize(
    ("changes", "result", "message", "cure"),
    [
        ({"ready": 0, "blocker": "ImagePullBackOff: no image"}, Result.PROBLEM,
         "0 of 1 pods are ready: ImagePullBackOff: no image", "check the image's name, tag and registry"),
        ({"ready": 0, "blocker": QUOTA}, Result.PROBLEM, f"0 of 1 pods are ready: {QUOTA}", "raise the ResourceQuota"),
        ({"updated": 0, "blocker": "ImagePullBackOff: no image"}, Result.PROBLEM,
         "0 of 1 pods have the newest settings of the Deployment: ImagePullBackOff: no image",
         "check the image's name"),
        ({"updated": 0}, Result.WARNING, "0 of 1 pods have the newest settings of the Deployment",
         "describe deployment"),
        ({"replicas": 3, "updated": 3, "blocker": "Unschedulable: no node"}, Result.WARNING,
         "1 of 3 pods are ready: Unschedulable: no node", "add nodes"),
        ({"restarts": "container operator restarted 7 times, last after exit code 137 (OOMKilled)"}, Result.PROBLEM,
         "container operator restarted 7 times", "raise resources.limits.memory in the chart's values; `kubectl"),
        ({"restarts": "container operator restarted 7 times"}, Result.PROBLEM, "7 times", "--previous"),
        ({"account": "other"}, Result.PROBLEM, "ServiceAccount other of the operator does not exist", "helm upgrade"),
        ({"outdated": True}, Result.PROBLEM, "the operator has not read it since its start",
         "rollout restart deployment"),
    ],
    ids=["image", "quota", "rollout-image", "rollout", "fewer-pods", "memory", "crashes", "account", "old-fleets"],
)  # fmt: skip
def test_fault_of_an_operator_has_its_cure(changes: dict[str, Any], result: Result, message: str, cure: str) -> None:
    (found,) = wrong(**changes)
    assert (found.result, found.check) == (result, "operator")
    assert message in found.message
    assert cure in found.cure


@pytest.mark.parametrize(
    ("age", "result", "message"),
    [
        (5, Result.WARNING, "which has ended; another pod takes it within 15 s"),
        (600, Result.PROBLEM, "which is not a pod of this release, and was not renewed for 600 s"),
    ],
    ids=["just-ended", "long-ended"],
)
def test_lease_of_a_pod_that_has_ended_is_named(age: int, result: Result, message: str) -> None:
    (found,) = wrong(lease=Lease("fleetscore-operator-0", NOW - timedelta(seconds=age)))
    assert (found.result, found.check) == (result, "lease")
    assert message in found.message
    assert found.cure
