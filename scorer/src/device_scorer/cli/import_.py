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
from device_scorer.readings import EXCLUDED_ROW
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.store.factory import open_store
from device_scorer.store.upload import UploadResult

DESCRIPTION = """\
Import readings and models from another layout into the store. The command can be repeated: equal blobs are kept, and
a blob with other content is named and kept unless --replace is given.

--data FILE is a CSV with the columns TS,Device,Tag,Value (others are ignored): all devices, any order, any size. It is
split into one blob per device and partition, in which each row keeps its text. A TS without zone is UTC. Rejected rows
are counted and copied, with line number and reason, to the rejects file. Correct these rows in FILE and import all of
it again with --replace, which replaces whole blobs: a blob then has the readings of FILE only.

--models DIR holds one pickle per device and tag, called model_DEVICE_TAG (the tag follows the last underscore), as
scikit-learn 0.19 or later wrote them. They become one bundle per device that the current scikit-learn reads. They are
read as data: nothing in them is executed. A file that is not a StandardScaler -> OneClassSVM(rbf) is rejected, with
its name.

exit codes: 0 done, also if some rows were rejected; 65 all rows were rejected, a device has no model, or a blob exists
with other content or is too large; 64 wrong usage; 75 storage

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
    add("--replace", action="store_true", help="replace blobs that exist and differ, as a whole")


def run(arguments: argparse.Namespace) -> int:
    """Import the data and the models; return 65 if one of them is incomplete."""
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
        content = "is empty" if path.stat().st_size == 0 else "has a header and no rows"
        log.warning(f"{path} {content}: nothing was imported")
    if dump.missing_columns:
        columns = ", ".join(map(repr, dump.missing_columns))
        log.warning(f"{path} lacks the column {columns} of the fleet's quality rules, so no row is bad by it")
    for reason, count in dump.rejected.most_common():
        rejected = counted(count, "row is", "rows are")
        log.warning(f"{rejected} rejected; the first is line {dump.first_line_numbers[reason]:,}: {reason}")
    if dump.rejected:
        correctable = any(reason != EXCLUDED_ROW for reason in dump.rejected)
        hint = f"; correct {path} and import all of it again with --replace" if correctable else ""
        print(f"{counted(dump.rejected.total(), 'row', 'rows')} rejected: {rejects_path}{hint}")
    for name, size in dump.too_large.items():
        log.error(f"{name} would have {size:,} bytes, more than the scorer reads ({max_data_bytes:,})")
    if dump.shortened:
        had = counted(len(dump.shortened), "replaced blob had", "replaced blobs had")
        log.warning(
            f"{had} more readings before, which {path} lacks; import a dump that has them too: {_name(dump.shortened)}"
        )
    _log_conflicts(dump.conflicting, "the readings of this dump")


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
    _log_conflicts(models.conflicting, "the models of this directory")


def _log_conflicts(names: Sequence[str], imported: str) -> None:
    if names:
        kept = counted(len(names), "blob exists with other content and is", "blobs exist with other content and are")
        log.error(f"{kept} kept (--replace keeps only {imported}): {_name(names)}")


def _name(blobs: Sequence[str]) -> str:
    return ", ".join(blobs[:_MAX_NAMED_BLOBS]) + (", ..." if len(blobs) > _MAX_NAMED_BLOBS else "")
