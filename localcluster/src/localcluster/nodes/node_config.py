"""The configuration of the programs of a node with real containers, where it differs from their defaults.

Paths are those that the programs see: /mnt is the cluster's folder (node.py).
"""

from pathlib import Path
from typing import Any

from localcluster.allocation import Slot
from localcluster.nodes import pause_image

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def containerd_config(cni: Path) -> str:
    """The configuration of containerd; its tables are named as in version 2, which 1.6 to 2.x read."""
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "/mnt/node/containerd"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD_SOCKET}"
{cri}]
sandbox_image = "{pause_image.IMAGE_NAME}"
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
{cri}.registry]
config_path = "/mnt/node/registries"
"""


def registry_hosts(address: str) -> str:
    """Containerd's hosts.toml of a registry that speaks plain HTTP, at its host and port."""
    # The table is needed: containerd 1.6 refuses a file without a host.
    return f'server = "http://{address}"\n[host."http://{address}"]\ncapabilities = ["pull", "resolve"]\n'


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
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
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
