import json
from typing import Any

import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.contract.command import (
    EXIT_CONFIGURATION,
    EXIT_PERMANENT,
    EXIT_TRANSIENT,
    REPORT_DEADLINE_SECONDS,
    escape_argument,
    report_arguments,
    report_environment,
    score_arguments,
    scorer_environment,
)
from tests.testkit.builders import UID, a_run


def test_arguments_of_a_scoring_job_are_those_of_the_command() -> None:
    run = a_run(tags=["1", "-2"], deviceDeadlineSeconds=77, writePolicy="IfChanged")
    assert score_arguments(run, "hourly-abc", ["press-1", "-x"], ["--engine=sklearn"]) == [
        "score",
        *("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z"),
        *("--tag=1", "--tag=-2", "--write-policy", "IfChanged", "--run-uid", UID, "--job-name", "hourly-abc"),
        *("--device-deadline-seconds", "77", "--engine=sklearn", "--", "press-1", "-x"),
    ]


def test_arguments_of_a_report_job_name_its_files() -> None:
    assert report_arguments(a_run(), 2) == [
        *("report", "--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z"),
        *("--devices=/run/scoring/devices-0", "--devices=/run/scoring/devices-1"),
        *("--progress=/run/scoring/progress", f"--run-uid={UID}"),
    ]


@pytest.mark.parametrize("source", [{"ids": ["a"]}, {"include": ["a*"]}, {"retryOf": {"name": "earlier"}}])
def test_report_of_a_run_over_some_devices_includes_the_others(source: dict[str, Any]) -> None:
    assert report_arguments(a_run(devices=source), 1) == [*report_arguments(a_run(), 1), "--include-modelled"]


def test_failure_of_a_run_is_passed_to_the_report_in_at_most_500_characters() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "TooManyFailures", "message": "x" * 1000}
    (argument,) = (one for one in report_arguments(a_run(status={"conditions": [failed]}), 1) if "failed" in one)
    assert argument.startswith("--run-failed=TooManyFailures: x")
    assert len(argument) == 500


def test_dollar_signs_are_escaped_for_the_kubelet() -> None:
    assert escape_argument("$(AZURE_STORAGE_SAS_TOKEN)$") == "$$(AZURE_STORAGE_SAS_TOKEN)$$"


@pytest.mark.parametrize(
    ("kind", "variable"),
    [("connectionString", "AZURE_STORAGE_CONNECTION_STRING"), ("sas", "AZURE_STORAGE_SAS_TOKEN")],
)
def test_secret_is_a_reference_in_the_variable_of_its_kind(kind: str, variable: str) -> None:
    secret = {"name": "fleet-storage", "key": "k", "kind": kind}
    fleet = parse_fleet(
        {"name": "f", "namespaces": ["n"], "storage": {"auth": "existingSecret", "existingSecret": secret}}
    )
    variables = scorer_environment(fleet)
    reference = {"secretKeyRef": {"name": "fleet-storage", "key": "k"}}
    assert variables[-1] == {"name": variable, "valueFrom": reference}
    assert {"name": "FLEETSCORE_AUTH", "value": kind} in variables


def test_environment_has_every_setting_of_the_fleet() -> None:
    fleet = parse_fleet({"name": "f", "namespaces": ["n"], "storage": {"accountUrl": "https://account.example"}})
    assert {entry["name"]: entry["value"] for entry in scorer_environment(fleet)} == {
        "FLEETSCORE_ACCOUNT_URL": "https://account.example",
        "FLEETSCORE_AUTH": "workloadIdentity",
        "FLEETSCORE_MODELS_CONTAINER": "models",
        "FLEETSCORE_DATA_CONTAINER": "data",
        "FLEETSCORE_PREDICTIONS_CONTAINER": "predictions",
        "FLEETSCORE_DATA_PATH": "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv",
        "FLEETSCORE_DATA_PARTITION": "PT1H",
        "FLEETSCORE_MODELS_PATH": "{device}.joblib",
        "FLEETSCORE_MODELS_TRUST": "allowlist",
        "FLEETSCORE_PREDICTIONS_PATH": "{window}/{device}.csv",
        "FLEETSCORE_ALLOW_OVERWRITE": "false",
        "FLEETSCORE_ANOMALOUS_SHARE": "1%",
        "FLEETSCORE_ANOMALOUS_MIN_ROWS": "3",
    }


def test_exit_codes_and_the_deadline_of_a_report_are_those_of_the_contract() -> None:
    assert (EXIT_CONFIGURATION, EXIT_PERMANENT, EXIT_TRANSIENT) == (64, 65, 75)
    assert REPORT_DEADLINE_SECONDS == 3600


def test_report_has_the_rules_owners_and_receivers_and_no_secret() -> None:
    fleet = parse_fleet(
        {
            "name": "plant",
            "namespaces": ["scoring"],
            "incidents": {"openAfter": 3},
            "owners": [{"devices": "hall3-*", "name": "Hall 3"}],
            "notify": [
                {"name": "alerts", "type": "alertmanager", "url": "http://alertmanager:9093"},
                {
                    "name": "hook",
                    "type": "webhook",
                    "urlFrom": {"name": "receivers", "key": "url"},
                    "keyFrom": {"name": "receivers", "key": "key"},
                    "events": ["opened"],
                },
            ],
        }
    )
    variables = {entry["name"]: entry for entry in report_environment(fleet)}
    assert json.loads(variables["FLEETSCORE_INCIDENTS"]["value"]) == {
        "fleet": "plant",
        "openAfter": 3,
        "owners": [{"devices": "hall3-*", "name": "Hall 3"}],
    }
    assert json.loads(variables["FLEETSCORE_NOTIFY"]["value"]) == [
        {"name": "alerts", "type": "alertmanager", "url": "http://alertmanager:9093"},
        {
            "name": "hook",
            "type": "webhook",
            "urlFrom": "FLEETSCORE_NOTIFY_URL_2",
            "keyFrom": "FLEETSCORE_NOTIFY_KEY_2",
            "events": ["opened"],
        },
    ]
    for field in ("URL", "KEY"):
        reference = {"secretKeyRef": {"name": "receivers", "key": field.lower(), "optional": True}}
        assert variables[f"FLEETSCORE_NOTIFY_{field}_2"]["valueFrom"] == reference


def test_fleet_without_receivers_has_only_the_rules_of_incidents() -> None:
    fleet = parse_fleet({"name": "plant", "namespaces": ["scoring"]})
    assert report_environment(fleet) == [{"name": "FLEETSCORE_INCIDENTS", "value": '{"fleet": "plant", "owners": []}'}]
