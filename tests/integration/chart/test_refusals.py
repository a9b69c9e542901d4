"""The values that the chart rejects, and the notes for the person who installs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hack.charts import CHART

from tests.testkit.chart import MINIMAL, HelmFailedError, a_fleet, a_schedule, helm, render

pytestmark = pytest.mark.usefixtures("helm")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"operater": {}}, "additional properties 'operater' not allowed", id="misspelt key"),
        pytest.param(
            {"fleets": [a_fleet(data={"format": "parquet"})]},
            "value must be 'csv'",
            marks=pytest.mark.value("fleets[].data.format"),
            id="a format that is not built",
        ),
        pytest.param({"fleets": [a_fleet(storag={})]}, "additional properties 'storag' not allowed", id="in a fleet"),
        pytest.param(
            {"fleets": [a_fleet()], "schedules": [a_schedule(run={"paralellism": 3})]},
            "additional properties 'paralellism' not allowed",
            id="in a run",
        ),
        pytest.param(
            {"fleets": [a_fleet()], "schedules": [a_schedule(window="1h")]}, "an ISO 8601 duration", id="window"
        ),
        pytest.param({"fleets": [a_fleet(), a_fleet()]}, 'the name "default" is used twice', id="two fleets"),
        pytest.param(
            {"fleets": [a_fleet()], "schedules": [a_schedule(), a_schedule()]},
            'the name "hourly" is used twice',
            id="two schedules",
        ),
        pytest.param(
            {"schedules": [a_schedule()]}, 'names the fleet "default", which fleets does not have', id="no fleet"
        ),
        pytest.param(
            {"fleets": [a_fleet()], "schedules": [a_schedule(namespace="other")]},
            'in the namespace "other", where the fleet "default" may not be named',
            id="schedule elsewhere",
        ),
        pytest.param(
            {"fleets": [a_fleet(namespaces=["other"])]}, "which the operator does not watch", id="unwatched namespace"
        ),
        pytest.param(
            {"watch": {"allNamespaces": True, "namespaces": ["a"]}}, "allNamespaces or namespaces, not both", id="both"
        ),
        pytest.param(
            {"fleets": [a_fleet(storage={"accountUrl": "https://x", "auth": "existingSecret"})]},
            "say which by storage.existingSecret",
            id="no secret",
        ),
    ],
)
def test_invalid_values_are_rejected_with_the_reason(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmFailedError) as caught:
        render(values)
    assert message in str(caught.value)


def notes(values: Path | dict[str, Any]) -> str:
    file, stdin = (values, None) if isinstance(values, Path) else ("-", json.dumps(values))
    arguments = ("install", "fleetscore", CHART, "--namespace", "scoring", "--dry-run=client", "--values", file)
    return helm(*arguments, stdin=stdin).partition("NOTES:")[2]


def test_notes_name_the_next_commands_for_the_chosen_values() -> None:
    text = notes(MINIMAL)
    assert "kubectl -n scoring rollout status deployment/fleetscore-operator" in text
    assert "kubectl -n scoring create job hourly-by-hand --from=cronjob/fleetscore-hourly" in text
    assert "fleet: default" in text
    assert "WARNING" not in text


IDENTITY = {"serviceAccount": {"annotations": {"azure.workload.identity/client-id": "1"}}}


def a_fleet_at(url: str) -> dict[str, Any]:
    secret = {"name": "s", "key": "k", "kind": "sas"}
    return a_fleet(storage={"accountUrl": url, "auth": "existingSecret", "existingSecret": secret})


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        pytest.param({"fleets": [a_fleet()]}, "azure.workloadIdentity.clientId is empty", id="no identity"),
        pytest.param({"fleets": [a_fleet(models={"trust": "any"})]}, "may run code in the scorer's pods", id="trust"),
        pytest.param(
            {"fleets": [a_fleet(predictions={"allowOverwrite": True})]}, "may replace predictions", id="overwrite"
        ),
        pytest.param({"fleets": [a_fleet_at("http://blobs/acc")]}, "can be read on the way", id="http"),
        pytest.param(
            {"fleets": [a_fleet_at("https://blobs:10000/acc")], "networkPolicy": {"enabled": True}},
            "storage at port 10000, which networkPolicy.storagePorts does not let pods reach",
            id="port",
        ),
        pytest.param({"crds": {"keep": False}}, "helm uninstall will delete every ScoringRun", id="crd"),
        pytest.param({"operator": {"replicas": 0}}, "runs are created and wait", id="no operator"),
        pytest.param(
            {"fleets": [a_fleet()], "console": {"enabled": True}, "operator": IDENTITY},
            "the console of fleet default has no client id",
            id="console",
        ),
    ],
)
def test_notes_warn_about_risky_values(values: dict[str, Any], warning: str) -> None:
    assert warning in notes(values)


def test_notes_list_the_remaining_steps_without_needless_warnings() -> None:
    assert "There is no fleet yet" in notes({})
    assert "kubectl get crd scoringruns.fleetscore.dev" in notes({"crds": {"enabled": False}})
    safe = {"fleets": [a_fleet_at("https://acc.blob.core.windows.net")], "networkPolicy": {"enabled": True}}
    assert "WARNING" not in notes(safe)
    assert "WARNING" not in notes(
        {"fleets": [a_fleet()], "operator": IDENTITY, "console": {"enabled": True} | IDENTITY}
    )
    assert "helm -n scoring test fleetscore" in notes(safe)
    assert "suspended" in notes(safe | {"schedules": [a_schedule(suspend=True)]})


def test_notes_name_the_value_that_suspends_a_schedule() -> None:
    assert "set schedules[].suspend" in notes(MINIMAL)
    assert "set schedules[].suspend" not in notes({})
