"""Three windows of 8,000 devices at one Job each, one after the other, the deletion of their Jobs included.

Time is compressed: an hour takes `WINDOW` seconds. So the controller manager, which at its defaults needs 40 minutes of
the hour for the Jobs, has raised limits, and the operator waits and deletes that much faster (`hasty`).
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import plain, rig
from bench.goals import Goals, say
from bench.scale import admin, run
from bench.watching import RUNS, watching

WINDOW = 480
COUNT = 3
DEVICES = 8000


async def _measure(operated: rig.Operated, window: float) -> list[tuple[float, float]]:
    """When each run was Complete and when its Jobs were gone, in seconds from the beginning of its window."""
    names = [f"hourly-{number}" for number in range(COUNT)]
    async with plain.connect(admin(operated.release)) as client, watching(client, jobs=True) as seen:
        began = time.monotonic()
        for number, name in enumerate(names):
            await asyncio.sleep(began + number * window - time.monotonic())
            await client.create(RUNS, run(name, hour=number, schedule="hourly"))
            await seen.until_ended(name)
            left = {earlier: len(seen.jobs[earlier]) for earlier in names[:number]}
            say(f"{name} is Complete {time.monotonic() - began - number * window:.0f} s into its window; left: {left}")
        await seen.until(lambda: set(names) <= seen.emptied.keys())
    starts = [began + number * window for number in range(COUNT)]
    return [(seen.ended[name] - start, seen.emptied[name] - start) for name, start in zip(names, starts, strict=True)]


def main(*, quick: bool) -> bool:
    """Measure and print the table; False where a window was not done before the next began."""
    window, devices = (60.0, 100) if quick else (WINDOW, DEVICES)
    with (
        tempfile.TemporaryDirectory() as folder,
        rig.released(Path(folder)) as release,
        rig.operated(release, rig.fleet_of(devices), command=("bench.hasty", str(window))) as operated,
    ):
        times = asyncio.run(_measure(operated, window))
    goals = Goals()
    print(f"| window of {devices:,} devices, an hour in {window:.0f} s | Complete (s) | its Jobs deleted (s) |")
    print("|---|---|---|")
    for number, (complete, deleted) in enumerate(times):
        cells = goals.cell(complete, 0, most=window), goals.cell(deleted, 0, most=2 * window)
        print(f"| {number + 1} | {' | '.join(cells)} |")
    return goals.met
