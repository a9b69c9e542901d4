"""What the chart refuses, and what it tells the person who installs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chart.generate import CHART
from tests.chart.rendering import EVERYTHING, MINIMAL, HelmFailedError, a_fleet, a_schedule, helm, render

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
            {"fleets": [a_fleet()], "schedules": [a_schedule(window="1h")]}, "does not match pattern", id="window"
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
def test_values_that_cannot_work_are_refused_with_the_reason(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmFailedError) as caught:
        render(values)
    assert message in str(caught.value)


def notes(values: Path | dict[str, Any]) -> str:
    file, stdin = (values, None) if isinstance(values, Path) else ("-", json.dumps(values))
    arguments = ("install", "fleetscore", CHART, "--namespace", "scoring", "--dry-run=client", "--values", file)
    return helm(*arguments, stdin=stdin).partition("NOTES:")[2]


def test_the_notes_name_the_next_commands_for_the_chosen_values() -> None:
    text = notes(MINIMAL)
    assert "kubectl -n scoring rollout status deployment/fleetscore-operator" in text
    assert "kubectl -n scoring create job hourly-by-hand --from=cronjob/fleetscore-hourly" in text
    assert "fleet: default" in text
    assert "WARNING" not in text


def test_the_notes_warn_of_risky_values_and_of_none_at_all() -> None:
    assert "There is no fleet yet" in notes({})
    assert "whoever may write to its models container may run code" in notes(EVERYTHING)
    assert "workload identity and azure.workloadIdentity.clientId is empty" in notes({"fleets": [a_fleet()]})
