"""The environment of a measurement: a fresh control plane, the chart's objects, the operator in its image."""

import atexit
import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.testkit.cluster import ALL_SCORED, RAISED_LIMITS
from tests.testkit.image_root import Image, unpack_image
from tests.testkit.operator_process import OperatorEnvironment, operator

from bench import listing_server, scorer
from localcluster.cluster import Cluster
from localcluster.nodes import stages

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
    """Return device ids (UUIDs) of the usual maximum length, which compress badly."""
    draw = random.Random(size)  # noqa: S311  # not a secret
    return sorted(str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(size))


@contextmanager
def fresh_cluster(
    nodes: str, arguments: Mapping[str, Sequence[str]] = RAISED_LIMITS, name: str = "a"
) -> Iterator[Cluster]:
    """Start a cluster and remove it afterwards; finished Jobs of an older one would slow down the Job controller."""
    cluster = Cluster.up(f"bench-{os.getpid()}-{name}", nodes, arguments=arguments)
    try:
        yield cluster
    finally:
        cluster.down()


@contextmanager
def installed_release(
    folder: Path, arguments: Mapping[str, Sequence[str]] = RAISED_LIMITS, name: str = "a", *, pod_seconds: float = 0
) -> Iterator[OperatorEnvironment]:
    """Start a control plane with simulated nodes and install the chart's objects.

    Args:
        folder: The folder of the release.
        arguments: Additional arguments per process of the control plane.
        name: The name of the cluster and of its folder.
        pod_seconds: The time in seconds after which a scorer's pod succeeds.
    """
    with fresh_cluster(SIMULATED_NODES, arguments, name) as cluster:
        cluster.add_stage(stages.finish_pods("scored", after_seconds=pod_seconds, message_template=ALL_SCORED))
        cluster.create_namespace(NAMESPACE)
        release = OperatorEnvironment(cluster, NAMESPACE, folder / name, [FLEET_VALUES])
        release.install()
        yield release


@dataclass
class RunningOperator:
    """A running operator process and its resource usage."""

    release: OperatorEnvironment
    pid: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, in seconds."""
        # clock_getcpuclockid(3), which Python provides only for threads.
        return time.clock_gettime((~self.pid << 3) | 2)

    def peak_mib(self) -> float:
        """Return the maximum resident memory so far, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@cache
def operator_image() -> Image:
    """Return the operator's image, unpacked into a folder that the end of this process removes."""
    folder = tempfile.mkdtemp(prefix="fleetscore-bench-")
    atexit.register(shutil.rmtree, folder)
    return unpack_image("operator", Path(folder))


def describe_operator() -> str:
    """Return which operator is measured, with the version of its Python."""
    answer = operator_image().run("python", "--version")
    answer.check_returncode()
    return f"operator of the image, {answer.stdout.strip()}"


@contextmanager
def running_operator(
    release: OperatorEnvironment, devices: Sequence[str], command: Sequence[str] = ("scoring-operator", "run")
) -> Iterator[RunningOperator]:
    """Run the operator's image as a process with the chart's service account and a storage of these devices.

    Args:
        release: The release whose settings the operator gets.
        devices: The devices in the storage.
        command: The command in the image, which also has the folder of this module.
    """
    folders = [release.folder, release.kubeconfig.parent, Path(__file__).parent]
    # The files of the release are root's.
    program = operator_image().command_line(*command, user="0:0", folders=folders)
    with listing_server.serve_listing(devices) as connection_string:
        release.secret("default", STORAGE_SECRET["key"], connection_string)
        with operator(release, command=program) as process:
            yield RunningOperator(release, process.process.pid)
