"""A cluster as its users see it: brought up, opened by name, used, taken down.

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

from localcluster import kwok, node, preflight, processes, records, slots, supplies, tools
from localcluster.api import Api, ApiError
from localcluster.certificates import write_kubeconfig
from localcluster.controlplane import PROGRAMS, ControlPlane
from localcluster.errors import ClusterError
from localcluster.locks import locked
from localcluster.node import Node
from localcluster.nodes import Nodes
from localcluster.paths import cache_dir, cluster_dir
from localcluster.progress import Progress
from localcluster.records import Record
from localcluster.slots import Slot


class Cluster:
    """One cluster; make it by `Cluster.up` or `Cluster.open`."""

    def __init__(self, name: str, record: Record) -> None:
        self.name = name
        self.folder = cluster_dir(name)
        self._record = record
        self.nodes = Nodes.parse(record.nodes)
        slot = Slot(record.slot)
        address = slot.host if self.nodes.container else "127.0.0.1"
        self._plane = ControlPlane(
            self.folder,
            slot,
            address,
            Path(record.bin),
            Path(record.etcd),
            {role: tuple(arguments) for role, arguments in record.arguments.items()},
        )
        self._node = Node(name, self._plane) if self.nodes.container else None

    @classmethod
    def up(
        cls,
        name: str = "default",
        nodes: str = "container",
        *,
        progress: Progress | None = None,
        arguments: Mapping[str, Sequence[str]] | None = None,
    ) -> "Cluster":
        """Bring a cluster up; one that is up already with the same nodes and arguments is returned as it is.

        What an `up` that was ended half-way, or a reboot, left behind under this name is cleared away first.

        Args:
            name: tells clusters apart.
            nodes: ``container``, ``kwok:N``, both joined by a comma, or ``none``.
            progress: where to show what goes on.
            arguments: further command line arguments per process, e.g.
                ``{"kube-controller-manager": ["--kube-api-qps=1000"]}``.

        Raises:
            PreflightError: the machine lacks something.
            BuildError: a tool could not be built.
            ClusterError: something did not start, or a different cluster of this name runs.
        """
        progress = progress or Progress()
        wanted = Nodes.parse(nodes)
        given = {role: list(values) for role, values in (arguments or {}).items()}
        with locked(records.lock(name), progress, f"another command on cluster {name}"):
            running = cls._reusable(name, wanted, given)
            if running:
                return running
            records.clear(name)
            preflight.require(wanted, building=supplies.to_build(wanted))
            bin_folder, etcd = supplies.bring(wanted, progress)
            cluster = cls._claim(name, Record(-1, str(wanted), str(bin_folder), str(etcd), given), progress)
            try:
                cluster._start(progress)  # noqa: SLF001  a method of this very class
            except BaseException:
                records.clear(name)
                raise
        return cluster

    @classmethod
    def open(cls, name: str) -> "Cluster":
        """A cluster that is up.

        Raises:
            ClusterError: there is none of this name.
        """
        record = records.read(name)
        if record is None or not record.ready:
            raise ClusterError(f"no cluster {name!r} is up; start it with `localcluster up --name {name}`")
        return cls(name, record)

    @classmethod
    def _reusable(cls, name: str, nodes: Nodes, arguments: dict[str, list[str]]) -> "Cluster | None":
        record = records.read(name)
        if record is None or not record.ready:
            return None
        cluster = cls(name, record)
        if not cluster.healthy():
            return None
        if record.nodes != str(nodes) or record.arguments != arguments:
            raise ClusterError(
                f"cluster {name!r} is up with nodes {record.nodes} and arguments {record.arguments}, which differ from "
                f"what is asked for; take it down first: localcluster down --name {name}"
            )
        return cluster

    @classmethod
    def _claim(cls, name: str, record: Record, progress: Progress) -> "Cluster":
        with locked(cache_dir() / "locks" / "slots.lock", progress, "another cluster that chooses its ports"):
            others = [records.read(other) for other in records.names()]
            taken = [other.slot for other in others if other]
            record.slot = slots.choose(taken, slots.port_free, slots.routes()).number
            cluster = cls(name, record)
            records.write(name, record)
        return cluster

    def _start(self, progress: Progress) -> None:
        with progress.step(f"starting the control plane of {self.name}", usual_seconds=4):
            if self._node:
                self._node.create()
            self._plane.prepare()
            self._plane.start_all()
        if self.nodes.simulated:
            with progress.step(f"starting {self.nodes.simulated} simulated nodes", usual_seconds=3):
                program = tools.ensure_program("kwok", progress=progress)
                kwok.start(self._plane, program, self.nodes.simulated, tainted=self.nodes.container)
        if self._node:
            with progress.step("starting a node for real containers", usual_seconds=3):
                self._node.prepare()
                self._node.start(tools.ensure("pause", progress=progress))
        # Last: the controller manager takes about five seconds until then, in which the nodes start.
        with progress.step("waiting for the controller manager", usual_seconds=3):
            self._plane.wait_for_accounts("default")
        self._record.ready = True
        records.write(self.name, self._record)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._plane.admin

    @property
    def environment(self) -> dict[str, str]:
        """An environment in which kubectl and helm use this cluster, as its administrator, and no proxy on the way."""
        direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), self.host_address]))
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "NO_PROXY": direct, "no_proxy": direct}

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._plane.server

    @property
    def ca(self) -> Path:
        """The certificate of the authority that vouches for the API server."""
        return self._plane.authority.certificate

    @property
    def host_address(self) -> str:
        """An address of this machine that its own programs and the cluster's pods both reach."""
        return self._plane.address

    @property
    def audit_log(self) -> Path:
        """What clients asked of the API server, one JSON event a line (audit.k8s.io/v1, level Metadata)."""
        return self._plane.audit_log

    @property
    def api(self) -> Api:
        """The API as its administrator."""
        return self._plane.api()

    def log(self, role: str) -> Path:
        """The file with a process's output, e.g. of ``kube-controller-manager``."""
        return processes.log_path(self.folder, role)

    def healthy(self) -> bool:
        """Whether every process of the cluster lives and the API server answers."""
        return set(self.roles()) <= set(processes.find(self.folder).values()) and self.api.answers("/readyz")

    def roles(self) -> list[str]:
        """The processes that the cluster consists of."""
        return ["etcd", *PROGRAMS, *(["kwok"] if self.nodes.simulated else []), *(node.ROLES if self._node else [])]

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002  as subprocess.run names it
        """Run kubectl as the administrator and return what it prints.

        Raises:
            ClusterError: it failed; the message is its own.
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
        self._plane.wait_for_accounts(name)

    def wait_for_crds(self) -> None:
        """Wait until the API server serves the resources of every CustomResourceDefinition."""
        self._plane.wait_for_crds()

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A token of a service account that is valid for `seconds`."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        return str(self.api.request("POST", path, body)["status"]["token"])

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig that carries a fresh token of a service account, valid for a day."""
        user = {"token": self.token(namespace, service_account, seconds=24 * 3600)}
        path = self.folder / f"{namespace}.{service_account}.kubeconfig"
        return write_kubeconfig(path, server=self.server, ca=self.ca, user=user)

    def load_image(self, archive: Path) -> None:
        """Give the node for real containers an image, from a docker or OCI archive.

        Raises:
            ClusterError: it is no such archive, or the cluster has no such node.
        """
        self._real_node().load(archive)

    def use_registry(self, address: str, name: str = "") -> None:
        """Let the node for real containers pull images from a registry that speaks plain HTTP.

        Args:
            address: the registry's host and port.
            name: how images' references begin, where that is not the address.

        Raises:
            ClusterError: the cluster has no such node.
        """
        self._real_node().use_registry(name or address, address)

    def _real_node(self) -> Node:
        if not self._node:
            raise ClusterError(f"cluster {self.name!r} has no node for real containers; its nodes: {self.nodes}")
        return self._node

    def add_stage(self, stage: Mapping[str, Any]) -> None:
        """Add a stage (see stages.py) for the simulated nodes' pods; one of the same name is replaced."""
        self.remove_stage(stage["metadata"]["name"])
        self.api.create(kwok.STAGES, stage)

    def remove_stage(self, name: str) -> None:
        """Remove a stage; none of that name is as good."""
        with suppress(ApiError):
            self.api.request("DELETE", f"{kwok.STAGES}/{name}")

    def stop(self, role: str, *, how: signal.Signals = signal.SIGKILL) -> None:
        """End one process, e.g. ``kube-apiserver``, and wait until it is gone."""
        processes.stop(self.folder, [role], how=how, seconds=90)  # a draining API server takes up to a minute

    def start(self, role: str) -> None:
        """Start one process that `stop` ended; for API server and etcd, wait until the API is ready again.

        kwok is then started anew: its watches would come back each in its own time, that of stages seconds after that
        of pods, and it would not tell again what was lost, as a kubelet does.

        A program that meets an API server without etcd gives up; in a real cluster something would start it again, here
        `revive` does.
        """
        if role == "kwok":
            processes.start(self.folder, role, kwok.command(self._plane, tools.ensure_program("kwok")))
        elif self._node and role in node.ROLES:
            self._node.start_process(role)
        else:
            self._plane.start(role)
        if role in ("etcd", "kube-apiserver") and processes.find(self.folder, ["kube-apiserver"]):
            self._plane.wait_for_api()
            if processes.find(self.folder, ["kwok"]):
                self.restart("kwok")

    def revive(self) -> None:
        """Start every process that has ended."""
        for role in self.roles():
            if not processes.find(self.folder, [role]):
                self.start(role)

    def restart(self, role: str, *, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop and start one process."""
        self.stop(role, how=how)
        self.start(role)

    def down(self) -> None:
        """Take the cluster down and remove everything of it."""
        records.down(self.name)
