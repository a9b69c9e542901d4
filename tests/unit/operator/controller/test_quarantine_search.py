import asyncio
from typing import Any

import pytest

from scoring_operator.api.fleets import Fleet
from scoring_operator.controller.quarantine_search import MAX_SECONDS, find_quarantined
from scoring_operator.errors import StorageUnavailable
from scoring_operator.planner.quarantine import QuarantineResult
from tests.testkit.builders import a_run
from tests.testkit.history_tiles import tiles_before
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet

BAD, GOOD = "press-1", "press-2"
MONDAY = {"start": "2018-08-27T00:00:00Z", "end": "2018-08-27T01:00:00Z"}
RUN = a_run(window={"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"})
ON = {"after": 24, "retryEvery": 10_080}


class CountingStorage(InMemoryStorage):
    """Storage that records the tiles that are read, and may be slow."""

    def __init__(self, history: dict[str, bytes], seconds: float = 0.0) -> None:
        super().__init__([BAD, GOOD], history=history)
        self.read: list[str] = []
        self._seconds = seconds

    async def read_history(self, fleet: Fleet, name: str) -> bytes | None:
        self.read.append(name)
        await asyncio.sleep(self._seconds)
        return await super().read_history(fleet, name)


async def find(storage: InMemoryStorage, run: Any = RUN, **options: Any) -> QuarantineResult:
    fleet = a_fleet("scoring", quarantine=options.pop("rule", ON))
    return await find_quarantined(run, fleet, [BAD, GOOD], storage, **options)


def a_history(bad: str = "F" * 24, run: Any = RUN) -> dict[str, bytes]:
    return tiles_before(run.spec.window, **{BAD: bad, GOOD: "N" * 24})


async def test_device_whose_windows_all_failed_is_in_quarantine() -> None:
    storage = CountingStorage(a_history())
    assert await find(storage) == QuarantineResult(frozenset([BAD]))
    assert storage.read == ["_history/default/PT3600S/2018-W35.csv.gz"]


async def test_failures_continue_across_the_tiles_of_two_weeks() -> None:
    for window in (MONDAY, {"start": "2018-08-27T05:00:00Z", "end": "2018-08-27T06:00:00Z"}):
        run = a_run(window=window)
        assert (await find(CountingStorage(a_history(run=run)), run)).devices == {BAD}


async def test_tile_of_the_week_that_does_not_exist_yet_is_passed_over() -> None:
    run = a_run(window={"start": "2018-08-27T01:00:00Z", "end": "2018-08-27T02:00:00Z"})
    assert (await find(CountingStorage(a_history(run=a_run(window=MONDAY))), run)).devices == {BAD}


async def test_quarantine_of_months_is_read_back_to_its_beginning() -> None:
    storage = CountingStorage(a_history("F" * 4 + ("-" * 167 + "F") * 20))
    assert (await find(storage)).devices == {BAD}
    assert len(storage.read) == 21


async def test_at_most_52_tiles_are_read_in_at_most_60_seconds() -> None:
    storage = CountingStorage(a_history(("-" * 335 + "F") * 40))
    assert await find(storage, rule={"after": 40, "retryEvery": 10_080}) == QuarantineResult()
    assert (len(storage.read), MAX_SECONDS) == (52, 60)


@pytest.mark.parametrize("bad", ["F" * 23, "F" * 24 + "N", ""])
async def test_device_without_as_many_failed_windows_runs(bad: str) -> None:
    assert await find(CountingStorage(a_history(bad))) == QuarantineResult()


async def test_missing_history_is_not_a_problem_and_costs_two_requests() -> None:
    storage = CountingStorage({})
    assert await find(storage) == QuarantineResult()
    assert len(storage.read) == 2


async def test_fleet_without_the_rule_reads_no_history() -> None:
    storage = CountingStorage(a_history())
    assert await find_quarantined(RUN, a_fleet("scoring"), [BAD], storage) == QuarantineResult()
    assert not storage.read


async def test_window_too_short_for_a_history_has_no_quarantine() -> None:
    storage = CountingStorage({})
    run = a_run(window={"start": "2018-08-28T23:00:00Z", "end": "2018-08-28T23:00:30Z"})
    assert await find(storage, run) == QuarantineResult()


async def test_damaged_tile_puts_no_device_in_quarantine_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    storage = CountingStorage(dict.fromkeys(a_history(), b"damaged"))
    found = await find(storage)
    assert not found.devices
    assert found.problem.startswith("the history is not usable, so no device is in quarantine: _history/default/PT36")
    assert found.problem in caplog.text


async def test_storage_error_puts_no_device_in_quarantine() -> None:
    class FailingStorage(InMemoryStorage):
        async def read_history(self, fleet: Fleet, name: str) -> bytes | None:
            raise StorageUnavailable(f"{fleet.name}: {name} does not answer")

    assert "does not answer" in (await find(FailingStorage([BAD]))).problem


async def test_history_that_takes_too_long_puts_no_device_in_quarantine() -> None:
    found = await find(CountingStorage(a_history(), seconds=60), max_seconds=0.01)
    assert (found.devices, "longer than 0 s" in found.problem) == (frozenset(), True)
