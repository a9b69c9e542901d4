"""The engine on a real API server, with storage in memory: in a test's own loop, or as a process to be killed.

python -m tests.integration.operating KUBECONFIG NAMESPACE DEVICES
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.api.names import JOB_SELECTOR
from scoring_operator.api.scoringrun import Window
from scoring_operator.api.views import JobView
from scoring_operator.controller.controller import Controller
from scoring_operator.errors import StorageUnavailable
from scoring_operator.kube import credentials
from scoring_operator.kube.client import ClientTimeouts, KubeClient
from scoring_operator.kube.informer import Informer
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.storage.protocol import DeviceListing


@dataclass
class Memory:
    """Storage in memory."""

    models: list[str]
    data: list[str] = field(default_factory=list)
    predictions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    records: dict[str, bytes] = field(default_factory=dict)
    failures: bytes | None = None
    down: bool = False
    of_fleet: dict[str, list[str]] = field(default_factory=dict)  # models of fleets that have others than `models`

    async def list_models(self, fleet: Fleet) -> DeviceListing:
        self._answer(fleet)
        return DeviceListing(tuple(sorted(self.of_fleet.get(fleet.name, self.models))), ())

    async def list_data_devices(self, fleet: Fleet, window: Window, known: Collection[str]) -> DeviceListing:
        self._answer(fleet)
        return DeviceListing(tuple(device for device in self.data if window.length and device not in known), ())

    async def list_predictions(self, fleet: Fleet, window: Window) -> Mapping[str, Mapping[str, str]]:
        self._answer(fleet)
        return self.predictions if window.length else {}

    async def read_outcome(self, fleet: Fleet, run_uid: str, job_name: str) -> bytes | None:
        self._answer(fleet)
        return self.records.get(job_name) if run_uid else None

    async def read_failures(self, fleet: Fleet, window: Window) -> bytes | None:
        self._answer(fleet)
        return self.failures if window.length else None

    def _answer(self, fleet: Fleet) -> None:
        if self.down:
            raise StorageUnavailable(f"storage of fleet {fleet.name} does not answer")


MOST = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}


def a_fleet(*namespaces: str, **settings: Any) -> Fleet:
    scorer = {"serviceAccountName": "default", "maxResources": MOST}
    return parse_fleet({"name": "default", "namespaces": list(namespaces), "scorer": scorer, **settings})


def assemble(
    cluster: KubeClient, storage: Memory, *fleets: Fleet, namespace: str, most_jobs: int
) -> tuple[Controller, list[asyncio.Task[None]]]:
    """The engine and its mirrors in one namespace, and the tasks in which they work; a mirror stands for kopf."""
    jobs = Informer(
        cluster,
        api="apis/batch/v1",
        plural="jobs",
        type=JobView,
        namespaces=[namespace],
        label_selector=JOB_SELECTOR,
    )
    runs = Informer(
        cluster,
        api="apis/fleetscore.dev/v1alpha1",
        plural="scoringruns",
        type=dict[str, Any],
        namespaces=[namespace],
    )
    engine = Controller(
        cluster,
        jobs,
        {fleet.name: fleet for fleet in fleets},
        storage,
        ScorerImage("scorer:test"),
        namespaces=(namespace,),
        most_jobs=most_jobs,
    )

    def changed(old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        meta = (new or old or {})["metadata"]
        engine.wake(meta["namespace"], meta["name"], new)

    runs.on_change(changed)
    return engine, [asyncio.create_task(one.run()) for one in (jobs, runs, engine)]


@asynccontextmanager
async def operating(
    kubeconfig: str,
    storage: Memory,
    *fleets: Fleet,
    namespace: str,
    most_jobs: int = 1000,
    limits: ClientTimeouts = ClientTimeouts(),  # noqa: B008  # a frozen value
) -> AsyncIterator[Controller]:
    """The engine at work in one namespace."""
    async with KubeClient.connect(credentials.load({"KUBECONFIG": kubeconfig}), timeouts=limits) as cluster:
        engine, tasks = assemble(cluster, storage, *fleets, namespace=namespace, most_jobs=most_jobs)
        try:
            yield engine
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _main(kubeconfig: str, namespace: str, devices: int) -> None:
    storage = Memory([f"press-{number}" for number in range(devices)])
    async with operating(kubeconfig, storage, a_fleet(namespace), namespace=namespace):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
