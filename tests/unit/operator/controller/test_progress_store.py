from base64 import b64encode
from dataclasses import replace

import msgspec
import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.api.names import job_name, report_job_name
from scoring_operator.controller.progress_store import ProgressStore
from scoring_operator.errors import Conflict, InvalidDeviceList, InvalidProgress, NotFound, RunRejected
from scoring_operator.planner.device_list import pack
from scoring_operator.planner.progress import Progress
from tests.testkit.builders import a_batch, a_progress, a_run, an_initial_state
from tests.unit.operator.controller.in_memory_client import InMemoryClient

COLLECTION = "/api/v1/namespaces/scoring/configmaps"
RUN = a_run().ref
DEVICES = ["fan-1", "press-1"]
INITIAL = an_initial_state(RUN, DEVICES)
(LIST,) = INITIAL.parts


@pytest.fixture
def client() -> InMemoryClient:
    return InMemoryClient()


@pytest.fixture
def store(client: InMemoryClient) -> ProgressStore:
    return ProgressStore(client, RUN)


def progress_path(client: InMemoryClient) -> str:
    return next(path for path in client.objects if not path.endswith(LIST))


def with_lists(*names: str) -> Progress:
    snapshot = msgspec.structs.replace(INITIAL.progress.snapshot, device_list_names=names)
    return replace(INITIAL.progress, snapshot=snapshot)


async def test_run_without_a_config_map_has_no_progress(store: ProgressStore) -> None:
    assert await store.load() is None


async def test_device_list_is_written_before_progress(store: ProgressStore, client: InMemoryClient) -> None:
    stored = await store.create(INITIAL)
    assert stored.progress is INITIAL.progress
    assert list(client.objects) == [f"{COLLECTION}/{LIST}", progress_path(client)]
    assert await store.load() == stored
    assert await store.devices(INITIAL.progress) == DEVICES


async def test_progress_of_an_earlier_attempt_is_kept(store: ProgressStore) -> None:
    first = await store.create(INITIAL)
    second = await store.create(replace(INITIAL, progress=a_progress(2, already="0")))
    assert second == first


async def test_save_replaces_the_version_that_it_knows(store: ProgressStore) -> None:
    first = await store.create(INITIAL)
    saved = await store.save(a_progress(2, already="0"), first.version)
    assert await store.load() == saved
    with pytest.raises(Conflict):
        await store.save(INITIAL.progress, first.version)


async def test_deleted_progress_is_created_again(store: ProgressStore, client: InMemoryClient) -> None:
    first = await store.create(INITIAL)
    del client.objects[progress_path(client)]
    saved = await store.save(INITIAL.progress, first.version)
    assert await store.load() == saved


async def test_config_map_of_another_owner_is_a_name_conflict(store: ProgressStore, client: InMemoryClient) -> None:
    await store.create(INITIAL)
    for item in client.objects.values():
        item["metadata"]["ownerReferences"][0]["uid"] = "another"
    with pytest.raises(RunRejected, match="belongs to ScoringRun hourly"):
        await store.load()
    with pytest.raises(RunRejected, match=f"ConfigMap {LIST}"):
        await store.devices(INITIAL.progress)
    with pytest.raises(RunRejected):
        await store.recreate_missing(INITIAL.parts)


async def test_damaged_progress_is_invalid(store: ProgressStore, client: InMemoryClient) -> None:
    await store.create(INITIAL)
    client.objects[progress_path(client)]["binaryData"] = {}
    with pytest.raises(InvalidProgress):
        await store.load()


NAMES = {
    "of an earlier operator": job_name(RUN.name, RUN.uid, 0, 1, 0),
    "with a device": job_name(RUN.name, RUN.uid, 0, 1, 0, "press-1"),
    "of another party": "payroll",
    "of another batch": job_name(RUN.name, RUN.uid, 0, 0, 0),
    "of another round": job_name(RUN.name, RUN.uid, 0, 1, 1),
    "of another run": job_name(RUN.name, "another", 0, 1, 0),
    "of another run's name": job_name(f"un{RUN.name}", RUN.uid, 0, 1, 0),
    "of the report": report_job_name(RUN),
}


@pytest.mark.fault("T3")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
async def test_progress_that_names_a_job_of_another_party_is_invalid(store: ProgressStore, name: str) -> None:
    edited = replace(INITIAL.progress, waiting=Positions(), open_batches={name: a_batch("0-1")})
    await store.create(replace(INITIAL, progress=edited))
    if name in list(NAMES.values())[:2]:
        assert await store.load() is not None
    else:
        with pytest.raises(InvalidProgress, match=f"{name} is not a Job of the run"):
            await store.load()


async def test_open_batch_without_a_position_is_invalid(store: ProgressStore) -> None:
    edited = replace(INITIAL.progress, open_batches={job_name(RUN.name, RUN.uid, 0, 0, 0): a_batch("")})
    await store.create(replace(INITIAL, progress=edited))
    with pytest.raises(InvalidProgress):
        await store.load()


async def test_device_list_exists_if_all_its_parts_exist(store: ProgressStore) -> None:
    assert not await store.device_list_exists([LIST])
    await store.recreate_missing(INITIAL.parts)
    assert await store.device_list_exists([LIST])
    assert not await store.device_list_exists([LIST, "other"])
    with pytest.raises(NotFound):
        await store.devices(with_lists(f"{RUN.name}-{'a' * 12}"))


@pytest.mark.fault("T15")
async def test_no_further_part_is_read_of_a_list_with_too_many_devices(store: ProgressStore) -> None:
    await store.create(INITIAL)
    progress = replace(with_lists(LIST, f"{RUN.name}-{'a' * 12}"), total=1)
    assert await store.devices(progress) == DEVICES


@pytest.mark.fault("T15")
@pytest.mark.parametrize("name", ["bomb-part", "hourly-short", "hourly-aaaaaaaaaaaa/x", "hourly-aaaaaaaaaaaa-more"])
async def test_config_map_of_another_name_is_not_read(store: ProgressStore, client: InMemoryClient, name: str) -> None:
    with pytest.raises(InvalidDeviceList, match="is not the name of a ConfigMap"):
        await store.devices(with_lists(name))
    assert client.requests == []


@pytest.mark.fault("T18")
async def test_device_list_with_another_content_is_invalid(store: ProgressStore, client: InMemoryClient) -> None:
    await store.create(INITIAL)
    (forged,) = pack(["fan-1", "fan-2"])
    client.objects[f"{COLLECTION}/{LIST}"]["binaryData"] = {"devices": b64encode(forged).decode()}
    with pytest.raises(InvalidDeviceList, match="another content"):
        await store.devices(INITIAL.progress)
