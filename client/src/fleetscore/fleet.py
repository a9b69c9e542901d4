"""A fleet: its runs in a cluster, and its models, readings, predictions and reports in storage."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from fleetscore import frames
from fleetscore.cluster.connection import Cluster
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Window
from fleetscore.errors import ClusterUnavailable, NotFound, UsageInvalid
from fleetscore.store.azure import CONNECTION_STRING_VARIABLE, SAS_TOKEN_VARIABLE, AzureStore
from fleetscore.store.base import Blob, Store
from fleetscore.store.folder import FolderStore

MAX_TABLE_BYTES = 256 * 2**20
"""Size of a CSV above which it is not read: predictions of a device have at most 3,000,000 rows."""


class Fleet:
    """A fleet of devices.

    Args:
        layout: The storage layout of the fleet.
        store: The fleet's storage.
        cluster: The cluster of its runs; None for a folder.
    """

    def __init__(self, layout: FleetLayout, store: Store, cluster: Cluster | None = None) -> None:
        self.layout, self.store, self._cluster = layout, store, cluster

    @classmethod
    def connect(
        cls,
        context: str | None = None,
        namespace: str | None = None,
        fleet: str = "default",
        *,
        use_fleet_secret: bool = False,
        environment: Mapping[str, str] = MappingProxyType(os.environ),
    ) -> "Fleet":
        """Connect to a fleet of a cluster.

        Args:
            context: The kubeconfig's context; None for its current one.
            namespace: The namespace of the runs; None for the context's.
            fleet: The name of the fleet.
            use_fleet_secret: True to read the fleet's Secret for storage, instead of the user's own identity.
            environment: The environment variables with a storage credential.

        Raises:
            ClusterUnavailable: The cluster cannot be reached.
            NotFound: The cluster has no such fleet.
            AccessDenied: The user lacks a right.
        """
        cluster = Cluster.connect(context, namespace)
        fleets = cluster.fleets()
        if fleet not in fleets:
            raise NotFound(f"fleet {fleet} does not exist; the release has {', '.join(sorted(fleets))}")
        layout = fleets[fleet]
        if use_fleet_secret:
            if layout.secret is None:
                raise UsageInvalid(f"fleet {fleet} has no Secret: it uses workload identity; omit --use-fleet-secret")
            variable = CONNECTION_STRING_VARIABLE if layout.secret.kind == "connectionString" else SAS_TOKEN_VARIABLE
            environment = {variable: cluster.secret_value(layout.secret)}
        store = AzureStore.connect(layout.account_url, layout.containers, environment=environment)
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

    def runs(self) -> pd.DataFrame:
        """Return the fleet's runs, the newest window first; see `frames.runs_frame`."""
        return frames.runs_frame(
            run for run in self.cluster.runs() if run["spec"].get("fleet", "default") == self.layout.name
        )

    def windows(self) -> list[Window]:
        """Return the windows that have a report, the newest first."""
        names = (info.name for info in self.store.list("predictions") if info.name.endswith(blob_paths.SUMMARY_FILE))
        return sorted((Window.parse(name.split("/")[0]) for name in names), reverse=True)

    def devices(self) -> Iterator[str]:
        """Yield the devices that have a model, in the order of their names in storage."""
        template = self.layout.models_path
        for info in self.store.list("models", template.partition("{")[0]):
            device = blob_paths.device_from_name(template, info.name)
            if device is not None:
                yield device

    def predictions(self, window: Window | str, devices: Sequence[str] | None = None) -> pd.DataFrame:
        """Return predictions of one window; see `frames.predictions_frame`.

        Args:
            window: The window, or its text, such as 2018-08-28T23:00Z.
            devices: The devices; None for every device with predictions.

        Raises:
            NotFound: A named device has no predictions in the window.
        """
        window = _to_window(window)
        found = [frames.predictions_frame(blob.content, blob.info.name) for blob in self._predictions(window, devices)]
        empty = frames.predictions_frame((",".join(frames.PREDICTION_COLUMNS) + "\n").encode(), "")
        return pd.concat(found, ignore_index=True) if found else empty

    def iter_predictions(
        self, start: datetime, end: datetime, devices: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the predictions of each device and window that begins in [start, end), one frame at a time.

        Args:
            start: The first instant, in UTC.
            end: The first instant after the windows.
            devices: The devices; None for every device with predictions.
        """
        for window in self._windows_between(start, end):
            present = None if devices is None else [one for one in devices if self._has_predictions(window, one)]
            for blob in self._predictions(window, present):
                yield frames.predictions_frame(blob.content, blob.info.name)

    def anomalies(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Return the devices and tags with anomalies of the windows that begin in [start, end).

        Returns:
            The columns Window (its start, UTC) and those of `_anomalies.csv`.
        """
        return self.report_tables(start, end, blob_paths.ANOMALIES_FILE)

    def sensors(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Return the flagged sensors of the windows that begin in [start, end): Window and `_sensors.csv`."""
        return self.report_tables(start, end, blob_paths.SENSORS_FILE)

    def failures(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Return the devices without complete predictions: Window and the columns of `_failures.csv`."""
        return self.report_tables(start, end, blob_paths.FAILURES_FILE)

    def report_tables(self, start: datetime, end: datetime, file: str) -> pd.DataFrame:
        """Return a file of the reports of the windows that begin in [start, end).

        Args:
            start: The first instant, in UTC.
            end: The first instant after the windows.
            file: The name of the file, such as _anomalies.csv.

        Returns:
            The column Window (its start, UTC), and the columns of the file.
        """
        tables = []
        for window in self._windows_between(start, end):
            name = blob_paths.report_name(window, file)
            blob = self.store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
            if blob is not None:
                table = frames.table_frame(blob.content, name)
                table.insert(0, "Window", pd.Timestamp(window.start))
                tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["Window"])

    def readings(self, device: str, window: Window | str) -> pd.DataFrame:
        """Return the readings of a device in the partitions of a window; see `frames.readings_frame`.

        Raises:
            NotFound: No partition of the window has readings of the device.
        """
        window = _to_window(window)
        names = blob_paths.data_names(self.layout.data_path, self.layout.partition, window, device)
        blobs = [blob for name in names if (blob := self.store.read("data", name, max_bytes=MAX_TABLE_BYTES))]
        if not blobs:
            raise NotFound(
                f"{device} has no readings in {window.column}; {names[0]} does not exist in {self.store.location}"
            )
        return pd.concat([frames.readings_frame(one.content, one.info.name) for one in blobs], ignore_index=True)

    def _predictions(self, window: Window, devices: Sequence[str] | None) -> Iterator[Blob]:
        template = self.layout.predictions_path
        if devices is None:
            listed = self.store.list("predictions", blob_paths.prediction_prefix(template, window))
            devices = [
                device
                for info in listed
                if (device := blob_paths.device_from_name(template, info.name))
                and blob_paths.prediction_name(template, window, device) == info.name
            ]
        for device in devices:
            name = blob_paths.prediction_name(template, window, device)
            blob = self.store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
            if blob is None:
                raise NotFound(f"{device} has no predictions in {window.column}; `fleetscore device {device}` says why")
            yield blob

    def _has_predictions(self, window: Window, device: str) -> bool:
        name = blob_paths.prediction_name(self.layout.predictions_path, window, device)
        return any(info.name == name for info in self.store.list("predictions", name))

    def _windows_between(self, start: datetime, end: datetime) -> list[Window]:
        """Return the windows with a report that begin in [start, end), the oldest first."""
        return sorted(window for window in self.windows() if start <= window.start < end)


def _to_window(window: Window | str) -> Window:
    return Window.parse(window) if isinstance(window, str) else window
