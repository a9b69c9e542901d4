"""The operator against raw Jobs: the scale table.

Each load is brought to its end by the operator and by the plain client of `plain`, both at the same time, each on a
fresh control plane with simulated nodes. Their pods take a while, so that nobody waits for the machine, and the wall
shows how well the operator keeps its places taken. Where pods end at once all cores are busy throughout, and the wall
is another measure of CPU: that of all programs of a control plane and of the operator. Neither deletes before the end.
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from tests.operator_edge.process import Release

from bench import plain, rig
from bench.goals import Goals, say
from bench.watching import JOBS, RUNS, watching
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.names import COMPONENT_LABEL, RUN_LABEL
from scoring_operator.kube import credentials

IN_FLIGHT = 100  # Jobs at a time: the default of `parallelism`
POD_SECONDS = 10.0
ENDINGS = 20  # runs of which the end is timed
ENDING_DEVICES = 50


class _Status(msgspec.Struct, rename="camel"):
    completion_time: str = ""


class _Job(msgspec.Struct):
    status: _Status


class _Jobs(msgspec.Struct):
    items: list[_Job]


@dataclass
class Load:
    """Devices to score, and what it took each time."""

    devices: int
    per_job: int = 1
    rounds: int = 1
    defaults: bool = False
    at_once: bool = False
    ratios: list[float] = field(default_factory=list)  # the operator's time against raw
    raw: list[float] = field(default_factory=list)  # seconds
    runs: list["Cost"] = field(default_factory=list)

    @property
    def name(self) -> str:
        packed = f" by {self.per_job}" if self.per_job > 1 else ""
        return f"{self.devices:,}{packed}{', default limits' * self.defaults}{', ending at once' * self.at_once}"

    @property
    def cpu(self) -> float:
        """Milliseconds of the operator's CPU per device."""
        return statistics.median(run.cpu for run in self.runs) / self.devices * 1000


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds from its creation to Complete, CPU seconds, MiB, bytes, requests by verb."""

    seconds: float
    cpu: float
    peak_mib: float
    status: int
    config_map: int
    requests: Counter[str]


def loads(*, quick: bool) -> list[Load]:
    """What is measured."""
    if quick:
        return [
            Load(100),
            Load(40, defaults=True),
            Load(400),
            Load(400, 50),
            Load(4000, 50),
            Load(300, at_once=True),
        ]
    return [
        Load(1_000),
        Load(1_000, defaults=True),
        Load(10_000),
        Load(1_000, 50, rounds=3),
        Load(100_000, 50),
        Load(1_000, at_once=True),
        Load(100_000, 50, at_once=True),
    ]


def ratio(raw: Sequence[int], own: Sequence[int]) -> float:
    """How long the operator takes for what raw Jobs take a second for, where both need all of the machine.

    It is counted how many Jobs each had completed when the first of both had no more to create: from then on the other
    has more and more of the machine for itself.

    Args:
        raw: when each raw Job completed, in seconds since the epoch.
        own: the same of the operator's.
    """
    at = min(sorted(times)[-IN_FLIGHT] for times in (raw, own))
    return sum(one < at for one in raw) / sum(one < at for one in own)


async def completions(release: Release, selector: str) -> list[int]:
    """When each Job completed, in seconds since the epoch."""
    async with plain.connect(admin(release)) as client:
        jobs = await client.get(f"{JOBS}?labelSelector={selector}", _Jobs)
    return [int(datetime.fromisoformat(job.status.completion_time).timestamp()) for job in jobs.items]


async def raw(release: Release, load: Load, start: asyncio.Event) -> float:
    """Bring the load to its end with the plain client; the seconds."""
    devices = rig.fleet_of(load.devices)
    fleet = parse_fleet({"namespaces": [rig.NAMESPACE], "scorer": {"serviceAccountName": "default"}} | rig.FLEET)
    parts = [devices[at : at + load.per_job] for at in range(0, len(devices), load.per_job)]
    jobs = [
        plain.job(fleet, rig.NAMESPACE, rig.WINDOW, label="raw", number=number, devices=part)
        for number, part in enumerate(parts)
    ]
    async with plain.connect(admin(release)) as client:
        await start.wait()
        seconds = await plain.run_jobs(client, rig.NAMESPACE, jobs, in_flight=IN_FLIGHT)
    say(f"{load.name}: raw Jobs in {seconds:.1f} s")
    return seconds


async def measured(operated: rig.Operated, load: Load, start: asyncio.Event) -> Cost:
    """Bring the load to its end with the operator; `start` is set when its run is created."""
    async with plain.connect(admin(operated.release)) as client, watching(client) as seen:
        # What a process does but once, such as importing the storage SDK, is no cost of devices.
        await client.create(RUNS, run("warm", hour=1, devices={"ids": ["warm"]}))
        await seen.until_ended("warm")
        requests, cpu, began = _requests(operated.release), operated.cpu(), time.monotonic()
        start.set()
        await client.create(RUNS, run("measured", devicesPerJob=load.per_job, parallelism=IN_FLIGHT))
        await seen.until_ended("measured")
        cost = Cost(
            seconds=seen.ended["measured"] - began,
            cpu=operated.cpu() - cpu,
            peak_mib=operated.peak_mib(),
            status=seen.largest_status,
            config_map=seen.largest_config_map,
            requests=_requests(operated.release) - requests,
        )
    if seen.statuses["measured"]["devices"]["scored"] != load.devices:
        raise plain.FailedError(f"{load.name}: {seen.statuses['measured']['devices']}")
    say(f"{load.name}: operator in {cost.seconds:.1f} s, {cost.cpu / load.devices * 1000:.3f} ms of CPU per device")
    return cost


async def endings(operated: rig.Operated, count: int) -> list[float]:
    """Run after run; the seconds from when a run's last Job was seen to complete until the run was."""
    found = []
    async with plain.connect(admin(operated.release)) as client, watching(client, jobs=True) as seen:
        for number in range(count):
            await client.create(RUNS, run(f"ending-{number}", hour=number))
            await seen.until_ended(f"ending-{number}")
            found.append(seen.ended[f"ending-{number}"] - seen.last_job)
    say(f"last Job -> Complete: {', '.join(f'{seconds:.2f}' for seconds in sorted(found))} s")
    return found


def run(name: str, *, hour: int = 0, schedule: str = "", **spec: Any) -> dict[str, Any]:
    """A ScoringRun of the window of that hour."""
    day = f"2026-01-{1 + hour // 24:02}T"
    window = {"start": f"{day}{hour % 24:02}:00:00Z", "end": f"{day}{hour % 24:02}:59:59Z"}
    labels = {"fleetscore.dev/schedule": schedule} if schedule else {}
    kind = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun"}
    return {**kind, "metadata": {"name": name, "labels": labels}, "spec": {"window": window, **spec}}


def admin(release: Release) -> credentials.Credentials:
    """As whom the bench itself speaks to the API server."""
    return credentials.load({"KUBECONFIG": str(release.cluster.kubeconfig)})


def _requests(release: Release) -> Counter[str]:
    """The operator's requests so far, by verb, from the API server's audit log."""
    found: Counter[str] = Counter()
    user = f"system:serviceaccount:{rig.NAMESPACE}:fleetscore-operator"
    with release.cluster.audit_log.open("rb") as log:
        for line in log:
            if user.encode() in line and (event := msgspec.json.decode(line))["user"]["username"] == user:
                found[event["verb"]] += 1
    return found


def _take(load: Load, folder: Path) -> None:
    """Measure a load once."""
    arguments = rig.DEFAULTS if load.defaults else rig.RAISED
    seconds = 0.0 if load.at_once else POD_SECONDS
    with (
        rig.released(folder, arguments, "raw", pod_seconds=seconds) as other,
        rig.released(folder, arguments, "own", pod_seconds=seconds) as release,
        rig.operated(release, rig.fleet_of(load.devices)) as operated,
    ):
        asyncio.run(_both(load, other, operated))


async def _both(load: Load, other: Release, operated: rig.Operated) -> None:
    start = asyncio.Event()
    seconds, cost = await asyncio.gather(raw(other, load, start), measured(operated, load, start))
    load.raw.append(seconds)
    load.runs.append(cost)
    if load.at_once:
        raw_times = await completions(other, "bench=raw")
        own_times = await completions(operated.release, f"{RUN_LABEL}=measured,{COMPONENT_LABEL}=scorer")
        load.ratios.append(ratio(raw_times, own_times))
    else:
        load.ratios.append(cost.seconds / seconds)
    say(f"{load.name}: operator against raw {load.ratios[-1]:.3f}")


def _report(found: Sequence[Load], ends: Sequence[float]) -> bool:
    goals = Goals()
    largest = max(load.devices for load in found)
    print("| devices | wall / raw | raw (s) | CPU per device (ms) | peak RSS (MiB) | status (KiB) | ConfigMap (KiB) |")
    print("|---|---|---|---|---|---|---|")
    for load in found:
        cost, big = load.runs[-1], load.devices == largest
        kept_busy = not load.at_once and (load.per_job == 1 or big)
        cells = [
            goals.cell(statistics.median(load.ratios), 2, most=1.05 if kept_busy else None),
            goals.cell(statistics.median(load.raw), 1),
            goals.cell(load.cpu, 3, most=0.5 if big else None),
            goals.cell(cost.peak_mib, 0, most=120 if big else None),
            goals.cell(cost.status / 1024, 1, most=16),
            goals.cell(cost.config_map / 1024, 0, most=1024),
        ]
        print(f"| {load.name} | {' | '.join(cells)} |")
    print("\n| requests per device | " + " | ".join(load.name for load in found) + " |")
    print("|---|" + "---|" * len(found))
    for verb in sorted(set().union(*(load.runs[-1].requests for load in found))):
        print(
            f"| {verb} | " + " | ".join(f"{load.runs[-1].requests[verb] / load.devices:.4f}" for load in found) + " |"
        )
    print("\n| what | figure |\n|---|---|")
    for per_job in (1, 50):
        same = [load for load in found if load.per_job == per_job and not (load.defaults or load.at_once)]
        small, large = same[0], same[-1]
        growth = goals.cell(large.cpu / small.cpu, 2, most=1.1)
        print(f"| CPU per device, {large.name} against {small.name} | {growth} |")
    print(f"| last Job -> Complete, p50 of {len(ends)} runs (s) | {goals.cell(statistics.median(ends), 2, most=1.0)} |")
    print(f"| the slowest of them (s) | {max(ends):.2f} |")
    print(f"\n{IN_FLIGHT} Jobs in flight; medians of the rounds, of {', '.join(str(load.rounds) for load in found)}")
    return goals.met


def main(*, quick: bool) -> bool:
    """Measure all loads and the endings, and print the tables; False where a goal is missed."""
    found = loads(quick=quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for load in found:
            for turn in range(load.rounds):
                _take(load, folder / f"{load.devices}-{load.per_job}-{turn}")
        with (
            rig.released(folder / "endings") as release,
            rig.operated(release, rig.fleet_of(ENDING_DEVICES)) as operated,
        ):
            ends = asyncio.run(endings(operated, 3 if quick else ENDINGS))
    return _report(found, ends)
