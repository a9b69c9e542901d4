"""`device-scorer fetch`: copies devices' inputs of a window to a folder, so that a laptop can score them again."""

import argparse
import os
import shlex
from pathlib import Path

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.errors import ModelNotFound
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window, parse_instant

DESCRIPTION = """\
Copy what a score of these devices and this window reads (model bundles, readings) and, where there are any, the
predictions, from the store to a folder; then print the command that scores them again there. Files that exist in the
folder are replaced.

exit codes: 0 done; 65 a device has neither model nor readings, each is named; 64 wrong usage; 75 storage

example: why did press-7 fail at 23:00?
  device-scorer fetch press-7 --window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z --to ./press-7"""

# What score reads of the fleet and has another default than the fleet may have.
_REPLAY_INPUT_VARIABLES = (
    "FLEETSCORE_DATA_PATH",
    "FLEETSCORE_DATA_PARTITION",
    "FLEETSCORE_MODELS_PATH",
    "FLEETSCORE_MODELS_TRUST",
)
_REPLAY_OUTPUT_VARIABLES = (
    "FLEETSCORE_PREDICTIONS_PATH",
    "FLEETSCORE_ANOMALOUS_SHARE",
    "FLEETSCORE_ANOMALOUS_MIN_ROWS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("devices", nargs="+", metavar="DEVICE", help="device ids")
    add("--window-start", required=True, type=parse_instant, metavar="TIME", help="first second of the window")
    add("--window-end", required=True, type=parse_instant, metavar="TIME", help="first second after the window")
    add("--to", type=Path, default=Path("fetched"), metavar="FOLDER", help="where to (./fetched)")
    add_store_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Copy; 65 where a device has nothing to copy."""
    settings = read_settings(os.environ, arguments.store)
    window = Window(arguments.window_start, arguments.window_end)
    source, target = open_store(settings), FolderStore(arguments.to)
    without = [device for device in arguments.devices if not _fetch_device(source, target, settings, window, device)]
    found = [device for device in arguments.devices if device not in without]
    if found:
        kept = [
            f"{name}={shlex.quote(os.environ[name])}"
            for name in (*_REPLAY_INPUT_VARIABLES, *_REPLAY_OUTPUT_VARIABLES)
            if name in os.environ
        ]
        span = f"--window-start {window.start:%Y-%m-%dT%H:%M:%SZ} --window-end {window.end:%Y-%m-%dT%H:%M:%SZ}"
        # Fetched predictions are complete: under CreateOnly the replay would find its work done.
        command = f"device-scorer score --store {shlex.quote(str(arguments.to))} {span} --write-policy Overwrite"
        replay = ["FLEETSCORE_ALLOW_OVERWRITE=true", *kept, command, "--", *map(shlex.quote, found)]
        print(f"score again:\n  {' '.join(replay)}")
    if without:
        raise ModelNotFound(f"the store has neither model nor readings in {window.interval} of {', '.join(without)}")
    return 0


def _fetch_device(source: Store, target: Store, settings: Settings, window: Window, device: str) -> bool:
    """Copy one device's blobs; False where it has neither model nor readings."""
    model = blob_paths.model_name(settings.models_path, device)
    data = blob_paths.data_names(settings.data_path, settings.data_partition, window, device)
    limits = settings.limits
    copied = _copy_blob(source, target, "models", model, limits.max_model_bytes)
    if not copied:
        log.warning(f"{device} has no model: {model} is not there")
    found = [name for name in data if _copy_blob(source, target, "data", name, limits.max_data_bytes)]
    predicted = _copy_blob(
        source, target, "predictions", blob_paths.prediction_name(settings.predictions_path, window, device), None
    )
    print(
        f"{device}: {'model' if copied else 'no model'}, {len(found)} of {len(data)} partitions of readings, "
        f"{'predictions' if predicted else 'no predictions'}"
    )
    return copied or bool(found)


def _copy_blob(source: Store, target: Store, container: str, name: str, max_bytes: int | None) -> bool:
    blob = source.read(container, name, max_bytes=max_bytes)
    if blob is None:
        return False
    target.write(container, name, blob.content, metadata=blob.metadata, overwrite=True)
    return True
