"""The storage operations that the controller needs, which fleet_storage implements."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import Window


class InvalidNames(NamedTuple):
    """The names of blobs that denote no device.

    Attributes:
        total: The number of these names.
        samples: Some of them.
    """

    total: int = 0
    samples: tuple[str, ...] = ()


class DeviceListing(NamedTuple):
    """The result of a listing.

    Attributes:
        devices: The ids of the devices, sorted and unique.
        invalid_names: The names of blobs that do not match the path of a device.
    """

    devices: Sequence[str]
    invalid_names: InvalidNames = InvalidNames()


class FleetStorage(Protocol):
    """The storage of all fleets."""

    async def list_models(self, fleet: Fleet) -> DeviceListing:
        """Return the devices that have a model."""

    async def list_data_devices(self, fleet: Fleet, window: Window, known: Collection[str]) -> DeviceListing:
        """Return the devices with readings in the window's partitions, except the known ones."""

    async def list_predictions(self, fleet: Fleet, window: Window) -> Mapping[str, Mapping[str, str]]:
        """Return the metadata of the window's predictions by device."""

    async def read_outcome(self, fleet: Fleet, run_uid: str, job_name: str) -> bytes | None:
        """Return the outcome record of a Job, or None if it does not exist."""

    async def read_history(self, fleet: Fleet, name: str) -> bytes | None:
        """Return a tile of the fleet's history, or None if it does not exist."""

    async def read_failures(self, fleet: Fleet, window: Window) -> bytes | None:
        """Return `_failures.csv` of the window's report, or None if it does not exist."""
