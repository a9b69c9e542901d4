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
from tests.testkit.operator_process import Release

from bench import baseline_client, harness
from bench.goals import Goals, print_progress
from bench.watcher import JOBS, RUNS, watch_runs
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.names import COMPONENT_LABEL, RUN_LABEL
from scoring_operator.kube import credentials

MAX_IN_FLIGHT = 100  # Jobs at a time: the default of `parallelism`
POD_SECONDS = 10.0
ENDING_COUNT = 20  # runs of which the end is timed
ENDING_DEVICES = 50


class _Status(msgspec.Struct, rename="camel"):
    completion_time: str = ""


class _Job(msgspec.Struct):
    status: _Status


class _Jobs(msgspec.Struct):
    items: list[_Job]


@dataclass
class Workload:
    """Devices to score, and what it took each time."""

    devices: int
    per_job: int = 1
    rounds: int = 1
    default_limits: bool = False
    pods_end_at_once: bool = False
    ratios: list[float] = field(default_factory=list)  # the operator's time against raw
    baseline_seconds: list[float] = field(default_factory=list)  # seconds
    costs: list["RunCost"] = field(default_factory=list)

    @property
    def name(self) -> str:
        packed = f" by {self.per_job}" if self.per_job > 1 else ""
        return f"{self.devices:,}{packed}{', default limits' * self.default_limits}{', ending at once' * self.pods_end_at_once}"

    @property
    def cpu_ms_per_device(self) -> float:
        """Milliseconds of the operator's CPU per device."""
        return statistics.median(run.cpu_seconds for run in self.costs) / self.devices * 1000


@dataclass(frozen=True)
class RunCost:
    """What a run took: seconds from its creation to Complete, CPU seconds, MiB, bytes, requests by verb."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status_bytes: int
    config_map_bytes: int
    requests: Counter[str]


def workloads(*, quick: bool) -> list[Workload]:
    """What is measured."""
    if quick:
        return [
            Workload(100),
            Workload(40, default_limits=True),
            Workload(400),
            Workload(400, 50),
            Workload(4000, 50),
            Workload(300, pods_end_at_once=True),
        ]
    return [
        Workload(1_000),
        Workload(1_000, default_limits=True),
        Workload(10_000),
        Workload(1_000, 50, rounds=3),
        Workload(100_000, 50),
        Workload(1_000, pods_end_at_once=True),
        Workload(100_000, 50, pods_end_at_once=True),
    ]


def saturated_ratio(baseline_times: Sequence[int], operator_times: Sequence[int]) -> float:
    """How long the operator takes for what raw Jobs take a second for, where both need all of the machine.

    It is counted how many Jobs each had completed when the first of both had no more to create: from then on the other
    has more and more of the machine for itself.

    Args:
        raw: when each raw Job completed, in seconds since the epoch.
        own: the same of the operator's.
    """
    at = min(sorted(times)[-MAX_IN_FLIGHT] for times in (baseline_times, operator_times))
    return sum(one < at for one in baseline_times) / sum(one < at for one in operator_times)


async def completion_times(release: Release, selector: str) -> list[int]:
    """When each Job completed, in seconds since the epoch."""
    async with baseline_client.connect(admin_credentials(release)) as client:
        jobs = await client.get(f"{JOBS}?labelSelector={selector}", _Jobs)
    return [int(datetime.fromisoformat(job.status.completion_time).timestamp()) for job in jobs.items]


async def run_baseline(release: Release, load: Workload, start: asyncio.Event) -> float:
    """Bring the load to its end with the plain client; the seconds."""
    devices = harness.device_ids(load.devices)
    fleet = parse_fleet(
        {"namespaces": [harness.NAMESPACE], "scorer": {"serviceAccountName": "default"}} | harness.FLEET_VALUES
    )
    parts = [devices[at : at + load.per_job] for at in range(0, len(devices), load.per_job)]
    jobs = [
        baseline_client.build_manifest(
            fleet, harness.NAMESPACE, harness.WINDOW, label="raw", number=number, devices=part
        )
        for number, part in enumerate(parts)
    ]
    async with baseline_client.connect(admin_credentials(release)) as client:
        await start.wait()
        seconds = await baseline_client.run_jobs(client, harness.NAMESPACE, jobs, max_in_flight=MAX_IN_FLIGHT)
    print_progress(f"{load.name}: raw Jobs in {seconds:.1f} s")
    return seconds


async def run_operator(operated: harness.RunningOperator, load: Workload, start: asyncio.Event) -> RunCost:
    """Bring the load to its end with the operator; `start` is set when its run is created."""
    async with baseline_client.connect(admin_credentials(operated.release)) as client, watch_runs(client) as seen:
        # What a process does but once, such as importing the storage SDK, is no cost of devices.
        await client.create(RUNS, build_run("warm", hour=1, devices={"ids": ["warm"]}))
        await seen.wait_for_end("warm")
        requests, cpu, began = _requests(operated.release), operated.cpu_seconds(), time.monotonic()
        start.set()
        await client.create(RUNS, build_run("measured", devicesPerJob=load.per_job, parallelism=MAX_IN_FLIGHT))
        await seen.wait_for_end("measured")
        cost = RunCost(
            seconds=seen.end_times["measured"] - began,
            cpu_seconds=operated.cpu_seconds() - cpu,
            peak_mib=operated.peak_mib(),
            status_bytes=seen.largest_status,
            config_map_bytes=seen.largest_config_map,
            requests=_requests(operated.release) - requests,
        )
    if seen.statuses["measured"]["devices"]["scored"] != load.devices:
        raise baseline_client.MeasurementError(f"{load.name}: {seen.statuses['measured']['devices']}")
    print_progress(
        f"{load.name}: operator in {cost.seconds:.1f} s, {cost.cpu_seconds / load.devices * 1000:.3f} ms of CPU per device"
    )
    return cost


async def time_endings(operated: harness.RunningOperator, count: int) -> list[float]:
    """Run after run; the seconds from when a run's last Job was seen to complete until the run was."""
    found = []
    async with (
        baseline_client.connect(admin_credentials(operated.release)) as client,
        watch_runs(client, include_jobs=True) as seen,
    ):
        for number in range(count):
            await client.create(RUNS, build_run(f"ending-{number}", hour=number))
            await seen.wait_for_end(f"ending-{number}")
            found.append(seen.end_times[f"ending-{number}"] - seen.last_completion)
    print_progress(f"last Job -> Complete: {', '.join(f'{seconds:.2f}' for seconds in sorted(found))} s")
    return found


def build_run(name: str, *, hour: int = 0, schedule: str = "", **spec: Any) -> dict[str, Any]:
    """A ScoringRun of the window of that hour."""
    day = f"2026-01-{1 + hour // 24:02}T"
    window = {"start": f"{day}{hour % 24:02}:00:00Z", "end": f"{day}{hour % 24:02}:59:59Z"}
    labels = {"fleetscore.dev/schedule": schedule} if schedule else {}
    kind = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun"}
    return {**kind, "metadata": {"name": name, "labels": labels}, "spec": {"window": window, **spec}}


def admin_credentials(release: Release) -> credentials.Credentials:
    """As whom the bench itself speaks to the API server."""
    return credentials.load({"KUBECONFIG": str(release.cluster.kubeconfig)})


def _requests(release: Release) -> Counter[str]:
    """The operator's requests so far, by verb, from the API server's audit log."""
    found: Counter[str] = Counter()
    user = f"system:serviceaccount:{harness.NAMESPACE}:fleetscore-operator"
    with release.cluster.audit_log.open("rb") as log:
        for line in log:
            if user.encode() in line and (event := msgspec.json.decode(line))["user"]["username"] == user:
                found[event["verb"]] += 1
    return found


def _measure_workload(load: Workload, folder: Path) -> None:
    """Measure a load once."""
    arguments = harness.DEFAULT_LIMITS if load.default_limits else harness.RAISED_LIMITS
    seconds = 0.0 if load.pods_end_at_once else POD_SECONDS
    with (
        harness.installed_release(folder, arguments, "raw", pod_seconds=seconds) as other,
        harness.installed_release(folder, arguments, "own", pod_seconds=seconds) as release,
        harness.running_operator(release, harness.device_ids(load.devices)) as operated,
    ):
        asyncio.run(_measure_both(load, other, operated))


async def _measure_both(load: Workload, baseline_release: Release, operated: harness.RunningOperator) -> None:
    start = asyncio.Event()
    seconds, cost = await asyncio.gather(
        run_baseline(baseline_release, load, start), run_operator(operated, load, start)
    )
    load.baseline_seconds.append(seconds)
    load.costs.append(cost)
    if load.pods_end_at_once:
        raw_times = await completion_times(baseline_release, "bench=raw")
        own_times = await completion_times(operated.release, f"{RUN_LABEL}=measured,{COMPONENT_LABEL}=scorer")
        load.ratios.append(saturated_ratio(raw_times, own_times))
    else:
        load.ratios.append(cost.seconds / seconds)
    print_progress(f"{load.name}: operator against raw {load.ratios[-1]:.3f}")


def _report(found: Sequence[Workload], ends: Sequence[float]) -> bool:
    goals = Goals()
    largest = max(load.devices for load in found)
    print("| devices | wall / raw | raw (s) | CPU per device (ms) | peak RSS (MiB) | status (KiB) | ConfigMap (KiB) |")
    print("|---|---|---|---|---|---|---|")
    for load in found:
        cost, big = load.costs[-1], load.devices == largest
        kept_busy = not load.pods_end_at_once and (load.per_job == 1 or big)
        cells = [
            goals.format_cell(statistics.median(load.ratios), 2, at_most=1.05 if kept_busy else None),
            goals.format_cell(statistics.median(load.baseline_seconds), 1),
            goals.format_cell(load.cpu_ms_per_device, 3, at_most=0.5 if big else None),
            goals.format_cell(cost.peak_mib, 0, at_most=120 if big else None),
            goals.format_cell(cost.status_bytes / 1024, 1, at_most=16),
            goals.format_cell(cost.config_map_bytes / 1024, 0, at_most=1024),
        ]
        print(f"| {load.name} | {' | '.join(cells)} |")
    print("\n| requests per device | " + " | ".join(load.name for load in found) + " |")
    print("|---|" + "---|" * len(found))
    for verb in sorted(set().union(*(load.costs[-1].requests for load in found))):
        print(
            f"| {verb} | " + " | ".join(f"{load.costs[-1].requests[verb] / load.devices:.4f}" for load in found) + " |"
        )
    print("\n| what | figure |\n|---|---|")
    for per_job in (1, 50):
        same = [
            load for load in found if load.per_job == per_job and not (load.default_limits or load.pods_end_at_once)
        ]
        small, large = same[0], same[-1]
        growth = goals.format_cell(large.cpu_ms_per_device / small.cpu_ms_per_device, 2, at_most=1.1)
        print(f"| CPU per device, {large.name} against {small.name} | {growth} |")
    print(
        f"| last Job -> Complete, p50 of {len(ends)} runs (s) | {goals.format_cell(statistics.median(ends), 2, at_most=1.0)} |"
    )
    print(f"| the slowest of them (s) | {max(ends):.2f} |")
    print(
        f"\n{MAX_IN_FLIGHT} Jobs in flight; medians of the rounds, of {', '.join(str(load.rounds) for load in found)}"
    )
    return goals.all_met


def main(*, quick: bool) -> bool:
    """Measure all loads and the endings, and print the tables; False where a goal is missed."""
    found = workloads(quick=quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for load in found:
            for turn in range(load.rounds):
                _measure_workload(load, folder / f"{load.devices}-{load.per_job}-{turn}")
        with (
            harness.installed_release(folder / "endings") as release,
            harness.running_operator(release, harness.device_ids(ENDING_DEVICES)) as operated,
        ):
            ends = asyncio.run(time_endings(operated, 3 if quick else ENDING_COUNT))
    return _report(found, ends)
