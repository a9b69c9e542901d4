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

from tests.operator_edge.process import Release, operator
from tests.support.cluster import ALL_SCORED

from bench import listing, scorer
from localcluster import stages
from localcluster.cluster import Cluster

# At its defaults (20 requests a second, 5 workers) the controller manager brings 3.4 Jobs a second to their end.
RAISED: Mapping[str, Sequence[str]] = {
    "kube-controller-manager": ["--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-job-syncs=20"]
}
DEFAULTS: Mapping[str, Sequence[str]] = {}
SIMULATED = "kwok:10"
NAMESPACE = "scoring"
SECRET = {"name": "fleet-storage", "key": "connectionString", "kind": "connectionString"}
FLEET: dict[str, Any] = {
    "name": "default",
    "storage": {"accountUrl": "http://in-the-secret", "auth": "existingSecret", "existingSecret": SECRET},
}
WINDOW = {"start": f"{scorer.START:%Y-%m-%dT%H:%M:%SZ}", "end": f"{scorer.END:%Y-%m-%dT%H:%M:%SZ}"}


def fleet_of(size: int) -> list[str]:
    """Device ids as large as they commonly get, and as hard to compress."""
    draw = random.Random(size)  # noqa: S311  # no secret
    return sorted(str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(size))


@contextmanager
def fresh(nodes: str, arguments: Mapping[str, Sequence[str]] = RAISED, name: str = "a") -> Iterator[Cluster]:
    """A cluster that nothing has run on: what finished Jobs leave behind slows the Job controller down."""
    cluster = Cluster.up(f"bench-{os.getpid()}-{name}", nodes, arguments=arguments)
    try:
        yield cluster
    finally:
        cluster.down()


@contextmanager
def released(
    folder: Path, arguments: Mapping[str, Sequence[str]] = RAISED, name: str = "a", *, pod_seconds: float = 0
) -> Iterator[Release]:
    """A fresh control plane with simulated nodes, whose scorers succeed after a time, and the chart's objects on it."""
    with fresh(SIMULATED, arguments, name) as cluster:
        cluster.add_stage(stages.finish("scored", after_seconds=pod_seconds, message_template=ALL_SCORED))
        cluster.create_namespace(NAMESPACE)
        release = Release(cluster, NAMESPACE, folder / name, [FLEET])
        release.install()
        yield release


@dataclass
class Operated:
    """A working operator and what it has used up."""

    release: Release
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU of the process so far."""
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3), which Python has for threads only

    def peak_mib(self) -> float:
        """The largest resident memory so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def operated(
    release: Release, devices: Sequence[str], command: Sequence[str] = ("scoring_operator", "run")
) -> Iterator[Operated]:
    """The operator at work as a process, under the chart's service account, with a storage of these devices."""
    with listing.serving(devices) as connection_string:
        release.secret("default", SECRET["key"], connection_string)
        with operator(release, command=command) as process:
            yield Operated(release, process.process.pid)
