"""The namespaces of these tests enforce restricted Pod Security, so that whatever runs in them meets it."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcluster.errors import ClusterError
from tests.testkit.paths import ROOT
from tests.testkit.release import Release

TESTKIT = ROOT / "tests" / "testkit"

WITHIN = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
MEETS: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "scorer", "image": "scorer", "securityContext": WITHIN}],
}
MORE: dict[str, dict[str, Any]] = {
    "root": {"securityContext": {**MEETS["securityContext"], "runAsNonRoot": False}},
    "network": {"hostNetwork": True},
    "processes": {"hostPID": True},
    "files": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
    "capability": {"containers": [MEETS["containers"][0] | {"securityContext": {"allowPrivilegeEscalation": False}}]},
    "privileged": {"containers": [MEETS["containers"][0] | {"securityContext": {"privileged": True}}]},
}


@pytest.mark.fault("T2", "T4")
def test_namespaces_of_these_tests_reject_privileged_pods(release: Release) -> None:
    release.make_namespace()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "scorer"}}
    create = ("create", "--dry-run=server", "-f", "-")
    release.kubectl(*create, given=json.dumps(pod | {"spec": MEETS}))
    for more in MORE.values():
        with pytest.raises(ClusterError, match='violates PodSecurity "restricted:latest"'):
            release.kubectl(*create, given=json.dumps(pod | {"spec": MEETS | more}))


@pytest.mark.fault("T4")
def test_end_to_end_tests_create_no_other_namespaces() -> None:
    here = Path(__file__)
    files = [file for file in (*here.parent.glob("*.py"), *TESTKIT.glob("*.py")) if file != here]
    makers = {
        file.name for file in files if "create_namespace" in file.read_text() or '"Namespace"' in file.read_text()
    }
    # The namespaces of testkit/cluster.py are those of the simulated cluster.
    assert makers == {"cluster.py", "release.py"}
