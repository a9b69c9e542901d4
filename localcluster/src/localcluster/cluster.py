"""A cluster as its users see it: start, open by name, use, remove.

cluster = Cluster.up(name="tests", nodes="kwok:4")
cluster.kubectl("get", "nodes")
cluster.down()
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from localcluster import allocation, cluster_state, processes, provision
from localcluster.allocation import Slot
from localcluster.cluster_state import ClusterRecord
from localcluster.errors import ClusterError
from localcluster.kubernetes.api import ApiClient, ApiError
from localcluster.kubernetes.certificates import write_kubeconfig
from localcluster.kubernetes.control_plane import CONTROL_PLANE_PROGRAMS, ControlPlane
from localcluster.locks import hold_lock
from localcluster.machine import preflight
from localcluster.nodes import container_node, kwok
from localcluster.nodes.container_node import ContainerNode
from localcluster.nodes.layout import NodeLayout
from localcluster.paths import cache_dir, cluster_dir
from localcluster.progress import StepProgress
from localcluster.toolchain import tools


class Cluster:
    """One cluster, created by `Cluster.up` or `Cluster.open`."""

    def __init__(self, name: str, record: ClusterRecord) -> None:
        self.name = name
        self.folder = cluster_dir(name)
        self._record = record
        self.nodes = NodeLayout.parse(record.nodes)
        slot = Slot(record.slot)
        address = slot.host if self.nodes.container else "127.0.0.1"
        self._control_plane = ControlPlane(
            self.folder,
            slot,
            address,
            Path(record.bin),
            Path(record.etcd),
            {role: tuple(arguments) for role, arguments in record.arguments.items()},
        )
        self._node = ContainerNode(name, self._control_plane) if self.nodes.container else None

    @classmethod
    def up(
        cls,
        name: str = "default",
        nodes: str = "container",
        *,
        progress: StepProgress | None = None,
        arguments: Mapping[str, Sequence[str]] | None = None,
    ) -> "Cluster":
        """Start a cluster, or return the running one if its nodes and arguments are the same.

        The remains of an interrupted `up` or of a reboot are removed first.

        Args:
            name: The name of the cluster.
            nodes: ``container``, ``kwok:N``, both joined by a comma, or ``none``.
            progress: The printer of the steps.
            arguments: Additional command line arguments per process, e.g.
                ``{"kube-controller-manager": ["--kube-api-qps=1000"]}``.

        Raises:
            PreflightError: The machine lacks a requirement.
            BuildError: A tool could not be built.
            ClusterError: A process did not start, or a different cluster of this name runs.
        """
        progress = progress or StepProgress()
        layout = NodeLayout.parse(nodes)
        extra_arguments = {role: list(values) for role, values in (arguments or {}).items()}
        with hold_lock(cluster_state.lock_path(name), progress, f"another command on cluster {name}"):
            running = cls._find_matching(name, layout, extra_arguments)
            if running:
                return running
            cluster_state.remove_remains(name)
            preflight.require_machine(layout, missing=provision.missing_programs(layout), progress=progress)
            bin_folder, etcd = provision.ensure(layout, progress)
            cluster = cls._allocate(
                name, ClusterRecord(-1, str(layout), str(bin_folder), str(etcd), extra_arguments), progress
            )
            try:
                cluster._start(progress)  # noqa: SLF001  a method of this class
            except BaseException:
                cluster_state.remove_remains(name)
                raise
        return cluster

    @classmethod
    def open(cls, name: str) -> "Cluster":
        """Return a running cluster.

        Raises:
            ClusterError: No cluster of this name is up.
        """
        record = cluster_state.read_record(name)
        if record is None or not record.ready:
            raise ClusterError(f"no cluster {name!r} is up; start it with `localcluster up --name {name}`")
        return cls(name, record)

    @classmethod
    def _find_matching(cls, name: str, nodes: NodeLayout, arguments: dict[str, list[str]]) -> "Cluster | None":
        record = cluster_state.read_record(name)
        if record is None or not record.ready:
            return None
        cluster = cls(name, record)
        if not cluster.is_healthy():
            return None
        if record.nodes != str(nodes) or record.arguments != arguments:
            raise ClusterError(
                f"cluster {name!r} is up with nodes {record.nodes} and arguments {record.arguments}, which differ from "
                f"the requested ones; take it down first: localcluster down --name {name}"
            )
        return cluster

    @classmethod
    def _allocate(cls, name: str, record: ClusterRecord, progress: StepProgress) -> "Cluster":
        with hold_lock(cache_dir() / "locks" / "slots.lock", progress, "another cluster that chooses its ports"):
            others = [cluster_state.read_record(other) for other in cluster_state.list_clusters()]
            taken = [other.slot for other in others if other]
            record.slot = allocation.allocate(taken, allocation.is_port_free, allocation.read_routes()).number
            cluster = cls(name, record)
            cluster_state.write_record(name, record)
        return cluster

    def _start(self, progress: StepProgress) -> None:
        with progress.step(f"starting the control plane of {self.name}", usual_seconds=4):
            if self._node:
                self._node.create_namespaces()
            self._control_plane.write_configuration()
            self._control_plane.start_all()
        if self.nodes.simulated:
            with progress.step(f"starting {self.nodes.simulated} simulated nodes", usual_seconds=3):
                program = tools.ensure_program("kwok", progress=progress)
                kwok.start(self._control_plane, program, self.nodes.simulated, tainted=self.nodes.container)
        if self._node:
            with progress.step("starting a node for real containers", usual_seconds=3):
                self._node.write_configuration()
                self._node.start(tools.ensure_tool("pause", progress=progress))
        # Last: the controller manager needs about five seconds, and the nodes start meanwhile.
        with progress.step("waiting for the controller manager", usual_seconds=3):
            self._control_plane.wait_for_service_account("default")
        self._record.ready = True
        cluster_state.write_record(self.name, self._record)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._control_plane.admin_kubeconfig

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which kubectl and helm use this cluster as its administrator, without a proxy."""
        direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), self.host_address]))
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "NO_PROXY": direct, "no_proxy": direct}

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._control_plane.server

    @property
    def ca_certificate(self) -> Path:
        """The certificate of the authority that signs the API server's certificate."""
        return self._control_plane.authority.certificate

    @property
    def host_address(self) -> str:
        """An address of this machine that its programs and the cluster's pods reach."""
        return self._control_plane.address

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event a line (audit.k8s.io/v1, level Metadata)."""
        return self._control_plane.audit_log

    @property
    def api(self) -> ApiClient:
        """A client of the API server with the administrator's rights."""
        return self._control_plane.create_api_client()

    def log(self, role: str) -> Path:
        """Return the file with a process's output, e.g. of ``kube-controller-manager``."""
        return processes.log_path(self.folder, role)

    def is_healthy(self) -> bool:
        """Return True if every process of the cluster runs and the API server is ready."""
        return set(self.roles()) <= set(processes.find_processes(self.folder).values()) and self.api.responds("/readyz")

    def roles(self) -> list[str]:
        """Return the roles of the cluster's processes."""
        return [
            "etcd",
            *CONTROL_PLANE_PROGRAMS,
            *(["kwok"] if self.nodes.simulated else []),
            *(container_node.NODE_ROLES if self._node else []),
        ]

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002  as subprocess.run names it
        """Run kubectl as the administrator and return its output.

        Args:
            arguments: The arguments of kubectl.
            input: The text for its standard input.

        Raises:
            ClusterError: kubectl failed. The message has its error output.
        """
        command = [str(tools.ensure_program("kubectl")), *arguments]
        answer = subprocess.run(command, input=input, capture_output=True, text=True, check=False, env=self.environment)
        if answer.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace and wait until pods can be created in it (its default service account exists)."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._control_plane.wait_for_service_account(name)

    def wait_for_crds(self) -> None:
        """Wait until the API server serves the resources of every CustomResourceDefinition."""
        self._control_plane.wait_for_crds()

    def create_token(self, namespace: str, service_account: str, lifetime_seconds: int = 3600) -> str:
        """Return a token of a service account, valid for `lifetime_seconds`."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": lifetime_seconds},
        }
        return str(self.api.request("POST", path, body)["status"]["token"])

    def create_kubeconfig(self, namespace: str, service_account: str) -> Path:
        """Write a kubeconfig with a new token of a service account, valid for a day."""
        user = {"token": self.create_token(namespace, service_account, lifetime_seconds=24 * 3600)}
        path = self.folder / f"{namespace}.{service_account}.kubeconfig"
        return write_kubeconfig(path, server=self.server, ca=self.ca_certificate, user=user)

    def load_image(self, archive: Path) -> None:
        """Load an image from a docker or OCI archive into the container node.

        Raises:
            ClusterError: The archive is invalid, or the cluster has no container node.
        """
        self._require_container_node().load_image(archive)

    def use_registry(self, address: str, name: str = "") -> None:
        """Let the container node pull images from a registry over plain HTTP.

        Args:
            address: The registry's host and port.
            name: The beginning of image references, if it is not the address.

        Raises:
            ClusterError: The cluster has no container node.
        """
        self._require_container_node().use_registry(name or address, address)

    def _require_container_node(self) -> ContainerNode:
        if not self._node:
            raise ClusterError(
                f"cluster {self.name!r} has no node for real containers, only: {self.nodes}; "
                "start one with nodes 'container'"
            )
        return self._node

    def add_stage(self, stage: Mapping[str, Any]) -> None:
        """Add a stage (see nodes/stages.py) for pods on simulated nodes; replace a stage of the same name."""
        self.remove_stage(stage["metadata"]["name"])
        self.api.create(kwok.STAGES_PATH, stage)

    def remove_stage(self, name: str) -> None:
        """Remove a stage, if it exists."""
        with suppress(ApiError):
            self.api.request("DELETE", f"{kwok.STAGES_PATH}/{name}")

    def stop(self, role: str, *, signal_number: signal.Signals = signal.SIGKILL) -> None:
        """End one process, e.g. ``kube-apiserver``, and wait until it has ended."""
        # An API server that drains its connections takes up to a minute.
        processes.stop_processes(self.folder, [role], signal_number=signal_number, timeout_seconds=90)

    def start(self, role: str) -> None:
        """Start one process that `stop` ended; after the API server or etcd, wait until the API is ready.

        kwok is then restarted. Its watches reconnect at different times, stages seconds after pods, and kwok does not
        repeat a lost status update as a kubelet does.

        Other programs exit if the API server has no etcd. In a real cluster they are restarted; here call
        `start_missing`.
        """
        if role == "kwok":
            processes.start_process(
                self.folder, role, kwok.build_command(self._control_plane, tools.ensure_program("kwok"))
            )
        elif self._node and role in container_node.NODE_ROLES:
            self._node.start_process(role)
        else:
            self._control_plane.start(role)
        if role in ("etcd", "kube-apiserver") and processes.find_processes(self.folder, ["kube-apiserver"]):
            self._control_plane.wait_for_api()
            if processes.find_processes(self.folder, ["kwok"]):
                self.restart("kwok")

    def start_missing(self) -> None:
        """Start every process that has ended."""
        for role in self.roles():
            if not processes.find_processes(self.folder, [role]):
                self.start(role)

    def restart(self, role: str, *, signal_number: signal.Signals = signal.SIGKILL) -> None:
        """Stop and start one process."""
        self.stop(role, signal_number=signal_number)
        self.start(role)

    def down(self) -> None:
        """Remove the cluster."""
        cluster_state.remove_cluster(self.name)
