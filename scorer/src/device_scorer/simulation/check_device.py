"""The test device of an installation check: one hour of readings in the year 2000, of which one is an anomaly."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from device_scorer.contract import blob_paths
from device_scorer.readings import COLUMNS
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.window import Window

TAG = "1"
ROWS = 60
ANOMALY_MINUTE = 30
ANOMALOUS_VALUE = 99.0
WINDOW = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class CheckDevice:
    """The blobs of the test device in a store.

    Attributes:
        store: The store.
        settings: The fleet's settings.
        device: The device's id, which must not be the id of a real device.
    """

    store: Store
    settings: Settings
    device: str

    def write(self, bundle: bytes) -> None:
        """Write the device's readings and its bundle, after all blobs of an earlier check are deleted."""
        self.delete()
        self.store.write("data", self._readings_name, readings_csv(self.device), overwrite=True)
        self.store.write("models", self._model_name, bundle, overwrite=True)

    def has_model(self) -> bool:
        """Return True if the device has a bundle."""
        return self.store.head("models", self._model_name) is not None

    def read_labels(self) -> list[bytes]:
        """Return the labels of the device's predictions (b"0" or b"1"), empty if there are none."""
        blob = self.store.read("predictions", self._predictions_name)
        return [line.split(b",")[4] for line in blob.content.splitlines()[1:]] if blob else []

    def delete(self) -> None:
        """Delete the blobs of the check and the report of its window, which no real run uses."""
        self.store.delete("models", self._model_name)
        self.store.delete("data", self._readings_name)
        report = [blob.name for blob in self.store.list("predictions", f"{WINDOW.slug}/")]
        for name in {self._predictions_name, *report}:
            self.store.delete("predictions", name)

    @property
    def _model_name(self) -> str:
        return blob_paths.model_name(self.settings.models_path, self.device)

    @property
    def _readings_name(self) -> str:
        return blob_paths.data_name(self.settings.data_path, WINDOW.start, self.device)

    @property
    def _predictions_name(self) -> str:
        return blob_paths.prediction_name(self.settings.predictions_path, WINDOW, self.device)


def training_values() -> np.ndarray:
    """Return the values to train on: the normal readings, and two values outside of them as a margin."""
    return np.array([19.5, 20.5, *(_normal_value(minute) for minute in range(ROWS))])


def expected_labels() -> list[bytes]:
    """Return the labels that the predictions must have, in order."""
    return [b"1" if minute == ANOMALY_MINUTE else b"0" for minute in range(ROWS)]


def readings_csv(device: str) -> bytes:
    """Return the readings of a device with this id, one a minute."""
    values = [ANOMALOUS_VALUE if minute == ANOMALY_MINUTE else _normal_value(minute) for minute in range(ROWS)]
    times = [WINDOW.start + timedelta(minutes=minute) for minute in range(ROWS)]
    rows = [f"{at:%Y-%m-%dT%H:%M:%SZ},{device},{TAG},{value}" for at, value in zip(times, values, strict=True)]
    return "\n".join([",".join(COLUMNS), *rows, ""]).encode()


def _normal_value(minute: int) -> float:
    return round(20 + math.sin(minute / 9.0) / 4, 3)
