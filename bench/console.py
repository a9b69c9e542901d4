"""Speed and memory of the console for a fleet of 10,000 devices and 168 windows, as a process that serves a folder.

Each page is measured in a console of its own: the first request after the start, and later ones from its cache. Between
two requests, this process reads the page's main file with pandas, so a busy machine affects both times.
"""

import csv
import io
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from tests.testkit.console_fleet import COUNT, START, tile

from bench.goals import Goals, print_progress
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window

DEVICES, TAGS, ROWS_PER_TAG = 10_000, 10, 3600
MAX_FIRST_MS, MAX_LATER_MS, MAX_DEVICE_MS, MAX_RSS_MIB = 2000, 500, 500, 300
LATER = 15
LETTERS, WEIGHTS = "NASFEP-", (950, 15, 10, 10, 5, 5, 5)
WINDOW = Window(START + timedelta(hours=COUNT - 1), START + timedelta(hours=COUNT))
HISTORY = Path("predictions/_history/default/PT3600S/2018-W35.csv.gz")


@dataclass(frozen=True)
class Page:
    """A page to measure.

    Attributes:
        name: The name in the table.
        address: The address on the console.
        baseline: The function that reads its main file with pandas.
        max_first_ms: The goal of the first request.
        max_later_ms: The goal of the slowest later request.
    """

    name: str
    address: str
    baseline: Callable[[], object]
    max_first_ms: float | None = None
    max_later_ms: float | None = None


@dataclass(frozen=True)
class Measurement:
    """The times of a page in milliseconds, of the baseline next to it, the page's bytes, and the peak RSS in MiB."""

    first: float
    later: list[float]
    baseline: list[float]
    size: int
    rss: float


def main(*, quick: bool) -> bool:
    """Measure each page and print the table."""
    devices, rows, later = (200, 60, 2) if quick else (DEVICES, ROWS_PER_TAG, LATER)
    goals = Goals()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        device = write_fleet(folder, devices, rows)
        pages = _pages(folder, device)
        found = {page.name: _measure(folder, page, pages, later) for page in pages}
    print(f"| page of {devices:,} devices | KB | first (ms) | later, median (ms) | slowest | later / pandas |")
    print("|---|---|---|---|---|---|")
    for page in pages:
        one = found[page.name]
        first = goals.format_cell(one.first, 0, at_most=None if quick else page.max_first_ms)
        slowest = goals.format_cell(max(one.later), 0, at_most=None if quick else page.max_later_ms)
        median = statistics.median(one.later)
        ratio = median / statistics.median(one.baseline)
        print(f"| {page.name} | {one.size / 1000:.0f} | {first} | {median:.0f} | {slowest} | {ratio:.2f} |")
    memory = goals.format_cell(max(one.rss for one in found.values()), 0, at_most=None if quick else MAX_RSS_MIB)
    print(f"\nPeak RSS of a console that served every page: {memory} MiB.")
    return goals.all_met


def write_fleet(folder: Path, devices: int, rows: int) -> str:
    """Write the history, the newest report's tables and the predictions of one device, and return the device's id.

    Args:
        folder: The folder of the store.
        devices: The number of devices; one of twenty has an open incident, one of fifty a flagged sensor.
        rows: The number of readings of each tag.
    """
    draw = random.Random(1)  # noqa: S311  # not a secret
    names = [f"hall{number % 7}-press-{number:05}" for number in range(devices)]
    states = {name: "".join(draw.choices(LETTERS, WEIGHTS, k=COUNT - 1)) + "N" for name in names}
    since = "2018-09-02T10:00:00Z"
    header = "Id,Device,Cause,State,Since,Until,Windows,Tags,Strongest,Owner,Muted"
    incidents = [
        f"i{at},{name},machine,open,{since},,3,tag-1,-0.2,Ann," for at, name in enumerate(names) if at % 20 == 0
    ]
    sensors = [f"{name},tag-1,stuck,{since},60,the value is 5" for at, name in enumerate(names) if at % 50 == 0]
    target = io.StringIO()
    lines = csv.writer(target, lineterminator="\n")
    lines.writerow(["TS", "Device", "Tag", "Val", "Prediction", "Score"])
    for tag in range(TAGS):
        for row in range(rows):
            label = int(draw.random() < 0.001)
            at = WINDOW.start + timedelta(seconds=row * 3600 / rows)
            values = [f"{at:%Y-%m-%dT%H:%M:%SZ}", names[0], f"tag-{tag}", 5 + draw.random(), label, 0.1 - label]
            lines.writerow(values)
    for path, content in {
        HISTORY: tile(states),
        _report(blob_paths.INCIDENTS_FILE): "\n".join([header, *incidents, ""]).encode(),
        _report(blob_paths.SENSORS_FILE): "\n".join(["Device,Tag,Flag,Since,Rows,Detail", *sensors, ""]).encode(),
        _predictions(names[0]): target.getvalue().encode(),
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return names[0]


def _report(file: str) -> Path:
    return Path("predictions") / blob_paths.report_name(WINDOW, file)


def _predictions(device: str) -> Path:
    return Path("predictions") / blob_paths.prediction_name("{window}/{device}.csv", WINDOW, device)


def _pages(folder: Path, device: str) -> list[Page]:
    def history() -> object:
        return pd.read_csv(folder / HISTORY, skiprows=1)

    def predictions() -> object:
        return pd.read_csv(folder / _predictions(device), parse_dates=["TS"])

    return [
        Page("Fleet", "/", history, MAX_FIRST_MS, MAX_LATER_MS),
        Page("Heat map", "/heat-map", history),
        Page("Heat map, picture", "/heat-map.png", history),
        Page("Device", f"/device?id={quote(device)}", predictions, MAX_DEVICE_MS, MAX_DEVICE_MS),
    ]


def _measure(folder: Path, page: Page, pages: list[Page], later: int) -> Measurement:
    with running_console(folder) as (url, pid):
        first, size = _get(url + page.address)
        times, baseline = [], []
        for _ in range(later):
            baseline.append(_timed(page.baseline))
            times.append(_get(url + page.address)[0])
        for other in pages:
            _get(url + other.address)
        status = Path(f"/proc/{pid}/status").read_text()
    print_progress(f"{page.name}: first {first:.0f} ms, later {statistics.median(times):.0f} ms")
    return Measurement(first, times, baseline, size, int(status.partition("VmHWM:")[2].split()[0]) / 1024)


@contextmanager
def running_console(folder: Path) -> Iterator[tuple[str, int]]:
    """Start `fleetscore ui` on a free port, and yield its URL without a final slash and its process id."""
    program = Path(sys.executable).with_name("fleetscore")
    command = [str(program), "ui", "--store", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            if not line.startswith("console on "):
                sys.exit(f"the console did not start: {line}")
            yield line.split()[2].rstrip("/"), process.pid
        finally:
            process.terminate()


def _get(url: str) -> tuple[float, int]:
    """Return the milliseconds and the bytes of a response."""
    begun = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  # the console's own URL
        size = len(response.read())
    return (time.perf_counter() - begun) * 1000, size


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000
