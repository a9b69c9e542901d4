"""The program `device-scorer` as the client calls it."""

import sys
from pathlib import Path

import pytest

from fleetscore import scorer_program
from fleetscore.contract.fleets import FleetLayout
from fleetscore.errors import DataInvalid, NotFound
from tests.unit.client.conftest import LAST


@pytest.fixture
def fake_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program in the folder of a fake Python; the test writes its text."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    path = tmp_path / scorer_program.PROGRAM
    path.write_text("#!/bin/sh\nenv\n")
    path.chmod(0o700)
    return path


def test_missing_program_is_named_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match=r"device-scorer is not installed: .*; install the distribution in scorer/"):
        scorer_program.find_program()


@pytest.mark.usefixtures("fake_program")
def test_program_gets_the_layout_and_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "secret")
    monkeypatch.setenv("FLEETSCORE_MODELS_TRUST", "any")
    layout = FleetLayout(models_path="m/{device}", quality={"badValues": [-9999]})
    environment = scorer_program.score(tmp_path, layout, LAST, "press-1", None)
    assert "FLEETSCORE_MODELS_PATH=m/{device}" in environment
    assert "FLEETSCORE_DATA_PARTITION=PT1H" in environment
    assert '"badValues": [-9999]' in environment
    assert "secret" not in environment
    assert "TRUST" not in environment


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ('echo \'{"message": "the reason"}\' >&2; exit 65', "cannot be scored: the reason"),
        ("echo 'error: \033[1mbold' >&2; exit 64", r"cannot be scored: \?\[1mbold"),
        ("exit 9", "device-scorer ended with code 9"),
        ("echo 'press-1  FAILED'; exit 65", "press-1 cannot be scored: press-1 FAILED$"),
    ],
    ids=["json", "text", "silent", "output"],
)
def test_error_of_the_program_is_its_last_message(fake_program: Path, tmp_path: Path, script: str, text: str) -> None:
    fake_program.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(DataInvalid, match=text):
        scorer_program.score(tmp_path, FleetLayout(), LAST, "press-1", ["1"])


def test_program_of_another_version_is_an_error(fake_program: Path) -> None:
    fake_program.write_text("#!/bin/sh\necho '{}'\n")
    with pytest.raises(DataInvalid, match="model m cannot be read: device-scorer ended with code 0"):
        scorer_program.inspect(b"", "m")


def test_program_that_cannot_be_started_has_the_next_step(fake_program: Path, tmp_path: Path) -> None:
    fake_program.write_text("#!/missing/python\n")
    with pytest.raises(
        NotFound, match=r"device-scorer cannot be started: .*; install the distribution in scorer/ again"
    ):
        scorer_program.score(tmp_path, FleetLayout(), LAST, "press-1", None)
