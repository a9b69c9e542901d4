"""The facts of operators: their rights, and the fleets that they have read."""

import hashlib
from typing import Any

import pytest
import yaml

from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.gather_operators import _OPERATOR_RULES, gather_operators, reads_old_fleets
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease
from tests.testkit.paths import ROOT


def test_rights_of_the_operator_are_those_of_the_chart() -> None:
    text = (ROOT / "charts/fleetscore/templates/rbac.yaml").read_text()
    rules = yaml.safe_load(text.partition('define "fleetscore.operatorRules" -}}')[2].partition("{{- end -}}")[0])
    found = [(one["apiGroups"][0], one["resources"][0], tuple(one["verbs"])) for one in rules]
    assert found == list(_OPERATOR_RULES)


def gathered(*deployments: Any) -> Any:
    found = gather_operators(Cluster.connect(), deployments, [], None, 10)
    assert isinstance(found, tuple)
    return found


@pytest.mark.usefixtures("fake_release")
def test_operator_of_the_namespace_is_among_those_that_are_checked() -> None:
    others = [fake.deployment("other", f"operator-{number}", "other") for number in range(10)]
    found = gathered(*others, fake.deployment())
    assert len(found) == 10
    assert found[0].subject == "scoring/fleetscore-operator"


@pytest.mark.usefixtures("fake_release")
def test_rights_are_checked_in_the_namespace_of_the_command_first() -> None:
    watched = ",".join([*"abcdef", fake.NAMESPACE])
    (found,) = gathered(fake.deployment(watches=watched))
    assert {right.namespace for right in found.rights} == {fake.NAMESPACE, *"abcd"}


@pytest.mark.parametrize(
    ("metadata", "status", "updated"),
    [
        ({}, {}, 0),
        ({}, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}, 2),
        ({}, {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}, 0),
        ({}, {"replicas": 4, "updatedReplicas": 2, "readyReplicas": 3}, 1),
        ({}, {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 3}, 1),
        ({"generation": 3}, {"observedGeneration": 2, "updatedReplicas": 2}, 0),
    ],
    ids=["none", "all", "new-not-ready", "one-ready", "old-remain", "not-observed"],
)
@pytest.mark.usefixtures("fake_release")
def test_pods_with_the_newest_settings_are_counted(metadata: Any, status: Any, updated: int) -> None:
    one = fake.deployment()
    (found,) = gathered({**one, "metadata": {**one["metadata"], **metadata}, "status": status})
    assert found.updated == updated


def test_missing_account_is_named_and_a_hidden_one_is_not(fake_release: FakeRelease) -> None:
    path = f"/api/v1/namespaces/{fake.NAMESPACE}/serviceaccounts/operator"
    fake_release.forbidden.add(path)
    assert gathered(fake.deployment())[0].account == ""
    fake_release.forbidden.clear()
    del fake_release.objects[path]
    assert gathered(fake.deployment())[0].account == "operator"


TEXT = "fleets: []\n"
CHECKSUM = hashlib.sha256(b"fleets: []").hexdigest()


@pytest.mark.parametrize(
    ("checksum", "changed", "old"),
    [
        (CHECKSUM, "2026-01-05T12:00:00Z", False),
        ("other", "2026-01-05T12:00:00Z", True),
        ("other", "2026-01-05T10:00:00Z", False),
        ("", "2026-01-05T12:00:00Z", False),
    ],
    ids=["same", "changed-later", "changed-before", "no-checksum"],
)
def test_operator_older_than_a_change_of_its_fleets_is_outdated(checksum: str, changed: str, *, old: bool) -> None:
    template = {
        "metadata": {"annotations": {"checksum/fleets": checksum}},
        "spec": {"volumes": [{"configMap": {"name": "fleets"}}]},
    }
    deployment = {"metadata": {"namespace": "scoring"}, "spec": {"template": template}}
    fields = [{"time": changed, "fieldsV1": {"f:data": {}}}, {"time": "2027-01-05T12:00:00Z", "fieldsV1": {}}]
    map_ = {"metadata": {"namespace": "scoring", "name": "fleets", "managedFields": fields}}
    pods = [{"metadata": {"creationTimestamp": "2026-01-05T11:00:00Z"}}]
    other = {"metadata": {"namespace": "other", "name": "fleets"}, "data": {"fleets.yaml": "x"}}
    assert reads_old_fleets(deployment, pods, [other, {**map_, "data": {"fleets.yaml": TEXT}}]) is old
    assert reads_old_fleets(deployment, pods, [other]) is False
