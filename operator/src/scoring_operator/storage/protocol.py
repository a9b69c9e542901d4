"""The storage operations that the controller needs. fleet_storage implements them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import Window


class DeviceListing(NamedTuple):
    """What a listing found: devices, sorted, each once; and the names of blobs that denote no device."""

    devices: Sequence[str]
    invalid_names: Sequence[str]


class FleetStorage(Protocol):
    """What is needed of storage here; see `devices`."""

    async def list_models(self, fleet: Fleet) -> DeviceListing:
        """Devices that have a model; and blob names that denote no device."""

    async def list_data_devices(self, fleet: Fleet, window: Window, known: Collection[str]) -> DeviceListing:
        """Devices, but for known ones, that have readings in the window's partitions."""

    async def list_predictions(self, fleet: Fleet, window: Window) -> Mapping[str, Mapping[str, str]]:
        """Metadata of the window's predictions, by device."""

    async def read_outcome(self, fleet: Fleet, run_uid: str, job_name: str) -> bytes | None:
        """The outcome record of a Job; None where there is none."""

    async def read_failures(self, fleet: Fleet, window: Window) -> bytes | None:
        """`_failures.csv` of the window's report; None where there is none."""
