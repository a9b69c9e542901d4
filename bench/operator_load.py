"""The operator compared with raw Jobs: the scale table.

The operator and the client of `baseline_client` complete each workload at the same time, each on a fresh control plane
with simulated nodes. Pods take 10 seconds, so the machine is not saturated, and the wall time shows how well the
operator fills its slots. If pods end at once, all cores are saturated, and the wall time measures the total CPU time of
a control plane and the operator. Neither client deletes Jobs before the end.
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
from tests.testkit.cluster import RAISED_LIMITS
from tests.testkit.operator_process import OperatorEnvironment

from bench import baseline_client, harness
from bench.goals import Goals, print_progress
from bench.watcher import JOBS, RUNS, watch_runs
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.names import COMPONENT_LABEL, RUN_LABEL
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.kube.credentials import Credentials

MAX_IN_FLIGHT = 100  # Jobs; the default of `parallelism`
POD_SECONDS = 10.0
ENDING_COUNT, ENDING_DEVICES = 20, 50  # runs whose end is measured, and the devices of each
MAX_CPU_MS, MAX_PACKED_CPU_MS = 1.5, 0.5  # the operator's CPU per device: Jobs of one device, the largest run


class _Status(msgspec.Struct, rename="camel"):
    completion_time: str = ""


class _Job(msgspec.Struct):
    status: _Status


class _Jobs(msgspec.Struct):
    items: list[_Job]


@dataclass
class Workload:
    """A number of devices to score, and the measurements of each round."""

    devices: int
    per_job: int = 1
    rounds: int = 1
    default_limits: bool = False
    pods_end_at_once: bool = False
    ratios: list[float] = field(default_factory=list)  # the operator's time divided by that of raw Jobs
    baseline_seconds: list[float] = field(default_factory=list)
    costs: list["RunCost"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the row in the table."""
        packed = f" by {self.per_job}" if self.per_job > 1 else ""
        options = ", default limits" * self.default_limits + ", ending at once" * self.pods_end_at_once
        return f"{self.devices:,}{packed}{options}"

    @property
    def cpu_ms_per_device(self) -> float:
        """The operator's CPU time per device, in milliseconds."""
        return statistics.median(run.cpu_seconds for run in self.costs) / self.devices * 1000


@dataclass(frozen=True)
class RunCost:
    """The cost of a run: seconds from creation to Complete, CPU seconds, MiB, bytes, requests by verb."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status_bytes: int
    config_map_bytes: int
    requests: Counter[str]


def workloads(*, quick: bool) -> list[Workload]:
    """Return the workloads to measure."""
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
    """Return the operator's time divided by that of raw Jobs, while both saturate the machine.

    The completed Jobs of both are counted at the time when the first of both has no more Jobs to create. After that
    time the other one has a growing share of the machine.

    Args:
        baseline_times: The completion times of the raw Jobs, in seconds since the epoch.
        operator_times: The completion times of the operator's Jobs, in seconds since the epoch.
    """
    at = min(sorted(times)[-MAX_IN_FLIGHT] for times in (baseline_times, operator_times))
    return sum(one < at for one in baseline_times) / sum(one < at for one in operator_times)


async def completion_times(release: OperatorEnvironment, selector: str) -> list[int]:
    """Return the completion time of each Job, in seconds since the epoch."""
    async with baseline_client.connect(admin_credentials(release)) as client:
        jobs = await client.get(f"{JOBS}?labelSelector={selector}", _Jobs)
    return [int(datetime.fromisoformat(job.status.completion_time).timestamp()) for job in jobs.items]


async def run_baseline(release: OperatorEnvironment, load: Workload, start: asyncio.Event) -> float:
    """Complete the workload with the baseline client and return the seconds."""
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
    """Complete the workload with the operator and return the cost; set `start` when its run is created."""
    async with baseline_client.connect(admin_credentials(operated.release)) as client, watch_runs(client) as seen:
        # A first run excludes costs that occur once per process, such as the import of the storage SDK.
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
        f"{load.name}: operator in {cost.seconds:.1f} s, "
        f"{cost.cpu_seconds / load.devices * 1000:.3f} ms of CPU per device"
    )
    return cost


async def time_endings(operated: harness.RunningOperator, count: int) -> list[float]:
    """Return the seconds from the completion of a run's last Job to that of the run, for consecutive runs."""
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
    """Return a ScoringRun for the window of an hour."""
    day = f"2026-01-{1 + hour // 24:02}T"
    window = {"start": f"{day}{hour % 24:02}:00:00Z", "end": f"{day}{hour % 24:02}:59:59Z"}
    labels = {"fleetscore.dev/schedule": schedule} if schedule else {}
    kind = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun"}
    return {**kind, "metadata": {"name": name, "labels": labels}, "spec": {"window": window, **spec}}


def admin_credentials(release: OperatorEnvironment) -> Credentials:
    """Return the credentials of the administrator, which the benchmark uses."""
    return load_credentials({"KUBECONFIG": str(release.cluster.kubeconfig)})


def _requests(release: OperatorEnvironment) -> Counter[str]:
    """Return the number of the operator's requests so far, by verb, from the API server's audit log."""
    found: Counter[str] = Counter()
    user = f"system:serviceaccount:{harness.NAMESPACE}:fleetscore-operator"
    with release.cluster.audit_log.open("rb") as log:
        for line in log:
            if user.encode() in line and (event := msgspec.json.decode(line))["user"]["username"] == user:
                found[event["verb"]] += 1
    return found


def _measure_workload(load: Workload, folder: Path) -> None:
    """Measure a workload once."""
    arguments = harness.DEFAULT_LIMITS if load.default_limits else RAISED_LIMITS
    seconds = 0.0 if load.pods_end_at_once else POD_SECONDS
    with (
        harness.installed_release(folder, arguments, "raw", pod_seconds=seconds) as other,
        harness.installed_release(folder, arguments, "own", pod_seconds=seconds) as release,
        harness.running_operator(release, harness.device_ids(load.devices)) as operated,
    ):
        asyncio.run(_measure_both(load, other, operated))


async def _measure_both(
    load: Workload, baseline_release: OperatorEnvironment, operated: harness.RunningOperator
) -> None:
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
        max_cpu = MAX_CPU_MS if kept_busy and load.per_job == 1 and not load.default_limits else None
        cells = [
            goals.format_cell(statistics.median(load.ratios), 2, at_most=1.05 if kept_busy else None),
            goals.format_cell(statistics.median(load.baseline_seconds), 1),
            goals.format_cell(load.cpu_ms_per_device, 3, at_most=MAX_PACKED_CPU_MS if big else max_cpu),
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
    median = goals.format_cell(statistics.median(ends), 2, at_most=1.0)
    print(f"| last Job -> Complete, p50 of {len(ends)} runs (s) | {median} |")
    print(f"| the slowest of them (s) | {max(ends):.2f} |")
    print(
        f"\n{MAX_IN_FLIGHT} Jobs in flight; medians of the rounds, of {', '.join(str(load.rounds) for load in found)}"
    )
    print(harness.describe_operator())
    return goals.all_met


def main(*, quick: bool) -> bool:
    """Measure the workloads and the ends of runs, print the tables, and return False if a goal is missed."""
    found = workloads(quick=quick)
    print_progress(harness.describe_operator())  # the first use unpacks the image
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
