"""A fleet in a folder that the scorer's own commands wrote."""

from collections.abc import Sequence
from pathlib import Path

from fleetscore import Window
from tests.testkit import scorer_fleet
from tests.testkit.scorer_command import scorer

FIRST, LAST = (Window.parse(f"2018-08-28T{hour}:00Z") for hour in (22, 23))
DEVICES = ("press-1", "press-2", "press-3")


def write_inputs(folder: Path, hour: int, values: dict[str, Sequence[float]]) -> None:
    """Write the model and the readings of devices in an hour of 2018-08-28."""
    for device, found in values.items():
        for name, content in {
            f"models/{device}.joblib": scorer_fleet.bundle({"1": scorer_fleet.a_model()}),
            f"data/20180828T{hour}00Z/{device}.csv": scorer_fleet.readings(device, values=found).replace(
                b"T23:", f"T{hour}:".encode()
            ),
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def score(folder: Path, window: Window, devices: Sequence[str] = DEVICES, *, report: bool = True) -> None:
    span = [f"--window-start={window.start:%Y-%m-%dT%H:%M:%SZ}", f"--window-end={window.end:%Y-%m-%dT%H:%M:%SZ}"]
    scorer("score", "--store", str(folder), *span, "--", *devices)
    if report:
        assert scorer("report", "--store", str(folder), *span).code == 0


def make_folder(path: Path) -> Path:
    """Write a fleet: press-2 has anomalies in both windows, press-3 has no readings in the last one."""
    bad = (*scorer_fleet.NORMAL, scorer_fleet.SPIKE)
    write_inputs(path, 22, {"press-1": scorer_fleet.NORMAL, "press-2": bad, "press-3": scorer_fleet.NORMAL})
    write_inputs(path, 23, {"press-1": scorer_fleet.NORMAL, "press-2": bad})
    for window in (FIRST, LAST):
        score(path, window)
    return path
