"""The API client and the informer against a real API server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio

from localcluster.cluster import Cluster as LocalCluster
from scoring_operator.api.scoringrun import ScoringRun, parse_run
from scoring_operator.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.kube.informer import Informer
from scoring_operator.resources.status import json_patch
from tests.testkit.runs import Runs
from tests.testkit.waiting import until_async

MAPS = "/api/v1/namespaces/{}/configmaps"


class Meta(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    resource_version: str


class View(msgspec.Struct):
    metadata: Meta
    data: dict[str, str] = {}


@pytest_asyncio.fixture
async def admin(cluster: LocalCluster) -> AsyncIterator[KubeClient]:
    async with KubeClient.connect(load_credentials({"KUBECONFIG": str(cluster.kubeconfig)})) as connection:
        yield connection


def a_map(name: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": {"storm": "yes"}}, "data": data}


async def test_status_patch_without_a_version_depends_on_spec_and_status_alone(admin: KubeClient, runs: Runs) -> None:
    path = f"{runs.path}/hourly"

    async def write(known: ScoringRun, phase: str) -> ScoringRun:
        new = {"phase": phase, "message": "1 < 2 & 2 > 1 \u2028 é", "devices": {"scored": 2}}
        return parse_run(await admin.json_patch(path, json_patch(known, new), subresource="status"))

    first = parse_run(runs.create())
    second = await write(first, "Pending")
    runs.cluster.kubectl("-n", runs.namespace, "annotate", "sr", "hourly", "touched=1")
    third = await write(second, "Running")
    assert third.status["phase"] == "Running"
    with pytest.raises(Invalid):
        await write(second, "Queued")
    runs.change(parallelism=2)
    with pytest.raises(Invalid):
        await write(third, "Queued")
    assert parse_run(runs.get()).status == third.status


async def test_writes_return_metadata_and_raise_the_expected_types(admin: KubeClient, namespace: str) -> None:
    path = MAPS.format(namespace)
    made = await admin.create(path, a_map("a", x="1"))
    assert made["metadata"]["name"] == "a"
    assert "data" not in made  # the response has only metadata
    with pytest.raises(AlreadyExists):
        await admin.create(path, a_map("a"))
    changed = await admin.patch(f"{path}/a", {"data": {"x": "2"}}, resource_version=made["metadata"]["resourceVersion"])
    with pytest.raises(Conflict):
        await admin.patch(f"{path}/a", {"data": {"x": "3"}}, resource_version=made["metadata"]["resourceVersion"])
    with pytest.raises(Conflict):
        await admin.replace(f"{path}/a", {"metadata": made["metadata"]})
    await admin.replace(f"{path}/a", changed | {"data": {"x": "4"}})
    assert (await admin.get(f"{path}/a"))["data"] == {"x": "4"}
    with pytest.raises(Conflict):
        await admin.delete(f"{path}/a", uid="another")
    await admin.delete(f"{path}/a", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await admin.delete(f"{path}/a")
    with pytest.raises(Invalid):
        await admin.create(path, a_map("Not A Name"))


async def test_exceeded_quota_differs_from_a_missing_right(
    cluster: LocalCluster, admin: KubeClient, namespace: str
) -> None:
    runs = Runs(cluster, namespace)
    runs.create_quota("few", {"count/configmaps": "0"})
    # The quota admission has a cache of its own.
    runs.until_rejected("POST", f"{MAPS.format(namespace)}?dryRun=All", a_map("a"))
    with pytest.raises(QuotaExceeded):
        await admin.create(MAPS.format(namespace), a_map("a"))
    kubeconfig = cluster.create_kubeconfig(namespace, "default")
    async with KubeClient.connect(load_credentials({"KUBECONFIG": str(kubeconfig)})) as connection:
        with pytest.raises(Forbidden) as caught:
            await connection.create(MAPS.format(namespace), a_map("a"))
    assert type(caught.value) is Forbidden


async def test_server_time_is_exact_to_two_seconds(admin: KubeClient, namespace: str) -> None:
    await admin.create(MAPS.format(namespace), a_map("a"))  # its response shows the server's time
    before = admin.now()
    made = await admin.create(MAPS.format(namespace), a_map("b"))
    created = msgspec.convert(made["metadata"]["creationTimestamp"], type=type(before))
    assert before - timedelta(seconds=2) < created < admin.now() + timedelta(seconds=2)


async def test_informer_is_correct_after_400_creates_changes_and_deletes(admin: KubeClient, namespace: str) -> None:
    path = MAPS.format(namespace)
    informer = Informer(
        admin, api="api/v1", plural="configmaps", type=View, namespaces=[namespace], label_selector="storm=yes"
    )
    running = asyncio.create_task(informer.run())

    async def live(number: int) -> None:
        name = f"map-{number}"
        await admin.create(path, a_map(name, state="new"))
        if number % 3:
            await admin.patch(f"{path}/{name}", {"data": {"state": "changed"}})
        if number % 2:
            await admin.delete(f"{path}/{name}")
        if number % 4 == 3:
            await admin.create(path, a_map(name, state="recreated"))

    await informer.wait_for_sync()
    await asyncio.gather(*(live(number) for number in range(400)))
    listed = (await admin.list(path, label_selector="storm=yes", type=View)).items
    expected = {view.metadata.name: view.data["state"] for view in listed}
    assert len(expected) == 300
    await until_async(lambda: {key[1]: view.data["state"] for key, view in informer.snapshot().items()} == expected)
    assert informer.list_count == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
