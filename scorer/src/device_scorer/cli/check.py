"""`device-scorer check`: what `helm test` runs before and after its ScoringRun over one made-up device.

`prepare` writes the device's readings and model, `finish` compares its predictions with what they have to be and takes
everything away again. Where the account may not write readings and models, as is right for a scorer's, the run can
only find that the device has no model: then that is the check, and both say so.
"""

import argparse
import math
import os
from datetime import UTC, datetime, timedelta

import numpy as np

from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, IdentityUnavailable, UsageInvalid
from device_scorer.readings import COLUMNS
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.training.fit import encode_bundle, fit
from device_scorer.window import Window

DESCRIPTION = """\
Prepare or finish the check of an installation: a made-up device whose readings lie in the year 2000.

example, between which a run scores the device:
  device-scorer check prepare --device helm-test
  device-scorer check finish --device helm-test"""

TAG, ROWS, ANOMALY_MINUTE = "1", 60, 30
START = datetime(2000, 1, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=1))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add_store_argument(parser)
    parser.add_argument("step", choices=("prepare", "finish"), help="before the run, or after it")
    parser.add_argument("--device", required=True, metavar="ID", help="id of the made-up device; no real one's")


def run(arguments: argparse.Namespace) -> int:
    """Do a step and say what it found; 0, or an error where predictions are wrong or missing."""
    settings = read_settings(os.environ, arguments.store)
    if not blob_paths.DEVICE_ID_PATTERN.fullmatch(arguments.device):
        raise UsageInvalid(f"--device {arguments.device!r} is no device id: use letters, digits, - . _")
    store = open_store(settings)
    step = _prepare if arguments.step == "prepare" else _finish
    print(step(store, settings, arguments.device))
    return 0


def _prepare(store: Store, settings: Settings, device: str) -> str:
    if "{device}" not in settings.data_path:
        return f"self-check only: readings of all devices share the path {settings.data_path}, which is left alone"
    normal = np.array(
        [19.5, 20.5, *(_normal_value(minute) for minute in range(ROWS))]
    )  # no reading on the model's edge
    models, refused = fit({TAG: normal})
    if refused:
        raise DataInvalid(f"no model could be trained: {refused}")
    try:
        _delete_check_blobs(store, settings, device)
        store.write("data", _readings_name(settings, device), _readings_csv(device), overwrite=True)
        store.write(
            "models", blob_paths.model_name(settings.models_path, device), encode_bundle(models), overwrite=True
        )
    except IdentityUnavailable as error:
        return f"self-check only: this account may not write readings and models, which is as it should be ({error})"
    return f"{device} has {ROWS} readings in {WINDOW.interval}, one of them an anomaly, and a model"


def _finish(store: Store, settings: Settings, device: str) -> str:
    if store.head("models", blob_paths.model_name(settings.models_path, device)) is None:
        return f"self-check only: {device} has no model, so there are no predictions to compare"
    blob = store.read("predictions", blob_paths.prediction_name(settings.predictions_path, WINDOW, device))
    labels = [line.split(b",")[4] for line in blob.content.splitlines()[1:]] if blob else []
    _delete_check_blobs(store, settings, device)
    expected = [b"1" if minute == ANOMALY_MINUTE else b"0" for minute in range(ROWS)]
    if labels != expected:
        found = f"{len(labels)} predictions with {labels.count(b'1')} anomalies" if labels else "no predictions"
        raise DataInvalid(f"{device}: {found}, where {ROWS} with the one anomaly were to be; see the run's status")
    return f"{device} was scored: {ROWS} predictions, the one anomaly found; its blobs are removed"


def _delete_check_blobs(store: Store, settings: Settings, device: str) -> None:
    """Remove all that belongs to the check, its window's report included; no real window lies in the year 2000."""
    store.delete("models", blob_paths.model_name(settings.models_path, device))
    store.delete("data", _readings_name(settings, device))
    beside = [blob.name for blob in store.list("predictions", f"{WINDOW.slug}/")]
    for name in {blob_paths.prediction_name(settings.predictions_path, WINDOW, device), *beside}:
        store.delete("predictions", name)


def _readings_name(settings: Settings, device: str) -> str:
    return blob_paths.data_name(settings.data_path, WINDOW.start, device)


def _normal_value(minute: int) -> float:
    return round(20 + math.sin(minute / 9.0) / 4, 3)


def _readings_csv(device: str) -> bytes:
    values = [99.0 if minute == ANOMALY_MINUTE else _normal_value(minute) for minute in range(ROWS)]
    times = [WINDOW.start + timedelta(minutes=minute) for minute in range(ROWS)]
    rows = [f"{at:%Y-%m-%dT%H:%M:%SZ},{device},{TAG},{value}" for at, value in zip(times, values, strict=True)]
    return "\n".join([",".join(COLUMNS), *rows, ""]).encode()
