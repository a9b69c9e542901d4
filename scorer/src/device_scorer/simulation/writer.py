"""Writing of simulated readings to a store, and of the file that lists the injected anomalies.

The values are determined in signals; this module forms blobs and files, one partition and device at a time.
"""

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from device_scorer.contract import blob_paths
from device_scorer.errors import unwritable
from device_scorer.plurals import counted
from device_scorer.progress_line import ProgressLine
from device_scorer.readings import COLUMNS
from device_scorer.settings import Settings
from device_scorer.simulation.signals import SimulatedFleet, partition_values, plan_injections, select_anomalous_devices
from device_scorer.store.base import Store
from device_scorer.store.upload import UploadResult, upload_all
from device_scorer.window import Window

TRUTH_HEADER = "TS,Device,Tag,Kind"


@dataclass(frozen=True, slots=True)
class WrittenSimulation:
    """The result of writing a simulation.

    Attributes:
        readings: The number of readings.
        anomalies: The number of injected anomalous readings.
        blobs: The number of blobs by result.
        first_conflict: The name of the first blob that exists with other readings and was not replaced; or empty.
    """

    readings: int
    anomalies: int
    blobs: Counter[UploadResult]
    first_conflict: str


def write_simulation(
    store: Store,
    settings: Settings,
    fleet: SimulatedFleet,
    window: Window,
    *,
    anomalies_from: datetime,
    truth_path: Path,
    shared_csv_path: Path | None = None,
    replace: bool = False,
) -> WrittenSimulation:
    """Write a simulated fleet's readings, one blob per partition and device.

    Args:
        store: The store.
        settings: The fleet's settings.
        fleet: The parameters of the simulated fleet.
        window: The window of the readings.
        anomalies_from: The first partition with anomalies.
        truth_path: The file for the injected anomalies, a CSV with the columns of TRUTH_HEADER.
        shared_csv_path: The file for a CSV with all readings; None for none.
        replace: True to replace blobs that exist with other readings.

    Raises:
        UsageInvalid: A file cannot be written.
        StorageUnavailable: The disk is full.
    """
    store.ensure_container("data")
    blobs: Counter[UploadResult] = Counter()
    first_conflict = ""
    with contextlib.ExitStack() as files:
        simulation = Simulation(
            fleet=fleet,
            window=window,
            settings=settings,
            anomalies_from=anomalies_from,
            truth_file=files.enter_context(CsvFile(truth_path, TRUTH_HEADER)),
            shared_csv=files.enter_context(CsvFile(shared_csv_path, ",".join(COLUMNS))) if shared_csv_path else None,
        )
        for name, result in upload_all(store, "data", simulation.blobs(), replace=replace):
            blobs[result] += 1
            first_conflict = first_conflict or (name if result is UploadResult.CONFLICT else "")
    return WrittenSimulation(simulation.reading_count, simulation.anomaly_count, blobs, first_conflict)


@dataclass
class Simulation:
    """A generator of blobs that writes the injected anomalies and the shared CSV on the way.

    Attributes:
        fleet: The parameters of the simulated fleet.
        window: The window of the readings.
        settings: The fleet's settings.
        anomalies_from: The first partition with anomalies.
        truth_file: The open file for the injected anomalies.
        shared_csv: The open file for all readings; None for none.
        reading_count: The number of readings so far.
        anomaly_count: The number of injected anomalous readings so far.
    """

    fleet: SimulatedFleet
    window: Window
    settings: Settings
    anomalies_from: datetime
    truth_file: "CsvFile"
    shared_csv: "CsvFile | None"
    reading_count: int = 0
    anomaly_count: int = 0

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of every blob, partition by partition."""
        progress = ProgressLine()
        for start in self.window.partitions(self.settings.data_partition):
            reading_times = self._reading_times(start)
            anomalous = (
                select_anomalous_devices(self.fleet, int(start.timestamp())) if start >= self.anomalies_from else None
            )
            for device in range(self.fleet.devices if reading_times else 0):
                name = blob_paths.data_name(self.settings.data_path, start, self.fleet.device_id(device))
                yield name, self._blob_content(device, start, reading_times, anomalous)
                progress.show(f"{start:%Y-%m-%dT%H:%MZ}: {counted(self.reading_count, 'reading', 'readings')}")
        progress.clear()

    def _reading_times(self, partition_start: datetime) -> list[int]:
        """Return the times of the readings in a partition: multiples of the interval, inside the window."""
        first = int(max(partition_start, self.window.start).timestamp())
        last = int(min(partition_start + self.settings.data_partition, self.window.end).timestamp())
        interval = self.fleet.interval_seconds
        return list(range(-(-first // interval) * interval, last, interval))

    def _blob_content(
        self, device: int, partition_start: datetime, reading_times: list[int], anomalous: Collection[int] | None
    ) -> bytes:
        """Return the readings of a device in a partition.

        Args:
            device: The 0-based index of the device.
            partition_start: The start of the partition.
            reading_times: The times of the readings, in seconds since the epoch.
            anomalous: The devices with faults; None if the partition has none.
        """
        start, injections = int(partition_start.timestamp()), []
        if anomalous is not None:
            selected = device in anomalous
            injections = plan_injections(self.fleet, device, start, len(reading_times), selected=selected)
        values, kinds = partition_values(self.fleet, device, reading_times, injections)
        name = self.fleet.device_id(device)
        timestamps = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for second in reading_times]
        rows = "".join(
            f"{timestamp},{name},{tag + 1},{values[tag][row]}\n"
            for row, timestamp in enumerate(timestamps)
            for tag in range(self.fleet.tags)
            if values[tag][row]
        )
        for (row, tag), kind in sorted(kinds.items()):
            self.truth_file.write(f"{timestamps[row]},{name},{tag + 1},{kind}\n")
        if self.shared_csv is not None:
            self.shared_csv.write(rows)
        self.reading_count += rows.count("\n")
        self.anomaly_count += len(kinds)
        return f"{','.join(COLUMNS)}\n{rows}".encode()


class CsvFile:
    """An open CSV, whose errors name it; a context manager that closes the file.

    Args:
        path: The file.
        header: The first line.

    Raises:
        UsageInvalid: The file cannot be written.
        StorageUnavailable: The disk is full.
    """

    def __init__(self, path: Path, header: str) -> None:
        self._path = path
        with self._named_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="")
        self.write(f"{header}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._named_errors() if error is None else contextlib.suppress(OSError):  # the earlier error is the cause
            self._file.close()

    def write(self, text: str) -> None:
        """Append text.

        Args:
            text: The text, with line ends.

        Raises:
            UsageInvalid: The file cannot be written.
            StorageUnavailable: The disk is full.
        """
        with self._named_errors():
            self._file.write(text)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self._path, error, "name another file") from error
