from typing import Any

import pytest
from hack.chart_rights import NEEDED, granted


def a_role(kind: str, name: str, *rules: tuple[list[str], list[str]]) -> dict[str, Any]:
    found = [{"apiGroups": [""], "resources": resources, "verbs": verbs} for verbs, resources in rules]
    return {"kind": kind, "metadata": {"name": name}, "rules": found}


def a_binding(kind: str, role: str, account: str) -> dict[str, Any]:
    return {"kind": kind, "roleRef": {"name": role}, "subjects": [{"name": f"fleetscore-{account}"}]}


def test_rights_of_an_account_are_those_of_all_roles_bound_to_it() -> None:
    manifests = [
        {"kind": "Deployment", "metadata": {"name": "fleetscore-operator"}},
        a_role("Role", "jobs", (["create", "get"], ["jobs"]), (["list"], ["pods", "events"])),
        a_role("ClusterRole", "runs", (["list"], ["scoringruns"])),
        a_role("Role", "of-another-account", (["delete"], ["secrets"])),
        a_binding("RoleBinding", "jobs", "operator"),
        a_binding("ClusterRoleBinding", "runs", "operator"),
        a_binding("RoleBinding", "of-another-account", "console"),
    ]
    jobs = {("create", "jobs"), ("get", "jobs"), ("list", "pods"), ("list", "events")}
    assert granted(iter(manifests), "operator") == {*jobs, ("list", "scoringruns")}
    assert granted(manifests, "scheduler") == set()


@pytest.mark.parametrize("account", NEEDED)
def test_no_account_has_secrets_or_a_wildcard(account: str) -> None:
    assert NEEDED[account]
    for (verb, resource), purpose in NEEDED[account].items():
        assert purpose
        assert resource != "secrets"
        assert "*" not in (verb, resource)
