"""One-device Jobs per second with real containers: the scorer's, the naive scorer's, and ones that do nothing.

All have the operator's own manifest and the same image; only the command differs, and for some rows how much CPU a pod
asks for: with what the chart says seven are on a node of two cores at a time, with next to nothing all of a batch. Each
round runs a batch of each kind, in turn and beginning with another one each time, so that a slow minute hurts all
alike; a figure is the median of the rounds' ratios.
"""

import asyncio
import base64
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient

from bench import plain, rig, scorer
from bench.goals import Goals
from localcluster import images
from localcluster.azurite import Azurite
from localcluster.cluster import Cluster
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.kube import credentials

DEVICES = scorer.PACKED[:30]  # Jobs of one batch, all at once
ROUNDS = 7
NAMESPACE = "bench"


@dataclass
class Kind:
    """What the containers of a batch run, and how many blobs each writes."""

    name: str
    writes: int
    command: list[str] = field(default_factory=list)  # none: the image's own
    arguments: list[str] = field(default_factory=list)  # after the device
    crowded: bool = False  # whether a pod asks for so little CPU that all of them are on the node at once
    goal: float | None = None
    per_second: list[float] = field(default_factory=list)


NOTHING = ["python", "-c", "pass"]
CROWDED = {"requests": {"cpu": "20m", "memory": "64Mi"}}
KINDS = [
    Kind("does nothing in Python", 0, NOTHING),
    Kind("device-scorer", 1, goal=0.7),
    Kind("naive scorer", len(scorer.TAGS), ["python", "/bench/naive.py"], scorer.TAGS),
    Kind(f"does nothing, {len(DEVICES)} at once", 0, NOTHING, crowded=True),
    Kind(f"device-scorer, {len(DEVICES)} at once", 1, crowded=True),
]


def run(cluster: Cluster, azurite: Azurite, rounds: int) -> bool:
    """Measure and print the table; False where the goal is missed."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        scorer.fill(service, dict.fromkeys(DEVICES, scorer.SMALL), naive=DEVICES)
        cluster.create_namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
        _create(cluster, "Secret", rig.SECRET["name"], rig.SECRET["key"], azurite.connection_string)
        _create(cluster, "ConfigMap", "naive", "naive.py", Path(__file__).with_name("naive.py").read_text())
        asyncio.run(_measure(cluster, service, rounds))
    return _report(rounds)


def _create(cluster: Cluster, kind: str, name: str, key: str, text: str) -> None:
    data = {"data": {key: base64.b64encode(text.encode()).decode()}} if kind == "Secret" else {"data": {key: text}}
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **data}
    cluster.api.create(f"/api/v1/namespaces/{NAMESPACE}/{kind.lower()}s", body)


async def _measure(cluster: Cluster, service: BlobServiceClient, rounds: int) -> None:
    async with plain.connect(credentials.load({"KUBECONFIG": str(cluster.kubeconfig)})) as client:
        await _batch(client, service, KINDS[0], "warm-0")  # these two do not count: images, programs, pages are read
        await _batch(client, service, KINDS[1], "warm-1")
        for turn in range(rounds):
            first = turn % len(KINDS)
            for number, kind in enumerate([*KINDS[first:], *KINDS[:first]]):
                kind.per_second.append(await _batch(client, service, kind, f"round-{turn}-{number}"))
                print(f"round {turn + 1}/{rounds}: {kind.name}: {kind.per_second[-1]:.2f} Jobs/s", file=sys.stderr)


async def _batch(client: plain.Client, service: BlobServiceClient, kind: Kind, label: str) -> float:
    """Run a batch; its Jobs per second."""
    predictions = service.create_container(label)  # of its own, else the devices were scored already
    jobs = [_job(kind, number, label, device) for number, device in enumerate(DEVICES)]
    seconds = await plain.run_jobs(client, NAMESPACE, jobs, in_flight=len(jobs))
    written = sum(name.endswith(".csv") for name in predictions.list_blob_names())
    if written != kind.writes * len(DEVICES):
        raise plain.FailedError(f"{kind.name}: {written} predictions for {len(DEVICES)} devices")
    # The next batch waits until this one's containers are gone, for taking them down costs CPU too.
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs?labelSelector=bench%3D{label}"
    await client.request("DELETE", path, b'{"propagationPolicy":"Background"}')
    while (await client.get(f"/api/v1/namespaces/{NAMESPACE}/pods", dict[str, Any]))["items"]:  # noqa: ASYNC110  # an API, no Event
        await asyncio.sleep(0.5)
    return len(DEVICES) / seconds


def _job(kind: Kind, number: int, label: str, device: str) -> dict[str, Any]:
    """A one-device Job with this kind's command."""
    storage = {"predictions": label, "auth": "existingSecret", "existingSecret": rig.SECRET}
    place = {"serviceAccountName": "default"} | ({"resources": CROWDED} if kind.crowded else {})
    fleet = parse_fleet({"name": "bench", "namespaces": [NAMESPACE], "storage": storage, "scorer": place})
    job = plain.job(fleet, NAMESPACE, rig.WINDOW, label=label, number=number, devices=[device])
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pod["volumes"].append({"name": "bench", "configMap": {"name": "naive"}})
    container["volumeMounts"].append({"name": "bench", "mountPath": "/bench", "readOnly": True})
    if kind.command:
        container |= {"command": kind.command, "args": [device, *kind.arguments] if kind.arguments else []}
    return job


def _report(rounds: int) -> bool:
    nothing = {kind.crowded: kind.per_second for kind in KINDS if kind.command is NOTHING}
    goals = Goals()
    print("| real containers, one device each | Jobs/s | against doing nothing | goal |")
    print("|---|---|---|---|")
    for kind in KINDS:
        against = nothing[kind.crowded]
        ratio = statistics.median(one / other for one, other in zip(kind.per_second, against, strict=True))
        goal = goals.verdict(ratio, least=kind.goal)
        print(f"| {kind.name} | {statistics.median(kind.per_second):.2f} | {ratio:.2f} | {goal} |")
    print(f"\nbatches of {len(DEVICES)} Jobs, {rounds} interleaved rounds, medians")
    return goals.met


def main(*, quick: bool) -> bool:
    """Bring up a cluster and Azurite, measure, and take both down."""
    with tempfile.TemporaryDirectory() as folder, rig.fresh("container") as cluster:
        cluster.load_image(images.build("scorer"))
        with Azurite.start(Path(folder) / "azurite", host=cluster.host_address, containers=()) as azurite:
            return run(cluster, azurite, 1 if quick else ROUNDS)
