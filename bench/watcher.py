"""Observation of runs through watches: times of status changes and ends, sizes of objects."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench import baseline_client
from bench.harness import NAMESPACE
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
class Observations:
    """The observations of the namespace's runs; times are seconds of the monotonic clock."""

    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    status_times: dict[str, list[float]] = field(default_factory=dict)  # the times of the status changes by run
    end_times: dict[str, float] = field(default_factory=dict)
    last_completion: float = 0.0  # the time of the last Job that completed
    jobs_by_run: dict[str, set[str]] = field(default_factory=dict)  # the names of the Jobs by run
    jobs_deleted_times: dict[str, float] = field(default_factory=dict)  # the deletion of the last Job by run
    largest_status: int = 0
    largest_config_map: int = 0
    status_changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition is True; it is evaluated after each change of a status."""
        while not condition():
            self.status_changed.clear()
            await self.status_changed.wait()

    async def wait_for_end(self, *names: str) -> None:
        """Wait until runs have ended; raise MeasurementError for a run that is not Complete."""
        await self.wait_for(lambda: set(names) <= self.end_times.keys())
        for name in names:
            if self.statuses[name]["phase"] != "Complete":
                raise baseline_client.MeasurementError(f"run {name}: {self.statuses[name]['message']}")


@asynccontextmanager
async def watch_runs(
    client: baseline_client.BaselineClient, *, include_jobs: bool = False
) -> AsyncIterator[Observations]:
    """Watch runs and ConfigMaps, and optionally Jobs, whose watch is the most expensive for the API server."""
    seen = Observations()
    async with asyncio.TaskGroup() as group:  # a watch that fails cancels the body
        watches = [_watch_runs, _watch_config_maps, *([_watch_jobs] if include_jobs else [])]
        tasks = [group.create_task(watch(client, seen)) for watch in watches]
        yield seen
        for task in tasks:
            task.cancel()


async def _watch_runs(client: baseline_client.BaselineClient, seen: Observations) -> None:
    async for run, deleted in client.watch(RUNS, _Run):
        if deleted:
            continue
        name, status = run.metadata.name, msgspec.json.decode(run.status)
        seen.statuses[name] = status
        seen.status_times.setdefault(name, []).append(time.monotonic())
        seen.largest_status = max(seen.largest_status, len(bytes(run.status)))
        if "completionTime" in status and name not in seen.end_times:
            seen.end_times[name] = time.monotonic()
        seen.status_changed.set()


async def _watch_config_maps(client: baseline_client.BaselineClient, seen: Observations) -> None:
    async for item, _ in client.watch(CONFIG_MAPS, _ConfigMap):
        seen.largest_config_map = max(seen.largest_config_map, len(bytes(item.binary_data)))


async def _watch_jobs(client: baseline_client.BaselineClient, seen: Observations) -> None:
    done: set[str] = set()
    async for job, deleted in client.watch(JOBS, JobView, "app.kubernetes.io/component=scorer"):
        name = job.metadata.labels.run
        existing = seen.jobs_by_run.setdefault(name, set())
        if not deleted:
            existing.add(job.name)
        elif existing == {job.name}:
            seen.jobs_deleted_times[name] = time.monotonic()
            seen.status_changed.set()
        if deleted:
            existing.discard(job.name)
        elif job.finished and job.name not in done:
            done.add(job.name)
            seen.last_completion = time.monotonic()
