"""The values that both programs state: names of blobs, exit codes, outcomes and variables."""

import pytest

import device_scorer.cli
from device_scorer.contract import blob_paths as scorer_paths
from device_scorer.contract import outcome_message as scorer_message
from device_scorer.contract import secret_formats as scorer_formats
from device_scorer.contract import storage_codes as scorer_codes
from device_scorer.report import files
from device_scorer.settings import read_settings
from device_scorer.window import Window as ScorerWindow
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.contract import blob_paths, command, secret_formats, storage_codes
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


def test_codes_of_storage_have_the_same_meaning_and_cure_in_both_programs() -> None:
    ours, theirs = storage_codes, scorer_codes
    for table in ("STORAGE_CODES", "TOKEN_CODES"):
        assert {code: tuple(rule) for code, rule in getattr(ours, table).items()} == {
            code: tuple(rule) for code, rule in getattr(theirs, table).items()
        }
    for status in (400, 401, 403, 404, 407, 409, 429, 503):
        for code in ("", "SomethingNew"):
            assert tuple(ours.storage_rule(status, code)) == tuple(theirs.storage_rule(status, code))
    for code in ("", "AADSTS1"):
        assert tuple(ours.token_rule(code)) == tuple(theirs.token_rule(code))


@pytest.mark.parametrize("kind", ["connectionString", "sas"])
@pytest.mark.parametrize(
    "secret",
    [
        "", "x" * 9000, '"sv=1&sig=2"', "a\nb", "https://a?sv=1&sig=2", "https://a", "sv=1&sig=2", "?sv=1&sig=2",
        "AccountName=a;AccountKey=b", f"{'A' * 86}==", "eyJhbGciOiJub25lIn0", "{}",
        "c3Y9MSZzaWc9MiZzcj1jJnNlPTM=", "x y",
    ],
)  # fmt: skip
def test_secrets_of_the_wrong_kind_have_the_same_problem_in_both_programs(kind: str, secret: str) -> None:
    assert secret_formats.secret_problem(kind, secret) == scorer_formats.secret_problem(kind, secret)


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
