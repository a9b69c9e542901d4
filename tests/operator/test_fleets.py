from typing import Any

import pytest

from scoring_operator.api.fleets import admits, parse_fleet, parse_fleets, parse_quantity, resource_excess
from scoring_operator.api.scoringrun import Resources
from scoring_operator.errors import InvalidFleets


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "must hold a list under the key `fleets`"),
        ([], "must hold a list"),
        ({"fleets": [{"namespaces": ["a"]}]}, "fleet number 1: .*name"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "image": "evil"}]}, "fleet a: .*image"),
        ({"fleets": [{"name": "a", "namespaces": ["x"], "storage": {"key": "k"}}]}, "fleet a: .*key"),
        ({"fleets": [{"name": "a", "namespaces": ["x"]}] * 2}, "fleet 'a' is defined twice"),
        (
            {"fleets": [{"name": "a", "namespaces": ["x"], "storage": {"auth": "existingSecret"}}]},
            "existingSecret is not set",
        ),
        ({"fleets": ["a"]}, "fleet number 1"),
    ],
)
def test_a_wrong_file_is_refused_naming_fleet_and_key(document: Any, message: str) -> None:
    with pytest.raises(InvalidFleets, match=message):
        parse_fleets(document)


def test_a_fleet_admits_only_its_namespaces() -> None:
    fleet = parse_fleet({"name": "a", "namespaces": ["x"]})
    assert admits(fleet, "x")
    assert not admits(fleet, "y")


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("1", 1), (2, 2), ("1Gi", 2**30), ("1G", 10**9), ("1.5Ki", 1536), ("1e3", 1000), ("100n", 1e-7)],
)
def test_quantities_are_numbers(text: str | int, value: float) -> None:
    assert float(parse_quantity(text)) == value


@pytest.mark.parametrize("text", ["", "much", "1Xi", "-1", "1.2.3"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Resources(limits={"memory": "2Gi"}), ""),
        (Resources(limits={"memory": "2049Mi"}), "resources.limits.memory is 2049Mi, but fleet a allows 2Gi"),
        (Resources(requests={"cpu": "250m"}), ""),
        (Resources(requests={"cpu": 1}), "resources.requests.cpu is 1, but fleet a allows 250m"),
        (Resources(limits={"ephemeral-storage": "1Gi"}), "allows nothing"),
        (Resources(limits={"memory": "much"}), "is no quantity"),
    ],
)
def test_a_run_has_no_more_than_the_maximum_or_where_there_is_none_the_fleets_own(wanted: Resources, said: str) -> None:
    fleet = parse_fleet({"name": "a", "namespaces": ["x"], "scorer": {"maxResources": {"memory": "2Gi"}}})
    found = resource_excess(wanted, fleet)
    assert said in found
    assert bool(found) == bool(said)


def test_several_fleets_are_found_by_name() -> None:
    document = {"fleets": [{"name": name, "namespaces": ["x"]} for name in ("a", "b")]}
    assert list(parse_fleets(document)) == ["a", "b"]
