"""The command line: the choice of the command, help and exit codes."""

import pytest

from device_scorer import __version__
from device_scorer.cli import (
    COMMANDS,
    EXIT_PERMANENT,
    EXIT_SUCCESS,
    EXIT_TRANSIENT,
    EXIT_USAGE,
    build_parser,
    run,
    whole_number,
)


def test_success_usage_permanent_and_transient_errors_have_own_exit_codes() -> None:
    assert (EXIT_SUCCESS, EXIT_USAGE, EXIT_PERMANENT, EXIT_TRANSIENT) == (0, 64, 65, 75)


def test_overview_lists_eight_commands_in_the_order_of_use() -> None:
    assert list(COMMANDS) == ["score", "train", "simulate", "import", "fetch", "report", "inspect", "check"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_description(command: str) -> None:
    parser = build_parser(command)
    assert parser.prog == f"device-scorer {command}"
    assert parser.description


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_goes_to_stdout(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([option]) == 0
    assert "usage: device-scorer COMMAND" in capsys.readouterr().out


def test_unknown_command_is_named_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scor"]) == 64
    output = capsys.readouterr()
    assert output.err.startswith("unknown command 'scor'\nusage: device-scorer COMMAND")
    assert output.out == ""


def test_missing_command_prints_the_usage_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 64
    assert capsys.readouterr().err.startswith("usage: device-scorer COMMAND")


def test_wrong_argument_has_the_usage_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--unknown"]) == 64
    assert "usage: device-scorer train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "least"),
    [
        (["train", "--max-rows", "9"], "10"),
        (["train", "--max-rows", "-5"], "10"),
        (["check", "store", "--sample", "-1"], "0"),
        (["simulate", "--anomaly-hours", "-5"], "0"),
        (["simulate", "--anomaly-hours", "10000001"], "0"),
        (["simulate", "--hours", "x"], "1"),
    ],
)
def test_number_out_of_its_range_is_wrong_usage(
    words: list[str], least: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 64
    assert f"must be a whole number from {least} to 10,000,000" in capsys.readouterr().err


def test_number_at_an_end_of_its_range_is_accepted() -> None:
    assert [whole_number(10)(text) for text in ("10", "10000000")] == [10, 10_000_000]


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version_goes_to_stdout(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([option]) == 0
    assert capsys.readouterr().out == f"device-scorer {__version__}\n"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "inspect"])  # it reads a local file
def test_help_names_the_environment_of_storage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run([command, "--help"])
    assert "AZURE_STORAGE_CONNECTION_STRING" in capsys.readouterr().out
