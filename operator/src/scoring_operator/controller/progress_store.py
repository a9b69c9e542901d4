"""The ConfigMaps of one run: its progress and its device list are read and written here."""

import logging
from asyncio import to_thread
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scoring_operator.api.names import is_job_name, progress_config_map_name
from scoring_operator.api.scoringrun import RunRef
from scoring_operator.errors import AlreadyExists, InvalidDeviceList, InvalidProgress, NotFound, RunRejected
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner import device_list
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.progress_codec import decode_progress, encode_progress
from scoring_operator.resources import config_maps

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredProgress:
    """Progress as stored in its ConfigMap.

    Attributes:
        progress: The progress.
        version: The resource version of the ConfigMap.
    """

    progress: Progress
    version: str


class ProgressStore:
    """The store of one run's ConfigMaps.

    Args:
        client: The client of the API server.
        run: The run that owns the ConfigMaps.
    """

    def __init__(self, client: KubeClient, run: RunRef) -> None:
        self._client = client
        self._run = run
        self._collection = f"/api/v1/namespaces/{run.namespace}/configmaps"
        self._name = progress_config_map_name(run)

    async def load(self) -> StoredProgress | None:
        """Read the progress with a quorum read.

        Returns:
            The stored progress; None before the device list exists.

        Raises:
            RunRejected: The ConfigMap does not belong to the run.
            InvalidProgress: The ConfigMap cannot be read, or names a Job that is not the run's.
            ApiError: The request failed.
        """
        try:
            item = await self._client.get(f"{self._collection}/{self._name}")
        except NotFound:
            return None
        self._check_owner(item, self._name)
        data = config_maps.config_map_content(item, config_maps.PROGRESS_KEY)
        # In a thread, because a hostile document takes a part of a second.
        return StoredProgress(await to_thread(self._decode, data), item["metadata"]["resourceVersion"])

    async def create(self, initial: device_list.InitialState) -> StoredProgress:
        """Write the device list and then the first progress, which completes the creation.

        Args:
            initial: The device list and the first progress.

        Returns:
            The stored progress; that of an earlier attempt if there is one.

        Raises:
            RunRejected: A ConfigMap of that name does not belong to the run.
            ApiError: A request failed.
        """
        await self.recreate_missing(initial.parts)
        try:
            return await self._create_progress(initial.progress)
        except AlreadyExists:
            stored = await self.load()
            if stored is None:
                raise
            return stored

    async def save(self, new: Progress, version: str) -> StoredProgress:
        """Replace the progress, or create it if its ConfigMap was deleted: its content is known here.

        Args:
            new: The progress.
            version: The resource version that is replaced.

        Raises:
            Conflict: The ConfigMap has another version.
            ApiError: The request failed; whether the write was applied may be unknown.
        """
        body = config_maps.config_map(
            self._run, self._name, config_maps.PROGRESS_KEY, encode_progress(new), resource_version=version
        )
        try:
            item = await self._client.replace(f"{self._collection}/{self._name}", body)
        except NotFound:
            _log.warning("the progress ConfigMap was deleted; it is created again")
            return await self._create_progress(new)
        return StoredProgress(new, item["metadata"]["resourceVersion"])

    async def devices(self, progress: Progress) -> list[str]:
        """Read the device list, and stop as soon as it has more devices than the progress counts.

        Args:
            progress: The progress of the run, with the names of the ConfigMaps.

        Raises:
            NotFound: A ConfigMap was deleted.
            RunRejected: A ConfigMap does not belong to the run.
            InvalidDeviceList: A ConfigMap cannot be read.
            ApiError: A request failed.
        """
        devices: list[str] = []
        unchanged = True
        for name in progress.snapshot.device_list_names:
            if not device_list.is_part_name(self._run, name):
                raise InvalidDeviceList(f"{name[:80]!r} is not the name of a ConfigMap of the run's device list")
            item = await self._client.get(f"{self._collection}/{name}")
            self._check_owner(item, name)
            content = config_maps.config_map_content(item, config_maps.DEVICES_KEY)
            unchanged = unchanged and device_list.is_part(self._run, progress.snapshot, name, content)
            devices += await to_thread(device_list.unpack, content)
            if len(devices) > progress.total:
                break  # the caller rejects a list of another length
        if not unchanged and len(devices) == progress.total:
            raise InvalidDeviceList("a ConfigMap of the device list has another content than its name")
        return devices

    async def device_list_exists(self, names: Iterable[str]) -> bool:
        """Return True if all these ConfigMaps exist and belong to the run.

        Args:
            names: The names of the ConfigMaps.

        Raises:
            RunRejected: A ConfigMap does not belong to the run.
            ApiError: A request failed.
        """
        try:
            for name in names:
                self._check_owner(await self._client.get(f"{self._collection}/{name}"), name)
        except NotFound:
            return False
        return True

    async def recreate_missing(self, parts: Mapping[str, bytes]) -> None:
        """Create the ConfigMaps of the device list that do not exist.

        Args:
            parts: The parts of the device list, by the name of their ConfigMap.

        Raises:
            RunRejected: A ConfigMap does not belong to the run.
            ApiError: A request failed.
        """
        for name, part in parts.items():
            body = config_maps.config_map(self._run, name, config_maps.DEVICES_KEY, part)
            try:
                await self._client.create(self._collection, body)
            except AlreadyExists:
                self._check_owner(await self._client.get(f"{self._collection}/{name}"), name)

    async def _create_progress(self, new: Progress) -> StoredProgress:
        body = config_maps.config_map(self._run, self._name, config_maps.PROGRESS_KEY, encode_progress(new))
        item = await self._client.create(self._collection, body)
        return StoredProgress(new, item["metadata"]["resourceVersion"])

    def _decode(self, data: bytes) -> Progress:
        """Parse progress, and check the names of its Jobs: the operator suspends and deletes the Jobs that it names."""
        progress = decode_progress(data)
        for name, batch in progress.open_batches.items():
            positions = batch.positions
            if not (positions and is_job_name(name, self._run, positions.first, positions.last, batch.round)):
                raise InvalidProgress(f"the progress ConfigMap cannot be read: {name} is not a Job of the run")
        return progress

    def _check_owner(self, item: dict[str, object], name: str) -> None:
        if not config_maps.is_owned_by(self._run, item):
            owner = config_maps.describe_owner(item)
            text = f"ConfigMap {name} belongs to {owner}; delete it or give the run another name"
            raise RunRejected("NameConflict", text)
