"""The end of a process by SIGINT, and temporary files."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleetscore.errors import StorageUnavailable
from fleetscore.interrupts import temporary_folder, temporary_path

PROGRAM = """
import signal, sys, time
from pathlib import Path
from fleetscore import interrupts
class Interrupt:
    def __set_name__(self, *_):
        signal.raise_signal(signal.SIGINT)
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
with interrupts.Interrupts(130, repeat_seconds=float(sys.argv.pop(1))):
"""


def ended(body: str, *words: str, repeat_seconds: float = 60) -> tuple[int, str, str]:
    """Run lines within Interrupts, and return the exit code, output and errors."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    command = [sys.executable, "-c", PROGRAM + lines, str(repeat_seconds), *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return found.returncode, found.stdout, found.stderr


@pytest.mark.parametrize(
    "body",
    [
        "class Broken:\n    name = Interrupt()",  # Python makes it a RuntimeError
        "Interrupt()\ntime.sleep(600)",  # Python prints it and continues
        "try:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    time.sleep(600)",
    ],
    ids=["converted", "ignored", "caught"],
)
def test_interrupt_ends_the_process_whatever_its_error_becomes(body: str) -> None:
    assert ended(body, repeat_seconds=1) == (130, "", "")


INTERRUPTED_DELETION = """
delete = interrupts.shutil.rmtree
def interrupt(*_, **__):
    interrupts.shutil.rmtree = delete
    signal.raise_signal(signal.SIGINT)
interrupts.shutil.rmtree = interrupt
with interrupts.temporary_path(Path(sys.argv[1]), "a-") as path:
    path.mkdir()
"""


def test_interrupt_of_the_deletion_leaves_no_temporary_folder(tmp_path: Path) -> None:
    assert ended(INTERRUPTED_DELETION, str(tmp_path)) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def test_error_without_a_signal_is_raised() -> None:
    code, _, error = ended("raise ValueError('x')")
    assert (code, error.splitlines()[-1]) == (1, "ValueError: x")


def test_temporary_path_and_folder_are_deleted_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_path(tmp_path, "a-") as path, temporary_folder() as folder:
        path.write_text("x")
        (folder / "b").write_text("x")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_folder_for_temporary_files_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/dev/null")
    with pytest.raises(StorageUnavailable, match=r"temporary files cannot be written: .*; .* set TMPDIR to another"):
        temporary_folder().__enter__()
