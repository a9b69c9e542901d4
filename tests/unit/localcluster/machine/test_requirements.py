from pathlib import Path

import pytest

from localcluster.machine.requirements import command_failure, command_output


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("exit 0", None),
        ("echo first >&2; echo last >&2; exit 1", "last"),
        ("echo output; exit 1", "output"),
        ("exit 1", "sh failed"),
        (f"echo {'x' * 150}; exit 1", "x" * 100),
        ("cat; exit 1", "sh failed"),
    ],
    ids=["success", "error", "output", "silent", "long", "input"],
)
def test_failure_of_a_command_is_the_last_line_of_its_output(script: str, failure: str | None) -> None:
    assert command_failure(["sh", "-c", script]) == failure


def test_command_runs_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    script = "echo $PWD $COLOUR; exit 1"
    found = command_failure(["sh", "-c", script], folder=tmp_path, environment={"COLOUR": "red"})
    assert found == f"{tmp_path} red"


def test_missing_program_and_late_command_are_failures() -> None:
    assert command_failure(["no-such-program"]) == "no program no-such-program"
    assert command_failure(["sleep", "600"], timeout_seconds=0.1) == "sleep did not finish in 0 s"


def test_output_of_a_late_command_is_empty() -> None:
    assert command_output(["sh", "-c", "echo here; exit 3"], timeout_seconds=180) == "here\n"
    assert command_output(["sh", "-c", "echo here; exec sleep 600"], timeout_seconds=0.1) == ""
