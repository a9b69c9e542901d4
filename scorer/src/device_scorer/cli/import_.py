"""`device-scorer import`: brings a shared CSV dump and single-model files into the store's layout."""

import argparse
import os
from collections import Counter
from pathlib import Path

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, UsageInvalid
from device_scorer.importing import legacy_models
from device_scorer.importing.csv_dump import CsvDump, RejectedRows
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.store.upload import UploadResult, upload_all

DESCRIPTION = """\
Bring readings and models that were kept otherwise into the store. May be run again: what is there already and equal
is left alone, what differs is named and left alone unless --replace is given.

--data FILE is a CSV with the columns TS,Device,Tag,Value (others are ignored): all devices, any order, any size. It is
split into one blob per device and partition, in which each row's texts stand as they came. A TS without zone is UTC.
Rows that cannot be placed are counted and copied, with line number and reason, to the rejects file; mend it and import
it in turn.

--models DIR holds one pickle per device and tag, called model_DEVICE_TAG (what follows the last underscore is the tag),
as scikit-learn 0.19 or later wrote them. They become one bundle per device that today's scikit-learn reads. They are
read as data: nothing in them is run, and a file that is no StandardScaler -> OneClassSVM(rbf) is refused by name.

exit codes: 0 done; 65 something has no place in the store, each is named; 64 wrong usage; 75 storage

example: the layout of Azure/BatchAIAnomalyDetection
  device-scorer import --store ./folder --models ./models --data ./sensor_data.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--data", type=Path, metavar="FILE", help="a CSV of readings")
    add("--models", type=Path, metavar="DIR", help="a directory of single models")
    add("--rejects", type=Path, metavar="FILE", help="where rows without a place go (FOLDER/NAME.rejects.csv, else ./)")
    add("--replace", action="store_true", help="replace blobs that exist and differ")


def run(arguments: argparse.Namespace) -> int:
    """Import what was named; 65 where something of it could not be placed."""
    if not (arguments.data or arguments.models):
        raise UsageInvalid("nothing to import: name --data FILE, --models DIR, or both")
    settings = read_settings(os.environ, arguments.store)
    store = open_store(settings)
    complete = True
    if arguments.models:
        complete &= _import_models(store, settings, arguments.models, replace=arguments.replace)
    if arguments.data:
        rejects = arguments.rejects or (settings.folder or Path()) / f"{arguments.data.stem}.rejects.csv"
        complete &= _import_data(store, settings, arguments.data, rejects, replace=arguments.replace)
    return 0 if complete else 65


def _import_data(store: Store, settings: Settings, path: Path, rejects_path: Path, *, replace: bool) -> bool:
    store.ensure_container("data")
    results: Counter[UploadResult] = Counter()
    conflicting = []
    try:
        with path.open("rb") as source, RejectedRows(rejects_path) as rejects:
            dump = CsvDump(source, max(1, path.stat().st_size), settings, rejects)
            for name, outcome in upload_all(store, "data", dump.blobs(), replace=replace):
                results[outcome] += 1
                if outcome is UploadResult.CONFLICT:
                    conflicting.append(name)
    except OSError as error:
        raise UsageInvalid(f"{error.filename or path} cannot be read: {error.strerror}") from error
    except DataInvalid as error:
        raise DataInvalid(f"{path}: {error}") from error
    print(
        f"{path}: {dump.rows:,} readings of {len(dump.devices):,} devices; "
        f"{results[UploadResult.WRITTEN]:,} blobs written, {results[UploadResult.UNCHANGED]:,} already there"
    )
    _print_rejected_rows(dump, rejects, path, rejects_path)
    for name, size in dump.too_large.items():
        log.error(f"{name} would have {size:,} bytes, more than the scorer reads ({settings.limits.max_data_bytes:,})")
    _log_conflicts(conflicting)
    return not conflicting and not dump.too_large and (dump.rows > 0 or not rejects.reasons)


def _print_rejected_rows(dump: CsvDump, rejects: RejectedRows, path: Path, rejects_path: Path) -> None:
    if not (dump.rows or rejects.reasons):
        log.warning(f"{path} has a header and no rows: nothing was imported")
    for reason, count in rejects.reasons.most_common():
        log.warning(f"{count:,} rows have no place, the first is line {rejects.first_line_numbers[reason]:,}: {reason}")
    if rejects.reasons:
        print(f"{rejects.reasons.total():,} rows rejected: {rejects_path}")


def _import_models(store: Store, settings: Settings, folder: Path, *, replace: bool) -> bool:
    store.ensure_container("models")
    bundles, models, without = {}, 0, []
    try:
        found = legacy_models.find_models([path for path in folder.iterdir() if path.is_file()])
        for device, files in found.files.items():
            bundle, refused = legacy_models.to_bundle(files, settings.limits)
            for tag, error in refused.items():
                log.error(f"{files[tag]} is refused: {error}", reason=error.reason)
            models += len(files) - len(refused)
            if bundle:
                bundles[blob_paths.model_name(settings.models_path, device)] = bundle
            else:
                without.append(device)
    except OSError as error:
        raise UsageInvalid(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    for name in found.ignored:
        log.warning(f"{folder / name} is left out: its name is not model_DEVICE_TAG")
    placed = dict(upload_all(store, "models", bundles.items(), replace=replace))
    counts = Counter(placed.values())
    print(
        f"{folder}: {models:,} models in bundles of {len(bundles):,} devices; "
        f"{counts[UploadResult.WRITTEN]:,} bundles written, {counts[UploadResult.UNCHANGED]:,} already there"
    )
    if without:
        log.error(f"{len(without):,} devices have no model that could be read: {', '.join(without[:20])}")
    conflicting = [name for name, outcome in placed.items() if outcome is UploadResult.CONFLICT]
    _log_conflicts(conflicting)
    return bool(bundles) and not without and not conflicting


def _log_conflicts(conflicting: list[str]) -> None:
    if conflicting:
        some = ", ".join(conflicting[:5]) + (", ..." if len(conflicting) > 5 else "")
        log.error(f"{len(conflicting):,} blobs exist with other content and stay as they are (--replace): {some}")
