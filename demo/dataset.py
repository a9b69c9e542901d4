"""Readings, models and the window to score in a folder store: simulated, or from the user's CSV."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo import workspace
from demo.errors import DemoError
from device_scorer import readings
from device_scorer.contract import blob_paths
from device_scorer.csv_lines import split_line
from device_scorer.errors import UsageInvalid
from device_scorer.settings import Settings
from device_scorer.window import Window, parse_instant

DEVICE_COUNT, TAG_COUNT, TRAINING_HOURS = 12, 5, 24
_HOUR = timedelta(hours=1)
# An hour is full if the newest reading is in its last minute or later.
_FULL_HOUR_SLACK_SECONDS = 60
_DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class Dataset:
    """A store with readings and models, and the window and devices to score.

    Attributes:
        store: The folder store.
        window: The window to score.
        devices: The ids of the devices that have a model.
        truth: The CSV of the injected anomalies, or None if the readings are not simulated.
    """

    store: Path
    window: Window
    devices: tuple[str, ...]
    truth: Path | None


def parse_window(text: str) -> Window:
    """Parse ``start/end``, such as ``2018-08-28T23:00:00Z/2018-08-29T00:00:00Z``."""
    start, slash, end = text.partition("/")
    if not slash:
        raise DemoError(f"WINDOW {text!r} is invalid: write it as 2018-08-28T23:00:00Z/2018-08-29T00:00:00Z")
    try:
        return Window(parse_instant(start), parse_instant(end))
    except UsageInvalid as error:
        raise DemoError(f"WINDOW {text!r} is invalid: {error}") from error


def simulate(folder: Path, now: datetime) -> Dataset:
    """Simulate a fleet: a day of readings for training, and the last full hour before `now` with known anomalies.

    Args:
        folder: The folder in which `store` and `truth.csv` are created. An earlier `store` is deleted.
        now: The current time.
    """
    end = now.replace(minute=0, second=0, microsecond=0)
    window = Window(end - _HOUR, end)
    store, truth = workspace.recreate_folder(folder / "store"), folder / "truth.csv"
    fleet = [
        "--devices",
        str(DEVICE_COUNT),
        "--tags",
        str(TAG_COUNT),
        "--hours",
        str(TRAINING_HOURS + 1),
        "--end",
        _format_time(end),
    ]
    _run_scorer("simulate", "--store", str(store), *fleet, "--truth", str(truth))
    _run_scorer("train", "--store", str(store), "--end", _format_time(window.start))
    return Dataset(store, window, _modelled_devices(store), truth)


def import_readings(folder: Path, data: Path, *, train_on_all: bool, window: Window | None) -> Dataset:
    """Import the user's readings and train models.

    Args:
        folder: The folder in which `store` is created. An earlier `store` is deleted.
        data: The CSV with the columns TS, Device, Tag and Value.
        train_on_all: True to train on all rows, False to train on the rows before the window.
        window: The window to score. The default is the last full hour of the readings.

    Raises:
        DemoError: The file is missing, no row could be imported, or no model could be trained.
    """
    if not data.is_file():
        raise DemoError(f"DATA is {data}: there is no such file; name a CSV with the columns TS,Device,Tag,Value")
    store = workspace.recreate_folder(folder / "store")
    code = _run_scorer("import", "--store", str(store), "--data", str(data.resolve()), allowed_exit_codes=(65,))
    if not any(store.glob("data/*/*")):
        raise DemoError(f"DATA is {data}: no reading in it could be placed; the reasons are above")
    if code:
        print("Some rows were skipped (see above); the demo continues with the others.")
    window = window or last_full_hour(newest_reading(store))
    before = [] if train_on_all else ["--end", _format_time(window.start)]
    training_rows = "all rows" if train_on_all else f"the rows before {_format_time(window.start)}"
    print(f"Window {window.interval}; the models are trained on {training_rows}.", flush=True)
    _run_scorer("train", "--store", str(store), *before, allowed_exit_codes=(65,))
    devices = _modelled_devices(store)
    if not devices:
        advice = "the reasons are above" if train_on_all else "give TRAIN=all, or another WINDOW=start/end"
        raise DemoError(f"no model could be trained on {training_rows}; {advice}")
    return Dataset(store, window, devices, None)


def last_full_hour(newest: datetime) -> Window:
    """Return the last full hour before the time of the newest reading."""
    end = (newest + timedelta(seconds=_FULL_HOUR_SLACK_SECONDS)).replace(minute=0, second=0, microsecond=0)
    return Window(end - _HOUR, end)


def newest_reading(store: Path) -> datetime:
    """Return the time of the newest reading in a store."""
    for partition in sorted((store / "data").iterdir(), reverse=True):
        rows = [line for file in partition.iterdir() for line in file.read_bytes().splitlines()[1:]]
        if moments := [_timestamp(row) for row in rows]:
            return datetime.fromtimestamp(max(moments), UTC)
    raise DemoError(f"{store / 'data'} has no readings")


def _timestamp(row: bytes) -> int:
    # `import` writes TS as the first column, in a format that `parse_timestamp` reads.
    return readings.parse_timestamp(split_line(row)[0])


def _modelled_devices(store: Path) -> tuple[str, ...]:
    names = (path.name for path in (store / "models").glob("*.joblib"))
    devices = [device for name in names if (device := blob_paths.device_from_name(_DEFAULT_SETTINGS.models_path, name))]
    return tuple(sorted(devices, key=lambda device: [part.zfill(12) for part in re.split(r"(\d+)", device)]))


def _run_scorer(*arguments: str, allowed_exit_codes: Sequence[int] = ()) -> int:
    """Run the scorer's command line and return its exit code, 0 or one of `allowed_exit_codes`."""
    code = subprocess.run([sys.executable, "-m", "device_scorer", *arguments], check=False).returncode
    if code not in (0, *allowed_exit_codes):
        raise DemoError(f"this command ended with exit code {code}: device-scorer {' '.join(arguments)}")
    return code


def _format_time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
