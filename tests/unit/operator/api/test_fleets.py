from typing import Any

import msgspec
import pytest

from scoring_operator.api.fleets import parse_fleet, parse_fleets, resource_excess
from scoring_operator.api.scoringrun import Resources
from scoring_operator.errors import InvalidFleets
from tests.testkit.builders import a_run


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "must have a list under the key `fleets`"),
        ([], "must have a list"),
        ({"fleets": [{"namespaces": ["a"]}]}, "fleet number 1: .*name"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "image": "evil"}]}, "fleet a: .*image"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "storage": {"key": "k"}}]}, "fleet a: .*key"),
        ({"fleets": [{"name": "a", "namespaces": ["x"]}] * 2}, "fleet 'a' is defined twice"),
        (
            {"fleets": [{"name": "a", "namespaces": ["x"], "storage": {"auth": "existingSecret"}}]},
            "existingSecret is not set",
        ),
        ({"fleets": ["a"]}, "fleet number 1"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "quarantine": {"after": 0}}]}, "fleet a: .*>= 1.*after"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "quarantine": {"retryEvery": 1}}]}, "fleet a: .*retryEvery"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "quarantine": {"for": 1}}]}, "fleet a: .*for"),
    ],
)
def test_invalid_file_is_rejected_with_fleet_and_key(document: Any, message: str) -> None:
    with pytest.raises(InvalidFleets, match=message):
        parse_fleets(document)


def test_fleet_admits_only_its_namespaces() -> None:
    fleet = parse_fleet({"name": "a", "namespaces": ["x"]})
    assert fleet.admits("x")
    assert not fleet.admits("y")


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (Resources(limits={"memory": "2Gi"}), ""),
        (Resources(limits={"memory": "2049Mi"}), "resources.limits.memory is 2049Mi, but fleet a allows 2Gi"),
        (Resources(requests={"cpu": "250m"}), ""),
        (Resources(requests={"cpu": 1}), "resources.requests.cpu is 1, but fleet a allows 250m"),
        (Resources(limits={"ephemeral-storage": "1Gi"}), "allows nothing"),
        (Resources(limits={"memory": "much"}), "must be a quantity"),
        (Resources(limits={"memory": "0.0Gi"}), "resources.limits.memory is 0, which means no limit"),
        (Resources(requests={"memory": 0}, limits={"memory": 0}), "resources.limits.memory is 0, which means no limit"),
        (Resources(requests={"memory": 0}), ""),
    ],
)
def test_resources_are_limited_to_the_maximum_or_the_fleets_defaults(requested: Resources, message: str) -> None:
    fleet = parse_fleet({"name": "a", "namespaces": ["x"], "scorer": {"maxResources": {"memory": "2Gi"}}})
    found = resource_excess(requested, fleet)
    assert message in found
    assert bool(found) == bool(message)


def test_fleets_are_returned_by_name() -> None:
    document = {"fleets": [{"name": name, "namespaces": ["x"]} for name in ("a", "b")]}
    assert list(parse_fleets(document)) == ["a", "b"]


FLEET = {
    "name": "a",
    "namespaces": ["x"],
    "scorer": {"resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}},
}


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (None, Resources({"cpu": "250m", "memory": "256Mi"}, {"memory": "1Gi"})),
        ({"requests": {"cpu": 1}}, Resources({"cpu": 1, "memory": "256Mi"}, {"memory": "1Gi"})),
        ({"limits": {"memory": "2Gi"}}, Resources({"cpu": "250m", "memory": "256Mi"}, {"memory": "2Gi"})),
    ],
)
def test_resources_of_a_run_override_the_fleets(requested: dict[str, Any] | None, expected: Resources) -> None:
    spec: dict[str, Any] = {"resources": requested} if requested else {}
    run = a_run(**spec)
    assert parse_fleet(FLEET).resources_for(run) == expected


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param({"scorer": {"labels": {"a": "b"}}}, True, id="scorer"),
        pytest.param({"namespaces": ["y"]}, True, id="namespaces"),
        pytest.param({"quarantine": {}}, True, id="quarantine"),
        pytest.param({"storage": {"predictions": "others"}}, False, id="storage"),
        pytest.param({"data": {"partition": "PT2H"}}, False, id="data"),
        pytest.param({"models": {"path": "v2/{device}.joblib"}}, False, id="models"),
        pytest.param({"predictions": {"allowOverwrite": True}}, False, id="predictions"),
    ],
)
def test_storage_layout_ignores_only_namespaces_and_scorer(changed: dict[str, Any], same: bool) -> None:  # noqa: FBT001  # a table
    before, after = parse_fleet(FLEET), parse_fleet(FLEET | changed)
    assert (before.storage_layout() == after.storage_layout()) is same


def test_saved_layout_does_not_contain_the_ids_of_pods() -> None:
    fleet = parse_fleet({"name": "a", "namespaces": ["x"], "scorer": {"podSecurityContext": {"runAsUser": 7}}})
    assert b"podSecurityContext" in msgspec.json.encode(fleet)
    assert b"podSecurityContext" not in msgspec.json.encode(fleet.storage_layout())


def test_fraction_of_a_cpu_is_a_valid_quantity() -> None:
    scorer = {"resources": {"requests": {"cpu": 0.5}}, "maxResources": {"cpu": 1.5}}
    fleet = parse_fleet({"name": "a", "namespaces": ["x"], "scorer": scorer})
    assert resource_excess(Resources(requests={"cpu": "1500m"}), fleet) == ""
    assert "allows 1.5" in resource_excess(Resources(requests={"cpu": "1501m"}), fleet)
