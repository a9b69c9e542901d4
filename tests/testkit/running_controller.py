"""The operator's controller on a real API server, with storage in memory, in the event loop of a test."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import pytest

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.api.names import JOB_SELECTOR
from scoring_operator.api.views import JobView
from scoring_operator.controller.controller import Controller
from scoring_operator.controller.timings import DEFAULT_TIMINGS, Timings
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.kube.informer import Informer
from scoring_operator.kube.transport import Transport
from scoring_operator.planner.types import JobLimits
from scoring_operator.resources.jobs import ScorerImage
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.runs import Runs

RunController = Callable[..., AbstractAsyncContextManager[Controller]]

MAX_RESOURCES = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}


def a_fleet(*namespaces: str, **settings: Any) -> Fleet:
    scorer = {"serviceAccountName": "default", "maxResources": MAX_RESOURCES}
    return parse_fleet({"name": "default", "namespaces": list(namespaces), "scorer": scorer, **settings})


class _RunMetadata(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    creation_timestamp: str
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[dict[str, Any], ...] = ()


class _RunObject(msgspec.Struct, rename="camel"):
    metadata: _RunMetadata
    spec: dict[str, Any]
    api_version: str = ""
    kind: str = ""
    status: dict[str, Any] = msgspec.field(default_factory=dict)


def assemble(
    client: KubeClient,
    storage: InMemoryStorage,
    *fleets: Fleet,
    namespace: str,
    max_jobs: int,
    timings: Timings = DEFAULT_TIMINGS,
) -> tuple[Controller, list[asyncio.Task[None]]]:
    """Return a controller for one namespace, and the tasks of the controller and its informers.

    An informer for ScoringRuns takes the place of kopf.
    """
    jobs = Informer(
        client,
        api="apis/batch/v1",
        plural="jobs",
        type=JobView,
        namespaces=[namespace],
        label_selector=JOB_SELECTOR,
    )
    runs = Informer(
        client,
        api="apis/fleetscore.dev/v1alpha1",
        plural="scoringruns",
        type=_RunObject,
        namespaces=[namespace],
    )
    controller = Controller(
        client,
        jobs,
        {fleet.name: fleet for fleet in fleets},
        storage,
        ScorerImage("scorer:test"),
        namespaces=(namespace,),
        limits=JobLimits(max_jobs),
        timings=timings,
    )

    def changed(old: _RunObject | None, new: _RunObject | None) -> None:
        known = new or old
        assert known
        body = msgspec.to_builtins(new) if new else None
        controller.on_run_event(known.metadata.namespace, known.metadata.name, body)

    runs.on_change(changed)
    return controller, [asyncio.create_task(one.run()) for one in (jobs, runs, controller)]


@asynccontextmanager
async def run_controller(
    kubeconfig: str,
    storage: InMemoryStorage,
    *fleets: Fleet,
    namespace: str,
    max_jobs: int = 1000,
    timings: Timings = DEFAULT_TIMINGS,
    transport_type: type[Transport] = Transport,
) -> AsyncIterator[Controller]:
    """Run a controller in one namespace."""
    account = load_credentials({"KUBECONFIG": kubeconfig})
    async with KubeClient.connect(account, timeouts=timings.client, transport_type=transport_type) as client:
        controller, tasks = assemble(client, storage, *fleets, namespace=namespace, max_jobs=max_jobs, timings=timings)
        try:
            yield controller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def pytest_configure(config: pytest.Config) -> None:
    # The tests cancel operators at any moment. If a task is cancelled during a TLS handshake, asyncio leaves the
    # connection to the garbage collector, because the transport does not know its socket yet. The second filter is for
    # the collection after the last test, which has only the filters of pyproject.toml.
    message = "unclosed (transport )?<(_Selector|socket)"
    config.addinivalue_line("filterwarnings", f"ignore:{message}:ResourceWarning")
    warnings.filterwarnings("ignore", message, ResourceWarning)


@pytest.fixture
def running_controller(runs: Runs) -> RunController:
    """Run a controller in the test's namespace: `async with running_controller(storage)`."""

    def start(
        storage: InMemoryStorage, *fleets: Fleet, kubeconfig: str = "", **options: Any
    ) -> AbstractAsyncContextManager[Controller]:
        every = fleets or (a_fleet(runs.namespace),)
        account = kubeconfig or str(runs.cluster.kubeconfig)
        return run_controller(account, storage, *every, namespace=runs.namespace, **options)

    return start
