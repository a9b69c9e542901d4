"""Copies of a device's inputs to another store, so that its score can be repeated there."""

from dataclasses import dataclass

from device_scorer.contract import blob_paths
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.window import Window


@dataclass(frozen=True, slots=True)
class CopiedInputs:
    """The blobs of a device that were copied.

    Attributes:
        model_name: The name of the device's bundle.
        has_model: True if the bundle exists.
        partitions: The number of partitions that overlap the window.
        found_partitions: The number of these that exist.
        has_predictions: True if the predictions exist.
    """

    model_name: str
    has_model: bool
    partitions: int
    found_partitions: int
    has_predictions: bool

    @property
    def any_input(self) -> bool:
        """True if a model or readings exist."""
        return self.has_model or self.found_partitions > 0


def copy_inputs(source: Store, target: Store, settings: Settings, window: Window, device: str) -> CopiedInputs:
    """Copy a device's bundle, readings and predictions of a window; blobs of the target are replaced.

    Args:
        source: The store to read.
        target: The store to write.
        settings: The fleet's settings.
        window: The window.
        device: The device's id.
    """
    model = blob_paths.model_name(settings.models_path, device)
    data = blob_paths.data_names(settings.data_path, settings.data_partition, window, device)
    predictions = blob_paths.prediction_name(settings.predictions_path, window, device)
    limits = settings.limits
    return CopiedInputs(
        model_name=model,
        has_model=_copy_blob(source, target, "models", model, limits.max_model_bytes),
        partitions=len(data),
        found_partitions=sum(_copy_blob(source, target, "data", name, limits.max_data_bytes) for name in data),
        has_predictions=_copy_blob(source, target, "predictions", predictions, None),
    )


def _copy_blob(source: Store, target: Store, container: str, name: str, max_bytes: int | None) -> bool:
    blob = source.read(container, name, max_bytes=max_bytes)
    if blob is None:
        return False
    target.write(container, name, blob.content, metadata=blob.metadata, overwrite=True)
    return True
