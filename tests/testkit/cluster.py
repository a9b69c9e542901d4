"""Real control planes for tests: one per session and kind of nodes, a fresh namespace per test.

    pytest --cluster NAME             use the cluster NAME for `cluster`; create it if necessary, and keep it
    pytest --container-cluster NAME   the same for `container_cluster`

Without these options, the clusters of a session have its process id in their names, so they are never those of a demo
or of a concurrent session. The session removes them at its end. The next session removes those of a killed session.
"""

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcluster import cluster_state
from localcluster.cluster import Cluster
from localcluster.toolchain.tools import ensure_program

# With its default limits (20 requests a second, 5 workers) the controller manager completes 3.4 Jobs a second.
RAISED_LIMITS: Mapping[str, Sequence[str]] = {
    "kube-controller-manager": ["--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-job-syncs=20"]
}
# The message of a scorer pod that scored every device, as a template for `stages.finish_pods`. The simulated scorers of
# a kwok cluster report as many devices as their Job has.
ALL_SCORED = (
    "printf `"
    '{"v":1,"devices":%d,"outcomes":{"scored":"%s"},"rows":%d,"badRows":0,"unscoredRows":0,"anomalies":0,'
    '"anomalousDevices":0}'
    '` (len $operands) (ternary "0" (printf "0-%d" (sub (len $operands) 1)) (eq (len $operands) 1))'
    " (mul (len $operands) 60)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", help="name of the cluster for simulated pods; it is left up")
    parser.addoption("--container-cluster", help="name of the cluster for real pods; it is left up")


def _clear_killed_sessions() -> None:
    for name in cluster_state.list_clusters():
        found = re.fullmatch(r"tests-(\d+)-\w+", name)
        if found and not Path(f"/proc/{found[1]}").exists():
            cluster_state.remove_cluster(name)


@contextmanager
def session_cluster(given: str | None, kind: str, nodes: str) -> Iterator[Cluster]:
    """Start a cluster for this session, or use the one of this name and keep it."""
    if given:
        yield Cluster.up(given, nodes, arguments=RAISED_LIMITS)
        return
    _clear_killed_sessions()
    cluster = Cluster.up(f"tests-{os.getpid()}-{kind}", nodes, arguments=RAISED_LIMITS)
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Start a control plane with four simulated nodes, whose pods follow stages."""
    with session_cluster(request.config.getoption("--cluster"), "kwok", "kwok:4") as started:
        yield started


@pytest.fixture(scope="session")
def container_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Start a cluster whose pods are real containers."""
    with session_cluster(request.config.getoption("--container-cluster"), "real", "container") as started:
        yield started


@pytest.fixture(scope="session")
def chart_cluster() -> Iterator[Cluster]:
    """Start a control plane for the chart: installing and removing the CRD would disturb other tests."""
    with session_cluster(None, "chart", "none") as started:
        yield started


@pytest.fixture(scope="session")
def helm() -> None:
    """Ensure that helm is there; tests that run helm request this fixture, which marks them needs_services."""
    ensure_program("helm")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Create a namespace on `cluster`; it is deleted at the end, without a wait."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.create_namespace(name)
    yield name
    cluster.api.request("DELETE", f"/api/v1/namespaces/{name}")
