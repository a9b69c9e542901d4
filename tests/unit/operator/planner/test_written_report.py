"""The condition Reported of a written report names its place, what is not scored, and where problems are named."""

from typing import Any

import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.names import report_job_name
from scoring_operator.contract.report_message import parse_report_message
from scoring_operator.planner.written_report import written_report
from tests.testkit.builders import a_report_message, a_run

PATH = "20180828T230000Z_20180829T000000Z/report.html"
URL = "https://acc.blob.core.windows.net"
LOG = f"read the log of Job {report_job_name(a_run())}"


def message_of(**keys: Any) -> str:
    """Return the message of the condition after the place of the report."""
    condition = written_report(a_run(), None, parse_report_message(a_report_message(**keys)))
    return condition.message.removeprefix(f"{PATH} is with the predictions").removeprefix("; ")


@pytest.mark.parametrize("slash", ["", "/"])
def test_report_has_the_address_of_its_page(slash: str) -> None:
    fleet = parse_fleet({"name": "f", "namespaces": ["n"], "storage": {"accountUrl": URL + slash}})
    condition = written_report(a_run(), fleet, parse_report_message(a_report_message()))
    assert condition.message == f"{PATH} is in container predictions of {URL}{slash}"
    assert condition.written is not None
    assert (condition.written.path, condition.written.url) == (PATH, f"{URL}/predictions/{PATH}")


def test_account_in_a_secret_gives_a_path_without_an_address() -> None:
    secret = {"auth": "existingSecret", "existingSecret": {"name": "s"}}
    condition = written_report(a_run(), parse_fleet({"name": "f", "namespaces": ["n"], "storage": secret}), None)
    assert condition.written is not None
    assert (condition.written.path, condition.written.url) == (PATH, "")
    assert condition.message.startswith(f"{PATH} is in container predictions of the fleet's storage account; ")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, ""),
        ({"unmodelledDevices": 1}, "not scored: 1 device with readings and without a model"),
        ({"vanishedModels": 2}, "not scored: 2 devices whose model was deleted"),
        ({"outdatedDevices": 2}, "not scored: 2 devices with changes after the scoring (score with IfChanged)"),
        ({"unscoredRows": 12}, "not scored: 12 readings of tags without a model"),
        ({"unreadable": 1}, "not scored: 1 device with unreadable predictions"),
        ({"unknownDevices": 1}, "not scored: 1 id without model and readings"),
        ({"unknownNames": 3}, "not scored: 3 blobs with a name that denotes no device"),
        (
            {"vanishedModels": 1, "unknownNames": 1},
            "not scored: 1 device whose model was deleted, 1 blob with a name that denotes no device",
        ),
        ({"problems": 1}, f"1 problem: {LOG}"),
        ({"problems": 3, "notifyProblems": 2}, f"3 problems, 2 of them with receivers of notices: {LOG}"),
    ],
    ids=lambda value: "-".join(value) or "nothing" if isinstance(value, dict) else "",
)
def test_message_names_what_is_not_scored_and_problems(keys: dict[str, int], text: str) -> None:
    assert message_of(**keys) == text


def test_report_without_a_valid_result_says_that_its_figures_are_unknown() -> None:
    condition = written_report(a_run(), None, None)
    assert (condition.true, condition.reason) == (True, "ReportWritten")
    assert condition.message.endswith("; its figures are unknown, because its pod left no valid result")


def test_message_with_every_count_at_its_maximum_fits_into_a_condition() -> None:
    keys = ("unmodelledDevices", "vanishedModels", "outdatedDevices", "unscoredRows", "unreadable", "unknownDevices")
    every = dict.fromkeys((*keys, "unknownNames", "problems", "notifyProblems"), 10**15)
    assert len(message_of(**every)) < 700
