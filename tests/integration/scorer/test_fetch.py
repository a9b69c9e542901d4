"""The command that `device-scorer fetch` prints, executed by a shell."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testkit.scorer_command import scorer

WINDOW = ("--window-start", "2018-08-28T22:30:00Z", "--window-end", "2018-08-29T00:00:00Z")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    fleet = ("--devices", "3", "--tags", "2", "--end", "2018-08-29T00:00:00Z", "--hours", "4")
    assert scorer("simulate", "--store", folder, *fleet).code == 0
    assert scorer("train", "--store", folder).code == 0
    return folder


def shell(line: str, folder: Path) -> None:
    python = f"{shlex.quote(sys.executable)} -m device_scorer"
    subprocess.run(["sh", "-c", line.replace("device-scorer", python)], check=True, cwd=folder, capture_output=True)


def test_printed_command_writes_the_same_predictions(store: Path, tmp_path: Path) -> None:
    shell(f"device-scorer score --store store {' '.join(WINDOW)} -- press-1 press-2 press-3", tmp_path)
    result = scorer("fetch", "press-2", "press-3", *WINDOW, "--to", tmp_path / "it is here", "--store", store)
    slug = "20180828T223000Z_20180829T000000Z"
    for device in ("press-2", "press-3"):
        target = tmp_path / "it is here" / "predictions" / slug / f"{device}.csv"
        target.write_text("to be replaced")
        shell(result.out.split("score again:")[1].strip(), tmp_path)
        assert target.read_bytes() == (store / "predictions" / slug / f"{device}.csv").read_bytes()
