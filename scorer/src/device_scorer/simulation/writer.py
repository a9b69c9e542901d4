"""Blobs of simulated readings, and the file that lists the injected anomalies."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from device_scorer.contract import blob_paths
from device_scorer.progress_line import ProgressLine
from device_scorer.readings import COLUMNS
from device_scorer.settings import Settings
from device_scorer.simulation.signals import SimulatedFleet, partition_values, plan_injections, select_anomalous_devices
from device_scorer.window import Window


@dataclass
class Simulation:
    """Makes the blobs, and writes truth and shared CSV on the way; counts what it made."""

    fleet: SimulatedFleet
    window: Window
    settings: Settings
    anomalies_from: datetime
    truth_file: TextIO
    shared_csv: TextIO | None
    reading_count: int = 0
    anomaly_count: int = 0

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of every blob, partition by partition."""
        progress = ProgressLine()
        for start in self.window.partitions(self.settings.data_partition):
            seconds = self._reading_times(start)
            anomalous = (
                select_anomalous_devices(self.fleet, int(start.timestamp())) if start >= self.anomalies_from else ()
            )
            for device in range(self.fleet.devices if seconds else 0):
                name = blob_paths.data_name(self.settings.data_path, start, self.fleet.device_id(device))
                yield name, self._blob_content(device, start, seconds, anomalous=device in anomalous)
                progress.show(f"{start:%Y-%m-%dT%H:%MZ}: {self.reading_count:,} readings")
        progress.clear()

    def _reading_times(self, partition: datetime) -> list[int]:
        """When readings are taken in a partition: whole multiples of the interval, inside the window."""
        first = int(max(partition, self.window.start).timestamp())
        last = int(min(partition + self.settings.data_partition, self.window.end).timestamp())
        interval = self.fleet.interval_seconds
        return list(range(-(-first // interval) * interval, last, interval))

    def _blob_content(
        self, device: int, partition_start: datetime, reading_times: list[int], *, anomalous: bool
    ) -> bytes:
        start = int(partition_start.timestamp())
        injected = plan_injections(self.fleet, device, start, len(reading_times)) if anomalous else []
        values, kinds = partition_values(self.fleet, device, reading_times, injected)
        name = self.fleet.device_id(device)
        moments = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for second in reading_times]
        rows = "".join(
            f"{moment},{name},{tag + 1},{values[tag][row]}\n"
            for row, moment in enumerate(moments)
            for tag in range(self.fleet.tags)
        )
        for (row, tag), kind in sorted(kinds.items()):
            self.truth_file.write(f"{moments[row]},{name},{tag + 1},{kind}\n")
        if self.shared_csv is not None:
            self.shared_csv.write(rows)
        self.reading_count += len(moments) * self.fleet.tags
        self.anomaly_count += len(kinds)
        return f"{','.join(COLUMNS)}\n{rows}".encode()
