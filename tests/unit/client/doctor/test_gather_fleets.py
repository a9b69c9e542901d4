"""The facts of fleets: fleets files, runs, Secrets and accounts."""

from typing import Any

import pytest
import yaml

from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.doctor.facts import Account, FleetFacts, SecretState
from fleetscore.doctor.findings import Result, Unseen
from fleetscore.doctor.gather_fleets import (
    Entry,
    Options,
    gather_fleets,
    read_account,
    read_entries,
    runs_by_fleet,
    secret_state,
)
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

ACCOUNT = f"/api/v1/namespaces/{fake.NAMESPACE}/serviceaccounts/scorer"


def a_map(text: str, name: str = "fleetscore-fleets") -> dict[str, Any]:
    return {"metadata": {"namespace": fake.NAMESPACE, "name": name}, "data": {"fleets.yaml": text}}


def fleets_file(*names: str) -> str:
    return yaml.safe_dump({"fleets": [{"name": name, "namespaces": [fake.NAMESPACE]} for name in names]})


def a_run(name: str, created: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ([], SecretState.PRESENT),
        ([{"fieldsV1": {"f:type": {}}}], SecretState.WITHOUT_KEY),
        (
            [{"fieldsV1": {"f:data": {".": {}, "f:sas": {}}}}, {"fieldsV1": {"f:data": {"f:key": {}}}}],
            SecretState.PRESENT,
        ),
        ([{"fieldsV1": {"f:data": {".": {}, "f:sas": {}}}}, {}], SecretState.WITHOUT_KEY),
    ],
    ids=["unknown", "empty", "present", "without-key"],
)
def test_key_of_a_secret_is_known_without_its_value(fields: list[dict[str, object]], state: SecretState) -> None:
    assert secret_state({"metadata": {"managedFields": fields}}, "key") is state


def test_two_releases_of_a_namespace_have_both_their_fleets() -> None:
    without = {"metadata": {"namespace": fake.NAMESPACE, "name": "other"}, "data": {"x": "y"}}
    entries, fault = read_entries([a_map(fleets_file("a")), a_map(fleets_file("b"), "second"), without])
    assert ([one.layout.name for one in entries], fault) == (["a", "b"], None)


@pytest.mark.parametrize("text", ["fleets: [", "[]", "fleets: 3", "fleets: [{storage: 1}]"])
def test_invalid_fleets_file_is_a_problem_and_hides_no_other(text: str) -> None:
    entries, fault = read_entries([a_map(text), a_map(fleets_file("b"), "second")])
    assert [one.layout.name for one in entries] == ["b"]
    assert isinstance(fault, Unseen)
    assert fault.result is Result.PROBLEM
    assert "is invalid" in fault.reason
    assert fault.cure


def test_runs_of_a_fleet_are_ordered_by_their_creation() -> None:
    runs = [
        a_run("b", "2026-01-02T00:00:00Z", fleet="x"),
        a_run("a", "2026-01-01T00:00:00Z", fleet="x"),
        a_run("c", ""),
    ]
    found = {name: [one["metadata"]["name"] for one in of] for name, of in runs_by_fleet(runs).items()}
    assert found == {"x": ["a", "b"], "default": ["c"]}


@pytest.mark.usefixtures("fake_release")
def test_run_of_a_fleet_that_no_release_has_is_a_stray() -> None:
    maps = ([a_map(fleets_file("default"))], None)
    found = gather_fleets(Cluster.connect(), maps, [a_run("r", "", fleet="nonesuch")], Options({}))
    assert list(found.strays) == ["nonesuch"]
    unseen = Unseen("no", "ask")
    assert gather_fleets(Cluster.connect(), (maps[0], unseen), [a_run("r", "", fleet="x")], Options({})).strays == {}


@pytest.mark.usefixtures("fake_release")
def test_number_of_fleets_is_bounded_and_one_can_be_named() -> None:
    names = [f"f{number:02}" for number in range(23)]
    maps = ([a_map(fleets_file(*names))], None)
    found = gather_fleets(Cluster.connect(), maps, [], Options({}))
    assert isinstance(found.fleets, tuple)
    assert (len(found.fleets), found.others) == (20, 3)
    found = gather_fleets(Cluster.connect(), maps, [], Options({}, fleet=names[-1]))
    assert isinstance(found.fleets, tuple)
    assert [one.layout.name for one in found.fleets if isinstance(one, FleetFacts)] == [names[-1]]
    assert found.others == 0


@pytest.mark.parametrize(
    ("annotations", "settings", "reason"),
    [
        (None, {}, "ServiceAccount scorer does not exist in namespace scoring"),
        ({}, {}, "has no annotation azure.workload.identity/client-id"),
        ({"azure.workload.identity/client-id": "1"}, {}, ""),
        ({}, {"storage": {"auth": "existingSecret"}}, ""),
        ({}, {"scorer": {"extraEnv": [{"name": "AZURE_CLIENT_ID", "value": "1"}]}}, ""),
    ],
    ids=["missing", "without-client", "complete", "secret", "client-by-variable"],
)
def test_account_of_a_fleet_exists_and_names_its_identity(
    fake_release: FakeRelease, annotations: dict[str, str] | None, settings: dict[str, Any], reason: str
) -> None:
    if annotations is not None:
        fake_release.objects[ACCOUNT] = {"metadata": {"name": "scorer", "annotations": annotations}}
    scorer = {"serviceAccountName": "scorer", **settings.get("scorer", {})}
    found = read_account(Cluster.connect(), Entry("scoring", {**settings, "scorer": scorer}, FleetLayout()))
    assert isinstance(found, Account)
    assert (reason in found.reason and bool(found.cure)) if reason else found == Account("scorer")


def test_account_that_the_user_may_not_read_is_unseen(fake_release: FakeRelease) -> None:
    fake_release.forbidden.add(ACCOUNT)
    entry = Entry("scoring", {"scorer": {"serviceAccountName": "scorer"}}, FleetLayout())
    found = read_account(Cluster.connect(), entry)
    assert isinstance(found, Unseen)
    assert found.reason == "this user may not get serviceaccounts"
    assert read_account(Cluster.connect(), Entry("scoring", {}, FleetLayout())) is None
