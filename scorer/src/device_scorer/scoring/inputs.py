"""Reading of a device's inputs: the model bundle, and the readings one partition after the other."""

import gc
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.errors import (
    BlobEncodingInvalid,
    BlobTooLarge,
    DataInvalid,
    DataTooLarge,
    DeviceError,
    ModelInvalid,
    ModelNotFound,
)
from device_scorer.models import bundle as bundles
from device_scorer.models.bundle import Bundle
from device_scorer.scoring.context import DeviceDeadline, ScoringContext
from device_scorer.scoring.predictions import InputVersions, data_changed
from device_scorer.scoring.scorer import Scorer
from device_scorer.store.base import Store

MAX_CHECKED_PARTITIONS = 48
"""Number of partitions of a window up to which kept predictions are compared with the readings."""

MAX_VERSIONS_CHARS = 200
"""Length of the list of scikit-learn versions in the metadata."""


class _ModelLarge(Exception):  # noqa: N818  a signal: see errors.py
    """A bundle is larger than the given size, and not larger than the limits."""


@contextmanager
def open_bundle(
    device: str, context: ScoringContext, deadline: DeviceDeadline
) -> Iterator[tuple[Bundle, InputVersions]]:
    """Read a device's models, and hold the lock for large bundles until the end of the context if it is needed.

    Args:
        device: The device's id.
        context: The context of the process.
        deadline: The device's deadline and view of the store.

    Raises:
        PermanentError: As `load_bundle`.
        StorageUnavailable: The lock is not free in time.
    """
    with ExitStack() as stack:
        opened = None
        with suppress(_ModelLarge):
            opened = load_bundle(device, context, deadline.store, max_bytes=context.large_model_bytes)
        if opened is None:
            stack.enter_context(deadline.hold(context.large_models_lock))
            opened = load_bundle(device, context, deadline.store)
        stack.callback(opened[0].close)
        yield opened


def load_bundle(
    device: str, context: ScoringContext, store: Store, *, max_bytes: int | None = None
) -> tuple[Bundle, InputVersions]:
    """Read a device's models.

    Args:
        device: The device's id.
        context: The context of the process.
        store: The device's view of the store.
        max_bytes: The size, with and without compression, above which a valid bundle is not read; None: the limits.

    Returns:
        The models, and the versions of the bundle for the metadata; the ETags of the readings are empty.

    Raises:
        ModelNotFound: The bundle does not exist.
        ModelInvalid: The bundle cannot be read, or is too large.
        ModelRejected: The bundle names code that is not on the allow-list.
        ModelIncompatible: The bundle needs another version of the scorer.
        _ModelLarge: The bundle has more than max_bytes.
    """
    settings, limits = context.settings, context.settings.limits
    name = blob_paths.model_name(settings.models_path, device)
    allowed = limits.max_model_bytes if max_bytes is None else min(max_bytes, limits.max_model_bytes)
    try:
        blob = store.read("models", name, max_bytes=allowed)
    except BlobTooLarge as error:
        if allowed < limits.max_model_bytes and error.size <= limits.max_model_bytes:
            raise _ModelLarge from error
        raise ModelInvalid(f"{error}; raise FLEETSCORE_MAX_MODEL_BYTES to allow it") from error
    except BlobEncodingInvalid as error:
        raise ModelInvalid(str(error)) from error
    if blob is None:
        raise ModelNotFound(f"model {name} does not exist; train one, or leave the device out")
    unpacked = limits.max_model_unpacked_bytes
    allowed = unpacked if max_bytes is None else min(max_bytes, unpacked)
    try:
        bundle = bundles.load(
            blob.content,
            max_unpacked_bytes=allowed,
            engine=context.request.engine,
            trust_any=settings.trust_any_model,
        )
    except bundles.UnpackedTooLarge as error:
        if allowed < unpacked:
            raise _ModelLarge from error
        raise
    context.foreign_versions.log_new(bundle.sklearn_versions)
    sha256 = hashlib.sha256(blob.content).hexdigest()
    return bundle, InputVersions((), blob.etag, sha256, ",".join(bundle.sklearn_versions)[:MAX_VERSIONS_CHARS])


def read_partitions(
    device: str,
    context: ScoringContext,
    scorer: Scorer,
    deadline: DeviceDeadline,
    held: ExitStack,
) -> tuple[str, ...]:
    """Pass every partition of the window to the scorer, in order.

    The partition that brings the readings above `context.large_readings_bytes`, and those after it, are read under the
    lock. The caller keeps it while the predictions, which are as large, are in memory.

    Args:
        device: The device's id.
        context: The context of the process.
        scorer: The scorer that receives the partitions.
        deadline: The device's deadline and view of the store.
        held: The stack that receives the lock for large readings, if it is needed.

    Returns:
        The ETags of the partitions that exist.

    Raises:
        DataInvalid: A partition is not a CSV of readings.
        DataTooLarge: The readings are above the limit on bytes or rows.
        StorageUnavailable: The lock is not free in time.
    """
    settings, etags = context.settings, []
    remaining_bytes, unlocked_bytes = settings.limits.max_data_bytes, context.large_readings_bytes
    for name in blob_paths.data_names(settings.data_path, settings.data_partition, context.request.window, device):
        deadline.check()

        def read_and_score(max_bytes: int, name: str = name) -> int:
            blob = deadline.store.read("data", name, max_bytes=max_bytes)
            if blob is None:
                return 0
            etags.append(blob.etag)
            try:
                scorer.add_partition(blob.content, check_deadline=deadline.check)
            except DataInvalid as error:
                raise DataInvalid(f"{name}: {error}") from error
            return len(blob.content)

        with _data_errors(settings.limits.max_data_bytes):
            try:
                size = read_and_score(min(unlocked_bytes, remaining_bytes))
            except BlobTooLarge as error:
                if error.size > remaining_bytes:
                    raise
                held.enter_context(deadline.hold(context.large_readings_lock))
                held.callback(gc.collect)  # before the release: cycles of the SDK keep what was read and written
                unlocked_bytes = remaining_bytes
                size = read_and_score(remaining_bytes)
        remaining_bytes -= size
        unlocked_bytes -= size
    return tuple(etags)


@contextmanager
def _data_errors(max_bytes: int) -> Iterator[None]:
    """Raise DataTooLarge or DataInvalid for a blob that is too large or cannot be decoded."""
    try:
        yield
    except BlobTooLarge as error:
        text = f"{error.name}, {error.size:,} bytes, brings the window's readings above {max_bytes:,}"
        raise DataTooLarge(f"{text}; raise FLEETSCORE_MAX_DATA_BYTES to allow it") from error
    except BlobEncodingInvalid as error:
        raise DataInvalid(str(error)) from error


def current_input_versions(device: str, context: ScoringContext, store: Store) -> InputVersions:
    """Return the current ETags of the inputs, without reading their content."""
    bundle = store.head("models", blob_paths.model_name(context.settings.models_path, device))
    return InputVersions(_data_etags(device, context, store), bundle.etag if bundle else "")


def readings_changed(device: str, context: ScoringContext, store: Store, metadata: Mapping[str, str]) -> bool:
    """Return True if the readings of kept predictions are no longer those that were scored.

    A window of more than MAX_CHECKED_PARTITIONS partitions is not checked, and an error counts as unchanged: the
    predictions are kept in any case. Readings that were all deleted did not change: no later run can score them.

    Args:
        device: The device's id.
        context: The context of the process.
        store: The device's view of the store.
        metadata: The metadata of the predictions.
    """
    if len(context.request.window.partitions(context.settings.data_partition)) > MAX_CHECKED_PARTITIONS:
        return False
    try:
        etags = _data_etags(device, context, store)
        return bool(etags) and data_changed(metadata, etags)
    except DeviceError as error:
        log.info(f"it is unknown if the readings of {device} changed: {error}")
        return False


def _data_etags(device: str, context: ScoringContext, store: Store) -> tuple[str, ...]:
    settings = context.settings
    names = blob_paths.data_names(settings.data_path, settings.data_partition, context.request.window, device)
    data = [store.head("data", name) for name in names]
    return tuple(info.etag for info in data if info)
