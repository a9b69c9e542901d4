"""What is measured on: fresh control planes, always taken down; the chart's objects; the operator as a process."""

import os
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testkit.cluster import ALL_SCORED
from tests.testkit.operator_process import Release, operator

from bench import listing_server, scorer
from localcluster.cluster import Cluster
from localcluster.nodes import stages

# At its defaults (20 requests a second, 5 workers) the controller manager brings 3.4 Jobs a second to their end.
RAISED_LIMITS: Mapping[str, Sequence[str]] = {
    "kube-controller-manager": ["--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-job-syncs=20"]
}
DEFAULT_LIMITS: Mapping[str, Sequence[str]] = {}
SIMULATED_NODES = "kwok:10"
NAMESPACE = "scoring"
STORAGE_SECRET = {"name": "fleet-storage", "key": "connectionString", "kind": "connectionString"}
FLEET_VALUES: dict[str, Any] = {
    "name": "default",
    "storage": {"accountUrl": "http://in-the-secret", "auth": "existingSecret", "existingSecret": STORAGE_SECRET},
}
WINDOW = {"start": f"{scorer.START:%Y-%m-%dT%H:%M:%SZ}", "end": f"{scorer.END:%Y-%m-%dT%H:%M:%SZ}"}


def device_ids(size: int) -> list[str]:
    """Device ids as large as they commonly get, and as hard to compress."""
    draw = random.Random(size)  # noqa: S311  # no secret
    return sorted(str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(size))


@contextmanager
def fresh_cluster(
    nodes: str, arguments: Mapping[str, Sequence[str]] = RAISED_LIMITS, name: str = "a"
) -> Iterator[Cluster]:
    """A cluster that nothing has run on: what finished Jobs leave behind slows the Job controller down."""
    cluster = Cluster.up(f"bench-{os.getpid()}-{name}", nodes, arguments=arguments)
    try:
        yield cluster
    finally:
        cluster.down()


@contextmanager
def installed_release(
    folder: Path, arguments: Mapping[str, Sequence[str]] = RAISED_LIMITS, name: str = "a", *, pod_seconds: float = 0
) -> Iterator[Release]:
    """A fresh control plane with simulated nodes, whose scorers succeed after a time, and the chart's objects on it."""
    with fresh_cluster(SIMULATED_NODES, arguments, name) as cluster:
        cluster.add_stage(stages.finish_pods("scored", after_seconds=pod_seconds, message_template=ALL_SCORED))
        cluster.create_namespace(NAMESPACE)
        release = Release(cluster, NAMESPACE, folder / name, [FLEET_VALUES])
        release.install()
        yield release


@dataclass
class RunningOperator:
    """A working operator and what it has used up."""

    release: Release
    pid: int

    def cpu_seconds(self) -> float:
        """Seconds of CPU of the process so far."""
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3), which Python has for threads only

    def peak_mib(self) -> float:
        """The largest resident memory so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def running_operator(
    release: Release, devices: Sequence[str], command: Sequence[str] = ("scoring_operator", "run")
) -> Iterator[RunningOperator]:
    """The operator at work as a process, under the chart's service account, with a storage of these devices."""
    with listing_server.serve_listing(devices) as connection_string:
        release.secret("default", STORAGE_SECRET["key"], connection_string)
        with operator(release, command=command) as process:
            yield RunningOperator(release, process.process.pid)
