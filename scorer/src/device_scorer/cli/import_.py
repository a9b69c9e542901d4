"""The command `device-scorer import`: its arguments, its output and its exit code."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from device_scorer import log
from device_scorer.errors import UsageInvalid
from device_scorer.importing.csv_dump import ImportedDump, import_dump
from device_scorer.importing.legacy_models import ImportedModels, import_models
from device_scorer.plurals import counted
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.store.factory import open_store
from device_scorer.store.upload import UploadResult

DESCRIPTION = """\
Import readings and models from another layout into the store. The command can be repeated: equal blobs are kept, and
a blob with other content is named and kept unless --replace is given.

--data FILE is a CSV with the columns TS,Device,Tag,Value (others are ignored): all devices, any order, any size. It is
split into one blob per device and partition, in which each row keeps its text. A TS without zone is UTC. Rejected rows
are counted and copied, with line number and reason, to the rejects file; fix the rows and import that file.

--models DIR holds one pickle per device and tag, called model_DEVICE_TAG (the tag follows the last underscore), as
scikit-learn 0.19 or later wrote them. They become one bundle per device that the current scikit-learn reads. They are
read as data: nothing in them is executed. A file that is not a StandardScaler -> OneClassSVM(rbf) is rejected, with
its name.

exit codes: 0 done; 65 some input was rejected, each is named; 64 wrong usage; 75 storage

example: the layout of Azure/BatchAIAnomalyDetection
  device-scorer import --store ./folder --models ./models --data ./sensor_data.csv"""

_MAX_NAMED_DEVICES = 20
_MAX_NAMED_BLOBS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--data", type=Path, metavar="FILE", help="a CSV of readings")
    add("--models", type=Path, metavar="DIR", help="a directory of models in single files")
    add("--rejects", type=Path, metavar="FILE", help="file for rejected rows (FOLDER/NAME.rejects.csv, else ./)")
    add("--replace", action="store_true", help="replace blobs that exist and differ")


def run(arguments: argparse.Namespace) -> int:
    """Import the data and the models; return 65 if some input was rejected."""
    if not (arguments.data or arguments.models):
        raise UsageInvalid("there is nothing to import; name --data FILE, --models DIR, or both")
    settings = read_settings(os.environ, arguments.store)
    store = open_store(settings)
    complete = True
    if arguments.models:
        models = import_models(store, settings, arguments.models, replace=arguments.replace)
        _print_models(models, arguments.models)
        complete &= models.complete
    if arguments.data:
        rejects_path = arguments.rejects or (settings.folder or Path()) / f"{arguments.data.stem}.rejects.csv"
        dump = import_dump(store, settings, arguments.data, rejects_path, replace=arguments.replace)
        _print_dump(dump, arguments.data, rejects_path, max_data_bytes=settings.limits.max_data_bytes)
        complete &= dump.complete
    return 0 if complete else 65


def _print_dump(dump: ImportedDump, path: Path, rejects_path: Path, *, max_data_bytes: int) -> None:
    print(
        f"{path}: {counted(dump.rows, 'reading', 'readings')} of {counted(dump.devices, 'device', 'devices')}; "
        f"{counted(dump.blobs[UploadResult.WRITTEN], 'blob', 'blobs')} written, "
        f"{counted(dump.blobs[UploadResult.UNCHANGED], 'already exists', 'already exist')}"
    )
    if not (dump.rows or dump.rejected):
        log.warning(f"{path} has a header and no rows: nothing was imported")
    if dump.missing_columns:
        columns = ", ".join(map(repr, dump.missing_columns))
        log.warning(f"{path} lacks the column {columns} of the fleet's quality rules, so no row is bad by it")
    for reason, count in dump.rejected.most_common():
        rejected = counted(count, "row is", "rows are")
        log.warning(f"{rejected} rejected; the first is line {dump.first_line_numbers[reason]:,}: {reason}")
    if dump.rejected:
        print(f"{counted(dump.rejected.total(), 'row', 'rows')} rejected: {rejects_path}")
    for name, size in dump.too_large.items():
        log.error(f"{name} would have {size:,} bytes, more than the scorer reads ({max_data_bytes:,})")
    _log_conflicts(dump.conflicting)


def _print_models(models: ImportedModels, folder: Path) -> None:
    for path, error in models.rejected.items():
        log.error(f"{path} is rejected: {error}", reason=error.reason)
    for name, reason in models.ignored.items():
        log.warning(f"{folder / name} is skipped: {reason}")
    print(
        f"{folder}: {counted(models.models, 'model', 'models')} in bundles of "
        f"{counted(models.devices, 'device', 'devices')}; "
        f"{counted(models.bundles[UploadResult.WRITTEN], 'bundle', 'bundles')} written, "
        f"{counted(models.bundles[UploadResult.UNCHANGED], 'already exists', 'already exist')}"
    )
    if models.without_model:
        named = ", ".join(models.without_model[:_MAX_NAMED_DEVICES])
        devices = counted(len(models.without_model), "device has", "devices have")
        log.error(f"{devices} no readable model: {named}")
    _log_conflicts(models.conflicting)


def _log_conflicts(names: Sequence[str]) -> None:
    if names:
        named = ", ".join(names[:_MAX_NAMED_BLOBS]) + (", ..." if len(names) > _MAX_NAMED_BLOBS else "")
        kept = counted(len(names), "blob exists with other content and is", "blobs exist with other content and are")
        log.error(f"{kept} kept (use --replace to overwrite): {named}")
