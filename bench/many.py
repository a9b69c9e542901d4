"""Many runs at once: fifty small ones beside a huge one, which was there first.

All have the same operator, whose limit of active Jobs is far below what they could use. The small ones should go on
side by side and end before the huge one, and every status should keep its pace of about a second.
"""

import asyncio
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from bench import plain, rig
from bench.goals import Goals, say
from bench.scale import admin, run
from bench.watching import RUNS, Seen, watching

HUGE = "huge"
SMALL_RUNS, SMALL_DEVICES, SMALL_PER_JOB = 50, 200, 10


async def _measure(operated: rig.Operated, fleet: list[str], runs: int, per_job: int) -> tuple[Seen, dict[str, float]]:
    names = [f"small-{number}" for number in range(runs)]
    created = {}
    async with plain.connect(admin(operated.release)) as client, watching(client) as seen:
        await client.create(RUNS, run(HUGE, devicesPerJob=per_job, parallelism=1000))
        await seen.until(lambda: seen.statuses.get(HUGE, {}).get("phase") == "Running")
        for number, name in enumerate(names):
            ids = fleet[number * SMALL_DEVICES : (number + 1) * SMALL_DEVICES]
            created[name] = time.monotonic()
            await client.create(RUNS, run(name, hour=number + 1, devices={"ids": ids}, devicesPerJob=SMALL_PER_JOB))
        await seen.until_ended(*names)
        say(f"{runs} small runs have ended; the huge one: {seen.statuses[HUGE]['devices']}")
        await seen.until_ended(HUGE)
    return seen, created


def _report(seen: Seen, created: dict[str, float]) -> bool:
    goals = Goals()
    took = [seen.ended[name] - at for name, at in created.items()]
    gaps = [later - earlier for name in created for earlier, later in pairwise(seen.told[name])]
    share = max(seen.ended[name] for name in created) < seen.ended[HUGE]
    goals.met = goals.met and share
    print(f"| {len(created)} runs of {SMALL_DEVICES} devices beside a huge one | figure |")
    print("|---|---|")
    print(f"| a small run, creation to Complete, p50 (s) | {statistics.median(took):.1f} |")
    print(f"| the slowest against the fastest | {goals.cell(max(took) / min(took), 2, most=2)} |")
    print(f"| all of them ended before the huge one | {'yes' if share else 'no, MISSED'} |")
    print(f"| between two writes of a status, p50 (s) | {statistics.median(gaps):.2f} |")
    print(f"| the longest such time (s) | {max(gaps):.2f} |")
    return goals.met


def main(*, quick: bool) -> bool:
    """Measure and print the table; False where a small run was starved."""
    fleet = rig.fleet_of(4_000 if quick else 100_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        rig.released(Path(folder)) as release,
        rig.operated(release, fleet) as operated,
    ):
        seen, created = asyncio.run(_measure(operated, fleet, 3 if quick else SMALL_RUNS, 10 if quick else 50))
    return _report(seen, created)
