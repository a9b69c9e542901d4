"""A node whose pods are containers, isolated in Linux namespaces.

containerd, kubelet and kube-proxy run in mount, network and process namespaces, which one process keeps open. A veth
pair links the network namespace to the machine. The node's iptables rules, bridges, mounts, ports and containers exist
only in these namespaces. So clusters do not affect each other or the machine. When the first process ends, the kernel
removes everything, even if `down` did not run.

In the node, /mnt is the cluster's folder, and /run, /var/lib and /var/log are empty, so every program finds its usual
paths. Pods reach the machine at `Slot.host`, each other, and services, by address. There is neither DNS nor access to
other machines.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster import processes
from localcluster.errors import ClusterError
from localcluster.kubernetes.control_plane import ControlPlane
from localcluster.nodes import cgroups, kwok, pause_image
from localcluster.nodes.node_config import (
    CONTAINERD_SOCKET,
    containerd_config,
    kubelet_config,
    network_config,
    proxy_config,
    registry_hosts,
)
from localcluster.paths import machine_key
from localcluster.toolchain import debian

NODE_ROLES = ("node", "containerd", "kubelet", "kube-proxy")

# The first process of the new namespaces; $1 is the cluster's folder, $2 the folder of the node's programs.
_SETUP_SCRIPT = """
set -e
trap '' CHLD  # inherited by sleep: the kernel then reaps orphaned processes of containers
mount --make-rshared /
mount --bind "$1" /mnt
mount --bind "$2" /mnt/node/bin
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p /run/lock
echo 1 > /proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi
ip link set lo up
exec sleep infinity
"""


def link_name(cluster: str) -> str:
    """Return the name of the machine's network device, at most 15 characters."""
    return f"fs-{machine_key(cluster)}"


@dataclass(frozen=True)
class ContainerNode:
    """The container node of a cluster.

    Args:
        cluster: The cluster's name.
        control_plane: The cluster's control plane.
    """

    cluster: str
    control_plane: ControlPlane

    @property
    def name(self) -> str:
        """The node's name."""
        return self.cluster

    @property
    def _folder(self) -> Path:
        return self.control_plane.folder / "node"

    def create_namespaces(self) -> None:
        """Create the namespaces and the link, before the control plane, which listens on the link's address."""
        for folder in ("bin", "cni", "kubelet", "containerd", "pods"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        cgroups.create(cgroups.cgroup_name(self.cluster))
        namespaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
        command = [
            "sh",
            "-c",
            _SETUP_SCRIPT,
            "setup",
            str(self.control_plane.folder),
            str(self.control_plane.bin_folder),
        ]
        processes.start_process(self.control_plane.folder, "node", ["unshare", *namespaces, *command])
        processes.wait_until(
            self.control_plane.folder,
            "node",
            self._is_set_up,
            timeout_seconds=10,
            description="the namespaces of the node to be set up",
        )
        self._connect_network()

    def _is_set_up(self) -> bool:
        init_pid = self._init_pid()
        return init_pid is not None and Path(f"/proc/{init_pid}/comm").read_text().strip() == "sleep"

    def _init_pid(self) -> int | None:
        """Return the pid, as the machine sees it, of process 1 of the node's namespaces."""
        for pid in processes.find_processes(self.control_plane.folder, ["node"]):
            status = Path(f"/proc/{pid}/status").read_text()
            numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if numbers[-1] == "1" and len(numbers) > 1:
                return pid
        return None

    def command_inside(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command in the node."""
        holder = self._init_pid()
        if holder is None:
            raise ClusterError(
                f"the node of cluster {self.cluster} is not running; run `localcluster up` to recreate the cluster"
            )
        return ["nsenter", f"--target={holder}", "--mount", "--net", "--pid", "--wd=/", "--", *command]

    def run_inside(self, command: Sequence[str], *, content: bytes | None = None) -> str:
        """Run a command in the node and return its output.

        Args:
            command: The program and its arguments.
            content: The bytes for its standard input.

        Raises:
            ClusterError: The command failed.
        """
        return _run_command(self.command_inside(command), content)

    def _connect_network(self) -> None:
        slot, link = self.control_plane.slot, link_name(self.cluster)
        _run_command(
            ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(self._init_pid())]
        )
        _run_command(["ip", "address", "add", f"{slot.host}/30", "dev", link])
        _run_command(["ip", "link", "set", link, "up"])
        self.run_inside(["ip", "address", "add", f"{slot.node}/30", "dev", "eth0"])
        self.run_inside(["ip", "link", "set", "eth0", "up"])
        self.run_inside(["ip", "route", "add", "default", "via", slot.host])
        for network in (slot.pods, slot.services):  # the API server calls webhooks by their pods' addresses
            _run_command(["ip", "route", "add", network, "via", slot.node, "dev", link])

    def write_configuration(self) -> None:
        """Write the configuration of the node's programs."""
        plane = self.control_plane
        plane.authority.issue("kubelet-server", self.name, names=[plane.slot.node, self.name])
        plane.create_kubeconfig("kubelet", f"system:node:{self.name}", ["system:nodes"])
        plane.create_kubeconfig("kube-proxy", "system:kube-proxy")
        cni = debian.find_cni_folder()
        if cni is None:
            raise ClusterError("the CNI plugins are missing; run: apt-get install containernetworking-plugins")
        (self._folder / "containerd.toml").write_text(containerd_config(cni))
        documents = {
            "cni/pods.conflist": network_config(plane.slot.pods),
            "kubelet.json": kubelet_config(cgroups.cgroup_name(self.cluster), plane.slot),
            "kube-proxy.json": proxy_config(plane.slot.pods),
        }
        for file, document in documents.items():
            (self._folder / file).write_text(json.dumps(document))

    def start(self, pause_folder: Path) -> None:
        """Start the node's programs and wait until the node is ready.

        Args:
            pause_folder: The folder of the pause program.
        """
        self.start_process("containerd")
        self.load_image(pause_image.build_image(pause_image.read_program(pause_folder)))
        self.start_process("kubelet")
        self.start_process("kube-proxy")
        api = self.control_plane.create_api_client()
        selector = f"kubernetes.io/hostname={self.name}"
        processes.wait_until(
            self.control_plane.folder,
            "kubelet",
            lambda: kwok.count_ready_nodes(api, selector) == 1,
            timeout_seconds=90,
            description="the node to be ready",
        )

    def start_process(self, role: str) -> None:
        """Start one of the node's programs; wait until containerd is ready."""
        processes.start_process(self.control_plane.folder, role, self.command_inside(self._process_command(role)))
        if role == "containerd":
            processes.wait_until(
                self.control_plane.folder,
                role,
                self._containerd_is_ready,
                timeout_seconds=30,
                description="containerd to answer",
            )

    def _containerd_is_ready(self) -> bool:
        command = self.command_inside(["ctr", f"--address={CONTAINERD_SOCKET}", "--timeout=2s", "plugins", "ls"])
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        cri = [line.split()[-1] for line in answer.stdout.splitlines() if "grpc" in line and " cri " in f"{line} "]
        return answer.returncode == 0 and cri == ["ok"]

    def _process_command(self, role: str) -> list[str]:
        return {
            "containerd": ["containerd", "--config=/mnt/node/containerd.toml"],
            "kubelet": [
                "/mnt/node/bin/kubelet",
                "--config=/mnt/node/kubelet.json",
                "--kubeconfig=/mnt/kubelet.kubeconfig",
                "--root-dir=/mnt/node/kubelet",
                f"--hostname-override={self.name}",
                f"--node-ip={self.control_plane.slot.node}",
            ],
            "kube-proxy": [
                "/mnt/node/bin/kube-proxy",
                "--config=/mnt/node/kube-proxy.json",
                f"--hostname-override={self.name}",
            ],
        }[role]

    def load_image(self, archive: bytes | Path) -> None:
        """Load an image from a docker or OCI archive into the node."""
        command = self.command_inside(
            ["ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io", "images", "import", "-"]
        )
        if isinstance(archive, bytes):
            _run_command(command, archive)
            return
        with archive.open("rb") as file:
            answer = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise ClusterError(f"cannot load {archive} into cluster {self.cluster}: {answer.stderr.strip()}")

    def use_registry(self, name: str, address: str) -> None:
        """Pull images whose references begin with `name` from the registry at `address`, over plain HTTP."""
        folder = self._folder / "registries" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(registry_hosts(address))


def remove_node(cluster: str) -> None:
    """Remove the link and the cgroups of a node, after its processes have ended."""
    link = link_name(cluster)
    if Path(f"/sys/class/net/{link}").exists():
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    cgroups.remove(cgroups.cgroup_name(cluster))


def _run_command(command: Sequence[str], content: bytes | None = None) -> str:
    answer = subprocess.run(command, input=content, capture_output=True, check=False)
    if answer.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {answer.stderr.decode(errors='replace').strip()}")
    return answer.stdout.decode(errors="replace")
