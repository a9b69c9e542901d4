"""The configuration of a container node's programs, where it differs from their defaults.

Paths are as the programs see them: /mnt is the cluster's folder (container_node.py).
"""

from pathlib import Path
from typing import Any

from localcluster.allocation import Slot
from localcluster.nodes import pause_image

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def containerd_config(cni: Path) -> str:
    """Return the configuration of containerd, in version 2, which containerd 1.6 to 2.x reads."""
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
    """Return containerd's hosts.toml for a registry with plain HTTP at a host and port."""
    # The table is needed: containerd 1.6 rejects a file without a host.
    return f'server = "http://{address}"\n[host."http://{address}"]\ncapabilities = ["pull", "resolve"]\n'


def network_config(pods: str) -> dict[str, Any]:
    """Return the CNI configuration of the pods' network: a bridge inside the node."""
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
    """Return the configuration of the kubelet."""
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
        "cgroupRoot": f"/{cgroup}",  # two kubelets in one cgroup would remove each other's pods
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,  # a lower value needs a capability that a container may lack
        "localStorageCapacityIsolation": False,
        "podLogsDir": "/mnt/node/pods",
        # No DNS server listens there, so lookups fail at once. Without an address the kubelet warns for every pod.
        "clusterDNS": [slot.host],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        # The disk is the user's: if it is full, the node must not delete images that cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            **dict.fromkeys(("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"), "0%"),
        },
    }


def proxy_config(pods: str) -> dict[str, Any]:
    """Return the configuration of kube-proxy, which does not change the machine's connection limits."""
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
