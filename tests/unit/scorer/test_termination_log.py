from pathlib import Path

import pytest

from device_scorer.termination_log import DEFAULT_TERMINATION_LOG, termination_log_path, write_termination_message


def test_default_is_the_file_that_the_kubelet_reads() -> None:
    assert Path("/dev/termination-log") == DEFAULT_TERMINATION_LOG


@pytest.mark.parametrize(
    ("argument", "variable", "path"),
    [("a", "b", Path("a")), (None, "b", Path("b")), ("", "", None), (None, None, None)],
)
def test_path_is_that_of_the_argument_or_of_the_environment(
    argument: str | None, variable: str | None, path: Path | None
) -> None:
    environment = {} if variable is None else {"FLEETSCORE_TERMINATION_LOG": variable}
    assert termination_log_path(argument, environment) == path


def test_message_without_a_path_goes_to_the_default_file_if_it_exists(tmp_path: Path) -> None:
    default = tmp_path / "default"
    write_termination_message(None, b"first", default=default)
    assert not default.exists()
    default.touch()
    write_termination_message(None, b"first", default=default)
    write_termination_message(tmp_path / "given", b"second", default=default)
    assert default.read_bytes() == b"first"
    assert (tmp_path / "given").read_bytes() == b"second"


def test_message_that_cannot_be_written_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_termination_message(tmp_path / "missing" / "x", b"")
    assert "the termination message could not be written to" in capsys.readouterr().err
