"""The values that both programs state: names of blobs, exit codes, outcomes and variables."""

import device_scorer.cli
from device_scorer.contract import blob_paths as scorer_paths
from device_scorer.contract import outcome_message as scorer_message
from device_scorer.report import files
from device_scorer.settings import read_settings
from device_scorer.window import Window as ScorerWindow
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.contract import blob_paths, command
from tests.testkit.builders import a_run

WINDOW = a_run().spec.window
SCORER_WINDOW = ScorerWindow(WINDOW.start, WINDOW.end)


def test_both_write_a_window_as_the_same_texts() -> None:
    assert (WINDOW.slug, WINDOW.interval) == (SCORER_WINDOW.slug, SCORER_WINDOW.interval)


def test_operator_finds_predictions_where_the_scorer_writes_them() -> None:
    template = parse_fleet({"name": "f", "namespaces": ["n"]}).predictions.path
    name = scorer_paths.prediction_name(template, SCORER_WINDOW, "a#b")
    assert blob_paths.prediction_pattern(template, WINDOW).device_id(name) == "a#b"


def test_operator_reads_records_and_reports_where_the_scorer_writes_them() -> None:
    assert blob_paths.outcome_record_name("uid", "job") == scorer_paths.outcome_name("uid", "job")
    assert blob_paths.failures_name(WINDOW) == f"{SCORER_WINDOW.slug}/{files.FAILURES_FILE}"
    assert blob_paths.report_name(WINDOW) == f"{SCORER_WINDOW.slug}/{files.PAGE_FILE}"


def test_exit_codes_of_both_programs_are_equal() -> None:
    assert (command.EXIT_CONFIGURATION, command.EXIT_PERMANENT, command.EXIT_TRANSIENT) == (
        device_scorer.cli.EXIT_USAGE,
        scorer_message.EXIT_PERMANENT,
        scorer_message.EXIT_TRANSIENT,
    )


def test_scorer_reads_the_variable_of_each_kind_of_secret() -> None:
    variables = {command.CONNECTION_STRING_VARIABLE: "connection", command.SAS_TOKEN_VARIABLE: "token"}
    found = read_settings({"FLEETSCORE_ACCOUNT_URL": "https://account.example", **variables})
    assert (found.connection_string, found.sas_token) == ("connection", "token")
