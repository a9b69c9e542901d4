from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from localcluster import stages
from localcluster.cluster import Cluster
from scoring_operator.api.fleets import Fleet
from scoring_operator.controller.controller import Controller
from tests.integration.operating import Memory, a_fleet, operating
from tests.integration.runs import Runs
from tests.support.cluster import ALL_SCORED

Operate = Callable[..., AbstractAsyncContextManager[Controller]]
Staged = Callable[[dict[str, Any]], None]

CRD = Path(__file__).parents[2] / "crds" / "fleetscore.dev_scoringruns.yaml"


def pytest_configure(config: pytest.Config) -> None:
    # These tests end operators at any moment. A connection whose TLS has just begun when its task is cancelled is left
    # to the garbage collector by asyncio: its transport does not know of the socket yet when it is closed.
    config.addinivalue_line("filterwarnings", "ignore:unclosed (transport )?<(_Selector|socket):ResourceWarning")


@pytest.fixture(scope="session")
def crd(cluster: Cluster) -> Cluster:
    """The cluster with the ScoringRun CRD, and simulated scorers that score every device after a second."""
    cluster.kubectl("apply", "-f", str(CRD))
    cluster.wait_for_crds()
    cluster.add_stage(
        stages.finish(
            "scorers", labels={"app.kubernetes.io/component": "scorer"}, after_seconds=1, message_template=ALL_SCORED
        )
    )
    return cluster


@pytest.fixture
def runs(crd: Cluster, namespace: str) -> Runs:
    return Runs(crd, namespace)


@pytest.fixture
def operate(runs: Runs) -> Operate:
    """Runs the engine in the test's namespace."""

    def start(
        storage: Memory, *fleets: Fleet, kubeconfig: str = "", **options: Any
    ) -> AbstractAsyncContextManager[Controller]:
        every = fleets or (a_fleet(runs.namespace),)
        account = kubeconfig or str(runs.cluster.kubeconfig)
        return operating(account, storage, *every, namespace=runs.namespace, **options)

    return start


@pytest.fixture
def staged(runs: Runs) -> Iterator[Staged]:
    """Adds stages that go with the test."""
    added: list[str] = []

    def add(stage: dict[str, Any]) -> None:
        added.append(stage["metadata"]["name"])
        runs.cluster.add_stage(stage)

    yield add
    for name in added:
        runs.cluster.remove_stage(name)
