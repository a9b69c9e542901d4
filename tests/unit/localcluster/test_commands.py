"""Commands, and the folder that they write to."""

import shutil
from pathlib import Path

import pytest

from localcluster.commands import run_command, scratch_folder
from localcluster.errors import BuildError


def test_failed_command_has_its_exit_code_and_the_end_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="exit code 3") as caught:
        run_command(["sh", "-c", "seq 0 29; exit 3"], tmp_path)
    assert str(caught.value).splitlines()[1:] == [str(number) for number in range(15, 30)]


def interrupted_build(**options: float) -> Path:
    """Return the folder of a build that Ctrl-C ends."""
    folders = []

    def build() -> None:
        with scratch_folder("fleetscore-test-", **options) as folder:
            folders.append(folder)
            (folder / "root").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    return folders[0]


def test_folder_of_an_interrupted_build_is_removed_while_its_processes_still_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remove, attempts = shutil.rmtree, []

    def remove_at_the_third_attempt(folder: Path, *, ignore_errors: bool) -> None:
        attempts.append(folder)
        if len(attempts) == 3:
            remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", remove_at_the_third_attempt)
    folder = interrupted_build()
    assert len(attempts) == 3
    assert not folder.exists()


def test_folder_that_cannot_be_removed_does_not_hide_the_interruption() -> None:
    folder = interrupted_build(removal_seconds=0)
    assert folder.exists()
    shutil.rmtree(folder)
