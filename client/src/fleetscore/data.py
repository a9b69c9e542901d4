"""The stored data of a fleet: its windows, models, readings and predictions."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from fleetscore import frames
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Window
from fleetscore.errors import NotFound
from fleetscore.store.base import Blob, Store
from fleetscore.store.parallel import map_in_order

if TYPE_CHECKING:
    import pandas as pd

MAX_TABLE_BYTES = 256 * 2**20
"""Size of a CSV above which it is not read: predictions of a device have at most 3,000,000 rows."""

MAX_PAGE_BYTES = 32 * 2**20
"""Size of the page of a report above which it is not read."""


class FleetData:
    """The stored data of a fleet.

    Args:
        layout: The storage layout of the fleet.
        store: The fleet's storage.
    """

    def __init__(self, layout: FleetLayout, store: Store) -> None:
        self.layout, self.store = layout, store

    def windows(self) -> list[Window]:
        """Return the windows that have a report, the newest first."""
        return list(self._with_report(self._listed_windows()))

    def newest_window(self) -> Window:
        """Return the newest window that has a report.

        Raises:
            NotFound: No window has one.
        """
        found = next((window for window in self._listed_windows() if self._has_report(window)), None)
        if found is None:
            raise NotFound(f"{self.store.location} has no report of a window; it is written at the end of a run")
        return found

    def windows_between(self, start: datetime, end: datetime) -> list[Window]:
        """Return the windows with a report that begin in [start, end), the oldest first."""
        listed = [window for window in self._listed_windows() if start <= window.start < end]
        return sorted(self._with_report(listed))

    def report_page(self, window: Window) -> bytes:
        """Return the page of a window's report.

        Raises:
            NotFound: The window has no page. Under a path such as {window}/{device}, predictions may have its name.
        """
        blob = self.store.read(
            "predictions", blob_paths.report_name(window, blob_paths.REPORT_FILE), max_bytes=MAX_PAGE_BYTES
        )
        if blob is None:
            location = self.store.location
            raise NotFound(f"{window.column} has no report in {location}; it is written at the end of a run")
        if "window" in blob.info.metadata:
            text = f"{window.column} has no report: the predictions of a device have its name {blob_paths.REPORT_FILE}"
            raise NotFound(f"{text}; add .csv to the predictions path of the fleet")
        return blob.content

    def devices(self) -> Iterator[str]:
        """Yield the devices that have a model, in the order of their names in storage."""
        template = self.layout.models_path
        for name in self.store.names("models", template.partition("{")[0]):
            device = blob_paths.device_from_name(template, name)
            if device is not None:
                yield device

    def predictions(self, window: Window | str, devices: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return predictions of one window; see `frames.predictions_frame`.

        Args:
            window: The window, or its text, such as 2018-08-28T23:00Z.
            devices: The devices; None for every device with predictions.

        Raises:
            NotFound: A named device has no predictions in the window.
        """
        window = _to_window(window)
        found = [
            frames.predictions_frame(blob.content, blob.info.name) for blob in self.device_predictions(window, devices)
        ]
        empty = frames.predictions_frame((",".join(frames.PREDICTION_COLUMNS) + "\n").encode(), "")
        return frames.concat(found or [empty])

    def iter_predictions(
        self, start: datetime, end: datetime, devices: Sequence[str] | None = None
    ) -> "Iterator[pd.DataFrame]":
        """Yield the predictions of each device and window that begins in [start, end), one frame at a time.

        Args:
            start: The first instant, in UTC.
            end: The first instant after the windows.
            devices: The devices; None for every device with predictions.
        """
        for window in self.windows_between(start, end):
            present = None if devices is None else [one for one in devices if self._has_predictions(window, one)]
            for blob in self.device_predictions(window, present):
                yield frames.predictions_frame(blob.content, blob.info.name)

    def readings(self, device: str, window: Window | str) -> "pd.DataFrame":
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
        found = frames.concat(frames.readings_frame(one.content, one.info.name) for one in blobs)
        return found[found["Device"] == device].reset_index(drop=True)

    def stored_predictions(self, device: str, window: Window) -> Blob:
        """Return the predictions of a device as stored. Raises NotFound if they do not exist."""
        name = blob_paths.prediction_name(self.layout.predictions_path, window, device)
        blob = self.store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
        if blob is None:
            raise NotFound(f"{device} has no predictions in {window.column}; `fleetscore device {device}` says why")
        return blob

    def model_bundle(self, device: str) -> Blob:
        """Return the bundle of a device. Raises NotFound if it does not exist."""
        name = blob_paths.model_name(self.layout.models_path, device)
        blob = self.store.read("models", name, max_bytes=MAX_TABLE_BYTES)
        if blob is None:
            raise NotFound(f"{device} has no model: {name} does not exist in {self.store.location}; train one")
        return blob

    def device_predictions(self, window: Window, devices: Sequence[str] | None = None) -> Iterator[Blob]:
        """Yield the predictions of devices as stored, in order; None for every device with predictions."""
        template = self.layout.predictions_path
        if devices is None:
            listed = self.store.names("predictions", blob_paths.prediction_prefix(template, window))
            devices = [
                device
                for name in listed
                if (device := blob_paths.device_from_name(template, name))
                and blob_paths.prediction_name(template, window, device) == name
            ]
        return map_in_order(lambda device: self.stored_predictions(device, window), devices)

    def _has_predictions(self, window: Window, device: str) -> bool:
        name = blob_paths.prediction_name(self.layout.predictions_path, window, device)
        return self.store.exists("predictions", name)

    def _listed_windows(self) -> list[Window]:
        """Return the windows with a folder of predictions or of a report, the newest first."""
        slugs = (folder.rstrip("/") for folder in self.store.folders("predictions"))
        return sorted((window for slug in slugs if (window := Window.from_slug(slug))), reverse=True)

    def _with_report(self, windows: Sequence[Window]) -> Iterator[Window]:
        has_report = map_in_order(self._has_report, windows)
        return (window for window, found in zip(windows, has_report, strict=True) if found)

    def _has_report(self, window: Window) -> bool:
        return self.store.exists("predictions", blob_paths.report_name(window, blob_paths.SUMMARY_FILE))


def _to_window(window: Window | str) -> Window:
    return Window.parse(window) if isinstance(window, str) else window
