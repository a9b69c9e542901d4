import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.api.views import JobView
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.result_collector import ResultCollector
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.errors import Unavailable
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import JobSnapshot, RunState
from tests.testkit.builders import a_batch, a_job, a_progress
from tests.testkit.running_controller import a_fleet

RESULT = JobResult(failure_reason="Unknown")


class Inspector(JobInspector):
    """An inspector whose response the test sends.

    Attributes:
        requests: The names of the Jobs of each request.
        response: The response to the requests.
    """

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.response: asyncio.Future[tuple[dict[str, JobResult], dict[str, JobView]]] = asyncio.Future()

    async def fetch_results(
        self, batches: Mapping[str, Batch], names: Sequence[str], *_: Any, **__: Any
    ) -> tuple[dict[str, JobResult], dict[str, JobView]]:
        assert set(names) <= batches.keys()
        self.requests.append(list(names))
        return await self.response

    async def fetch_last_results(self, batches: Mapping[str, Batch], *_: Any) -> dict[str, JobResult]:
        return {name: replace(RESULT, ended=True) for name in batches}


def a_state(*names: str) -> RunState:
    batches = {name: a_batch(str(at), created=True) for at, name in enumerate(names)}
    progress = replace(a_progress(len(names)), open_batches=batches, waiting=Positions())
    return RunState(progress, ["press-1"], a_fleet("scoring"), frozenset(), None, missing=False)


def jobs(*views: JobView) -> JobSnapshot:
    return JobSnapshot({view.name: view for view in views}, frozenset(), frozenset())


COMPLETE, FAILED, RUNNING = a_job("complete", complete=True), a_job("failed", failed=True), a_job("running")


@pytest.fixture
async def inspector() -> Inspector:
    return Inspector()


def a_collector(inspector: Inspector, interval: float = 0.0) -> ResultCollector:
    return ResultCollector(inspector, ControllerTimings(collect_interval=interval, storage_backoff=5.0))


async def test_failed_job_is_inspected_in_the_same_pass(inspector: Inspector) -> None:
    inspector.response.set_result(({"failed": RESULT}, {}))
    collected = await a_collector(inspector).collect(a_state("failed", "running"), jobs(FAILED, RUNNING))
    assert (collected.by_job, collected.retry_in, collected.pending) == ({"failed": RESULT}, None, False)


async def test_missing_job_that_exists_is_reported(inspector: Inspector) -> None:
    inspector.response.set_result(({}, {"missing": RUNNING}))
    collected = await a_collector(inspector).collect(a_state("missing", "running"), jobs(RUNNING))
    assert (collected.by_job, collected.existing, collected.retry_in) == ({}, {"missing": RUNNING}, None)


async def test_result_of_a_complete_job_is_collected_concurrently(inspector: Inspector) -> None:
    collector, state, visible = a_collector(inspector), a_state("complete", "running"), jobs(COMPLETE, RUNNING)
    first = await collector.collect(state, visible)
    assert (first.by_job, first.pending) == ({}, True)
    await asyncio.sleep(0)
    inspector.response.set_result(({"complete": RESULT}, {}))
    await asyncio.sleep(0)
    assert (await collector.collect(state, visible)).by_job == {"complete": RESULT}
    assert inspector.requests == [["complete"]]


async def test_complete_jobs_are_inspected_once_per_interval(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    inspector.response.set_result(({"complete": RESULT}, {}))
    collector, state, visible = a_collector(inspector, 60.0), a_state("complete", "running"), jobs(COMPLETE, RUNNING)
    for _ in range(3):
        await collector.collect(state, visible)
        await asyncio.sleep(0)
    following = await collector.collect(state, visible)
    assert inspector.requests == [["complete"]]
    assert following.retry_in == 60
    collector.collect_now()
    await collector.collect(state, visible)
    await asyncio.sleep(0)
    assert len(inspector.requests) == 2


async def test_run_that_ends_waits_two_backoffs_for_a_record_that_cannot_be_read(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector.response.set_result(({}, {}))
    collector, state, visible = a_collector(inspector), a_state("complete", "running"), jobs(COMPLETE, RUNNING)
    pending = []
    for now in (1000.0, 1009.9, 1010.0, 1010.0):  # requested, read, requested again, read again
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        pending.append((await collector.collect(state, visible)).pending)
        collector.collect_now()
        await asyncio.sleep(0)
    assert pending == [True, True, True, False]


async def test_run_that_ends_waits_for_the_request_that_is_being_made(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, state, visible = a_collector(inspector), a_state("complete", "running"), jobs(COMPLETE, RUNNING)
    for now in (1000.0, 1100.0):
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        assert (await collector.collect(state, visible)).pending
        collector.collect_now()
        await asyncio.sleep(0)
    inspector.response.set_result(({}, {}))
    await asyncio.sleep(0)
    assert not (await collector.collect(state, visible)).pending


async def test_last_complete_job_is_inspected_in_the_same_pass(inspector: Inspector) -> None:
    inspector.response.set_result(({"complete": RESULT}, {}))
    collected = await a_collector(inspector, 60.0).collect(a_state("complete"), jobs(COMPLETE))
    assert (collected.by_job, collected.pending) == ({"complete": RESULT}, False)


@pytest.mark.parametrize("known", [RESULT, JobResult(provisional=True)], ids=["failed", "running"])
async def test_results_before_the_end_include_those_of_the_pass_before(inspector: Inspector, known: JobResult) -> None:
    collector, state, visible = a_collector(inspector), a_state("known", "running"), jobs(RUNNING)
    assert await collector.collect_last(state, visible, {"known": known})
    results = (await collector.collect(state, visible)).by_job
    assert {name: result.ended for name, result in results.items()} == {"known": known.provisional, "running": True}
    assert not await collector.collect_last(state, visible, results)


async def test_job_without_a_certain_result_is_inspected_again_after_the_backoff(inspector: Inspector) -> None:
    inspector.response.set_result(({}, {}))
    collected = await a_collector(inspector).collect(a_state("failed"), jobs(FAILED))
    assert (collected.by_job, collected.retry_in, collected.pending) == ({}, 5.0, False)


async def test_part_of_the_results_is_used_at_once(inspector: Inspector) -> None:
    inspector.response.set_result(({"failed": RESULT}, {}))
    collected = await a_collector(inspector).collect(a_state("failed", "missing"), jobs(FAILED))
    assert (collected.by_job, collected.retry_in) == ({"failed": RESULT}, 0.0)


async def test_nothing_is_inspected_without_a_finished_job_or_progress(inspector: Inspector) -> None:
    collector = a_collector(inspector)
    assert await collector.collect(a_state("running"), jobs(RUNNING)) == await collector.collect(
        replace(a_state("failed"), progress=None), jobs(FAILED)
    )
    assert inspector.requests == []


async def test_jobs_of_a_run_that_lost_its_fleet_are_inspected(inspector: Inspector) -> None:
    collector, state = a_collector(inspector), replace(a_state("failed", "running"), fleet=None)
    inspector.response.set_result(({"failed": RESULT}, {}))
    assert (await collector.collect(state, jobs(FAILED, RUNNING))).by_job == {"failed": RESULT}
    assert await collector.collect_last(state, jobs(FAILED, RUNNING), {"failed": RESULT})


async def test_failure_of_a_concurrent_request_is_raised_in_a_later_pass(inspector: Inspector) -> None:
    collector, state, visible = a_collector(inspector), a_state("complete", "running"), jobs(COMPLETE, RUNNING)
    await collector.collect(state, visible)
    inspector.response.set_exception(Unavailable("no response"))
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await collector.collect(state, visible)


async def test_close_cancels_the_concurrent_request(inspector: Inspector) -> None:
    collector = a_collector(inspector)
    await collector.collect(a_state("complete", "running"), jobs(COMPLETE, RUNNING))
    await asyncio.sleep(0)
    collector.close()
    await asyncio.sleep(0)
    assert inspector.response.cancelled()


async def test_close_ignores_the_error_of_a_finished_request(inspector: Inspector) -> None:
    collector = a_collector(inspector)
    await collector.collect(a_state("complete", "running"), jobs(COMPLETE, RUNNING))
    inspector.response.set_exception(Unavailable("no response"))
    await asyncio.sleep(0.01)
    collector.close()
