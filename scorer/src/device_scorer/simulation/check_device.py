"""The test device of an installation check: one hour of readings in the year 2000, of which one is an anomaly."""

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid
from device_scorer.health.history import EMPTY, HISTORY_FOLDER, NOT_RUN, UNKNOWN, TileDamaged, decode_tile, place_of
from device_scorer.readings import COLUMNS
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.window import Window

TAG = "1"
_NOTHING_KNOWN = {EMPTY, NOT_RUN, UNKNOWN}
_REPORT_PREFIXES = ("_", "report.html")
ROWS = 60
ANOMALY_MINUTE = 30
ANOMALOUS_VALUE = 99.0
MARK = {"fleetscorecheck": "1"}
"""The metadata of blobs that the check has written."""

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
        """Write the device's readings and its bundle, after all blobs of an earlier check are deleted.

        Raises:
            DataInvalid: The device has blobs that no check has written.
        """
        if not self.has_model():
            for role, name in (("data", self._readings_name), ("predictions", self._predictions_name)):
                if (info := self.store.head(role, name)) is not None and not MARK.items() <= info.metadata.items():
                    raise self._foreign(role, name)
        self.delete()
        self.store.write("data", self._readings_name, readings_csv(self.device), metadata=MARK, overwrite=True)
        self.store.write("models", self._model_name, bundle, metadata=MARK, overwrite=True)

    def has_model(self) -> bool:
        """Return True if the device has a bundle of the check.

        Raises:
            DataInvalid: The device has a bundle that no check has written.
        """
        info = self.store.head("models", self._model_name)
        if info is not None and not MARK.items() <= info.metadata.items():
            raise self._foreign("models", self._model_name)
        return info is not None

    def read_labels(self) -> list[bytes]:
        """Return the labels of the device's predictions (b"0" or b"1"), empty if there are none."""
        blob = self.store.read("predictions", self._predictions_name)
        return [line.split(b",")[4] for line in blob.content.splitlines()[1:]] if blob else []

    def delete(self) -> None:
        """Delete the predictions, the readings and the bundle of the check, and the report and history of its window.

        The report remains if other devices have predictions of this window. The bundle is deleted last, because it
        shows that the other blobs belong to the check.
        """
        names = [info.name for info in self.store.list("predictions", f"{WINDOW.slug}/")]
        report = [name for name in names if name.rpartition("/")[2].startswith(_REPORT_PREFIXES)]
        if set(names) <= {self._predictions_name, *report}:
            for name in report:
                self.store.delete("predictions", name)
        self._delete_history()
        self.store.delete("predictions", self._predictions_name)
        self.store.delete("data", self._readings_name)
        self.store.delete("models", self._model_name)

    def _delete_history(self) -> None:
        """Delete the tile of the check's window from each history, unless another device has readings in it."""
        for info in self.store.list("predictions", f"{HISTORY_FOLDER}/"):
            place = place_of(blob_paths.decode_id(info.name.split("/")[1]) or "", WINDOW)
            if place is None or place.name != info.name:
                continue
            blob = self.store.read("predictions", info.name)
            with suppress(TileDamaged):
                states = decode_tile(blob.content, place).states if blob is not None else {}
                others = "".join(text for device, text in states.items() if device != self.device)
                if not set(others) - _NOTHING_KNOWN:
                    self.store.delete("predictions", info.name)

    def _foreign(self, role: str, name: str) -> DataInvalid:
        return DataInvalid(
            f"device {self.device} is invalid: the {role} blob {name} was not written by this check and is kept; "
            "name a device that does not exist, or delete the blob"
        )

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
