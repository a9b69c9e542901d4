"""The stored data of a fleet: its windows, models, readings and predictions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from fleetscore import frames
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Time, Window, to_span, to_time
from fleetscore.errors import NotFound, TooLarge, UsageInvalid
from fleetscore.progress import track
from fleetscore.store.base import Blob, Store
from fleetscore.store.parallel import map_in_order
from fleetscore.texts import device_command

if TYPE_CHECKING:
    import pandas as pd

    Devices = str | Iterable[str] | pd.Series[Any] | pd.Index[Any] | None

MAX_TABLE_BYTES = 256 * 2**20
"""Size of a CSV above which it is not read: predictions of a device have at most 3,000,000 rows."""

MAX_PAGE_BYTES = 32 * 2**20
"""Size of the page of a report above which it is not read."""


@dataclass(frozen=True, slots=True)
class FleetLimits:
    """The limits of the lists and histories of a fleet: other clients can write any number of windows.

    Attributes:
        windows: The number of windows in storage above which they are not listed: 11 years of hours.
        without_report: The number of the newest windows among which the newest one with a report is looked for.
        history_windows: The number of windows of a history: 11 years of hours.
        history_states: The number of states of a history: 10,000 devices have 2,000 windows.
    """

    windows: int = 100_000
    without_report: int = 1000
    history_windows: int = 100_000
    history_states: int = 20_000_000


LIMITS = FleetLimits()


class FleetData:
    """The stored data of a fleet.

    Args:
        layout: The storage layout of the fleet.
        store: The fleet's storage.
        limits: The limits of lists and histories.
    """

    def __init__(self, layout: FleetLayout, store: Store, *, limits: FleetLimits = LIMITS) -> None:
        self.layout, self.store, self._limits = layout, store, limits

    def windows(self) -> list[Window]:
        """Return the windows that have a report, the newest first."""
        return list(self._with_report(self._listed_windows()))

    def newest_window(self) -> Window:
        """Return the newest window that has a report.

        Raises:
            NotFound: None of the newest windows has one.
        """
        listed, most = self._listed_windows(), self._limits.without_report
        found = next((window for window in listed[:most] if self.has_report(window)), None)
        if found is None:
            newest = f"the newest {most:,} windows" if len(listed) > most else "a window"
            text = f"{self.store.location} has no report of {newest}; it is written at the end of a run"
            raise NotFound(f"{text}, and --window names an older one" if len(listed) > most else text)
        return found

    def has_report(self, window: Window) -> bool:
        """Return True if a window has a report. Windows of other lengths within it do not count."""
        return self.store.exists("predictions", blob_paths.report_name(window, blob_paths.SUMMARY_FILE))

    def windows_between(self, start: Time, end: Time) -> list[Window]:
        """Return the windows with a report that begin in [start, end), the oldest first.

        Args:
            start: The first instant: a datetime or an ISO 8601 text, in UTC unless it has a time zone.
            end: The first instant after the windows, in the same form.

        Raises:
            UsageInvalid: A time is invalid, or the end is before the start.
        """
        return sorted(self._with_report(self._listed_between(start, end)))

    def windows_without_report(self, start: Time, end: Time) -> list[Window]:
        """Return the windows with predictions and without a report that begin in [start, end), the oldest first.

        Their runs have not ended, or were started without a report. `iter_predictions` and `compact` omit them.

        Args:
            start: The first instant, in UTC unless it has a time zone.
            end: The first instant after the windows.

        Raises:
            UsageInvalid: A time is invalid, or the end is before the start.
        """
        listed = self._listed_between(start, end)
        reported = set(self._with_report(listed))
        return sorted(one for one in listed if one not in reported and any(self._predicted_devices(one)))

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

    def predictions(self, window: Window | Time, devices: "Devices" = None) -> "pd.DataFrame":
        """Return predictions of one window; see `frames.predictions_frame`.

        Args:
            window: The window, or its text, such as 2018-08-28T23:00Z/1h. A start alone has the length of the stored
                window that begins then, or an hour.
            devices: A device, or several; None for every device with predictions.

        Raises:
            NotFound: A named device has no predictions in the window.
        """
        blobs = track(self.device_predictions(self.to_window(window), _to_devices(devices)), None, "devices")
        found = list(_frames(blobs))
        empty = frames.predictions_frame((",".join(frames.PREDICTION_COLUMNS) + "\n").encode(), "")
        return frames.concat(found or [empty])

    def iter_predictions(self, start: Time, end: Time, devices: "Devices" = None) -> "Iterator[pd.DataFrame]":
        """Yield the predictions of each device and window that begins in [start, end), one frame at a time.

        Windows without a report are omitted; see `windows_without_report`.

        Args:
            start: The first instant, in UTC unless it has a time zone.
            end: The first instant after the windows.
            devices: A device, or several; None for every device with predictions. One without predictions is left out.
        """
        named = _to_devices(devices)
        for window in self.windows_between(start, end):
            present = None if named is None else [one for one in named if self._has_predictions(window, one)]
            for frame in _frames(self.device_predictions(window, present)):
                for _, rows in frame.groupby("Device", sort=False):
                    yield rows.reset_index(drop=True)

    def readings(self, device: str, window: Window | Time, *, max_bytes: int = MAX_TABLE_BYTES) -> "pd.DataFrame":
        """Return the readings of a device in the partitions of a window; see `frames.readings_frame`.

        Args:
            device: The device's id.
            window: The window, its text or its start; see `predictions`.
            max_bytes: The largest size of all partitions together.

        Raises:
            TooLarge: The readings are larger than `max_bytes`.
            DataInvalid: The readings are not a CSV.
            NotFound: No partition of the window has readings of the device.
            UsageInvalid: The window has more than 10,000 partitions.
        """
        blobs = self.reading_blobs(device, self.to_window(window), max_bytes=max_bytes)
        found = frames.concat(frames.readings_frame(one.content, one.info.name) for one in blobs)
        return found[found["Device"] == device].reset_index(drop=True)

    def reading_blobs(self, device: str, window: Window, *, max_bytes: int = MAX_TABLE_BYTES) -> list[Blob]:
        """Return the partitions of a window with readings of a device as stored; see `readings`."""
        names = blob_paths.data_names(self.layout.data_path, self.layout.partition, window, device)
        blobs: list[Blob] = []
        for name in names:
            left = max_bytes - sum(len(one.content) for one in blobs)
            if blob := self.store.read("data", name, max_bytes=left):
                blobs.append(blob)
        if not blobs:
            text = f"{device} has no readings in {window.column}; {names[0]} does not exist in {self.store.location}"
            raise NotFound(text)
        return blobs

    def stored_predictions(self, device: str, window: Window) -> Blob:
        """Return the predictions of a device as stored. Raises NotFound if they do not exist."""
        name = blob_paths.prediction_name(self.layout.predictions_path, window, device)
        blob = self.store.read("predictions", name, max_bytes=MAX_TABLE_BYTES)
        if blob is None:
            raise NotFound(
                f"{device} has no predictions in {window.column}; {device_command('device', device)} says why"
            )
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
        if devices is None:
            devices = list(self._predicted_devices(window))
        return map_in_order(lambda device: self.stored_predictions(device, window), devices)

    def to_window(self, window: Window | Time) -> Window:
        """Return a window; a start alone has the length of the stored window that begins then, or an hour.

        Args:
            window: The window, its text, or its start.

        Raises:
            UsageInvalid: The text or time is invalid, or several stored windows begin at the start.
        """
        if isinstance(window, Window):
            return window
        if isinstance(window, str) and ("/" in window or "_" in window):
            return Window.parse(window)
        found = Window.parse((start := to_time(window)).isoformat())
        stored = [one for one in self._listed_windows() if one.start == start]
        if found in stored or not stored:
            return found
        if len(stored) > 1:
            names = ", ".join(one.column for one in stored)
            raise UsageInvalid(f"window {window} is ambiguous: storage has {names}; add a length")
        return stored[0]

    def _predicted_devices(self, window: Window) -> Iterator[str]:
        template = self.layout.predictions_path
        for name in self.store.names("predictions", blob_paths.prediction_prefix(template, window)):
            device = blob_paths.device_from_name(template, name)
            if device and blob_paths.prediction_name(template, window, device) == name:
                yield device

    def _has_predictions(self, window: Window, device: str) -> bool:
        name = blob_paths.prediction_name(self.layout.predictions_path, window, device)
        return self.store.exists("predictions", name)

    def _listed_windows(self) -> list[Window]:
        """Return the windows with a folder of predictions or of a report, the newest first."""
        slugs = (folder.rstrip("/") for folder in self.store.folders("predictions"))
        most = self._limits.windows
        found = list(islice((window for slug in slugs if (window := Window.from_slug(slug))), most + 1))
        if len(found) > most:
            text = f"{self.store.location} has predictions of more than {most:,} windows"
            raise TooLarge(f"{text}; delete the folders of old windows")
        return sorted(found, reverse=True)

    def _listed_between(self, start: Time, end: Time) -> list[Window]:
        first, after = to_span(start, end)
        return [window for window in self._listed_windows() if first <= window.start < after]

    def _with_report(self, windows: Sequence[Window]) -> Iterator[Window]:
        has_report = map_in_order(self.has_report, windows)
        return (window for window, found in zip(windows, has_report, strict=True) if found)


def _frames(blobs: Iterable[Blob]) -> "Iterator[pd.DataFrame]":
    """Yield the predictions of devices, those of several devices per frame."""
    return frames.prediction_frames((blob.content, blob.info.name) for blob in blobs)


def _to_devices(devices: "Devices") -> list[str] | None:
    """Return the devices of an argument as a list; a text is one device."""
    return devices if devices is None else [devices] if isinstance(devices, str) else list(devices)
