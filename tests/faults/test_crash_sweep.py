"""F1: the operator dies by SIGKILL after its k-th write, for every k, and the run's result is the same."""

import random
import statistics
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.conftest import NewSite
from tests.faults.harness import RunResult, Site
from tests.testkit.conditions import is_true
from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.waiting import until

SEED = 20_181_128
WORKERS = 4
OPTIONS = ("--grace", "0", "--resync", "3600")  # no pass of a run is due to the time alone: a lost event would show


@dataclass(frozen=True)
class Shape:
    """A run of 20 devices: devices per Job, Jobs at a time, whether a device kills its Job; and the points tried."""

    per_job: int
    parallelism: int
    poison: bool
    min_writes: int  # writes of a run without a crash; the sample's points lie among them
    sample: int

    def points(self) -> list[int]:
        """Return the sample of all points that a short session tries."""
        return sorted(random.Random(SEED).sample(range(1, self.min_writes + 1), self.sample))  # noqa: S311  # no secret


SHAPES = {
    "one-device": Shape(1, 5, poison=False, min_writes=50, sample=4),
    "packed": Shape(4, 2, poison=False, min_writes=20, sample=2),
    "packed-with-a-culprit": Shape(8, 2, poison=True, min_writes=25, sample=2),
}


@dataclass(frozen=True)
class Outcome:
    """One run whose operator died after `point` writes (0: it did not)."""

    point: int
    result: RunResult
    requests: int
    seconds: float
    died: bool


def run_with_crash(site: Site, shape: Shape, point: int) -> Outcome:
    """Have a run done by an operator that dies after `point` writes and by one that comes after it."""
    name = f"k{point}"
    site.free_lease()
    site.run(name, parallelism=shape.parallelism, devicesPerJob=shape.per_job, backoffLimit=0, maxFailedDevices=1)
    before, began = len(site.requests()), time.monotonic()

    def cleaned_up() -> bool:
        return site.ended(name) and all(map(failed, site.jobs(name)))

    first = site.start("operator", *OPTIONS, *(["--die-after", str(point)] if point else []))
    try:
        until(lambda: first.process.poll() is not None or cleaned_up(), f"{name}: killed, or done", seconds=300)
        died = first.process.poll() is not None
        if died:
            first = site.start("operator", *OPTIONS)
            until(cleaned_up, f"{name}: done after the kill", seconds=300)
    finally:
        first.process.kill()
        first.process.wait()
    seconds = time.monotonic() - began
    result = site.result(name)
    site.remove(name)
    return Outcome(point, result, len(site.requests()) - before, seconds, died)


def sweep(sites: Sequence[Site], shape: Shape, points: Iterable[int]) -> list[Outcome]:
    """Run all points, a few at a time, each at its own site."""
    free, taking = list(sites), threading.Lock()

    def one(point: int) -> Outcome:
        with taking:
            site = free.pop()
        try:
            return run_with_crash(site, shape, point)
        finally:
            free.append(site)

    with ThreadPoolExecutor(len(sites)) as workers:
        return list(workers.map(one, points))


def failed(job: dict[str, Any]) -> bool:
    """Return True if a Job has failed, so that it is kept."""
    return is_true(job["status"], "Failed")


def writes_of(site: Site) -> int:
    """Writes of the operator's account so far, as operator_main counts them."""
    lease = ("update", "leases")
    return sum(one.is_write and one.code < 300 and (one.verb, one.resource) != lease for one in site.requests())


@pytest.mark.fault("F1")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_run_whose_operator_is_killed_after_any_write_ends_like_baseline(
    new_site: NewSite, long: Long, record_measurement: RecordMeasurement, shape: Shape
) -> None:
    sites = [new_site(20, poison=shape.poison) for _ in range(WORKERS if long else 2)]
    baseline_run = run_with_crash(sites[0], shape, 0)
    writes = writes_of(sites[0])
    assert writes >= shape.min_writes
    assert baseline_run.result.status["devices"]["scored"] == 20 - shape.poison
    assert set(baseline_run.result.ranges.values()) == {1}
    outcomes = sweep(sites, shape, range(1, writes + 1) if long else shape.points())
    died = [outcome for outcome in outcomes if outcome.died]
    different = {outcome.point: outcome.result for outcome in outcomes if outcome.result != baseline_run.result}
    extra = max(outcome.requests - baseline_run.requests for outcome in died)
    slower = [outcome.seconds - baseline_run.seconds for outcome in died]
    record_measurement(
        f"{len(died)} crash points, {len(different)} differences; at most {extra} more requests than the "
        f"{baseline_run.requests} of a run without a crash; {statistics.median(slower):.1f} s later (p50), "
        f"{max(slower):.1f} s (max)"
    )
    assert not different, f"baseline: {baseline_run.result}"
    assert len(died) >= (0.8 if long else 1) * len(outcomes)
