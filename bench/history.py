"""CPU and memory of the history of a fleet and of its incidents, with 168 windows of an hour, in a folder store.

A child process does what a report does with the history. It sets the column of the last window, reads the history, and
decides on the incidents. In each window one device of nine is in a bad state, independent of its other states. So the
states compress badly and have many spells. The times are those of the process clock without the imports.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.goals import Goals, print_progress
from device_scorer.health.history import Tile, TilePlace, decode_tile, place_of
from device_scorer.health.incidents import find_incidents
from device_scorer.health.settings import IncidentSettings
from device_scorer.report.history_store import HistoryStore
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window

SIZES, ROUNDS = (10_000, 100_000), 3
MAX_UPDATE_SECONDS, MAX_INCIDENTS_SECONDS, MAX_RSS_MIB = 2.0, 2.0, 200
MAX_GROWTH = 2.0
"""Growth of the CPU per device at ten times as many devices: the caches of a CPU hold only the smaller history."""

LETTERS, WEIGHTS = "NASEFP-", (86, 4, 3, 2, 2, 1, 2)
START = datetime(2026, 1, 11, 23, tzinfo=UTC)  # the last window of a week
WINDOW = Window(START, START + timedelta(hours=1))


@dataclass(frozen=True)
class Measurement:
    """The CPU seconds of an update and of the incidents, the peak memory in MiB, and the tile's size in KB."""

    update: float
    incidents: float
    rss: float
    kilobytes: float


def main(*, quick: bool) -> bool:
    """Measure histories of two sizes and print the table."""
    sizes = (1_000, 2_000) if quick else SIZES
    with tempfile.TemporaryDirectory() as name:
        folders = {size: Path(name) / str(size) for size in sizes}
        for size, folder in folders.items():
            _write_history(folder, size)
        rounds = [[_measure(folders[size], size) for size in sizes] for _ in range(1 if quick else ROUNDS)]
    goals, found = Goals(), dict(zip(sizes, zip(*rounds, strict=True), strict=True))
    cpu = {
        size: (statistics.median(one.update for one in ones), statistics.median(one.incidents for one in ones))
        for size, ones in found.items()
    }
    print("| 168 windows of | update (s of CPU) | incidents (s of CPU) | peak RSS (MiB) | tile (KB) |")
    print("|---|---|---|---|---|")
    for size, (updating, deciding) in cpu.items():
        first = size == sizes[0]
        cells = [
            goals.format_cell(updating, 2, at_most=MAX_UPDATE_SECONDS if first else None),
            goals.format_cell(deciding, 2, at_most=MAX_INCIDENTS_SECONDS if first else None),
            goals.format_cell(max(one.rss for one in found[size]), 0, at_most=MAX_RSS_MIB),
            f"{found[size][0].kilobytes:,.0f}",
        ]
        print(f"| {size:,} devices | {' | '.join(cells)} |")
    growth = [after / before * sizes[0] / sizes[1] for before, after in zip(*cpu.values(), strict=True)]
    update, incidents = (goals.format_cell(one, 2, at_most=None if quick else MAX_GROWTH) for one in growth)
    print(
        f"\nCPU per device at {sizes[1]:,} devices, relative to {sizes[0]:,}: {update} for an update, and {incidents} "
        f"for the incidents."
    )
    return goals.all_met


def _place() -> TilePlace:
    place = place_of("plant", WINDOW)
    assert place is not None
    return place


def _write_history(folder: Path, size: int) -> None:
    draw, place = random.Random(size), _place()  # noqa: S311  simulated states
    states = {device: "".join(draw.choices(LETTERS, WEIGHTS, k=place.index)) + "?" for device in _device_ids(size)}
    FolderStore(folder).write("predictions", place.name, Tile(place, states).encode())


def _measure(folder: Path, size: int) -> Measurement:
    measured = [sys.executable, "-I", "-S", str(Path(__file__).with_name("measure_process.py"))]
    done = subprocess.run(
        [*measured, sys.executable, "-m", "bench.history", str(folder), str(size)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    code, _, rss = done.stdout.split()
    if code != "0":
        sys.exit(f"the history of {size:,} devices ended with {code}:\n{done.stderr}")
    update, incidents, count = json.loads(done.stderr.splitlines()[-1])
    size_on_disk = (folder / "predictions" / _place().name).stat().st_size
    print_progress(f"{size:,} devices: {update:.2f} and {incidents:.2f} s of CPU, {count:,} incidents")
    return Measurement(update, incidents, float(rss), size_on_disk / 1000)


def _run_child(folder: Path, size: int) -> None:
    """Update the history and decide on its incidents, and print the seconds of both and the number of incidents."""
    place, store = _place(), FolderStore(folder)
    draw = random.Random()  # noqa: S311  each round changes the column
    letters = dict(zip(_device_ids(size), draw.choices(LETTERS, WEIGHTS, k=size), strict=True))
    update, _ = _time(lambda: HistoryStore(store).set_column(place, letters))

    def decide() -> int:
        blob = store.read("predictions", place.name)
        assert blob is not None
        settings = IncidentSettings("plant")
        past = HistoryStore(store).load(decode_tile(blob.content, place), settings.close_after)
        return len(find_incidents(past, settings))

    incidents, count = _time(decide)
    print(json.dumps([update, incidents, count]))


def _device_ids(size: int) -> list[str]:
    return [f"device-{number:06}-hall-{number % 7}" for number in range(size)]


def _time(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    _run_child(Path(sys.argv[1]), int(sys.argv[2]))
