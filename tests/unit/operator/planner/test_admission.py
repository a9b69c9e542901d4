from typing import Any

import msgspec
import pytest

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.errors import RunRejected
from scoring_operator.planner.admission import check_admission, unchanged_fleet
from tests.testkit.builders import a_run


def a_fleet(name: str = "default", **settings: Any) -> Fleet:
    return parse_fleet({"name": name, "namespaces": ["scoring"], **settings})


def saved_layout(fleet: Fleet) -> dict[str, Any]:
    """Return the storage layout as progress has it."""
    layout: dict[str, Any] = msgspec.to_builtins(fleet.storage_layout())
    return layout


SECRET: dict[str, Any] = {"auth": "existingSecret", "existingSecret": {"name": "fleet-storage"}}
OURS: dict[str, Any] = {"storage": {"accountUrl": "https://ours.blob.core.windows.net", **SECRET}}


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"fleet": "other"}, "FleetNotFound", "fleets for this namespace: default"),
        ({"fleet": "foreign"}, "NamespaceNotAllowed", "its administrator can add it"),
        ({"writePolicy": "Overwrite"}, "OverwriteNotAllowed", "CreateOnly or IfChanged"),
        ({"resources": {"limits": {"memory": "9Gi"}}}, "ResourcesNotAllowed", "allows 2Gi"),
        ({"resources": {"requests": {"memory": "2Gi"}}}, "ResourcesNotAllowed", "above the limit 1Gi; set"),
    ],
)
def test_run_that_its_fleet_does_not_allow_is_rejected_with_the_next_step(
    spec: dict[str, Any], reason: str, words: str
) -> None:
    foreign = parse_fleet({"name": "foreign", "namespaces": ["elsewhere"]})
    fleets = {"default": a_fleet(scorer={"maxResources": {"memory": "2Gi"}}), "foreign": foreign}
    with pytest.raises(RunRejected) as rejected:
        check_admission(a_run(**spec), fleets)
    assert rejected.value.reason == reason
    assert words in rejected.value.message


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"writePolicy": "Overwrite"},
        {"resources": {"limits": {"memory": "512Mi"}}},
        {"resources": {"requests": {"cpu": "100m"}}},
    ],
)
def test_run_that_its_fleet_allows_is_admitted(spec: dict[str, Any]) -> None:
    check_admission(a_run(**spec), {"default": a_fleet(predictions={"allowOverwrite": True})})


def test_namespace_without_a_fleet_has_none_in_the_message() -> None:
    with pytest.raises(RunRejected, match=r"fleets for this namespace: none$"):
        check_admission(a_run(), {})


@pytest.mark.fault("T1", "T7")
@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"storage": {**OURS["storage"], "accountUrl": "https://theirs.example"}}, id="endpoint"),
        pytest.param({"storage": {"accountUrl": "https://ours.blob.core.windows.net"}}, id="credential"),
        pytest.param({"storage": {**OURS["storage"], "existingSecret": {"name": "another"}}}, id="Secret"),
        pytest.param({"storage": {**OURS["storage"], "predictions": "others"}}, id="container"),
        pytest.param({"models": {"trust": "any"}}, id="trust"),
        pytest.param({"predictions": {"path": "{window}/../{device}.csv"}}, id="path"),
        pytest.param({"predictions": {"allowOverwrite": True}}, id="allowOverwrite"),
        pytest.param({"name": "another"}, id="name"),
        pytest.param({"image": "theirs.example/scorer"}, id="unknown key"),
        pytest.param({"storage": 7}, id="malformed"),
    ],
)
def test_fleet_that_was_edited_in_a_config_map_is_rejected(edited: dict[str, Any]) -> None:
    fleets = {"default": a_fleet(**OURS), "another": a_fleet("another", **OURS)}
    saved = saved_layout(fleets["default"])
    assert unchanged_fleet(a_run(), saved, fleets) == fleets["default"]
    with pytest.raises(RunRejected, match="storage or layout of the fleet has changed") as rejected:
        unchanged_fleet(a_run(), saved | edited, fleets)
    assert rejected.value.reason == "FleetChanged"


@pytest.mark.fault("T1")
def test_scorer_settings_are_the_administrators_and_not_the_config_maps() -> None:
    before = a_fleet(scorer={"serviceAccountName": "scorer"})
    now = a_fleet(scorer={"serviceAccountName": "scorer", "resources": {"limits": {"memory": "2Gi"}}})
    saved = saved_layout(before)
    assert unchanged_fleet(a_run(), saved, {"default": now}) == now
    theirs = saved | {"scorer": {"serviceAccountName": "cluster-admin"}}
    assert unchanged_fleet(a_run(), theirs, {"default": now}) == now


@pytest.mark.parametrize(
    ("fleet", "reason", "words"),
    [
        (a_fleet("renamed"), "FleetNotFound", "fleets for this namespace: renamed; to continue, create a run"),
        (parse_fleet({"name": "default", "namespaces": ["elsewhere"]}), "NamespaceNotAllowed", "after that"),
    ],
    ids=["renamed", "namespace removed"],
)
def test_run_that_began_names_why_its_fleet_is_lost_and_the_next_step(fleet: Fleet, reason: str, words: str) -> None:
    with pytest.raises(RunRejected) as rejected:
        unchanged_fleet(a_run(), saved_layout(a_fleet()), {fleet.name: fleet})
    assert rejected.value.reason == reason
    assert words in rejected.value.message
