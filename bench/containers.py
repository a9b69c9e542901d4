"""One-device Jobs per second with containers: the scorer, and a command that does nothing.

All Jobs have the operator's manifest and the same image. Only the command differs, and for some rows the pod's CPU
request: with the chart's request a node of two cores runs seven pods at a time, with a small request the whole batch.
Each round runs a batch of each kind, in a rotated order, so that a slow minute affects all kinds alike. A figure is the
median of the rounds' ratios.
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

from bench import baseline_client, harness, scorer
from bench.goals import Goals
from localcluster.addons.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.toolchain import images
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.kube.credential_sources import load_credentials

DEVICES = scorer.SMALL_DEVICES[:30]  # one Job each in a batch, all created at once
ROUNDS = 7
NAMESPACE = "bench"


@dataclass
class JobKind:
    """The command of a batch's containers, and the number of blobs that each writes."""

    name: str
    blobs_per_device: int
    command: list[str] = field(default_factory=list)  # empty: the command of the image
    all_at_once: bool = False  # True: small requests, so that the node runs the whole batch
    goal: float | None = None
    jobs_per_second: list[float] = field(default_factory=list)


NO_OP_COMMAND = ["python", "-c", "pass"]
SMALL_REQUESTS = {"requests": {"cpu": "20m", "memory": "64Mi"}}
JOB_KINDS = [
    JobKind("does nothing in Python", 0, NO_OP_COMMAND),
    JobKind("device-scorer", 1, goal=0.85),
    JobKind(f"does nothing, {len(DEVICES)} at once", 0, NO_OP_COMMAND, all_at_once=True),
    JobKind(f"device-scorer, {len(DEVICES)} at once", 1, all_at_once=True, goal=0.8),
]


def run(cluster: Cluster, azurite: Azurite, rounds: int) -> bool:
    """Measure and print the table; return False if the goal is missed."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        scorer.upload_fleet(service, dict.fromkeys(DEVICES, scorer.SMALL_ROWS), baseline_devices=())
        cluster.create_namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
        _create_secret(cluster, azurite.connection_string)
        asyncio.run(_measure(cluster, service, rounds))
    return _report(rounds)


def _create_secret(cluster: Cluster, text: str) -> None:
    name, data = (
        harness.STORAGE_SECRET["name"],
        {harness.STORAGE_SECRET["key"]: base64.b64encode(text.encode()).decode()},
    )
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    cluster.api.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", body)


async def _measure(cluster: Cluster, service: BlobServiceClient, rounds: int) -> None:
    async with baseline_client.connect(load_credentials({"KUBECONFIG": str(cluster.kubeconfig)})) as client:
        for number in range(2):  # warm up: the first batches read images and programs from the disk
            await _run_batch(client, service, JOB_KINDS[number], f"warm-{number}")
        for turn in range(rounds):
            first = turn % len(JOB_KINDS)
            for number, kind in enumerate([*JOB_KINDS[first:], *JOB_KINDS[:first]]):
                kind.jobs_per_second.append(await _run_batch(client, service, kind, f"round-{turn}-{number}"))
                print(f"round {turn + 1}/{rounds}: {kind.name}: {kind.jobs_per_second[-1]:.2f} Jobs/s", file=sys.stderr)


async def _run_batch(
    client: baseline_client.BaselineClient, service: BlobServiceClient, kind: JobKind, label: str
) -> float:
    """Run a batch and return its Jobs per second."""
    # One container per batch, because devices with predictions are not scored again.
    predictions = service.create_container(label)
    jobs = [_build_job(kind, number, label, device) for number, device in enumerate(DEVICES)]
    seconds = await baseline_client.run_jobs(client, NAMESPACE, jobs, max_in_flight=len(jobs))
    written = sum(name.endswith(".csv") for name in predictions.list_blob_names())
    if written != kind.blobs_per_device * len(DEVICES):
        raise baseline_client.MeasurementError(f"{kind.name}: {written} predictions for {len(DEVICES)} devices")
    # The next batch waits until this one's containers are deleted, because their deletion costs CPU time.
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs?labelSelector=bench%3D{label}"
    await client.request("DELETE", path, b'{"propagationPolicy":"Background"}')
    while (await client.get(f"/api/v1/namespaces/{NAMESPACE}/pods", dict[str, Any]))["items"]:  # noqa: ASYNC110  # an API, no Event
        await asyncio.sleep(0.5)
    return len(DEVICES) / seconds


def _build_job(kind: JobKind, number: int, label: str, device: str) -> dict[str, Any]:
    """Return a one-device Job with this kind's command."""
    storage = {"predictions": label, "auth": "existingSecret", "existingSecret": harness.STORAGE_SECRET}
    place = {"serviceAccountName": "default"} | ({"resources": SMALL_REQUESTS} if kind.all_at_once else {})
    fleet = parse_fleet({"name": "bench", "namespaces": [NAMESPACE], "storage": storage, "scorer": place})
    job = baseline_client.build_manifest(fleet, NAMESPACE, harness.WINDOW, label=label, number=number, devices=[device])
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    if kind.command:
        container |= {"command": kind.command, "args": []}
    return job


def _report(rounds: int) -> bool:
    nothing = {kind.all_at_once: kind.jobs_per_second for kind in JOB_KINDS if kind.command is NO_OP_COMMAND}
    goals = Goals()
    print("| real containers, one device each | Jobs/s | against doing nothing | goal |")
    print("|---|---|---|---|")
    for kind in JOB_KINDS:
        against = nothing[kind.all_at_once]
        ratio = statistics.median(one / other for one, other in zip(kind.jobs_per_second, against, strict=True))
        goal = goals.check_goal(ratio, at_least=kind.goal)
        print(f"| {kind.name} | {statistics.median(kind.jobs_per_second):.2f} | {ratio:.2f} | {goal} |")
    print(f"\nbatches of {len(DEVICES)} Jobs, {rounds} interleaved rounds, medians")
    return goals.all_met


def main(*, quick: bool) -> bool:
    """Start a cluster and Azurite, measure, and remove both."""
    with tempfile.TemporaryDirectory() as folder, harness.fresh_cluster("container") as cluster:
        cluster.load_image(images.build_image("scorer"))
        with Azurite.start(Path(folder) / "azurite", host=cluster.host_address, containers=()) as azurite:
            return run(cluster, azurite, 1 if quick else ROUNDS)
