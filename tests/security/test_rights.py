"""The rights of each account: docs/operations/security.md, the chart and a real API server agree."""

import re
from collections.abc import Mapping

import pytest
import yaml

from localcluster.cluster import Cluster
from tests.testkit.chart import a_fleet, a_schedule, render
from tests.testkit.paths import ROOT
from tests.testkit.waiting import until

pytestmark = pytest.mark.usefixtures("helm")
VALUES = {"fleets": [a_fleet()], "schedules": [a_schedule()], "console": {"enabled": True}}
Rights = dict[str, set[str]]  # verbs by resource
OPERATOR, SCHEDULER, CONSOLE, SCORER = "operator", "scheduler", "console", "scorer"


def documented() -> dict[str, Rights]:
    """Return the table of docs/operations/security.md."""
    rights: dict[str, Rights] = {account: {} for account in (OPERATOR, SCHEDULER, CONSOLE, SCORER)}
    text = (ROOT / "docs" / "operations" / "security.md").read_text()
    for account, resource, verbs in re.findall(r"^\| (\w+) \| `([\w./]+)` \| ([\w, ]+) \|", text, re.MULTILINE):
        rights[account].setdefault(resource, set()).update(verbs.split(", "))
    return rights


def rendered() -> dict[str, Rights]:
    """Return the rights that the chart's Roles grant to each account."""
    rights: dict[str, Rights] = {account: {} for account in (OPERATOR, SCHEDULER, CONSOLE, SCORER)}
    for role in (one for one in render(VALUES) if one["kind"] in ("Role", "ClusterRole")):
        account = rights[role["metadata"]["labels"]["app.kubernetes.io/component"]]
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    account.setdefault(f"{resource}.{group}".rstrip("."), set()).update(rule["verbs"])
    return rights


def granted(cluster: Cluster, namespace: str, account: str, *, where: str) -> Rights:
    """Return the rights of an account of a namespace in another namespace, without those of all accounts."""
    user = f"--as=system:serviceaccount:{namespace}:fleetscore-{account}"
    rights: Rights = {}
    for line in cluster.kubectl(user, "auth", "can-i", "--list", "-n", where).splitlines()[1:]:
        resource, verbs = line.split()[0], line.rpartition("[")[2].rstrip("]").split()
        if resource[0] != "[" and "selfsubject" not in resource:
            rights.setdefault(resource, set()).update(verbs)
    return rights


def with_groups_last(rights: Mapping[str, set[str]]) -> Rights:
    """Resources as kubectl writes them: the group before a subresource."""
    return {re.sub(r"^(\w+)/(\w+)\.(.+)$", r"\1.\3/\2", key): verbs for key, verbs in rights.items()}


@pytest.mark.fault("T3")
def test_documented_rights_are_those_of_the_chart() -> None:
    assert documented() == rendered()
    assert documented()[SCORER] == {}


@pytest.mark.fault("T2", "T3", "T4")
def test_each_account_has_exactly_the_documented_rights(cluster: Cluster, namespace: str) -> None:
    objects = [one for one in render(VALUES, namespace=namespace) if one["kind"] in ("Role", "RoleBinding")]
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=yaml.safe_dump_all(objects))
    expected = {account: with_groups_last(rights) for account, rights in documented().items()}

    def found() -> dict[str, Rights]:
        return {account: granted(cluster, namespace, account, where=namespace) for account in expected}

    until(lambda: found() == expected, "the API server applies the bindings", state=lambda: str(found()))
    for account in expected:
        assert granted(cluster, namespace, account, where="default") == {}
