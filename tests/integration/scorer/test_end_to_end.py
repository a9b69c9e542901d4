"""The commands simulate, train, score, import, report and fetch, one after the other."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testkit.azurite import Storage

END = "2018-08-29T00:00:00Z"
WINDOW = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", END)
FLEET = ("--devices", "6", "--tags", "3", "--end", END, "--interval", "60")
DEVICES = [f"press-{number}" for number in range(1, 7)]
pytestmark = pytest.mark.slow


def scorer(*words: str | Path, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-m", "device_scorer", *map(str, words)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def keys(text: str, *, wanted: int, value: str) -> set[tuple[str, ...]]:
    """Return TS, Device and Tag of the rows whose field at the index `wanted` is `value`."""
    return {tuple(row[:3]) for row in csv.reader(text.splitlines()) if row[wanted] == value}


def test_exactly_the_injected_anomalies_are_found(tmp_path: Path) -> None:
    scorer("simulate", "--store", tmp_path, *FLEET, "--hours", "27", "--anomaly-rate", "0.5")
    scorer("train", "--store", tmp_path, "--end", "2018-08-28T23:00:00Z")
    scorer("score", "--store", tmp_path, *WINDOW, "--", *DEVICES)
    truth = (tmp_path / "truth.csv").read_text()
    injected = keys(truth, wanted=3, value="spike") | keys(truth, wanted=3, value="shift")
    found: set[tuple[str, ...]] = set()
    for path in tmp_path.glob("predictions/*/*.csv"):
        found |= keys(path.read_text(), wanted=4, value="1")
    assert len(injected) > 15
    assert found == injected


@pytest.mark.parametrize("shift", range(0, 24, 8))
def test_no_hour_of_the_day_has_false_anomalies(tmp_path: Path, shift: int) -> None:
    end = f"2018-08-29T{shift:02}:00:00Z"
    start = f"2018-08-29T{shift - 1:02}:00:00Z" if shift else "2018-08-28T23:00:00Z"
    fleet = ("--devices", "3", "--tags", "3", "--hours", "26", "--interval", "60", "--anomaly-rate", "0")
    scorer("simulate", "--store", tmp_path, "--end", end, *fleet)
    scorer("train", "--store", tmp_path, "--end", start)
    result = scorer("score", "--store", tmp_path, "--window-start", start, "--window-end", end, "--", *DEVICES[:3])
    assert result.count("180 rows, 0 anomalies") == 3


def test_blob_storage_and_folder_get_the_same_bytes(tmp_path: Path, storage: Storage) -> None:
    shared = tmp_path / "shared.csv"
    environment = storage.environment()
    short = (*FLEET, "--hours", "3", "--truth", tmp_path / "truth.csv")
    scorer("simulate", "--store", tmp_path / "folder", *short, "--csv", shared)
    scorer("import", "--data", shared, environment=environment)
    result = scorer("simulate", *short, environment=environment)
    assert "0 blobs written, 18 already exist" in result
    for where in ((), ("--store", str(tmp_path / "folder"))):
        scorer("train", *where, environment=environment)
        scorer("score", *where, *WINDOW, "--", *DEVICES, environment=environment)
        scorer("report", *where, *WINDOW, environment=environment)
    for role in ("data", "models", "predictions"):
        folder = tmp_path / "folder" / role
        paths = [path for path in folder.rglob("*") if path.is_file() and ".meta" not in path.parts]
        assert storage.names(role) == sorted(path.relative_to(folder).as_posix() for path in paths)
        assert all(storage.get(role, path.relative_to(folder).as_posix()) == path.read_bytes() for path in paths)
    result = scorer("fetch", "press-3", *WINDOW, "--to", tmp_path / "fetched", environment=environment)
    assert "press-3: model, 1 of 1 partition of readings, predictions" in result
