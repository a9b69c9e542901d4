"""`device-scorer train`: fits one model per device and tag from the readings in the store, one bundle per device.

The model is the original's: StandardScaler, then OneClassSVM(nu=0.0001, rbf, gamma=0.01). With so small a nu it is in
effect an interval around the readings it was trained on. That says which readings may be left out where there are more
than is useful: any, evenly, but the smallest and the largest.
"""

import argparse
import os
from datetime import UTC, datetime

import numpy as np

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.errors import BlobTooLarge, DataInvalid
from device_scorer.progress_line import ProgressLine
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.training.fit import GAMMA, MAX_ANOMALY_SHARE, MAX_ROWS, MIN_ROWS, NU, encode_bundle, fit
from device_scorer.training.history import _blobs_by_device, _History, _partition_overlaps
from device_scorer.window import Window, parse_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME = datetime(9999, 1, 1, tzinfo=UTC)

DESCRIPTION = f"""\
Train one anomaly model per device and tag from the readings in the store, and write one bundle per device: a joblib
file that holds a dict tag -> scikit-learn pipeline (StandardScaler, then OneClassSVM with nu={NU}, rbf,
gamma={GAMMA}). An earlier bundle of the device is replaced.

A tag whose readings are all equal is refused by name, for its model would call everything an anomaly; so is one with
fewer than {MIN_ROWS} usable readings, and one whose model would call more than {MAX_ANOMALY_SHARE:.0%} of them
anomalies, as happens with a switch. The device's other tags are trained. Of more than --max-rows readings of a tag,
evenly spread ones are taken, and always the smallest and the largest.

exit codes: 0 every device has a bundle; 65 at least one has none, each is named; 64 wrong usage; 75 storage

example: train on everything before the hour that will be scored
  device-scorer train --store ./folder --end 2018-08-28T23:00:00Z"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--device", action="append", metavar="GLOB", help="only devices like GLOB, such as 'press-*'; may be repeated")
    add("--start", type=parse_instant, metavar="TIME", help="only readings from TIME on (all)")
    add("--end", type=parse_instant, metavar="TIME", help="only readings before TIME (all)")
    add("--max-rows", type=int, default=MAX_ROWS, metavar="N", help=f"readings per tag at most ({MAX_ROWS:,})")


def run(arguments: argparse.Namespace) -> int:
    """Train every device that has readings; 65 where one of them ends without a bundle."""
    settings = read_settings(os.environ, arguments.store)
    window = Window(arguments.start or _EPOCH, arguments.end or _MAX_TIME)
    store = open_store(settings)
    sources = _blobs_by_device(store, settings, arguments.device or ["*"])
    if not sources:
        raise DataInvalid("the store has no readings of such devices: see `device-scorer import --help`")
    store.ensure_container("models")
    progress = ProgressLine()
    models, without = 0, []
    for number, (device, names) in enumerate(sorted(sources.items()), 1):
        progress.show(f"training {device} ({number:,} of {len(sources):,})")
        trained = _train_device(store, settings, device, names, window=window, max_rows=max(2, arguments.max_rows))
        models += trained
        if not trained:
            without.append(device)
    progress.clear()
    print(f"{models:,} models trained, in bundles of {len(sources) - len(without):,} of {len(sources):,} devices")
    if without:
        log.error(f"{len(without):,} devices have no bundle: {_format_names(without)}")
    return 65 if without else 0


def _train_device(
    store: Store, settings: Settings, device: str, names: list[str], *, window: Window, max_rows: int
) -> int:
    """Train one device and write its bundle; returns how many models it holds, 0 where none was written."""
    history = _History()
    for name in sorted(names):
        if not _partition_overlaps(settings, device, name, window):
            continue
        try:
            blob = store.read("data", name, max_bytes=settings.limits.max_data_bytes)
            history.add(blob.content if blob else b"", device, window)
        except (DataInvalid, BlobTooLarge) as error:
            log.warning(f"{name} is left out: {error}")
    if history.bad_rows:
        log.warning(f"{device}: {history.bad_rows:,} unusable rows are left out")
    values = {tag: np.frombuffer(numbers) for tag, numbers in history.numbers.items()}
    models, refused = fit(values, max_rows=max_rows)
    for tag, reason in refused.items():
        log.warning(f"{device}, tag {tag!r} gets no model: {reason}")
    if models:
        store.write(
            "models", blob_paths.model_name(settings.models_path, device), encode_bundle(models), overwrite=True
        )
    return len(models)


def _format_names(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")
