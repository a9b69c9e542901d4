"""Concurrent runs: a huge run, then fifty small ones.

One operator handles all of them, with a limit of active Jobs far below their demand. The small runs should run
concurrently and end before the huge one, and each status should be written about every second.
"""

import asyncio
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from bench import baseline_client, harness
from bench.goals import Goals, print_progress
from bench.operator_load import admin_credentials, build_run
from bench.watcher import RUNS, Observations, watch_runs

LARGE_RUN = "huge"
SMALL_RUNS, SMALL_DEVICES, SMALL_PER_JOB = 50, 200, 10


async def _measure(
    operated: harness.RunningOperator, fleet: list[str], runs: int, per_job: int
) -> tuple[Observations, dict[str, float]]:
    names = [f"small-{number}" for number in range(runs)]
    created = {}
    async with baseline_client.connect(admin_credentials(operated.release)) as client, watch_runs(client) as seen:
        await client.create(RUNS, build_run(LARGE_RUN, devicesPerJob=per_job, parallelism=1000))
        await seen.wait_for(lambda: seen.statuses.get(LARGE_RUN, {}).get("phase") == "Running")
        for number, name in enumerate(names):
            ids = fleet[number * SMALL_DEVICES : (number + 1) * SMALL_DEVICES]
            created[name] = time.monotonic()
            await client.create(
                RUNS, build_run(name, hour=number + 1, devices={"ids": ids}, devicesPerJob=SMALL_PER_JOB)
            )
        await seen.wait_for_end(*names)
        print_progress(f"{runs} small runs have ended; the huge one: {seen.statuses[LARGE_RUN]['devices']}")
        await seen.wait_for_end(LARGE_RUN)
    return seen, created


def _report(seen: Observations, created: dict[str, float]) -> bool:
    goals = Goals()
    durations = [seen.end_times[name] - at for name, at in created.items()]
    gaps = [later - earlier for name in created for earlier, later in pairwise(seen.status_times[name])]
    fair = max(seen.end_times[name] for name in created) < seen.end_times[LARGE_RUN]
    goals.all_met = goals.all_met and fair
    print(f"| {len(created)} runs of {SMALL_DEVICES} devices next to a huge one | figure |")
    print("|---|---|")
    print(f"| a small run, creation to Complete, p50 (s) | {statistics.median(durations):.1f} |")
    print(f"| the slowest against the fastest | {goals.format_cell(max(durations) / min(durations), 2, at_most=2)} |")
    print(f"| all of them ended before the huge one | {'yes' if fair else 'no, MISSED'} |")
    print(f"| between two writes of a status, p50 (s) | {statistics.median(gaps):.2f} |")
    print(f"| the longest such time (s) | {max(gaps):.2f} |")
    return goals.all_met


def main(*, quick: bool) -> bool:
    """Measure and print the table; return False if a small run was starved."""
    fleet = harness.device_ids(4_000 if quick else 100_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        harness.installed_release(Path(folder)) as release,
        harness.running_operator(release, fleet) as operated,
    ):
        seen, created = asyncio.run(_measure(operated, fleet, 3 if quick else SMALL_RUNS, 10 if quick else 50))
    return _report(seen, created)
