"""Inventory of a window: the devices that have models, and the devices that have readings, from two kinds of listings.

It shows the losses that predictions cannot show. These are readings without a model, readings that changed after they
were scored, and blobs whose names do not denote a device.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from device_scorer.contract import blob_paths
from device_scorer.settings import Settings
from device_scorer.store.base import BlobInfo, Store
from device_scorer.window import Window

MAX_LISTED_PARTITIONS = 48
"""Number of partitions of a window up to which the readings are listed. A listing costs a request for 2,000 devices."""

MAX_NAME_SAMPLES = 20
_MARK = "\0"
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9-][A-Za-z0-9_-]{0,127}")
"""The segments that are their own id: without a dot, a percent sign and a leading underscore."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """The names of the blobs of all devices in one place.

    Attributes:
        prefix: The text before the device.
        suffix: The text after the device.
    """

    prefix: str
    suffix: str

    @classmethod
    def of(cls, rendered: str) -> "NamePattern":
        """Return the pattern of a rendered template in which _MARK is the device."""
        prefix, _, suffix = rendered.partition(_MARK)
        return cls(prefix, suffix)

    def device(self, name: str) -> str | None:
        """Return the id of the device that a name denotes, or None."""
        if not (name.startswith(self.prefix) and name.endswith(self.suffix)):
            return None
        segment = name[len(self.prefix) : len(name) - len(self.suffix)]
        if _PLAIN_SEGMENT.fullmatch(segment):
            return sys.intern(segment)  # five listings have the same 100,000 ids
        return blob_paths.decode_device(segment)


def predictions_pattern(settings: Settings, window: Window) -> NamePattern:
    """Return the pattern of the names of a window's predictions."""
    return NamePattern.of(
        settings.predictions_path.replace("{window}", window.slug).replace("{device}", _MARK),
    )


@dataclass(frozen=True)
class Inventory:
    """The devices of a fleet with a model, and those with readings in a window.

    Attributes:
        models: The devices that have a model.
        data_etags: The ETags of each device's partitions, joined by spaces in their order; None if the readings are not
            listed.
        unknown_names: The number of names of models and readings that do not denote a device.
        unknown_name_samples: Some of these names.
    """

    models: frozenset[str] = frozenset()
    data_etags: Mapping[str, str] | None = None
    unknown_names: int = 0
    unknown_name_samples: Sequence[str] = ()

    @property
    def unmodelled_devices(self) -> list[str]:
        """The devices that have readings and no model."""
        return [device for device in self.data_etags or () if device not in self.models]

    def has_readings(self, device: str) -> bool | None:
        """Return True if the device has a blob of readings; None if it is unknown."""
        return None if self.data_etags is None else device in self.data_etags


@dataclass
class _NameCounter:
    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, container: str, info: BlobInfo) -> None:
        """Count a blob with content. The directories of some tools are blobs without content, in any account."""
        if not info.size:
            return
        self.count += 1
        if len(self.samples) < MAX_NAME_SAMPLES:
            name = "".join(char if char.isprintable() else repr(char)[1:-1] for char in info.name)
            self.samples.append(f"{container}/{name}")


def take_inventory(store: Store, settings: Settings, window: Window) -> Inventory:
    """List the models and the readings of a window.

    Args:
        store: The store.
        settings: The fleet's settings.
        window: The window.
    """
    unknown = _NameCounter()
    pattern = NamePattern.of(settings.models_path.replace("{device}", _MARK))
    models = set()
    for info in store.list("models", pattern.prefix, with_metadata=False):
        device = pattern.device(info.name)
        if device is None:
            unknown.add("models", info)
        else:
            models.add(device)
    starts = window.partitions(settings.data_partition)
    data_etags = None
    if _is_listable(settings.data_path) and len(starts) <= MAX_LISTED_PARTITIONS:
        data_etags = _list_readings(store, settings.data_path, starts, unknown)
    return Inventory(frozenset(models), data_etags, unknown.count, unknown.samples)


def _is_listable(template: str) -> bool:
    """Return True if a prefix selects the partitions of a time, and each blob belongs to one device."""
    return "{" in template.partition("{device}")[0] and "{device}" in template


def _list_readings(store: Store, template: str, starts: Sequence[datetime], unknown: _NameCounter) -> dict[str, str]:
    """Return the ETags by device, in the order of the partitions."""
    patterns: dict[str, list[NamePattern]] = {}
    for pattern in dict.fromkeys(_data_patterns(template, starts)):
        patterns.setdefault(pattern.prefix, []).append(pattern)
    found: dict[str, str] = {}
    for prefix, here in patterns.items():
        partitions: list[dict[str, str]] = [{} for _ in here]
        for info in store.list("data", prefix, with_metadata=False):
            place = _find_place(here, info.name)
            if place is not None:
                partitions[place[0]][place[1]] = info.etag
            elif blob_paths.device_from_name(template, info.name) is None:
                unknown.add("data", info)
        for etags in partitions:
            for device, etag in etags.items():
                found[device] = f"{found[device]} {etag}" if device in found else etag
    return found


def _find_place(patterns: Sequence[NamePattern], name: str) -> tuple[int, str] | None:
    """Return the index of the partition and the device that a name denotes."""
    for index, pattern in enumerate(patterns):
        device = pattern.device(name)
        if device is not None:
            return index, device
    return None


def _data_patterns(template: str, starts: Sequence[datetime]) -> Iterator[NamePattern]:
    for start in starts:
        yield NamePattern.of(blob_paths.data_name(template.replace("{device}", _MARK), start, "-"))
