import pytest

from localcluster.__main__ import main


def test_invalid_argument_ends_with_a_message_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--name", "No Name"]) == 1
    assert capsys.readouterr().err.startswith("cluster name 'No Name' is invalid: use ")
