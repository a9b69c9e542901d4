"""Check of a whole store before its first window: names, bundles, readings, and whether their tags match."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite

from device_scorer import readings
from device_scorer.contract import blob_paths
from device_scorer.errors import BlobUnreadable, DataInvalid, ModelInvalid, PermanentError
from device_scorer.importing.partition_names import is_partition_name
from device_scorer.models import bundle as bundles
from device_scorer.plurals import counted
from device_scorer.settings import Settings
from device_scorer.store.base import Store

MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARS = 160
MAX_DEVICES = 1_000_000

_NO_PARTITION = (
    "a time at which no partition starts, so no window reads the rows; import them with `device-scorer import`, or "
    "correct the length of a partition (FLEETSCORE_DATA_PARTITION)"
)


@dataclass
class Finding:
    """A kind of result with the number of its cases.

    Attributes:
        one: The kind, in the singular.
        many: The kind, in the plural.
        is_problem: True if scoring fails or loses something because of it.
        count: The number of cases.
        examples: At most MAX_EXAMPLES cases.
    """

    one: str
    many: str
    is_problem: bool
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count a case."""
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example[:MAX_EXAMPLE_CHARS])

    def __str__(self) -> str:
        more = f" and {self.count - len(self.examples):,} more" if self.count > len(self.examples) else ""
        return f"{counted(self.count, self.one, self.many)}: {'; '.join(self.examples)}{more}"


class StoreCheck:
    """A check of the models and readings of a fleet.

    Args:
        store: The store.
        settings: The fleet's settings.
        sample: The number of devices whose bundle and newest readings are read.
    """

    def __init__(self, store: Store, settings: Settings, *, sample: int) -> None:
        self._store, self._settings, self._sample = store, settings, sample
        self._models: dict[str, str] = {}
        self._data: dict[str, str] = {}
        self.models = self.blobs = self.read_devices = 0
        self.invalid_models = _found("name of a model denotes|names of models denote", "no device", is_problem=True)
        self.invalid_data = _found("name of readings denotes|names of readings denote", "no device", is_problem=True)
        files = "file of readings has|files of readings have"
        self.no_partition = _found(files, _NO_PARTITION, is_problem=True)
        self.without_model = _found("device has|devices have", "readings and no model", is_problem=True)
        self.without_data = _found("device has|devices have", "a model and no readings", is_problem=False)
        self.bundles = _found("bundle or model of a tag|bundles or models of tags", "cannot be read", is_problem=True)
        self.readings = _found("file of readings|files of readings", "cannot be read", is_problem=True)
        self.bad_rows = _found(files, "unusable rows or rows of other devices", is_problem=False)
        self.no_match = _found("device has|devices have", "no tag with both a model and readings", is_problem=True)
        self.unmodelled = _found("device has|devices have", "readings of tags without a model", is_problem=False)
        self.silent = _found("device has|devices have", "models of tags without readings", is_problem=False)

    @property
    def findings(self) -> list[Finding]:
        """The findings with at least one case."""
        return [value for value in vars(self).values() if isinstance(value, Finding) and value.count]

    @property
    def devices(self) -> int:
        """The number of devices with a model or readings."""
        return len(self._models.keys() | self._data.keys())

    def run(self) -> Iterator[str]:
        """Check the store, and yield the device that is being read.

        Raises:
            DataInvalid: The fleet's readings share one path, or the store has neither models nor readings.
        """
        settings = self._settings
        if "{device}" not in settings.data_path:
            raise DataInvalid(
                f"the data path {settings.data_path!r} has no {{device}}, so the readings of a device cannot be found; "
                "score one device to check this layout"
            )
        self._list_devices()
        if not (self._models or self._data or self.findings):
            raise DataInvalid("the store has neither models nor readings; see `device-scorer import --help`")
        for device in sorted(self._data.keys() - self._models.keys()):
            self.without_model.add(device)
        for device in sorted(self._models.keys() - self._data.keys()):
            self.without_data.add(device)
        for device in _spread(sorted(self._models.keys() & self._data.keys()), self._sample):
            yield device
            self.read_devices += 1
            self._check_device(device)

    def _list_devices(self) -> None:
        settings = self._settings
        for device, name in self._list("models", settings.models_path, self.invalid_models):
            self._models[device] = name
            self.models += 1
        for device, name in self._list("data", settings.data_path, self.invalid_data):
            if is_partition_name(settings.data_path, settings.data_partition, name, device):
                self._data[device] = max(name, self._data.get(device, ""))
                self.blobs += 1
            else:
                self.no_partition.add(repr(name))

    def _list(self, container: str, template: str, invalid: Finding) -> Iterator[tuple[str, str]]:
        for info in self._store.list(container, template.partition("{")[0]):
            device = blob_paths.device_from_name(template, info.name)
            if device is None:
                invalid.add(repr(info.name))
            elif device in self._models or device in self._data or self.devices < MAX_DEVICES:
                yield device, info.name

    def _check_device(self, device: str) -> None:
        modelled, found = self._read_models(device), self._read_tags(device)
        if modelled is None or found is None:
            return
        if found and not modelled & found:
            self.no_match.add(f"{device}: models of {_name(modelled)}, readings of {_name(found)}")
            return
        if found - modelled:
            self.unmodelled.add(f"{device}: {_name(found - modelled)}")
        if found and modelled - found:
            self.silent.add(f"{device}: {_name(modelled - found)}")

    def _read_models(self, device: str) -> set[str] | None:
        """Return the tags with a usable model, or None if the bundle cannot be read."""
        limits, name = self._settings.limits, self._models[device]
        try:
            blob = self._store.read("models", name, max_bytes=limits.max_model_bytes)
            if blob is None:
                raise ModelInvalid("the blob does not exist any more")
            bundle = bundles.load(
                blob.content,
                max_unpacked_bytes=limits.max_model_unpacked_bytes,
                trust_any=self._settings.trust_any_model,
            )
            bundle.close()
        except (PermanentError, BlobUnreadable) as error:
            self.bundles.add(f"{name}: {error}")
            return None
        for tag, model in bundle.models.items():
            if isinstance(model, PermanentError):
                self.bundles.add(f"{name}, tag {tag[:40]!r}: {model}")
        return {tag for tag, model in bundle.models.items() if not isinstance(model, PermanentError)}

    def _read_tags(self, device: str) -> set[str] | None:
        """Return the tags of the device's newest readings, or None if they cannot be read."""
        name, tags, bad = self._data[device], set(), 0

        def count_bad(_line: bytes, _reason: str) -> None:
            nonlocal bad
            bad += 1

        try:
            blob = self._store.read("data", name, max_bytes=self._settings.limits.max_data_bytes)
            rows = readings.read_rows(blob.content if blob else b"", on_bad=count_bad, quality=self._settings.quality)
            for _, owner, tag, _, _, number in rows:
                if owner != device or not isfinite(number):
                    bad += 1
                else:
                    tags.add(tag)
        except (PermanentError, BlobUnreadable) as error:
            self.readings.add(f"{name}: {error}")
            return None
        if bad:
            self.bad_rows.add(f"{name}: {counted(bad, 'row', 'rows')}")
        return tags


def _found(subject: str, text: str, *, is_problem: bool) -> Finding:
    """Return a kind of result without cases. The subject has both its forms: "device has|devices have"."""
    one, _, many = subject.partition("|")
    return Finding(f"{one} {text}", f"{many} {text}", is_problem)


def _name(tags: Iterable[str]) -> str:
    ordered = sorted(tags)
    more = f" and {len(ordered) - 3:,} more" if len(ordered) > 3 else ""
    return ", ".join(repr(tag[:20]) for tag in ordered[:3]) + more


def _spread(devices: Sequence[str], count: int) -> list[str]:
    """Return at most `count` devices, evenly spread."""
    if len(devices) <= count:
        return list(devices)
    return [devices[number * len(devices) // count] for number in range(count)]
