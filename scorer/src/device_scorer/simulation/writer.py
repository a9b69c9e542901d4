"""Blobs of simulated readings, and the file that lists the injected anomalies."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from device_scorer.contract import blob_paths
from device_scorer.progress_line import Progress
from device_scorer.readings import COLUMNS
from device_scorer.settings import Settings
from device_scorer.simulation.signals import Fleet, anomalous_devices, injections, partition_values
from device_scorer.window import Window


@dataclass
class Simulation:
    """Makes the blobs, and writes truth and shared CSV on the way; counts what it made."""

    fleet: Fleet
    window: Window
    config: Settings
    anomalies_from: datetime
    truth: TextIO
    shared: TextIO | None
    readings: int = 0
    anomalies: int = 0

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of every blob, partition by partition."""
        progress = Progress()
        for start in self.window.partitions(self.config.data_partition):
            seconds = self._seconds(start)
            anomalous = anomalous_devices(self.fleet, int(start.timestamp())) if start >= self.anomalies_from else ()
            for device in range(self.fleet.devices if seconds else 0):
                name = blob_paths.data_name(self.config.data_path, start, self.fleet.device_id(device))
                yield name, self._content(device, start, seconds, anomalous=device in anomalous)
                progress.show(f"{start:%Y-%m-%dT%H:%MZ}: {self.readings:,} readings")
        progress.clear()

    def _seconds(self, partition: datetime) -> list[int]:
        """When readings are taken in a partition: whole multiples of the interval, inside the window."""
        first = int(max(partition, self.window.start).timestamp())
        last = int(min(partition + self.config.data_partition, self.window.end).timestamp())
        interval = self.fleet.interval
        return list(range(-(-first // interval) * interval, last, interval))

    def _content(self, device: int, partition: datetime, seconds: list[int], *, anomalous: bool) -> bytes:
        start = int(partition.timestamp())
        injected = injections(self.fleet, device, start, len(seconds)) if anomalous else []
        values, kinds = partition_values(self.fleet, device, seconds, injected)
        name = self.fleet.device_id(device)
        moments = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for second in seconds]
        rows = "".join(
            f"{moment},{name},{tag + 1},{values[tag][row]}\n"
            for row, moment in enumerate(moments)
            for tag in range(self.fleet.tags)
        )
        for (row, tag), kind in sorted(kinds.items()):
            self.truth.write(f"{moments[row]},{name},{tag + 1},{kind}\n")
        if self.shared is not None:
            self.shared.write(rows)
        self.readings += len(moments) * self.fleet.tags
        self.anomalies += len(kinds)
        return f"{','.join(COLUMNS)}\n{rows}".encode()
