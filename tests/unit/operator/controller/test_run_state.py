from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import EMPTY
from scoring_operator.api.names import job_name, owner_reference, progress_config_map_name
from scoring_operator.api.scoringrun import MAX_KEPT_DEVICES, ScoringRun, parse_run, relevant_fields
from scoring_operator.controller.run_state import RunStateStore
from scoring_operator.errors import ApiError, RunBlocked, RunDeleted, Unavailable
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import RunState
from tests.testkit.builders import NOW, a_batch, a_body, a_run
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

RUN = a_run()
PROGRESS_PATH = f"/api/v1/namespaces/scoring/configmaps/{progress_config_map_name(RUN)}"
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
JOB = job_name(RUN.name, RUN.uid, 0, 1, 0)
BEGUN = {"devices": {"total": 2}, "startTime": "2026-11-24T12:00:00Z"}


class Cluster:
    """An API server and storage that outlive an operator process."""

    def __init__(self) -> None:
        self.client = InMemoryClient()
        self.storage = InMemoryStorage(["fan-1", "press-1"])
        self.fleets = {"default": a_fleet("scoring")}

    def store(self) -> RunStateStore:
        """Return the store of a new operator process."""
        return RunStateStore(RUN, self.client, self.storage, self.fleets)

    async def begin(self) -> RunStateStore:
        """Return a store with the state of a run that has begun."""
        store = self.store()
        await store.load(RUN)
        await store.discover(RUN)
        return store


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def progress_of(state: RunState) -> Progress:
    assert state.progress is not None
    return state.progress


def reason(state: RunState) -> str:
    return state.rejection.reason if state.rejection else ""


def reserve(progress: Progress, *names: str) -> Progress:
    """Reserve all devices of a run of two in one or two batches."""
    batches = [a_batch("0-1")] if len(names) == 1 else [a_batch("0"), a_batch("1")]
    return replace(progress, open_batches=dict(zip(names, batches, strict=True)), waiting=EMPTY)


# Load and discovery.


async def test_new_run_has_no_progress_and_no_rejection(cluster: Cluster) -> None:
    state = await cluster.store().load(RUN)
    assert (state.progress, state.rejection, state.missing) == (None, None, False)


async def test_run_of_an_unknown_fleet_is_rejected(cluster: Cluster) -> None:
    cluster.fleets.clear()
    assert reason(await cluster.store().load(RUN)) == "FleetNotFound"


async def test_discovery_creates_the_device_list_and_progress(cluster: Cluster) -> None:
    store = cluster.store()
    await store.load(RUN)
    state = await store.discover(RUN)
    assert (state.devices, progress_of(state).total, state.fleet) == (
        ["fan-1", "press-1"],
        2,
        cluster.fleets["default"],
    )
    assert (await cluster.store().load(RUN)).devices == state.devices


@pytest.mark.fault("T12")
@pytest.mark.parametrize("change", [{}, {"uid": "another"}, None], ids=["same run", "another run", "deleted"])
async def test_discovery_reads_the_many_ids_of_a_run_again(cluster: Cluster, change: dict[str, str] | None) -> None:
    body = a_body(devices={"ids": [f"press-{number:04}" for number in range(1000)]})
    run = parse_run(relevant_fields(body))
    assert len(run.spec.devices.ids) == MAX_KEPT_DEVICES == 20
    if change is not None:
        body["metadata"] |= change
        cluster.client.objects[f"/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns/{run.name}"] = body
    store = cluster.store()
    await store.load(run)
    if change == {}:
        assert len((await store.discover(run)).devices) == 1000
    else:
        with pytest.raises(RunDeleted):
            await store.discover(run)


async def test_discovery_without_a_device_rejects_the_run(cluster: Cluster) -> None:
    cluster.storage.models.clear()
    store = cluster.store()
    await store.load(RUN)
    assert reason(await store.discover(RUN)) == "NoDevices"


@pytest.mark.parametrize(("reason", "permanent"), [("StorageUnavailable", False), ("ConfigurationInvalid", True)])
async def test_storage_that_cannot_be_listed_blocks_the_run(cluster: Cluster, reason: str, *, permanent: bool) -> None:
    cluster.storage.down, cluster.storage.misconfigured = not permanent, permanent
    store = cluster.store()
    await store.load(RUN)
    with pytest.raises(RunBlocked) as blocked:
        await store.discover(RUN)
    assert (blocked.value.reason, blocked.value.permanent) == (reason, permanent)


async def test_open_batches_of_an_earlier_process_are_unverified(cluster: Cluster) -> None:
    store = await cluster.begin()
    store.advance(reserve(progress_of(await store.load(RUN)), JOB))
    await store.save()
    following = cluster.store()
    assert (await following.load(RUN)).unverified == {JOB}
    assert following.remove_verified([JOB], []).unverified == frozenset()


async def test_ended_run_releases_its_state_unless_its_report_is_pending(cluster: Cluster) -> None:
    store = await cluster.begin()
    pending = {"conditions": [*ENDED["conditions"], {"type": "Reported", "status": "Unknown"}]}
    assert (await store.load(a_run(status=pending))).progress is not None
    state = await store.load(a_run(status=ENDED))
    assert (state.progress, state.devices) == (None, ())


# Saving.


async def test_save_writes_progress_only_if_it_changed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    store = await cluster.begin()
    await store.save()
    assert cluster.client.count("PUT") == 0
    store.advance(None)
    store.advance(reserve(progress_of(await store.load(RUN)), "job"))
    unsaved = [store.unsaved]
    await store.save()
    assert ([*unsaved, store.unsaved], cluster.client.count("PUT")) == ([True, False], 1)
    assert store.seconds_until_save == 2


async def fail_to_save(cluster: Cluster, store: RunStateStore, progress: Progress) -> None:
    cluster.client.failures["PUT", PROGRESS_PATH] = Unavailable("no response")
    store.advance(progress)
    with pytest.raises(ApiError):
        await store.save()


async def test_state_is_read_again_after_a_failed_save(cluster: Cluster) -> None:
    store = await cluster.begin()
    await fail_to_save(cluster, store, reserve(progress_of(await store.load(RUN)), "job"))
    assert progress_of(await store.load(RUN)).open_batches == {}


async def test_progress_of_another_owner_is_rejected(cluster: Cluster) -> None:
    await cluster.begin()
    cluster.client.objects[PROGRESS_PATH]["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert reason(await cluster.store().load(RUN)) == "NameConflict"


@pytest.mark.fault("T18")
async def test_device_list_of_another_owner_is_rejected(cluster: Cluster) -> None:
    await cluster.begin()
    for path, item in cluster.client.objects.items():
        if path != PROGRESS_PATH:
            del item["metadata"]["ownerReferences"]
    state = await cluster.store().load(RUN)
    assert reason(state) == "NameConflict"
    assert state.rejection is not None
    assert "belongs to no known owner; delete it" in state.rejection.message


async def test_unreadable_progress_is_rejected(cluster: Cluster) -> None:
    await cluster.begin()
    cluster.client.objects[PROGRESS_PATH]["binaryData"] = {}
    assert reason(await cluster.store().load(RUN)) == "ProgressInvalid"


async def test_changed_storage_of_the_fleet_is_rejected(cluster: Cluster) -> None:
    await cluster.begin()
    cluster.fleets["default"] = a_fleet("scoring", storage={"models": "elsewhere"})
    state = await cluster.store().load(RUN)
    assert (reason(state), state.fleet) == ("FleetChanged", None)


async def test_run_of_a_fleet_that_was_removed_names_it(cluster: Cluster) -> None:
    await cluster.begin()
    del cluster.fleets["default"]
    state = await cluster.store().load(RUN)
    assert (reason(state), state.fleet, state.progress is None) == ("FleetNotFound", None, False)


# Loss.


def lose(cluster: Cluster, *, progress: bool) -> ScoringRun:
    """Delete the progress or the device list; return the run with the status of a run that has begun."""
    for path in [path for path in cluster.client.objects if (path == PROGRESS_PATH) is progress]:
        del cluster.client.objects[path]
    return a_run(status=BEGUN)


@pytest.mark.parametrize("progress", [True, False], ids=["progress", "device-list"])
async def test_loss_is_rebuilt_if_nothing_changed(cluster: Cluster, progress: bool) -> None:  # noqa: FBT001  # a table
    await cluster.begin()
    run, store = lose(cluster, progress=progress), cluster.store()
    assert (await store.load(run)).missing
    state = await store.discover(run)
    assert (state.missing, state.rejection, state.devices) == (False, None, ["fan-1", "press-1"])
    assert progress_of(state).snapshot.rebuilt is progress


@pytest.mark.parametrize(
    ("progress", "expected"), [(True, "ProgressLost"), (False, "DeviceListLost")], ids=["progress", "device-list"]
)
@pytest.mark.parametrize("devices", [["other-1"], []], ids=["other-devices", "no-devices"])
async def test_loss_is_permanent_if_the_devices_changed(
    cluster: Cluster,
    progress: bool,  # noqa: FBT001  # a table
    expected: str,
    devices: list[str],
) -> None:
    await cluster.begin()
    run, store = lose(cluster, progress=progress), cluster.store()
    cluster.storage.models[:] = devices
    await store.load(run)
    assert reason(await store.discover(run)) == expected


async def test_device_list_of_another_length_is_rejected(cluster: Cluster) -> None:
    await cluster.begin()
    run, store = lose(cluster, progress=False), cluster.store()
    cluster.storage.models.append("third-1")
    other = Cluster()
    other.storage.models.append("third-1")
    await other.begin()
    content = next(item for path, item in other.client.objects.items() if path != PROGRESS_PATH)["binaryData"]
    names = progress_of(await store.load(run)).snapshot.device_list_names
    await cluster.client.create(
        PROGRESS_PATH.rpartition("/")[0],
        {"metadata": {"name": names[0], "ownerReferences": [owner_reference(RUN)]}, "binaryData": content},
    )
    assert reason(await cluster.store().load(run)) == "ProgressInvalid"


async def test_batch_that_a_rebuilt_run_reserves_is_unverified(cluster: Cluster) -> None:
    store = await cluster.begin()
    progress = progress_of(await store.load(RUN))
    assert store.advance(reserve(progress, "known")).unverified == frozenset()
    rebuilt = replace(progress, snapshot=msgspec.structs.replace(progress.snapshot, rebuilt=True))
    assert store.advance(reserve(rebuilt, "known", "new")).unverified == {"new"}
    assert store.add_unverified(["late"]).unverified == {"new", "late"}


# The clock.


def elapsed(state: RunState, now: Any) -> float:
    return progress_of(state).clock.elapsed(now)


@pytest.mark.parametrize(("seconds", "passed"), [(4.9, 4.9), (5.1, 0), (3600, 0), (-3600, 0)])
async def test_jump_of_the_server_clock_by_more_than_5_seconds_passes_no_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, seconds: float, passed: float
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    store = await cluster.begin()
    store.adjust_clock(NOW)
    after = NOW + timedelta(seconds=seconds)
    assert elapsed(store.adjust_clock(after), after) == pytest.approx(passed)


async def test_jump_is_applied_again_to_progress_that_is_read_after_a_failed_save(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    store = await cluster.begin()
    store.adjust_clock(NOW)
    hour_later = NOW + timedelta(hours=1)
    state = store.adjust_clock(hour_later)
    await fail_to_save(cluster, store, reserve(progress_of(state), "job"))
    assert elapsed(await store.load(RUN), hour_later) == pytest.approx(0)


async def test_name_conflict_during_the_discovery_rejects_the_run(cluster: Cluster) -> None:
    await cluster.begin()
    for item in cluster.client.objects.values():
        item["metadata"]["ownerReferences"][0]["uid"] = "another"
    progress = cluster.client.objects.pop(PROGRESS_PATH)
    store = cluster.store()
    await store.load(RUN)
    cluster.client.objects[PROGRESS_PATH] = progress
    assert reason(await store.discover(RUN)) == "NameConflict"
