"""The command `device-scorer check`: its arguments, its output and its exit code.

`helm test` runs it before and after a ScoringRun over one test device. `prepare` writes the device's readings and
model. `finish` compares its predictions with the expected ones and deletes all blobs of the check. A scorer's account
usually may not write readings and models. The run then finds no model for the device, and both steps report that only
the access to storage was checked.
"""

import argparse
import os

from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, IdentityUnavailable, UsageInvalid
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.simulation.check_device import ROWS, TAG, WINDOW, CheckDevice, expected_labels, training_values
from device_scorer.store.factory import open_store
from device_scorer.training.fit import encode_bundle, fit

DESCRIPTION = """\
Prepare or finish the check of an installation: a test device whose readings lie in the year 2000.

example, between which a run scores the device:
  device-scorer check prepare --device helm-test
  device-scorer check finish --device helm-test"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add_store_argument(parser)
    parser.add_argument("step", choices=("prepare", "finish"), help="before the run, or after it")
    parser.add_argument(
        "--device", required=True, metavar="ID", help="id of the test device; must not be a real device"
    )


def run(arguments: argparse.Namespace) -> int:
    """Execute a step, print its result and return 0. Raises DataInvalid if predictions are wrong or missing."""
    settings = read_settings(os.environ, arguments.store)
    if not blob_paths.DEVICE_ID_PATTERN.fullmatch(arguments.device):
        raise UsageInvalid(f"--device {arguments.device!r} is invalid: use letters, digits, - . _")
    device = CheckDevice(open_store(settings), settings, arguments.device)
    print(_prepare(device) if arguments.step == "prepare" else _finish(device))
    return 0


def _prepare(check: CheckDevice) -> str:
    data_path = check.settings.data_path
    if "{device}" not in data_path:
        return f"self-check only: readings of all devices share the path {data_path}, which is not changed"
    fitted = fit({TAG: training_values()})
    if fitted.rejected:
        raise DataInvalid(f"no model could be trained: {fitted.rejected[TAG]}")
    try:
        check.write(encode_bundle(fitted.models))
    except IdentityUnavailable as error:
        return f"self-check only: this account may not write readings and models, which is expected ({error})"
    return f"{check.device} has {ROWS} readings in {WINDOW.interval}, one of them an anomaly, and a model"


def _finish(check: CheckDevice) -> str:
    if not check.has_model():
        return f"self-check only: {check.device} has no model, so there are no predictions to compare"
    labels = check.read_labels()
    check.delete()
    if labels != expected_labels():
        found = f"{len(labels)} predictions with {labels.count(b'1')} anomalies" if labels else "no predictions"
        raise DataInvalid(f"{check.device}: {found}; {ROWS} with one anomaly are expected; see the run's status")
    return f"{check.device} was scored: {ROWS} predictions, the one anomaly found; its blobs are deleted"
