"""The command `device-scorer check`: its arguments, its output and its exit code.

`helm test` runs `prepare` and `finish` before and after a ScoringRun over one test device. `prepare` writes the
device's readings and model. `finish` compares its predictions with the expected ones and deletes the blobs of the
check. A scorer's account usually may not write readings and models. The run then finds no model for the device, and
both steps report that only the access to storage was checked. `store` reads a whole store and writes nothing.
"""

import argparse
import os

from device_scorer import log
from device_scorer.cli import whole_number
from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, IdentityUnavailable, UsageInvalid
from device_scorer.importing.store_check import StoreCheck
from device_scorer.plurals import counted
from device_scorer.progress_line import ProgressLine
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.simulation.check_device import ROWS, TAG, WINDOW, CheckDevice, expected_labels, training_values
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.training.fit import encode_trained_bundle, fit

DESCRIPTION = """\
Check an installation or a store.

store: read the names of all models and readings, and the bundle and the newest readings of some devices. The command
names what no window will score: blobs whose names denote no device or no start of a partition, devices without a model,
bundles and readings that cannot be read, tags of readings and of models that do not match. It writes nothing.

prepare, finish: create or remove a test device whose readings lie in the year 2000. Both change only blobs that
prepare has written for the device, and its predictions.

examples:
  device-scorer check store --store ./folder
  device-scorer check prepare --device helm-test      (then a run scores the device, then:)
  device-scorer check finish --device helm-test

exit codes: 0 no problem; 65 a problem, each kind is named; 64 wrong usage; 75 storage"""

DEFAULT_SAMPLE = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add_store_argument(parser)
    parser.add_argument("step", choices=("store", "prepare", "finish"), help="the store, or before or after a run")
    parser.add_argument("--device", metavar="ID", help="id of the test device; must not be a real device")
    parser.add_argument(
        "--sample",
        type=whole_number(0),
        default=DEFAULT_SAMPLE,
        metavar="N",
        help=f"store: number of devices whose blobs are read ({DEFAULT_SAMPLE})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Execute a step, print its result and return the exit code.

    Raises:
        DataInvalid: Predictions are wrong or missing, or the store is empty.
    """
    settings = read_settings(os.environ, arguments.store)
    store = open_store(settings)
    if arguments.step == "store":
        return _check_store(store, settings, arguments.sample)
    if not arguments.device:
        raise UsageInvalid(f"--device is missing: {arguments.step} needs the id of a test device")
    if not blob_paths.DEVICE_ID_PATTERN.fullmatch(arguments.device):
        raise UsageInvalid(f"--device {arguments.device!r} is invalid: use letters, digits, - . _")
    device = CheckDevice(store, settings, arguments.device)
    print(_prepare(device) if arguments.step == "prepare" else _finish(device))
    return 0


def _check_store(store: Store, settings: Settings, sample: int) -> int:
    check, progress = StoreCheck(store, settings, sample=sample), ProgressLine()
    for device in check.run():
        progress.show(f"reading {device}")
    progress.clear()
    print(
        f"{counted(check.models, 'model', 'models')} and {counted(check.blobs, 'file', 'files')} of readings of "
        f"{counted(check.devices, 'device', 'devices')}; "
        f"the blobs of {counted(check.read_devices, 'device', 'devices')} were read"
    )
    for finding in check.findings:
        (log.error if finding.is_problem else log.warning)(str(finding))
    return 65 if any(finding.is_problem for finding in check.findings) else 0


def _prepare(check: CheckDevice) -> str:
    data_path = check.settings.data_path
    if "{device}" not in data_path:
        return f"self-check only: readings of all devices share the path {data_path}, which is not changed"
    fitted = fit({TAG: training_values()})
    if fitted.rejected:
        raise DataInvalid(f"no model could be trained: {fitted.rejected[TAG]}")
    try:
        check.write(encode_trained_bundle(fitted.models))
    except IdentityUnavailable as error:
        return f"self-check only: this account may not write readings and models, which is expected ({error})"
    return f"{check.device} has {ROWS} readings in {WINDOW.interval}, one of them an anomaly, and a model"


def _finish(check: CheckDevice) -> str:
    if not check.has_model():
        return f"self-check only: {check.device} has no model, so there are no predictions to compare"
    labels = check.read_labels()
    check.delete()
    if labels != expected_labels():
        anomalies = counted(labels.count(b"1"), "anomaly", "anomalies")
        found = f"{counted(len(labels), 'prediction', 'predictions')} with {anomalies}" if labels else "no predictions"
        raise DataInvalid(f"{check.device}: {found}; {ROWS} with one anomaly are expected; see the run's status")
    return f"{check.device} was scored: {ROWS} predictions, the one anomaly found; its blobs are deleted"
