"""Readings to train on, in a folder."""

from pathlib import Path

import numpy as np

HOUR = "data/20180828T2200Z"


def wave(rows: int = 200) -> np.ndarray:
    """Return values between 17 and 23."""
    return np.round(20 + np.sin(np.arange(rows)) * 3, 2)


def texts(values: np.ndarray) -> list[str]:
    """Return the values as texts."""
    return [str(value) for value in values]


def write_readings(folder: Path, device: str, tags: dict[str, list[str]], hour: str = HOUR) -> None:
    """Write a partition of readings, all at the start of the hour that the folder's name has."""
    path = folder / hour / f"{device}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f"2018-08-28T{hour[14:16]}:00:00Z"
    lines = [f"{start},{device},{tag},{value}\n" for tag, values in tags.items() for value in values]
    path.write_text("TS,Device,Tag,Value\n" + "".join(lines))
