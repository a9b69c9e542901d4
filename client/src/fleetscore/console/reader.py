"""The data of the pages, read from the fleet's storage and cluster, and kept for some seconds."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import RUN_LABEL, Cluster
from fleetscore.console.cache import Cached
from fleetscore.console.history import MAX_WINDOWS, History, join_tiles
from fleetscore.contract import blob_paths, tiles
from fleetscore.contract.mutes import MAX_MUTES_BYTES, parse_mutes
from fleetscore.contract.windows import Window, format_time
from fleetscore.errors import ClusterUnavailable, DataInvalid, FleetscoreError, NotFound
from fleetscore.fleet import Fleet
from fleetscore.runs.state import printable

SNAPSHOT_SECONDS = 15.0
RUNS_SECONDS = 2.0
MAX_TILES = 8
MAX_REPORT_BYTES = 32 * 2**20
MAX_CSV_BYTES = 256 * 2**20
MAX_ROWS = 50_000
MAX_JOBS = 200
MAX_EVENTS = 100
MAX_BAD_LINES = 3
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


class Reader:
    """The data of the console.

    Args:
        fleet: The fleet; of a folder or of a cluster.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.cluster = _cluster(fleet)
        self._snapshot = Cached(self._read_snapshot, SNAPSHOT_SECONDS)
        self._last: tuple[datetime, Snapshot] | None = None
        self._runs = Cached(self._read_runs, RUNS_SECONDS)

    def snapshot(self) -> Snapshot:
        """Return the health of the fleet, at most SNAPSHOT_SECONDS old."""
        return self._snapshot.get()

    def runs(self) -> list[dict[str, Any]]:
        """Return the fleet's runs, the newest window first, at most RUNS_SECONDS old; none for a folder."""
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

    def report_rows(self, window: Window, file: str) -> list[Row]:
        """Return the rows of a CSV of a window's report, at most MAX_ROWS; none if it does not exist.

        Raises:
            DataInvalid: The file is not a CSV.
        """
        return self._report_rows(window, file) or []

    def report(self, window: Window) -> bytes:
        """Return the page of a window's report. Raises NotFound if it does not exist."""
        return self.fleet.report_page(window)

    def sensor_rows(self, window: Window) -> Sequence[Row]:
        """Return the rows of a window's `_sensors.csv`; of the newest window from the snapshot."""
        snapshot = self.snapshot()
        return snapshot.sensors if window == snapshot.window else self.report_rows(window, blob_paths.SENSORS_FILE)

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
        history = join_tiles(self._tiles())
        problems = self._mute_problems()
        if not history.count:
            return Snapshot(problems=problems)
        window = history.window(history.count - 1)
        incidents = self._newest_rows(window, blob_paths.INCIDENTS_FILE, problems)
        sensors = self._newest_rows(window, blob_paths.SENSORS_FILE, problems)
        return Snapshot(history, window, incidents, sensors, problems)

    def _newest_rows(self, window: Window, file: str, problems: list[str]) -> list[Row]:
        """Return the rows of a CSV of the newest report; none, and the reason in `problems`, if it cannot be read."""
        try:
            found = self._report_rows(window, file)
        except DataInvalid as error:
            problems.append(str(error))
            return []
        if found is None:
            name = blob_paths.report_name(window, file)
            problems.append(f"{name} does not exist, so its rows are missing here; the next report has its own")
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

    def _tiles(self) -> Iterator[tiles.Tile]:
        """Yield the newest tiles of the fleet's largest series of windows."""
        store = self.fleet.store
        a_folder = self.cluster is None  # it has one fleet, of any name
        prefix = blob_paths.HISTORY_PREFIX if a_folder else tiles.history_prefix(self.fleet.layout.name)
        names = tiles.largest_series((info.name, info.size) for info in store.list("predictions", prefix))
        windows = 0
        for name in names[: -MAX_TILES - 1 : -1]:
            blob = store.read("predictions", name, max_bytes=tiles.MAX_PACKED_BYTES)
            if blob is not None:
                tile = tiles.parse_tile(blob.content, name)
                yield tile
                known = max((len(states.rstrip(tiles.UNKNOWN)) for states in tile.states.values()), default=0)
                windows += tile.count if windows else known
            if windows >= MAX_WINDOWS:
                return

    def _read_runs(self) -> list[dict[str, Any]]:
        if self.cluster is None:
            return []
        name = self.fleet.layout.name
        found = (run for run in self.cluster.runs() if run["spec"].get("fleet", "default") == name)
        return sorted(found, key=_window_start, reverse=True)

    def _report_rows(self, window: Window, file: str) -> list[Row] | None:
        name = blob_paths.report_name(window, file)
        blob = self.fleet.store.read("predictions", name, max_bytes=MAX_REPORT_BYTES)
        return None if blob is None else list(_csv_rows(blob.content, name))

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
    return cluster.page(path, action, query=query)[0]


def _csv_rows(content: bytes, name: str) -> Iterable[Row]:
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), restkey="", restval="")
        for index, row in enumerate(rows):
            if index == MAX_ROWS:
                return
            yield {str(key): str(value) for key, value in row.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"{name} is invalid: {error}; the next report of its window replaces it") from error
