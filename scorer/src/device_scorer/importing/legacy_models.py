"""Models in single files, as the original kept them: `model_DEVICE_TAG`, one pickled pipeline each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device_scorer.contract import blob_paths
from device_scorer.errors import ModelInvalid, PermanentError
from device_scorer.models import bundle
from device_scorer.settings import Limits

# Tags seldom hold an underscore, devices often do: the last one divides.
_FILE_NAME_PATTERN = re.compile(r"model_(?P<device>.+)_(?P<tag>[^_]+?)(?:\.(?:pkl|pickle|joblib))?", re.DOTALL)


@dataclass(frozen=True)
class LegacyModels:
    """The files of a directory: by device and tag, and the names that are no model's."""

    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def find_models(candidates: list[Path]) -> LegacyModels:
    """Tell from their names which device and tag each file belongs to; two files of one tag are both ignored."""
    found = LegacyModels()
    for path in sorted(candidates):
        match = _FILE_NAME_PATTERN.fullmatch(path.name)
        if match is None or not blob_paths.DEVICE_ID_PATTERN.fullmatch(match["device"]):
            found.ignored.append(path.name)
        elif (other := found.files.setdefault(match["device"], {}).setdefault(match["tag"], path)) != path:
            found.ignored.append(f"{path.name} (beside {other.name})")
    return found


def to_bundle(files: Mapping[str, Path], limits: Limits) -> tuple[bytes, dict[str, PermanentError]]:
    """A device's bundle, empty where no file could be read, and why by tag for those that could not.

    Each file is read as data, never run. Raises OSError where a file cannot be opened.
    """
    pipelines = {}
    refused: dict[str, PermanentError] = {}
    for tag, path in files.items():
        try:
            if path.stat().st_size > limits.max_model_bytes:
                raise ModelInvalid(f"it has more than the {limits.max_model_bytes:,} bytes that are allowed")
            pipelines[tag] = bundle.load_pipeline(path.read_bytes(), max_unpacked_bytes=limits.max_model_unpacked_bytes)
        except PermanentError as error:
            refused[tag] = error
    return bundle.encode_bundle(pipelines) if pipelines else b"", refused
