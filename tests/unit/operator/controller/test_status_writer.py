from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.scoringrun import ScoringRun, parse_run
from scoring_operator.controller.status_writer import StatusWriter
from scoring_operator.errors import Forbidden, RunDeleted
from scoring_operator.planner.progress import Completion
from scoring_operator.planner.types import Blocker, Plan
from tests.testkit.builders import NOW, a_body, a_progress, an_observation, later
from tests.unit.operator.controller.in_memory_client import InMemoryClient

PATH = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns/hourly"
EVENTS = "/api/v1/namespaces/scoring/events"
RUNNING, QUEUED = Plan("Running", a_progress()), Plan("Queued", a_progress())
ENDED = Plan("Complete", a_progress(), completion=Completion("Complete", "AllDevicesDone", "", NOW))


@pytest.fixture
def client() -> InMemoryClient:
    client = InMemoryClient()
    client.objects[PATH] = a_body()
    return client


def stored(client: InMemoryClient) -> ScoringRun:
    return parse_run(client.objects[PATH])


def a_writer(client: InMemoryClient, interval: float = 0.0) -> StatusWriter:
    return StatusWriter(stored(client).ref, client, interval)


async def test_changed_status_is_written_with_its_events(client: InMemoryClient) -> None:
    run, wait = await a_writer(client).write(stored(client), RUNNING, an_observation())
    assert (run, wait) == (stored(client), None)
    assert run.status["phase"] == "Running"
    events = [item["reason"] for path, item in client.objects.items() if path.startswith(EVENTS)]
    assert events == ["Running"]


async def test_cause_of_failing_passes_is_written_once(client: InMemoryClient) -> None:
    writer, blocker = a_writer(client), Blocker("RequestRejected", "a webhook rejects it")
    run = await writer.write_blocker(stored(client), blocker)
    assert run == stored(client)
    assert (run.status["phase"], run.status["message"].rpartition("; ")[2]) == ("Pending", "a webhook rejects it")
    assert await writer.write_blocker(run, blocker) == run
    assert client.count("PATCH") == 1


async def test_unchanged_status_is_not_written(client: InMemoryClient) -> None:
    writer = a_writer(client)
    run, _ = await writer.write(stored(client), RUNNING, an_observation())
    assert await writer.write(run, RUNNING, an_observation()) == (run, None)
    assert client.count("PATCH") == 1


async def test_duration_alone_is_written_after_its_interval(client: InMemoryClient) -> None:
    for interval, duration in ((60.0, "0s"), (0.0, "1m30s")):
        client.objects[PATH], client.time = a_body(), NOW
        writer = StatusWriter(stored(client).ref, client, 0.0, interval)
        run, _ = await writer.write(stored(client), RUNNING, an_observation())
        client.time = later(90)
        run, _ = await writer.write(run, RUNNING, an_observation())
        assert run.status["duration"] == duration


async def test_duration_is_written_each_minute_by_default(
    client: InMemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    writer = a_writer(client)
    run, _ = await writer.write(stored(client), RUNNING, an_observation())
    for seconds, duration in ((59, "0s"), (60, "1m0s"), (119, "1m0s"), (120, "2m0s")):
        now[0], client.time = 1000.0 + seconds, later(seconds)
        run, _ = await writer.write(run, RUNNING, an_observation())
        assert run.status["duration"] == duration


async def test_cause_of_a_stall_is_logged_once(client: InMemoryClient, caplog: pytest.LogCaptureFixture) -> None:
    stalled = replace(RUNNING, blocker=Blocker("FailedMount", "pods do not start: no secret", permanent=True))
    writer = a_writer(client)
    run, _ = await writer.write(stored(client), stalled, an_observation())
    await writer.write(run, replace(stalled, progress=a_progress(2)), an_observation())
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["the run does not progress: FailedMount: pods do not start: no secret"]


async def test_status_is_written_once_per_interval_and_the_end_at_once(
    client: InMemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    writer = a_writer(client, 60.0)
    run, _ = await writer.write(stored(client), RUNNING, an_observation())
    same, wait = await writer.write(run, QUEUED, an_observation())
    assert same is run
    assert wait == 60
    ended, _ = await writer.write(run, ENDED, an_observation())
    assert ended.status["phase"] == "Complete"


async def test_conflict_reads_the_run_and_retries_at_once(client: InMemoryClient) -> None:
    run = stored(client)
    client.edit(PATH, parallelism=2)
    assert await a_writer(client).write(run, RUNNING, an_observation()) == (stored(client), 0.0)


class ContestedRun(InMemoryClient):
    """A client of a run that another client changes before each write, also between a read and a write.

    Args:
        change: The function that gets the object and the number of the change.
    """

    def __init__(self, change: Callable[[dict[str, Any], int], object]) -> None:
        super().__init__()
        self.objects[PATH] = a_body()
        self._change, self._changes = change, 0

    def _edit(self) -> None:
        self._changes += 1
        self._change(self.objects[PATH], self._changes)
        self.objects[PATH]["metadata"]["resourceVersion"] = f"1{self._changes}"

    async def patch(self, path: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        if path == PATH:
            self._edit()
        return await super().patch(path, body, **options)

    async def json_patch(self, path: str, operations: Sequence[dict[str, Any]], **options: Any) -> dict[str, Any]:
        self._edit()
        return await super().json_patch(path, operations, **options)


async def test_status_is_written_although_metadata_changes_before_each_write() -> None:
    def annotate(body: dict[str, Any], number: int) -> None:
        body["metadata"]["annotations"] = {"touched": str(number)}

    client = ContestedRun(annotate)
    run, wait = await a_writer(client).write(stored(client), RUNNING, an_observation())
    assert (run.status["phase"], wait) == ("Running", None)
    assert client.objects[PATH]["metadata"]["annotations"] == {"touched": "2"}
    assert client.count("PATCH") == 2


def _set_phase(body: dict[str, Any], number: int) -> None:
    body["status"] = {"phase": f"of another operator {number}"} if number > 1 else {}


def _set_generation(body: dict[str, Any], number: int) -> None:
    body["metadata"]["generation"] = number


def _replace(body: dict[str, Any], number: int) -> None:
    if number > 1:
        body["metadata"]["uid"] = "another"


@pytest.mark.parametrize("change", [_set_phase, _set_generation, _replace])
async def test_status_is_not_written_over_another_spec_status_or_run(
    change: Callable[[dict[str, Any], int], object],
) -> None:
    client = ContestedRun(change)
    run, wait = await a_writer(client).write(stored(client), RUNNING, an_observation())
    assert (run.status, wait) == ({}, 0.0)
    assert client.objects[PATH].get("status", {}).get("phase") != "Running"
    assert client.count("PATCH") == 2


async def test_event_that_cannot_be_written_is_ignored(client: InMemoryClient) -> None:
    writer = a_writer(client)
    first, _ = await writer.write(stored(client), RUNNING, an_observation())
    name = next(path for path in client.objects if path.startswith(EVENTS))
    client.objects[PATH]["status"] = {}
    client.failures["POST", name] = Forbidden("no events")
    run, _ = await writer.write(stored(client), RUNNING, an_observation())
    assert run.status == first.status


@pytest.mark.parametrize("change", [{"uid": "another"}, None])
async def test_deleted_run_is_an_error(client: InMemoryClient, change: dict[str, str] | None) -> None:
    writer = a_writer(client)
    if change is None:
        del client.objects[PATH]
    else:
        client.objects[PATH]["metadata"] |= change
    with pytest.raises(RunDeleted):
        await writer.fetch_run()


async def test_write_of_a_deleted_run_is_an_error(client: InMemoryClient) -> None:
    writer, run = a_writer(client), stored(client)
    del client.objects[PATH]
    with pytest.raises(RunDeleted):
        await writer.write(run, RUNNING, an_observation())


@pytest.mark.parametrize("uid", [None, "another"], ids=["same-run", "other-run"])
async def test_run_is_deleted_only_with_its_own_uid(client: InMemoryClient, uid: str | None) -> None:
    writer = a_writer(client)
    client.objects[PATH]["metadata"]["uid"] = uid or stored(client).uid
    with pytest.raises(RunDeleted):
        await writer.delete_run()
    assert (PATH in client.objects) is bool(uid)
