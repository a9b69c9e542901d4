"""Import of models in single files, the layout of Azure's BatchAIAnomalyDetection sample.

Each file holds one pickled pipeline and is named `model_DEVICE_TAG`. It is read as data; nothing in it is executed.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from device_scorer.contract import blob_paths
from device_scorer.errors import ModelInvalid, PermanentError, UsageInvalid
from device_scorer.models import bundle
from device_scorer.settings import Limits, Settings
from device_scorer.store.base import Store
from device_scorer.store.upload import UploadResult, upload_all

# Tags rarely contain an underscore, devices often do: the last underscore separates them.
_FILE_NAME_PATTERN = re.compile(r"model_(?P<device>.+)_(?P<tag>[^_]+?)(?:\.(?:pkl|pickle|joblib))?", re.DOTALL)


@dataclass(frozen=True)
class LegacyModels:
    """The files of a directory.

    Attributes:
        files: The model files by device and tag.
        ignored: The reason by name of a file that is ignored.
    """

    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedModels:
    """The result of importing a directory of models.

    Attributes:
        models: The number of converted models.
        bundles: The number of bundles by result.
        devices: The number of devices that have a bundle.
        rejected: The error by file that cannot be converted.
        ignored: The reason by name of a file that is ignored.
        without_model: The devices without a readable model.
        conflicting: The names of bundles that exist with other content and were not replaced.
    """

    models: int
    bundles: Counter[UploadResult]
    devices: int
    rejected: Mapping[Path, PermanentError]
    ignored: Mapping[str, str]
    without_model: Sequence[str]
    conflicting: Sequence[str]

    @property
    def complete(self) -> bool:
        """True if every device of the directory, and at least one, has its bundle in the store."""
        return self.devices > 0 and not self.without_model and not self.conflicting


def import_models(store: Store, settings: Settings, folder: Path, *, replace: bool = False) -> ImportedModels:
    """Convert the models of a directory to one bundle per device.

    Args:
        store: The store.
        settings: The fleet's settings.
        folder: The directory.
        replace: True to replace bundles that exist with other content.

    Raises:
        UsageInvalid: The directory or a file cannot be read.
    """
    store.ensure_container("models")
    bundles: dict[str, bytes] = {}
    rejected: dict[Path, PermanentError] = {}
    models, without_model = 0, []
    try:
        found = find_models([path for path in folder.iterdir() if path.is_file()])
        for device, files in found.files.items():
            content, errors = to_bundle(files, settings.limits)
            rejected |= {files[tag]: error for tag, error in errors.items()}
            models += len(files) - len(errors)
            if content:
                bundles[blob_paths.model_name(settings.models_path, device)] = content
            else:
                without_model.append(device)
    except OSError as error:
        raise UsageInvalid(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    results = dict(upload_all(store, "models", bundles.items(), replace=replace))
    return ImportedModels(
        models=models,
        bundles=Counter(results.values()),
        devices=len(bundles),
        rejected=rejected,
        ignored=found.ignored,
        without_model=without_model,
        conflicting=[name for name, result in results.items() if result is UploadResult.CONFLICT],
    )


def find_models(candidates: Sequence[Path]) -> LegacyModels:
    """Return the device and tag of each file by its name; of two files for one tag the second is ignored."""
    found = LegacyModels()
    for path in sorted(candidates):
        match = _FILE_NAME_PATTERN.fullmatch(path.name)
        if match is None or not blob_paths.DEVICE_ID_PATTERN.fullmatch(match["device"]):
            found.ignored[path.name] = "its name is not model_DEVICE_TAG"
        elif (other := found.files.setdefault(match["device"], {}).setdefault(match["tag"], path)) != path:
            found.ignored[path.name] = f"it is a duplicate of {other.name}"
    return found


def to_bundle(files: Mapping[str, Path], limits: Limits) -> tuple[bytes, dict[str, PermanentError]]:
    """Convert a device's files to a bundle.

    Args:
        files: The file by tag.
        limits: The limits on the size of a file.

    Returns:
        The bundle, empty if no file can be converted, and the error by tag whose file cannot be converted.

    Raises:
        OSError: A file cannot be opened.
    """
    pipelines = {}
    rejected: dict[str, PermanentError] = {}
    for tag, path in files.items():
        try:
            size = path.stat().st_size
            if size > limits.max_model_bytes:
                raise ModelInvalid(
                    f"it has {size:,} bytes, more than the {limits.max_model_bytes:,} that are allowed; "
                    "raise FLEETSCORE_MAX_MODEL_BYTES to allow it"
                )
            pipelines[tag] = bundle.load_pipeline(path.read_bytes(), max_unpacked_bytes=limits.max_model_unpacked_bytes)
        except PermanentError as error:
            rejected[tag] = error
    return bundle.encode_converted_bundle(pipelines) if pipelines else b"", rejected
