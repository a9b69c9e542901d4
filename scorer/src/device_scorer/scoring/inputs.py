"""Reads a device's inputs: its model bundle, and its readings one partition after the other."""

import hashlib
from collections.abc import Callable

from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, DataTooLarge, ModelInvalid, ModelNotFound, TooLarge
from device_scorer.models import bundle as bundles
from device_scorer.models.bundle import Bundle
from device_scorer.scoring.context import Shift
from device_scorer.scoring.predictions import Sources
from device_scorer.scoring.scorer import Scorer
from device_scorer.store.base import Blob, Store

SMALL = 8 * 2**20
"""Readings of more bytes than this are in memory for one device at a time."""


def load_bundle(device: str, shift: Shift, store: Store) -> tuple[Bundle, Sources]:
    """The device's models, and what the predictions' metadata says of them. Raises ModelNotFound and its like."""
    settings = shift.settings
    name = blob_paths.model_name(settings.models_path, device)
    try:
        blob = store.read("models", name, max_bytes=settings.limits.model_bytes)
    except TooLarge as error:
        raise ModelInvalid(f"{error}: raise FLEETSCORE_MAX_MODEL_BYTES if that is meant") from error
    if blob is None:
        raise ModelNotFound(f"there is no model {name}: train one, or leave the device out")
    bundle = bundles.load(
        blob.content,
        unpacked_limit=settings.limits.model_unpacked_bytes,
        engine=shift.task.engine,
        trust_any=settings.trust_any_model,
    )
    shift.versions.note(bundle.versions)
    digest = hashlib.sha256(blob.content).hexdigest()
    return bundle, Sources((), blob.etag, digest, ",".join(bundle.versions)[:200])


def read_partitions(
    device: str,
    shift: Shift,
    store: Store,
    scorer: Scorer,
    *,
    check: Callable[[], None],
) -> tuple[str, ...]:
    """Feed every partition of the window to the scorer, in order; returns their ETags, of those that are there."""
    settings, etags = shift.settings, []
    left = settings.limits.data_bytes
    for name in blob_paths.data_names(settings.data_path, settings.data_partition, shift.task.window, device):
        check()

        def judge(blob: Blob | None, name: str = name) -> int:
            if blob is None:
                return 0
            etags.append(blob.etag)
            try:
                scorer.add(blob.content, check=check)
            except DataInvalid as error:
                raise DataInvalid(f"{name}: {error}") from error
            return len(blob.content)

        try:
            left -= judge(store.read("data", name, max_bytes=min(SMALL, left)))
        except TooLarge as error:
            if error.size > left:
                most = settings.limits.data_bytes
                text = f"{error.name}, {error.size:,} bytes, brings the window's readings above {most:,}"
                raise DataTooLarge(f"{text}: raise FLEETSCORE_MAX_DATA_BYTES if that is meant") from error
            with shift.large:
                left -= judge(store.read("data", name, max_bytes=left))
    return tuple(etags)


def current_sources(device: str, shift: Shift, store: Store) -> Sources:
    """The ETags of the inputs as they are now, without reading them."""
    settings = shift.settings
    bundle = store.stat("models", blob_paths.model_name(settings.models_path, device))
    names = blob_paths.data_names(settings.data_path, settings.data_partition, shift.task.window, device)
    data = [store.stat("data", name) for name in names]
    return Sources(tuple(info.etag for info in data if info), bundle.etag if bundle else "")
