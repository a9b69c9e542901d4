"""The command `device-scorer score`: arguments, output and exit code."""

import argparse
import json
from pathlib import Path

import pytest

from device_scorer.cli import score
from device_scorer.cli.score import OutcomePrinter
from device_scorer.contract.outcome_message import FAILED, Outcome, RowCounts
from device_scorer.errors import UsageInvalid
from device_scorer.scoring.request import ScoreRequest
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import END, SPIKE, START, WINDOW, Fleet, a_model, csv_of, readings

MALFORMED = b"malformed"


@pytest.mark.fault("T9")
def test_printed_id_cannot_add_a_line_or_control_the_terminal(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    evil = 'x\n{"level":"info"}\x1b[31m\u2028'
    fleet.device()
    result = fleet.score(devices=[evil, "press-1"])
    assert len(result.out.splitlines()) == 2
    assert result.out.replace("\n", "").isprintable()
    OutcomePrinter(ScoreRequest((evil,), WINDOW), human=False)(0, Outcome(FAILED, "ConfigurationInvalid", evil))
    lines = capsys.readouterr().err.split("\n")
    assert [json.loads(line)["device"] for line in lines if line] == [evil]
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_overwrite_needs_the_fleets_permission(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.device()
    fleet.score()
    result = fleet.score("--write-policy", "Overwrite")
    assert (result.code, "does not allow it" in result.err) == (64, True)
    monkeypatch.setenv("FLEETSCORE_ALLOW_OVERWRITE", "true")
    fleet.put("press-1", readings("press-1", values=[SPIKE]))
    assert fleet.score("--write-policy", "Overwrite").out == "press-1  scored  1 row, 1 anomaly\n"


def test_mixed_job_reports_each_device_once_in_message_and_record(fleet: Fleet) -> None:
    fleet.device("good")
    fleet.device("before")
    fleet.score(devices=["before"])
    fleet.device("bad", models=MALFORMED)
    fleet.device("silent", data=csv_of())
    fleet.device("half", tags=("1", "2"), models={"1": a_model(), "2": 0})
    devices = ("good", "bad", "silent", "before", "half", "lost")
    message = fleet.termination_message("--run-uid", "u", "--job-name", "j", devices=devices)
    assert message["outcomes"] == {"scored": "0", "partial": "4", "empty": "2", "alreadyScored": "3", "failed": "1,5"}
    assert message["reasons"] == {"ModelInvalid": "1", "ModelNotFound": "5"}
    record = fleet.store.read("predictions", "_runs/u/j.json")
    assert record is not None
    found = json.loads(record.content)
    assert found["outcomes"] == message["outcomes"]
    assert sorted(found["messages"]) == ["1", "2", "3", "4", "5"]


def test_job_ends_with_65_only_if_all_devices_failed(fleet: Fleet) -> None:
    fleet.device("good")
    assert fleet.score(devices=["good", "lost"]).code == 0
    assert fleet.score(devices=["lost", "missing"]).code == 65


def test_wrong_usage_ends_with_64_and_a_message() -> None:
    for line in (
        ("score",),
        ("score", "--store", "x", "--window-start", "soon", "--window-end", END, "--", "a"),
        ("score", "--window-start", START, "--window-end", END, "--", "a"),
        ("scor",),
        (),
    ):
        result = scorer(*line)
        assert result.code == 64
        assert result.err
        assert "Traceback" not in result.err


def parsed(*words: str, environment: dict[str, str] | None = None) -> ScoreRequest:
    parser = argparse.ArgumentParser()
    score.add_arguments(parser)
    line = ["--window-start", START, "--window-end", END, *words]
    return score.parse_request(parser.parse_args(line), environment or {})


def test_store_that_is_not_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "misspelt"):
        words = ("--window-start", START, "--window-end", END, "--", "press-1")
        result = scorer("score", "--store", tmp_path / name, *words)
        assert (result.code, f"{name} is invalid: it is not a folder; name one" in result.err) == (64, True)


def test_request_has_the_arguments_of_the_job() -> None:
    found = parsed("--tag", "1", "--tag=-4", "--run-uid", "u", "--job-name", "j", "--", "a", "-b")
    assert found.devices == ("a", "-b")
    assert found.tags == frozenset({"1", "-4"})
    assert found.record_name == "_runs/u/j.json"
    assert parsed("--", "a").tags is None


def test_defaults_of_the_arguments() -> None:
    found = parsed("--", "a")
    assert (found.write_policy, found.engine, found.device_deadline_seconds) == ("CreateOnly", "auto", 300.0)
    assert (found.run_uid, found.job_name, found.termination_log) == ("", "", None)


def test_environment_names_the_termination_log_unless_an_argument_does() -> None:
    environment = {"FLEETSCORE_TERMINATION_LOG": "/from/environment"}
    assert parsed("--", "a", environment=environment).termination_log == Path("/from/environment")
    found = parsed("--termination-log", "/from/argument", "--", "a", environment=environment)
    assert found.termination_log == Path("/from/argument")


@pytest.mark.fault("T9")
@pytest.mark.parametrize(
    "words",
    [
        ("--run-uid", "u", "--", "a"),
        ("--run-uid", "../u", "--job-name", "j", "--", "a"),
        ("--tag", "", "--", "a"),
        ("--tag", "a\nb", "--", "a"),
        ("--tag", "x" * 257, "--", "a"),
        ("--device-deadline-seconds", "0", "--", "a"),
        ("--device-deadline-seconds", "nan", "--", "a"),
        ("--", "a", "a"),
    ],
)
def test_invalid_arguments_are_rejected(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageInvalid):
        parsed(*words)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Outcome("scored", row_counts=RowCounts(1000, 1, 2, 3)), "1,000 rows, 3 anomalies, 1 malformed, 2 of tags"),
        (Outcome("alreadyScored"), "press-1  already scored\n"),
        (Outcome("transient", "StorageUnavailable", "busy"), "press-1  transient error  StorageUnavailable  busy\n"),
        (Outcome(FAILED, "DataInvalid", "no header"), "press-1  FAILED  DataInvalid  no header\n"),
    ],
)
def test_outcome_is_printed_as_one_line(outcome: Outcome, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    OutcomePrinter(ScoreRequest(("press-1",), WINDOW), human=True)(0, outcome)
    assert line in capsys.readouterr().out


def test_outcome_for_programs_is_a_json_line_without_empty_fields(capsys: pytest.CaptureFixture[str]) -> None:
    OutcomePrinter(ScoreRequest(("press-1",), WINDOW), human=False)(0, Outcome("scored", row_counts=RowCounts(5, 0)))
    found = json.loads(capsys.readouterr().err)
    assert {key: value for key, value in found.items() if key != "time"} == {
        "level": "info",
        "message": "device",
        "device": "press-1",
        "outcome": "scored",
        "rows": 5,
        "badRows": 0,
        "anomalies": 0,
    }
