import secrets
from collections.abc import Callable, Iterator

import pytest

from localcluster.cluster import Cluster
from localcluster.nodes import stages
from tests.faults.harness import Site
from tests.testkit.audit import Audit
from tests.testkit.cluster import ALL_SCORED, session_cluster
from tests.testkit.measurements import Long

SPEEDUP = 30  # in `make test` the operator's timeouts are a thirtieth
NewSite = Callable[..., Site]


@pytest.fixture(scope="session")
def fault_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A control plane that these tests may hurt, whose simulated scorers score every device in half a second, and
    those that have a device `poison` die."""
    given = request.config.getoption("--fault-cluster")
    with session_cluster(given, "faults", "kwok:4") as started:
        labels = {"app.kubernetes.io/component": "scorer"}
        started.add_stage(stages.finish_pods("scorers", labels=labels, after_seconds=0.5, message_template=ALL_SCORED))
        started.add_stage(
            stages.finish_pods("culprit", arguments=["poison"], exit_code=137, reason="OOMKilled", weight=100_000)
        )
        yield started


@pytest.fixture(scope="session")
def short_timeouts(long: Long) -> list[str]:
    """Options of an operator that need not wait as long as a real one."""
    return [] if long else ["--speedup", str(SPEEDUP)]


@pytest.fixture(scope="session")
def audit(fault_cluster: Cluster) -> Audit:
    return Audit(fault_cluster.audit_log)


@pytest.fixture(scope="session")
def new_site(fault_cluster: Cluster, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> NewSite:
    """Return a function that creates a site in a namespace of its own."""

    def make(devices: int = 20, *, poison: bool = False) -> Site:
        name = f"fault-{secrets.token_hex(4)}"
        return Site(fault_cluster, name, tmp_path_factory.mktemp(name), audit, devices, poison)

    return make
