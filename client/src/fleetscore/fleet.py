"""A fleet: its runs in a cluster, and its models, readings, predictions and reports in storage."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fleetscore import frames, scorer_program
from fleetscore.cluster.connection import Cluster
from fleetscore.compaction import Compacted, check_format, compact_window
from fleetscore.contract import blob_paths, tiles
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Time, Window, to_span
from fleetscore.data import LIMITS, MAX_TABLE_BYTES, FleetData, FleetLimits
from fleetscore.errors import ClusterUnavailable, DataInvalid, NotFound, UsageInvalid
from fleetscore.progress import track
from fleetscore.replay import Replay
from fleetscore.replay import replay as replay_device
from fleetscore.store.base import Store
from fleetscore.store.folder import FolderStore
from fleetscore.store.parallel import map_in_order

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

CLOSED = "closed"
_WINDOW_COLUMNS = ("Window", "Length")
"""The columns that the tables of windows have in front of those of the files."""


class Fleet(FleetData):
    """A fleet of devices.

    Args:
        layout: The storage layout of the fleet.
        store: The fleet's storage.
        cluster: The cluster of its runs; None for a folder.
        limits: The limits of lists and histories.
    """

    def __init__(
        self, layout: FleetLayout, store: Store, cluster: Cluster | None = None, *, limits: FleetLimits = LIMITS
    ) -> None:
        super().__init__(layout, store, limits=limits)
        self._cluster = cluster

    @classmethod
    def connect(
        cls,
        context: str | None = None,
        namespace: str | None = None,
        fleet: str = "default",
        *,
        use_fleet_secret: bool = False,
        fleets: Mapping[str, FleetLayout] | None = None,
        environment: Mapping[str, str] = MappingProxyType(os.environ),
    ) -> "Fleet":
        """Connect to a fleet of a cluster.

        Args:
            context: The kubeconfig's context; None for its current one.
            namespace: The namespace of the runs; None for the context's.
            fleet: The name of the fleet.
            use_fleet_secret: True to read the fleet's Secret for storage, instead of the user's own identity.
            fleets: The fleets by name from a trusted source; None for the release's ConfigMap, which is not trusted.
            environment: The environment variables with a storage credential.

        Raises:
            ClusterUnavailable: The cluster cannot be reached.
            NotFound: The cluster has no such fleet.
            AccessDenied: The user lacks a right.
        """
        # The SDK of Azure takes longer to import than most commands that need no account.
        from fleetscore.store import azure  # noqa: PLC0415

        cluster = Cluster.connect(context, namespace)
        known = cluster.fleets() if fleets is None else fleets
        if fleet not in known:
            raise NotFound(f"fleet {fleet} does not exist; the release has {', '.join(sorted(known))}")
        layout = known[fleet]
        if use_fleet_secret:
            if layout.secret is None:
                text = f"fleet {fleet} has no Secret: it uses workload identity"
                raise UsageInvalid(f"{text}; omit --use-fleet-secret, and unset FLEETSCORE_USE_FLEET_SECRET")
            is_string = layout.secret.kind == "connectionString"
            variable = azure.CONNECTION_STRING_VARIABLE if is_string else azure.SAS_TOKEN_VARIABLE
            environment = {variable: cluster.secret_value(layout.secret)}
        store = azure.AzureStore.connect(
            layout.account_url, layout.containers, environment=environment, is_trusted=fleets is not None
        )
        return cls(layout, store, cluster)

    @classmethod
    def folder(cls, folder: str | Path) -> "Fleet":
        """Open a fleet in a folder, as `device-scorer --store` writes it. Raises NotFound if it does not exist."""
        return cls(FleetLayout(), FolderStore(Path(folder)))

    @property
    def cluster(self) -> Cluster:
        """The cluster of the fleet's runs. Raises ClusterUnavailable for a folder."""
        if self._cluster is None:
            raise ClusterUnavailable("a folder has no runs; connect to a cluster with --context instead of --store")
        return self._cluster

    @property
    def history_prefix(self) -> str:
        """The prefix of the names of the fleet's history; a folder has one fleet, of any name."""
        return blob_paths.HISTORY_PREFIX if self._cluster is None else tiles.history_prefix(self.layout.name)

    def runs(self) -> "pd.DataFrame":
        """Return the fleet's runs, the newest window first; see `frames.runs_frame`."""
        return frames.runs_frame(
            run for run in self.cluster.runs() if run["spec"].get("fleet", "default") == self.layout.name
        )

    def anomalies(self, start: Time, end: Time) -> "pd.DataFrame":
        """Return the devices and tags with anomalies of the windows that begin in [start, end).

        Returns:
            The columns Window (its start, UTC), Length (a Timedelta) and those of `_anomalies.csv`.
        """
        return self.report_tables(start, end, blob_paths.ANOMALIES_FILE)

    def incidents(self, *, open_only: bool = True) -> "pd.DataFrame":
        """Return the incidents of the newest window with a report.

        Args:
            open_only: False to include those that ended in this window.

        Returns:
            The columns Window (its start, UTC), Length (a Timedelta) and those of `_incidents.csv`.

        Raises:
            NotFound: No window has a report.
        """
        found = self.window_tables([self.newest_window()], blob_paths.INCIDENTS_FILE)
        return found[found["State"] != CLOSED].reset_index(drop=True) if open_only else found

    def history(self, start: Time, end: Time, *, series: Window | None = None) -> "pd.DataFrame":
        """Return the state of each device in the windows that begin in [start, end).

        Args:
            start: The first instant, in UTC unless it has a time zone.
            end: The first instant after the windows.
            series: A window of the series to return: a fleet has one for each length and offset of its windows. None
                for the largest series.

        Returns:
            One row per device (index `Device`), one column per window (its start, UTC), a letter each; see
            `contract.tiles.STATES`.

        Raises:
            UsageInvalid: The history would have more letters or columns than the limits of the fleet.
        """
        first, after = to_span(start, end)
        label = "" if series is None else tiles.series_label(series)
        listed = self.store.list("predictions", self.history_prefix)
        names = tiles.largest_series(((info.name, info.size) for info in listed), label)
        columns: dict[datetime, dict[str, str]] = {}
        states, limits = 0, self._limits
        names = [name for name in names if tiles.overlaps(name, first, after)]
        for name in track(names, len(names), "tiles"):
            blob = self.store.read("predictions", name, max_bytes=tiles.MAX_PACKED_BYTES)
            for begin, letters in (
                tiles.states_between(tiles.parse_tile(blob.content, name), first, after) if blob else ()
            ):
                states += len(letters)
                if states > limits.history_states or len(columns) == limits.history_windows:
                    too_many = states > limits.history_states
                    most = f"{limits.history_states:,} states" if too_many else f"{limits.history_windows:,} windows"
                    text = f"the history from {first:%Y-%m-%d} to {after:%Y-%m-%d} has more than {most}"
                    raise UsageInvalid(f"{text}; ask for a shorter time")
                columns[begin] = letters
        return frames.history_frame(columns)

    def model(self, device: str) -> "pd.DataFrame":
        """Return the models of a device, read by the installed `device-scorer`, which runs no code of the file.

        Returns:
            One row per tag: Tag, Detector, SklearnVersion (text), EvaluatedBy (text), Problem (text; empty for a usable
            model) and Parameters (a dict of the steps' settings and fitted numbers). `attrs` has the name of the
            bundle, its size in bytes, and the time of its last write.

        Raises:
            NotFound: The device has no model, or `device-scorer` is not installed.
            DataInvalid: The bundle cannot be read.
        """
        blob = self.model_bundle(device)
        frame = frames.model_frame(scorer_program.inspect(blob.content, blob.info.name))
        frame.attrs = {"name": blob.info.name, "size": blob.info.size, "modified": blob.info.modified}
        return frame

    def replay(self, device: str, window: Window | Time, *, model: str | Path | None = None) -> Replay:
        """Score a device again here with its readings and model of now, and compare with the stored predictions.

        Args:
            device: The device's id.
            window: The window, its text or its start; see `predictions`.
            model: A file with a bundle to try; None for the stored one. Storage is not changed.

        Raises:
            NotFound: The device has no model or no readings, or `device-scorer` is not installed.
            DataInvalid: The device cannot be scored.
        """
        return replay_device(self, device, self.to_window(window), None if model is None else Path(model))

    def compact(
        self,
        start: Time,
        end: Time,
        to: str | Path,
        format: str = "parquet",  # noqa: A002  the word of pandas and pyarrow
        *,
        replace: bool = False,
    ) -> list[Compacted]:
        """Write the predictions of each window that begins in [start, end) into one file.

        Windows without a report are omitted, as their predictions may be incomplete; see `windows_without_report`.

        Args:
            start: The first instant, in UTC unless it has a time zone.
            end: The first instant after the windows.
            to: The folder of the files, which are named by window.
            format: "parquet" (needs the extra `parquet`) or "csv".
            replace: True to write again the files that exist.

        Returns:
            The file of each window with predictions, the oldest first.

        Raises:
            UsageInvalid: The format is unknown, or its extra is not installed.
        """
        check_format(format)
        windows = self.windows_between(start, end)
        return [
            done
            for window in track(windows, len(windows), "windows")
            if (done := compact_window(self.device_predictions(window), window, Path(to), format, replace=replace))
        ]

    def sensors(self, start: Time, end: Time) -> "pd.DataFrame":
        """Return the flagged sensors of the windows that begin in [start, end), as `anomalies` does."""
        return self.report_tables(start, end, blob_paths.SENSORS_FILE)

    def failures(self, start: Time, end: Time) -> "pd.DataFrame":
        """Return the devices without complete predictions of the windows that begin in [start, end)."""
        return self.report_tables(start, end, blob_paths.FAILURES_FILE)

    def report_tables(self, start: Time, end: Time, file: str) -> "pd.DataFrame":
        """Return a file of the reports of the windows that begin in [start, end).

        Args:
            start: The first instant, in UTC unless it has a time zone.
            end: The first instant after the windows.
            file: The name of the file, such as _anomalies.csv.

        Returns:
            The rows of all these windows, also of those of other lengths; see `window_tables`.

        Raises:
            DataInvalid: A file is not one of a report; see `frames.table_frame`.
        """
        return self.window_tables(self.windows_between(start, end), file)

    def window_tables(self, windows: Sequence[Window], file: str) -> "pd.DataFrame":
        """Return a file of the reports of windows.

        Args:
            windows: The windows; one without the file has no rows.
            file: The name of the file, such as _anomalies.csv.

        Returns:
            The columns Window (its start, UTC) and Length (a Timedelta), and the columns of the file.

        Raises:
            DataInvalid: A file is not one of a report; see `frames.table_frame`.
        """

        def read(window: Window) -> "pd.DataFrame | None":
            name = blob_paths.report_name(window, file)
            blob = self.store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
            if blob is None:
                return None
            table = frames.table_frame(blob.content, name)
            if taken := [column for column in _WINDOW_COLUMNS if column in table]:
                text = f"{name} is invalid: it has a column {taken[0]}, as no file of a report"
                raise DataInvalid(f"{text}; the next report of its window replaces it")
            table.insert(0, "Window", window.start)
            table.insert(1, "Length", window.length)
            return table

        found = track(map_in_order(read, windows), len(windows), "windows")
        tables = [table for table in found if table is not None]
        return frames.concat(tables, [*_WINDOW_COLUMNS, *frames.TABLE_COLUMNS.get(file, ())])
