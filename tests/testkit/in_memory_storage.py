"""The blob storage of a fleet, in memory: an implementation of the operator's storage protocol."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid, StorageUnavailable
from scoring_operator.storage.protocol import DeviceListing, InvalidNames


@dataclass
class InMemoryStorage:
    """Storage in memory, whose content tests set and change."""

    models: list[str]
    data: list[str] = field(default_factory=list)
    predictions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    records: dict[str, bytes] = field(default_factory=dict)
    failures: bytes | None = None
    history: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    misconfigured: bool = False
    invalid_names: list[str] = field(default_factory=list)
    of_fleet: dict[str, list[str]] = field(default_factory=dict)  # models of fleets that have others than `models`

    async def list_models(self, fleet: Fleet) -> DeviceListing:
        self._answer(fleet)
        devices = tuple(sorted(self.of_fleet.get(fleet.name, self.models)))
        return DeviceListing(devices, InvalidNames(len(self.invalid_names), tuple(self.invalid_names)))

    async def list_data_devices(self, fleet: Fleet, window: Window, known: Collection[str]) -> DeviceListing:
        self._answer(fleet)
        return DeviceListing(tuple(device for device in self.data if window.length and device not in known))

    async def list_predictions(self, fleet: Fleet, window: Window) -> Mapping[str, Mapping[str, str]]:
        self._answer(fleet)
        return self.predictions if window.length else {}

    async def read_outcome(self, fleet: Fleet, run_uid: str, job_name: str) -> bytes | None:
        self._answer(fleet)
        return self.records.get(job_name) if run_uid else None

    async def read_history(self, fleet: Fleet, name: str) -> bytes | None:
        self._answer(fleet)
        return self.history.get(name)

    async def read_failures(self, fleet: Fleet, window: Window) -> bytes | None:
        self._answer(fleet)
        return self.failures if window.length else None

    def _answer(self, fleet: Fleet) -> None:
        if self.down:
            raise StorageUnavailable(f"storage of fleet {fleet.name} does not answer")
        if self.misconfigured:
            raise ConfigurationInvalid(f"storage of fleet {fleet.name} has no such container")


def storage_with_devices(count: int) -> InMemoryStorage:
    """Return storage with the models of devices press-0, press-1, ..."""
    return InMemoryStorage([f"press-{number}" for number in range(count)])
