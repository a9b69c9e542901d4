"""A node whose pods are real containers, as a small machine within the machine.

containerd, kubelet and kube-proxy run in namespaces of their own (mounts, network, processes), held open by one
process. A pair of virtual network devices links them to the machine. So the node's iptables rules, bridges, mounts,
ports and containers exist only in there: two clusters never meet, nothing of the machine's own is touched, and when the
holding process ends, the kernel removes all of it, however little of `down` could run.

In there, /mnt is the cluster's folder, and /run, /var/lib and /var/log are empty, so every program finds its usual
paths. Pods reach the machine at `Slot.host`, each other, and services by address. There is no DNS and no way out to the
world beyond the machine: nothing here needs either.
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster import cgroups, debian, kwok, pause, processes
from localcluster.controlplane import ControlPlane
from localcluster.errors import ClusterError
from localcluster.slots import Slot

ROLES = ("node", "containerd", "kubelet", "kube-proxy")
_SOCKET = "/run/containerd/containerd.sock"

# Runs as the first process of the new namespaces; $1 is the cluster's folder, $2 the one with the node's programs.
_SETUP = """
set -e
trap '' CHLD  # inherited by sleep: the kernel then reaps whatever containers leave behind
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
    """The name of the machine's end of the link: at most 15 characters, known from the cluster's name alone."""
    return f"fs-{hashlib.sha256(cluster.encode()).hexdigest()[:10]}"


@dataclass(frozen=True)
class Node:
    """The real node of a cluster.

    Args:
        cluster: the cluster's name.
        plane: its control plane.
    """

    cluster: str
    plane: ControlPlane

    @property
    def name(self) -> str:
        """The node's name."""
        return self.cluster

    @property
    def _files(self) -> Path:
        return self.plane.folder / "node"

    def create(self) -> None:
        """Make the namespaces and the link; before the control plane, which listens on the link's address."""
        for folder in ("bin", "cni", "kubelet", "containerd", "pods"):
            (self._files / folder).mkdir(parents=True, exist_ok=True)
        cgroups.create(cgroups.name(self.cluster))
        namespaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
        command = ["sh", "-c", _SETUP, "setup", str(self.plane.folder), str(self.plane.bin)]
        processes.start(self.plane.folder, "node", ["unshare", *namespaces, *command])
        processes.wait_until(
            self.plane.folder, "node", self._is_set_up, seconds=10, what="the namespaces of the node to be set up"
        )
        self._connect()

    def _is_set_up(self) -> bool:
        holder = self._holder()
        return holder is not None and Path(f"/proc/{holder}/comm").read_text().strip() == "sleep"

    def _holder(self) -> int | None:
        """The process that is number 1 in the node's namespaces, by its number outside."""
        for pid in processes.find(self.plane.folder, ["node"]):
            status = Path(f"/proc/{pid}/status").read_text()
            numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if numbers[-1] == "1" and len(numbers) > 1:
                return pid
        return None

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command in the node."""
        holder = self._holder()
        if holder is None:
            raise ClusterError(f"the node of cluster {self.cluster} is not running; localcluster up makes it anew")
        return ["nsenter", f"--target={holder}", "--mount", "--net", "--pid", "--wd=/", "--", *command]

    def run(self, command: Sequence[str], *, content: bytes | None = None) -> str:
        """Run a command in the node and return what it prints.

        Raises:
            ClusterError: it failed.
        """
        return _run(self.inside(command), content)

    def _connect(self) -> None:
        slot, link = self.plane.slot, link_name(self.cluster)
        _run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder())])
        _run(["ip", "address", "add", f"{slot.host}/30", "dev", link])
        _run(["ip", "link", "set", link, "up"])
        self.run(["ip", "address", "add", f"{slot.node}/30", "dev", "eth0"])
        self.run(["ip", "link", "set", "eth0", "up"])
        self.run(["ip", "route", "add", "default", "via", slot.host])
        for network in (slot.pods, slot.services):  # the API server calls webhooks by their pods' addresses
            _run(["ip", "route", "add", network, "via", slot.node, "dev", link])

    def prepare(self) -> None:
        """Write the configuration of the node's programs."""
        plane = self.plane
        plane.authority.issue("kubelet-server", self.name, names=[plane.slot.node, self.name])
        plane.kubeconfig("kubelet", f"system:node:{self.name}", ["system:nodes"])
        plane.kubeconfig("kube-proxy", "system:kube-proxy")
        cni = debian.cni_folder()
        if cni is None:
            raise ClusterError("the network plugins are missing: apt-get install containernetworking-plugins")
        (self._files / "containerd.toml").write_text(containerd_config(cni))
        documents = {
            "cni/pods.conflist": network_config(plane.slot.pods),
            "kubelet.json": kubelet_config(cgroups.name(self.cluster), plane.slot),
            "kube-proxy.json": proxy_config(plane.slot.pods),
        }
        for file, document in documents.items():
            (self._files / file).write_text(json.dumps(document))

    def start(self, pause_folder: Path) -> None:
        """Start the node's programs and wait until it is ready."""
        self.start_process("containerd")
        self.load(pause.image(pause.read_program(pause_folder)))
        self.start_process("kubelet")
        self.start_process("kube-proxy")
        api = self.plane.api()
        selector = f"kubernetes.io/hostname={self.name}"
        processes.wait_until(
            self.plane.folder,
            "kubelet",
            lambda: kwok.ready_nodes(api, selector) == 1,
            seconds=90,
            what="the node to be ready",
        )

    def start_process(self, role: str) -> None:
        """Start one of the node's programs; containerd is ready on return."""
        processes.start(self.plane.folder, role, self.inside(self._command(role)))
        if role == "containerd":
            processes.wait_until(
                self.plane.folder, role, self._containerd_answers, seconds=30, what="containerd to answer"
            )

    def _containerd_answers(self) -> bool:
        command = self.inside(["ctr", f"--address={_SOCKET}", "--timeout=2s", "plugins", "ls"])
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        cri = [line.split()[-1] for line in answer.stdout.splitlines() if "grpc" in line and " cri " in f"{line} "]
        return answer.returncode == 0 and cri == ["ok"]

    def _command(self, role: str) -> list[str]:
        return {
            "containerd": ["containerd", "--config=/mnt/node/containerd.toml"],
            "kubelet": [
                "/mnt/node/bin/kubelet",
                "--config=/mnt/node/kubelet.json",
                "--kubeconfig=/mnt/kubelet.kubeconfig",
                "--root-dir=/mnt/node/kubelet",
                f"--hostname-override={self.name}",
                f"--node-ip={self.plane.slot.node}",
            ],
            "kube-proxy": [
                "/mnt/node/bin/kube-proxy",
                "--config=/mnt/node/kube-proxy.json",
                f"--hostname-override={self.name}",
            ],
        }[role]

    def load(self, archive: bytes | Path) -> None:
        """Give the node an image from a docker or OCI archive."""
        command = self.inside(["ctr", f"--address={_SOCKET}", "--namespace=k8s.io", "images", "import", "-"])
        if isinstance(archive, bytes):
            _run(command, archive)
            return
        with archive.open("rb") as file:
            answer = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise ClusterError(f"cannot load {archive} into cluster {self.cluster}: {answer.stderr.strip()}")


def remove(cluster: str) -> None:
    """Remove what of a node outlives its processes: the link (the kernel would, a little later) and the cgroups."""
    link = link_name(cluster)
    if Path(f"/sys/class/net/{link}").exists():
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    cgroups.remove(cgroups.name(cluster))


def _run(command: Sequence[str], content: bytes | None = None) -> str:
    answer = subprocess.run(command, input=content, capture_output=True, check=False)
    if answer.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {answer.stderr.decode(errors='replace').strip()}")
    return answer.stdout.decode(errors="replace")


def containerd_config(cni: Path) -> str:
    """The configuration of containerd; its tables are named as in version 2, which 1.6 to 2.x read."""
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "/mnt/node/containerd"
state = "/run/containerd"
[grpc]
address = "{_SOCKET}"
{cri}]
sandbox_image = "{pause.NAME}"
restrict_oom_score_adj = true
{cri}.cni]
bin_dir = "{cni}"
conf_dir = "/mnt/node/cni"
{cri}.containerd]
snapshotter = "overlayfs"
{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def network_config(pods: str) -> dict[str, Any]:
    """The pods' network: a bridge inside the node."""
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods0",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet_config(cgroup: str, slot: Slot) -> dict[str, Any]:
    """The kubelet's configuration, where it differs from its defaults."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": slot.node,
        "authentication": {"x509": {"clientCAFile": "/mnt/pki/ca.crt"}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/mnt/pki/kubelet-server.crt",
        "tlsPrivateKeyFile": "/mnt/pki/kubelet-server.key",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",  # two kubelets in one would remove each other's pods
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,  # lowering it takes a capability that a container may lack
        "localStorageCapacityIsolation": False,
        "podLogsDir": "/mnt/node/pods",
        # No DNS server answers there, and lookups fail at once; without one the kubelet warns on every pod.
        "clusterDNS": [slot.host],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        # The disk is the user's: a full one must not make the node throw images away that nothing could bring back.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            **dict.fromkeys(("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"), "0%"),
        },
    }


def proxy_config(pods: str) -> dict[str, Any]:
    """The configuration of kube-proxy: it leaves the machine's limits on connections alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": pods,
        "clientConnection": {"kubeconfig": "/mnt/kube-proxy.kubeconfig"},
        "oomScoreAdj": 0,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
    }
