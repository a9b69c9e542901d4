"""Three consecutive windows of 8,000 devices with one Job each, including the deletion of the Jobs.

An hour takes `WINDOW_SECONDS`. With default limits the controller manager needs 40 minutes of an hour for the Jobs, so
the benchmark raises its limits. The operator waits and deletes faster by the same factor (`fast_clock`).
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import baseline_client, fast_clock, harness
from bench.goals import Goals, print_progress
from bench.operator_load import admin_credentials, build_run
from bench.watcher import RUNS, watch_runs

WINDOW_SECONDS = 480
WINDOW_COUNT = 3
DEVICES = 8000


async def _measure(operated: harness.RunningOperator, window: float) -> list[tuple[float, float]]:
    """Return when each run was Complete and when its Jobs were deleted, in seconds from the start of its window."""
    names = [f"hourly-{number}" for number in range(WINDOW_COUNT)]
    async with (
        baseline_client.connect(admin_credentials(operated.release)) as client,
        watch_runs(client, include_jobs=True) as seen,
    ):
        began = time.monotonic()
        for number, name in enumerate(names):
            await asyncio.sleep(began + number * window - time.monotonic())
            await client.create(RUNS, build_run(name, hour=number, schedule="hourly"))
            await seen.wait_for_end(name)
            left = {earlier: len(seen.jobs_by_run[earlier]) for earlier in names[:number]}
            print_progress(
                f"{name} is Complete {time.monotonic() - began - number * window:.0f} s into its window; left: {left}"
            )
        await seen.wait_for(lambda: set(names) <= seen.jobs_deleted_times.keys())
    starts = [began + number * window for number in range(WINDOW_COUNT)]
    return [
        (seen.end_times[name] - start, seen.jobs_deleted_times[name] - start)
        for name, start in zip(names, starts, strict=True)
    ]


def main(*, quick: bool) -> bool:
    """Measure and print the table; return False if a window was not complete before the next one started."""
    window, devices = (60.0, 100) if quick else (WINDOW_SECONDS, DEVICES)
    with (
        tempfile.TemporaryDirectory() as folder,
        harness.installed_release(Path(folder)) as release,
        harness.running_operator(
            release, harness.device_ids(devices), command=("python", "-P", fast_clock.__file__, str(window))
        ) as operated,
    ):
        times = asyncio.run(_measure(operated, window))
    goals = Goals()
    print(f"| window of {devices:,} devices, an hour in {window:.0f} s | Complete (s) | its Jobs deleted (s) |")
    print("|---|---|---|")
    for number, (complete, deleted) in enumerate(times):
        cells = goals.format_cell(complete, 0, at_most=window), goals.format_cell(deleted, 0, at_most=2 * window)
        print(f"| {number + 1} | {' | '.join(cells)} |")
    return goals.all_met
