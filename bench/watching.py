"""What a run looks like from outside while it goes on: when it ended, how large its objects became."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench import plain
from bench.rig import NAMESPACE
from scoring_operator.api.views import JobView

RUNS = f"/apis/fleetscore.dev/v1alpha1/namespaces/{NAMESPACE}/scoringruns"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


class _Meta(msgspec.Struct):
    name: str


class _Run(msgspec.Struct):
    metadata: _Meta
    status: msgspec.Raw = msgspec.Raw(b"{}")


class _ConfigMap(msgspec.Struct):
    binary_data: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="binaryData")


@dataclass
class Seen:
    """What was seen of the namespace's runs; times are monotonic."""

    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, list[float]] = field(default_factory=dict)  # when the status of each run was seen to change
    ended: dict[str, float] = field(default_factory=dict)
    last_job: float = 0.0  # when a Job was last seen to complete
    jobs: dict[str, set[str]] = field(default_factory=dict)  # names of the Jobs of each run
    emptied: dict[str, float] = field(default_factory=dict)  # when the last Job of a run went
    largest_status: int = 0
    largest_config_map: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds, which is asked at each change of a status."""
        while not true():
            self.changed.clear()
            await self.changed.wait()

    async def until_ended(self, *names: str) -> None:
        """Wait until runs have ended; raises FailedError for one that is not Complete."""
        await self.until(lambda: set(names) <= self.ended.keys())
        for name in names:
            if self.statuses[name]["phase"] != "Complete":
                raise plain.FailedError(f"run {name}: {self.statuses[name]['message']}")


@asynccontextmanager
async def watching(client: plain.Client, *, jobs: bool = False) -> AsyncIterator[Seen]:
    """Watch runs and ConfigMaps; and Jobs, where it is asked for, since that costs the API server most."""
    seen = Seen()
    async with asyncio.TaskGroup() as group:  # a watch that fails ends what waits for it
        watches = [_runs, _config_maps, *([_jobs] if jobs else [])]
        tasks = [group.create_task(watch(client, seen)) for watch in watches]
        yield seen
        for task in tasks:
            task.cancel()


async def _runs(client: plain.Client, seen: Seen) -> None:
    async for run, gone in client.follow(RUNS, _Run):
        if gone:
            continue
        name, status = run.metadata.name, msgspec.json.decode(run.status)
        seen.statuses[name] = status
        seen.told.setdefault(name, []).append(time.monotonic())
        seen.largest_status = max(seen.largest_status, len(bytes(run.status)))
        if "completionTime" in status and name not in seen.ended:
            seen.ended[name] = time.monotonic()
        seen.changed.set()


async def _config_maps(client: plain.Client, seen: Seen) -> None:
    async for item, _ in client.follow(CONFIG_MAPS, _ConfigMap):
        seen.largest_config_map = max(seen.largest_config_map, len(bytes(item.binary_data)))


async def _jobs(client: plain.Client, seen: Seen) -> None:
    done: set[str] = set()
    async for job, gone in client.follow(JOBS, JobView, "app.kubernetes.io/component=scorer"):
        name = job.metadata.labels.run
        there = seen.jobs.setdefault(name, set())
        if not gone:
            there.add(job.name)
        elif there == {job.name}:
            seen.emptied[name] = time.monotonic()
            seen.changed.set()
        if gone:
            there.discard(job.name)
        elif job.finished and job.name not in done:
            done.add(job.name)
            seen.last_job = time.monotonic()
