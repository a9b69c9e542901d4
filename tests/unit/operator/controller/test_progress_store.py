from dataclasses import replace

import pytest

from scoring_operator.controller.progress_store import ProgressStore
from scoring_operator.errors import Conflict, InvalidProgress, NameConflict, NotFound
from scoring_operator.planner.device_list import InitialState, pack
from tests.testkit.builders import a_progress, a_run
from tests.unit.operator.controller.in_memory_client import InMemoryClient

COLLECTION = "/api/v1/namespaces/scoring/configmaps"
RUN = a_run().ref
DEVICES = ["fan-1", "press-1"]
INITIAL = InitialState(a_progress(2), DEVICES, {"list": pack(DEVICES)[0]})


@pytest.fixture
def client() -> InMemoryClient:
    return InMemoryClient()


@pytest.fixture
def store(client: InMemoryClient) -> ProgressStore:
    return ProgressStore(client, RUN)


def progress_path(client: InMemoryClient) -> str:
    return next(path for path in client.objects if not path.endswith("/list"))


async def test_run_without_a_config_map_has_no_progress(store: ProgressStore) -> None:
    assert await store.load() is None


async def test_device_list_is_written_before_progress(store: ProgressStore, client: InMemoryClient) -> None:
    stored = await store.create(INITIAL)
    assert stored.progress is INITIAL.progress
    assert list(client.objects) == [f"{COLLECTION}/list", progress_path(client)]
    assert await store.load() == stored
    assert await store.devices(["list"], 2) == DEVICES


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
    with pytest.raises(NameConflict, match="belongs to ScoringRun hourly"):
        await store.load()
    with pytest.raises(NameConflict, match="ConfigMap list"):
        await store.devices(["list"], 2)
    with pytest.raises(NameConflict):
        await store.recreate_missing(INITIAL.parts)


async def test_damaged_progress_is_invalid(store: ProgressStore, client: InMemoryClient) -> None:
    await store.create(INITIAL)
    client.objects[progress_path(client)]["binaryData"] = {}
    with pytest.raises(InvalidProgress):
        await store.load()


async def test_device_list_exists_if_all_its_parts_exist(store: ProgressStore) -> None:
    assert not await store.device_list_exists(["list"])
    await store.recreate_missing(INITIAL.parts)
    assert await store.device_list_exists(["list"])
    assert not await store.device_list_exists(["list", "other"])
    with pytest.raises(NotFound):
        await store.devices(["other"], 2)


@pytest.mark.fault("T15")
async def test_no_further_part_is_read_of_a_list_with_too_many_devices(store: ProgressStore) -> None:
    await store.create(INITIAL)
    assert await store.devices(["list", "never-read"], 1) == DEVICES
