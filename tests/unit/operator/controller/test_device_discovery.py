from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.api.scoringrun import ScoringRun, parse_run
from scoring_operator.controller.device_discovery import discover_devices
from scoring_operator.controller.progress_store import ProgressStore
from scoring_operator.errors import RunRejected, StorageUnavailable
from scoring_operator.planner.device_list import DiscoveredDevices
from tests.testkit.builders import a_body, a_progress, a_run, an_initial_state
from tests.testkit.history_tiles import tiles_before
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

RUNS = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns"
ENDED = {"conditions": [{"type": "Failed", "status": "True"}]}
PREVIOUS = a_body("previous", uid="previous-uid") | {"status": ENDED}


@pytest.fixture
def client() -> InMemoryClient:
    return InMemoryClient()


@pytest.fixture
def storage() -> InMemoryStorage:
    return InMemoryStorage(["fan-1", "press-1"], ["press-1", "stray-1"], {"fan-1": {"complete": "true"}})


async def discover(client: InMemoryClient, storage: InMemoryStorage, **spec: Any) -> DiscoveredDevices:
    return await discover_devices(a_run(**spec), a_fleet("scoring"), storage, client)


def a_retry(*outcomes: str) -> dict[str, Any]:
    return {"retryOf": {"name": "previous", **({"outcomes": outcomes} if outcomes else {})}}


async def store_previous(client: InMemoryClient, body: dict[str, Any] = PREVIOUS) -> ScoringRun:
    """Store a run with the devices a, b and c, of which a is scored, b has failed and c was not run."""
    client.objects[f"{RUNS}/previous"] = body
    run = parse_run(body)
    outcomes = {kind: Positions.parse(str(at)) for at, kind in enumerate(["scored", "failed", "notRun"])}
    progress = replace(a_progress(3), outcomes=outcomes, waiting=Positions())
    await ProgressStore(client, run.ref).create(an_initial_state(run, ["a", "b", "c"], progress))
    return run


async def test_models_readings_and_predictions_of_the_fleet_are_listed(
    client: InMemoryClient, storage: InMemoryStorage
) -> None:
    discovered = await discover(client, storage)
    assert discovered == DiscoveredDevices(
        ("fan-1", "press-1"), ("stray-1",), (0, []), {"fan-1": {"complete": "true"}}, ()
    )


async def test_only_listings_that_the_run_needs_are_read(client: InMemoryClient, storage: InMemoryStorage) -> None:
    spec = {"devices": {"ids": ["fan-1"]}, "writePolicy": "IfChanged"}
    assert await discover(client, storage, **spec) == DiscoveredDevices((), (), (0, []), {}, ())


@pytest.mark.parametrize(
    ("source", "quarantined"),
    [({}, {"press-1"}), ({"include": ["press-*"]}, {"press-1"}), ({"ids": ["press-1"]}, set()), (a_retry(), set())],
    ids=["all", "include", "ids", "retry"],
)
async def test_ids_and_retries_always_run_devices_in_quarantine(
    client: InMemoryClient, storage: InMemoryStorage, source: dict[str, Any], quarantined: set[str]
) -> None:
    storage.failures = b"Device,Outcome,Reason,Message\npress-1,failed,DataInvalid,\n"
    storage.history = tiles_before(a_run().spec.window, **{"press-1": "FFF", "fan-1": "FFN"})
    fleet = a_fleet("scoring", quarantine={"after": 3, "retryEvery": 10_080})
    discovered = await discover_devices(a_run(devices=source), fleet, storage, client)
    assert discovered.quarantine.devices == quarantined


async def test_unavailable_storage_is_an_error(client: InMemoryClient, storage: InMemoryStorage) -> None:
    storage.down = True
    with pytest.raises(StorageUnavailable):
        await discover(client, storage)


@pytest.mark.parametrize(("outcomes", "devices"), [((), ["b", "c"]), (("Failed",), ["b"])], ids=["default", "failed"])
async def test_retry_takes_the_devices_of_the_previous_run_with_the_outcomes(
    client: InMemoryClient, storage: InMemoryStorage, outcomes: tuple[str, ...], devices: list[str]
) -> None:
    await store_previous(client)
    assert (await discover(client, storage, devices=a_retry(*outcomes))).to_retry == devices


async def test_retry_of_a_deleted_run_takes_the_devices_of_the_report(
    client: InMemoryClient, storage: InMemoryStorage
) -> None:
    storage.failures = b"Device,Outcome,Reason,Message\nb,failed,DataInvalid,\n"
    assert (await discover(client, storage, devices=a_retry())).to_retry == ["b"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PREVIOUS | {"status": {}}, "RetryRunActive"),
        (a_body("previous", fleet="other") | {"status": ENDED}, "RetryRunDiffers"),
        (PREVIOUS | {"spec": {}}, "RetryRunNotFound"),
        (PREVIOUS, "RetryRunNotFound"),
    ],
    ids=["active", "other-fleet", "invalid", "without-device-list"],
)
async def test_run_that_cannot_be_retried_rejects_the_retry(
    client: InMemoryClient, storage: InMemoryStorage, body: dict[str, Any], reason: str
) -> None:
    client.objects[f"{RUNS}/previous"] = body
    with pytest.raises(RunRejected) as rejected:
        await discover(client, storage, devices=a_retry())
    assert rejected.value.reason == reason


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "the device list of run 'previous' was deleted"), ({}, "cannot be read")],
    ids=["deleted", "damaged"],
)
async def test_lost_device_list_of_the_previous_run_rejects_the_retry(
    client: InMemoryClient, storage: InMemoryStorage, content: dict[str, str] | None, message: str
) -> None:
    await store_previous(client)
    path = next(path for path in client.objects if "devices" in client.objects[path].get("binaryData", {}))
    if content is None:
        del client.objects[path]
    else:
        client.objects[path]["binaryData"] = content
    with pytest.raises(RunRejected, match=message):
        await discover(client, storage, devices=a_retry())
