"""The command `device-scorer fetch`: its arguments, its output and its exit code."""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.errors import ModelNotFound, UsageInvalid
from device_scorer.plurals import counted
from device_scorer.scoring.replay import CopiedInputs, copy_inputs
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.store.factory import open_store
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window, parse_instant

DESCRIPTION = """\
Copy the inputs of these devices and this window (model bundles, readings) and, if they exist, the predictions from the
store to a folder; then print the command that scores them again there. Files that exist in the folder are replaced.

exit codes: 0 done; 65 a device has neither model nor readings, each is named; 64 wrong usage; 75 storage

example: why did press-7 fail at 23:00?
  device-scorer fetch press-7 --window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z --to ./press-7"""

# Variables of the fleet that change the result of score.
_REPLAY_VARIABLES = (
    "FLEETSCORE_DATA_PATH",
    "FLEETSCORE_DATA_PARTITION",
    "FLEETSCORE_MODELS_PATH",
    "FLEETSCORE_MODELS_TRUST",
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
    add("--to", type=Path, default=Path("fetched"), metavar="FOLDER", help="target folder (./fetched)")
    add_store_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Copy the inputs and print the command.

    Raises:
        UsageInvalid: A device id or a setting is invalid.
        ModelNotFound: A device has no inputs.
    """
    settings = read_settings(os.environ, arguments.store)
    invalid = [device for device in arguments.devices if not blob_paths.DEVICE_ID_PATTERN.fullmatch(device)]
    if invalid:
        raise UsageInvalid(f"device id {invalid[0][:130]!r} is invalid: it must have {blob_paths.DEVICE_ID_RULE}")
    window = Window(arguments.window_start, arguments.window_end)
    window.check_partitions(settings.data_partition)
    source, target = open_store(settings), FolderStore(arguments.to)
    found: list[str] = []
    missing: list[str] = []
    for device in arguments.devices:
        copied = copy_inputs(source, target, settings, window, device)
        _print_copied(device, copied)
        (found if copied.any_input else missing).append(device)
    if found:
        print(f"score again:\n  {replay_command(arguments.to, window, found, os.environ)}")
    if missing:
        raise ModelNotFound(f"the store has neither model nor readings in {window.interval} of {', '.join(missing)}")
    return 0


def replay_command(folder: Path, window: Window, devices: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the shell command that scores the devices of a folder.

    Args:
        folder: The folder with the inputs.
        window: The window.
        devices: The device ids.
        environment: The environment, whose variables of the fleet the command repeats.
    """
    variables = [f"{name}={shlex.quote(environment[name])}" for name in _REPLAY_VARIABLES if name in environment]
    span = f"--window-start {window.start:%Y-%m-%dT%H:%M:%SZ} --window-end {window.end:%Y-%m-%dT%H:%M:%SZ}"
    # The policy is not CreateOnly: copied predictions are complete, and would be kept.
    command = f"device-scorer score --store {shlex.quote(str(folder))} {span} --write-policy Overwrite"
    return " ".join(
        ["FLEETSCORE_ALLOW_OVERWRITE=true", *variables, command, "--", *(shlex.quote(device) for device in devices)]
    )


def _print_copied(device: str, copied: CopiedInputs) -> None:
    if not copied.has_model:
        log.warning(f"{device} has no model: {copied.model_name} does not exist")
    print(
        f"{device}: {'model' if copied.has_model else 'no model'}, "
        f"{copied.found_partitions} of {counted(copied.partitions, 'partition', 'partitions')} of readings, "
        f"{'predictions' if copied.has_predictions else 'no predictions'}"
    )
