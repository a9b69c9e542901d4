"""Training of a device: read its history, fit its models, write its bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from device_scorer.contract import blob_paths
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.training.fit import MAX_ROWS, encode_bundle, fit
from device_scorer.training.history import read_history
from device_scorer.window import Window


@dataclass(frozen=True, slots=True)
class TrainedDevice:
    """The result of training a device.

    Attributes:
        models: The number of models in the bundle; 0 if no bundle was written.
        rejected_tags: The reason by tag that gets no model.
        bad_rows: The number of unusable rows.
        unreadable: The error by name of a blob that cannot be read.
    """

    models: int
    rejected_tags: Mapping[str, str]
    bad_rows: int
    unreadable: Mapping[str, str]


def train_device(
    store: Store, settings: Settings, device: str, names: Sequence[str], *, window: Window, max_rows: int = MAX_ROWS
) -> TrainedDevice:
    """Train a device's models and replace its bundle; without any model the earlier bundle remains.

    Args:
        store: The store.
        settings: The fleet's settings.
        device: The device's id.
        names: The names of the device's blobs with readings.
        window: The window of the readings to train on.
        max_rows: The number of readings of a tag that are used; at least 2.
    """
    history = read_history(store, settings, device, names, window)
    models, rejected = fit(history.values, max_rows=max_rows)
    if models:
        name = blob_paths.model_name(settings.models_path, device)
        store.write("models", name, encode_bundle(models), overwrite=True)
    return TrainedDevice(len(models), rejected, history.bad_rows, history.unreadable)
