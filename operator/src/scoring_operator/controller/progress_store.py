"""A run's own ConfigMaps: reading and writing its progress and its device list. Decides nothing."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scoring_operator.api.names import progress_config_map_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.errors import AlreadyExists, NameConflict, NotFound
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner import device_list, progress
from scoring_operator.planner.progress import Progress
from scoring_operator.resources import config_maps

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredProgress:
    """Progress as it stands in its ConfigMap, at a resource version."""

    progress: Progress
    version: str


class ProgressStore:
    """The ConfigMaps of one run."""

    def __init__(self, cluster: KubeClient, run: ScoringRun) -> None:
        self._cluster = cluster
        self._run = run
        self._collection = f"/api/v1/namespaces/{run.namespace}/configmaps"
        self._name = progress_config_map_name(run)

    async def load(self) -> StoredProgress | None:
        """Read progress by quorum; None where the run has not been frozen.

        Raises:
            TakenError: the ConfigMap is not the run's.
            ProgressInvalidError: it cannot be read.
            ApiError: the API server could not be asked.
        """
        try:
            item = await self._cluster.get(f"{self._collection}/{self._name}")
        except NotFound:
            return None
        self._check(item, self._name)
        data = config_maps.config_map_content(item, config_maps.PROGRESS_KEY)
        return StoredProgress(progress.decode(data), item["metadata"]["resourceVersion"])

    async def begin(self, start: device_list.InitialState) -> StoredProgress:
        """Write the device list and then the first progress, which is what freezes the run.

        Where an earlier attempt has frozen it already, that one counts.
        """
        await self.restore(start.parts)
        try:
            return await self._first(start.progress)
        except AlreadyExists:
            saved = await self.load()
            if saved is None:
                raise
            return saved

    async def save(self, new: Progress, version: str) -> StoredProgress:
        """Replace progress, if it still is at `version`.

        A ConfigMap that somebody deleted is made again; its content was safe here.

        Raises:
            Conflict: somebody wrote in between.
            ApiError: the API server refused, or its answer was lost.
        """
        body = config_maps.config_map(
            self._run, self._name, config_maps.PROGRESS_KEY, progress.encode(new), resource_version=version
        )
        try:
            item = await self._cluster.replace(f"{self._collection}/{self._name}", body)
        except NotFound:
            _log.warning("the progress ConfigMap was deleted; it is written again")
            return await self._first(new)
        return StoredProgress(new, item["metadata"]["resourceVersion"])

    async def devices(self, lists: tuple[str, ...]) -> list[str]:
        """Read the device list from its ConfigMaps.

        Raises:
            NotFound: a part of it was deleted.
            DeviceListInvalidError: a part of it cannot be read.
        """
        parts = []
        for name in lists:
            item = await self._cluster.get(f"{self._collection}/{name}")
            self._check(item, name)
            parts.append(config_maps.config_map_content(item, config_maps.DEVICES_KEY))
        return device_list.unpack(parts)

    async def has(self, parts: Iterable[str]) -> bool:
        """Whether all these parts of the device list are there and the run's."""
        try:
            for name in parts:
                self._check(await self._cluster.get(f"{self._collection}/{name}"), name)
        except NotFound:
            return False
        return True

    async def restore(self, parts: Mapping[str, bytes]) -> None:
        """Write those parts of the device list that are gone."""
        for name, part in parts.items():
            await self._create(name, config_maps.DEVICES_KEY, part)

    async def _first(self, new: Progress) -> StoredProgress:
        body = config_maps.config_map(self._run, self._name, config_maps.PROGRESS_KEY, progress.encode(new))
        item = await self._cluster.create(self._collection, body)
        return StoredProgress(new, item["metadata"]["resourceVersion"])

    async def _create(self, name: str, key: str, content: bytes) -> None:
        try:
            await self._cluster.create(self._collection, config_maps.config_map(self._run, name, key, content))
        except AlreadyExists:
            self._check(await self._cluster.get(f"{self._collection}/{name}"), name)

    def _check(self, item: dict[str, object], name: str) -> None:
        if not config_maps.is_owned_by(self._run, item):
            raise NameConflict(
                f"ConfigMap {name} belongs to {config_maps.describe_owner(item)}; delete it or give the run another name"
            )
