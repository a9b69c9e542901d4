import ipaddress
import tomllib
from pathlib import Path

from localcluster.allocation import Slot
from localcluster.nodes import node_config, pause_image

SLOT = Slot(2)


def test_configuration_of_containerd_is_toml_with_the_folders_of_the_cluster() -> None:
    config = tomllib.loads(node_config.containerd_config(Path("/usr/lib/cni")))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert config["grpc"]["address"] == node_config.CONTAINERD_SOCKET
    assert cri["sandbox_image"] == pause_image.IMAGE_NAME
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/mnt/node/cni"}
    assert cri["registry"]["config_path"] == "/mnt/node/registries"


def test_registry_over_plain_http_has_a_host_that_only_pulls() -> None:
    hosts = tomllib.loads(node_config.registry_hosts("10.0.0.1:5000"))
    assert hosts["server"] == "http://10.0.0.1:5000"
    assert hosts["host"] == {"http://10.0.0.1:5000": {"capabilities": ["pull", "resolve"]}}


def test_network_of_the_pods_is_the_range_of_the_slot() -> None:
    (bridge, _ports) = node_config.network_config(SLOT.pods)["plugins"]
    (subnet,) = (one["subnet"] for ranges in bridge["ipam"]["ranges"] for one in ranges)
    assert ipaddress.IPv4Network(subnet).subnet_of(SLOT.network)
    assert node_config.proxy_config(SLOT.pods)["clusterCIDR"] == subnet


def test_kubelet_authorises_its_clients_and_has_its_own_cgroup() -> None:
    config = node_config.kubelet_config("fleetscore-mine", SLOT)
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["cgroupRoot"] == "/fleetscore-mine"
    assert (config["address"], config["clusterDNS"]) == (SLOT.node, [SLOT.host])


def test_full_disk_deletes_no_image_and_evicts_no_pod() -> None:
    config = node_config.kubelet_config("fleetscore-mine", SLOT)
    assert config["imageGCHighThresholdPercent"] == 100
    limits = {name: limit for name, limit in config["evictionHard"].items() if name != "memory.available"}
    assert set(limits.values()) == {"0%"}
