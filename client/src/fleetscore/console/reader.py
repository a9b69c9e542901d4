"""The data of the pages, read from the fleet's storage and cluster, and kept for some seconds."""

import csv
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, zip_longest
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import RUN_LABEL, Cluster
from fleetscore.console.cache import Cached
from fleetscore.console.history import MAX_WINDOWS, History, join_tiles, known_part
from fleetscore.contract import blob_paths, tiles
from fleetscore.contract.mutes import MAX_MUTES_BYTES, parse_mutes
from fleetscore.contract.report_texts import restore_text
from fleetscore.contract.windows import Window, format_time
from fleetscore.csv_lines import check_lines
from fleetscore.errors import ClusterUnavailable, DataInvalid, FleetscoreError, NotFound
from fleetscore.fleet import Fleet
from fleetscore.texts import printable

MAX_TILES = 8
MAX_REPORT_BYTES = 32 * 2**20
MAX_CSV_BYTES = 128 * 2**20
MAX_PLOTTING = 2
"""Number of pages that read and plot readings at the same time: each needs up to 200 MiB."""

MAX_ROWS = 50_000
MAX_COLUMNS = 16
MAX_TEXT_CHARS = 1024
"""Number of characters of a value of a table: as many as the id of a device may have."""

MAX_JOBS = 200
MAX_EVENTS = 100
MAX_BAD_LINES = 3
EPOCH = datetime.fromtimestamp(0, UTC)
CLOCK_TOLERANCE = timedelta(days=1)
"""Time by which the clock of this machine may be behind: no window is scored before its end."""

_LATER = "begin after the time of this machine, and are not shown; correct its clock, or remove these files"
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The health of the fleet.

    Attributes:
        history: The states of the devices in the last windows.
        window: The newest window with a known state; None without one.
        incidents: The rows of the newest window's `_incidents.csv`.
        sensors: The rows of the newest window's `_sensors.csv`.
        problems: What is missing or invalid, each with the next step.
    """

    history: History = field(default_factory=History)
    window: Window | None = None
    incidents: Sequence[Row] = ()
    sensors: Sequence[Row] = ()
    problems: Sequence[str] = ()

    @property
    def owners(self) -> dict[str, str]:
        """The owner of each device with an incident."""
        return {row.get("Device", ""): row["Owner"] for row in self.incidents if row.get("Owner")}


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """The limits in time of the pages' data.

    Attributes:
        snapshot_seconds: The age after which the health of the fleet is read again.
        runs_seconds: The age after which the runs are read again.
        plots_wait_seconds: The time for which a page waits for others that are plotted; then it has no plots.
    """

    snapshot_seconds: float = 15
    runs_seconds: float = 2
    plots_wait_seconds: float = 10


LIMITS = ReaderLimits()


class Reader:
    """The data of the console.

    Args:
        fleet: The fleet; of a folder or of a cluster.
        limits: The limits in time.

    Attributes:
        plotting: The places of the pages that read and plot readings.
    """

    def __init__(self, fleet: Fleet, limits: ReaderLimits = LIMITS) -> None:
        self.fleet, self.limits = fleet, limits
        self.plotting = threading.BoundedSemaphore(MAX_PLOTTING)
        self.cluster = _cluster(fleet)
        self._snapshot = Cached(self._read_snapshot, limits.snapshot_seconds)
        self._last: tuple[datetime, Snapshot] | None = None
        self._runs = Cached(self._read_runs, limits.runs_seconds)

    def snapshot(self) -> Snapshot:
        """Return the health of the fleet, at most `snapshot_seconds` old."""
        return self._snapshot.get()

    def runs(self) -> list[dict[str, Any]]:
        """Return the fleet's runs, the newest window first, at most `runs_seconds` old; none for a folder."""
        return self._runs.get()

    def run(self, name: str) -> dict[str, Any]:
        """Return a run of the fleet. Raises NotFound if it does not exist."""
        self._need_cluster()
        found = next((run for run in self.runs() if run["metadata"]["name"] == name), None)
        if found is None:
            raise NotFound(f"run {name[:100]} does not exist; it may be deleted after its time to live")
        return found

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """Return Jobs of a run, at most MAX_JOBS."""
        cluster = self._need_cluster()
        selector = f"{RUN_LABEL}={name}"
        query = {"labelSelector": selector, "limit": str(MAX_JOBS)}
        return _items(cluster, release.JOBS.path(cluster.namespace), f"list jobs of run {name}", query)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return events of a run, the newest first, at most MAX_EVENTS."""
        cluster = self._need_cluster()
        path = release.Kind("", "v1", "events").path(cluster.namespace)
        query = {
            "fieldSelector": f"involvedObject.kind=ScoringRun,involvedObject.name={name}",
            "limit": str(MAX_EVENTS),
        }
        found = _items(cluster, path, f"list events of run {name}", query)
        return sorted(found, key=lambda one: str(one.get("lastTimestamp") or ""), reverse=True)

    def report(self, window: Window) -> bytes:
        """Return the page of a window's report. Raises NotFound if it does not exist."""
        return self.fleet.report_page(window)

    def sensor_rows(self, window: Window, device: str) -> list[Row]:
        """Return the rows of a device in a window's `_sensors.csv`; those of the newest window from the snapshot.

        Raises:
            DataInvalid: The file is not a CSV.
        """
        snapshot = self.snapshot()
        rows = snapshot.sensors if window == snapshot.window else self._report_rows(window, blob_paths.SENSORS_FILE)
        return [row for row in rows or () if row.get("Device") == device]

    def predictions_csv(self, device: str, window: Window, *, max_bytes: int = MAX_CSV_BYTES) -> bytes:
        """Return the predictions of a device as CSV. Raises NotFound if they do not exist."""
        name = blob_paths.prediction_name(self.fleet.layout.predictions_path, window, device)
        blob = self.fleet.store.read("predictions", name, max_bytes=max_bytes)
        if blob is None:
            raise NotFound(f"{device} has no predictions in {window.column}; choose another window")
        return blob.content

    def _read_snapshot(self) -> Snapshot:
        """Return the health of the fleet; the last known one with the reason if storage cannot be read."""
        try:
            found = self._read_health()
        except FleetscoreError as error:
            if self._last is None:
                raise
            at, known = self._last
            return replace(known, problems=(f"{error}; the figures below are those of {format_time(at)}",))
        self._last = (datetime.now(UTC), found)
        return found

    def _read_health(self) -> Snapshot:
        problems = self._mute_problems()
        history = join_tiles(self._tiles(datetime.now(UTC), problems))
        if not history.count:
            return Snapshot(problems=problems)
        window = history.window(history.count - 1)
        incidents = self._newest_rows(window, blob_paths.INCIDENTS_FILE, problems)
        sensors = self._newest_rows(window, blob_paths.SENSORS_FILE, problems)
        return Snapshot(history, window, incidents, sensors, problems)

    def _newest_rows(self, window: Window, file: str, problems: list[str]) -> list[Row]:
        """Return the rows of a CSV of the newest report; none, and the reason in `problems`, if it cannot be read."""
        try:
            rows = self._report_rows(window, file)
            found = None if rows is None else list(rows)
        except DataInvalid as error:
            problems.append(str(error))
            return []
        if found is None:
            name = blob_paths.report_name(window, file)
            problems.append(f"{name} does not exist, so this page lacks its rows; the next report writes a new file")
        return found or []

    def _mute_problems(self) -> list[str]:
        """Return the reason for which lines of the file of mutes mute nothing; an empty list for a good file."""
        try:
            blob = self.fleet.store.read("predictions", blob_paths.MUTES_FILE, max_bytes=MAX_MUTES_BYTES)
        except DataInvalid as error:
            return [f"{error}; remove ended mutes with `fleetscore unmute --ended`"]
        bad = [one for one in parse_mutes(blob.content) if one.problem] if blob else []
        if not bad:
            return []
        lines = "; ".join(f"line {one.line}: {printable(one.problem)}" for one in bad[:MAX_BAD_LINES])
        text = f"{blob_paths.MUTES_FILE} has {len(bad):,} invalid lines, which mute no device ({lines})"
        return [f"{text}; correct them in the file, `fleetscore mutes -o wide` lists them"]

    def _tiles(self, now: datetime, problems: list[str]) -> Iterator[tiles.Tile]:
        """Yield the known windows of the newest tiles of the fleet's largest series, without those of the future.

        Args:
            now: The current time.
            problems: The list that gets the reason for each tile that is left out.

        Raises:
            DataInvalid: All of these tiles are damaged.
        """
        store, latest = self.fleet.store, now + CLOCK_TOLERANCE
        listed = store.list("predictions", self.fleet.history_prefix)
        names = tiles.largest_series((info.name, info.size) for info in listed)
        begun = [name for name in names if tiles.overlaps(name, EPOCH, latest)]
        end, damaged = 0, None
        if len(begun) < len(names):
            problems.append(f"{len(names) - len(begun):,} files of the history {_LATER}")
        for name in begun[: -MAX_TILES - 1 : -1]:
            blob = store.read("predictions", name, max_bytes=tiles.MAX_PACKED_BYTES)
            try:
                tile = known_part(tiles.parse_tile(blob.content, name), latest) if blob else None
            except DataInvalid as error:
                damaged = damaged or error
                problems.append(str(error))
                continue
            if tile:
                yield tile
                end = end or tile.end
                if end - tile.first >= MAX_WINDOWS * tile.length:
                    return
        if damaged and not end:
            raise damaged

    def _read_runs(self) -> list[dict[str, Any]]:
        if self.cluster is None:
            return []
        name = self.fleet.layout.name
        found = [run for run in self.cluster.runs() if run["spec"].get("fleet", "default") == name]
        for run in found:
            run["metadata"].pop("annotations", None)  # no page shows them, and each run may have 256 KiB
        return sorted(found, key=_window_start, reverse=True)

    def _report_rows(self, window: Window, file: str) -> Iterator[Row] | None:
        """Return the rows of a CSV of a window's report, at most MAX_ROWS; None if it does not exist."""
        name = blob_paths.report_name(window, file)
        blob = self.fleet.store.read("predictions", name, max_bytes=MAX_REPORT_BYTES)
        return None if blob is None else _csv_rows(blob.content, name)

    def _need_cluster(self) -> Cluster:
        if self.cluster is None:
            raise ClusterUnavailable("a folder has no runs; start the console with --context instead of --store")
        return self.cluster


def _cluster(fleet: Fleet) -> Cluster | None:
    try:
        return fleet.cluster
    except ClusterUnavailable:
        return None


def _window_start(run: Mapping[str, Any]) -> tuple[float, str]:
    window = run["spec"]["window"]
    start = Window.parse(f"{window['start']}/{window['end']}").start
    return start.timestamp(), str(run["metadata"].get("creationTimestamp", ""))


def _items(cluster: Cluster, path: str, action: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    return cluster.page(path, action, query=query)


def _csv_rows(content: bytes, name: str) -> Iterator[Row]:
    """Yield the rows of a report's CSV, which others can write: bounded in number, columns and size of a value."""
    check_lines(content, name)
    try:
        lines = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
        columns = next(lines, [])[:MAX_COLUMNS]
        for row in islice(filter(None, lines), MAX_ROWS):
            values = zip_longest(columns, row[: len(columns)], fillvalue="")
            yield {column[:MAX_TEXT_CHARS]: restore_text(value[:MAX_TEXT_CHARS]) for column, value in values}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"{name} is invalid: {error}; the next report of its window replaces it") from error
