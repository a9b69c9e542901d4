"""The rights that the chart grants to users, according to a real API server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from localcluster.cluster import Cluster
from tests.testkit.chart import a_fleet, render
from tests.testkit.waiting import until

pytestmark = pytest.mark.usefixtures("helm")
READING, WRITING = {"get", "list", "watch"}, {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture
def aggregated(cluster: Cluster) -> Iterator[None]:
    roles = [
        manifest
        for manifest in render({"rbac": {"aggregateClusterRoles": True}})
        if manifest["metadata"]["labels"]["app.kubernetes.io/component"] == "users"
    ]
    assert len(roles) == 2
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(roles))
    yield
    cluster.kubectl("delete", "clusterrole", *(role["metadata"]["name"] for role in roles))


def allowed(cluster: Cluster, namespace: str, user: str) -> set[str]:
    """Return the rights of a user on ScoringRuns of a namespace."""
    may = set()
    for verb in READING | WRITING:
        asked = {"namespace": namespace, "verb": verb, "group": "fleetscore.dev", "resource": "scoringruns"}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        body = json.dumps(review | {"spec": {"user": user, "resourceAttributes": asked}})
        if json.loads(cluster.kubectl("create", "-f", "-", "-o", "json", input=body))["status"]["allowed"]:
            may.add(verb)
    return may


@pytest.mark.usefixtures("aggregated")
@pytest.mark.value("rbac.aggregateClusterRoles")
def test_viewers_may_read_runs_and_editors_and_admins_may_write_them(cluster: Cluster, namespace: str) -> None:
    wanted = {"view": READING, "edit": READING | WRITING, "admin": READING | WRITING}
    for role in wanted:
        cluster.kubectl("-n", namespace, "create", "rolebinding", role, f"--clusterrole={role}", f"--user=a-{role}")
    # The controller manager adds the rights to the roles a moment after ours appear.
    until(
        lambda: {role: allowed(cluster, namespace, f"a-{role}") for role in wanted} == wanted,
        description="the rights of viewers, editors and admins",
    )


def test_without_aggregation_the_roles_of_a_namespace_grant_no_runs(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "rolebinding", "edit", "--clusterrole=edit", "--user=an-editor")
    until(lambda: allowed(cluster, namespace, "an-editor") == set(), description="the roles' aggregation")


@pytest.mark.parametrize(
    "places",
    [[("fleetscore", "a"), ("fleetscore", "b")], [("eu-fleetscore", "scoring"), ("fleetscore", "scoring-eu")]],
    ids=["one name", "names that add up to the same"],
)
def test_releases_of_two_namespaces_share_no_cluster_wide_object(places: list[tuple[str, str]]) -> None:
    values: dict[str, Any] = {"fleets": [a_fleet()], "watch": {"allNamespaces": True}, "console": {"enabled": True}}
    values |= {"admissionPolicy": {"enabled": True}, "rbac": {"aggregateClusterRoles": True}}
    first, second = (
        {
            (m["kind"], m["metadata"]["name"])
            for m in render(values, release=release, namespace=namespace)
            if "namespace" not in m["metadata"]
        }
        for release, namespace in places
    )
    assert {kind for kind, _ in first} == {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    assert {kind for kind, _ in first & second} == {"CustomResourceDefinition"}
