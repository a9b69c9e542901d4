import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import cluster_state, processes
from localcluster.allocation import Slot
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.nodes.container_node import link_name
from localcluster.paths import cluster_dir
from tests.integration.localcluster import machine
from tests.testkit.cluster import RAISED_LIMITS
from tests.testkit.waiting import until

pytestmark = pytest.mark.needs_services


@pytest.fixture
def name() -> Iterator[str]:
    name = f"tests-{os.getpid()}-own"
    yield name
    cluster_state.remove_cluster(name)


def an_up(name: str, nodes: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "localcluster", "up", "--name", name, "--nodes", nodes]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def traces(name: str, slot: Slot) -> list[str]:
    """Entries of the machine that only this cluster can have made; another may have its slot by now."""
    marks = [f"/{name}", f"-{name}", link_name(name), "KUBE-"]
    others = [cluster_state.read_record(other) for other in cluster_state.list_clusters() if other != name]
    in_tables = [] if any(other and other.slot == slot.number for other in others) else slot_marks(slot)
    found = [
        f"{kind}: {entry}"
        for kind, entries in machine.snapshot().items()
        for entry in entries
        if any(mark in entry for mark in [*marks, *(in_tables if kind in ("routes", "ports") else [])])
    ]
    return found + [f"folder: {path}" for path in (cluster_dir(name),) if path.exists()]


def slot_marks(slot: Slot) -> list[str]:
    """Return the ports and the network of a slot as /proc/net shows them."""
    network = "".join(f"{byte:02X}" for byte in reversed(slot.network.network_address.packed))
    return [f":{port:04X}" for port in slot.ports] + [network[-4:]]


def test_killed_up_is_cleaned_up_and_down_leaves_only_the_other_cluster(
    cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed = an_up(name, "container")
    until(lambda: processes.find_processes(cluster_dir(name), ["kubelet"]), "kubelet")
    record = cluster_state.read_record(name)
    assert record
    slot = Slot(record.slot)
    killed.kill()
    killed.communicate()
    assert traces(name, slot), "the killed up had begun nothing: this test would prove nothing"
    with pytest.raises(ClusterError, match="localcluster up"):
        Cluster.open(name)

    second = Cluster.up(name, "container,kwok:1")
    second.kubectl("apply", "-f", "-", input=a_pod("sleeper", "sleep 1000"))
    second.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=180s")
    with pytest.raises(ClusterError, match="not found"):
        cluster.kubectl("get", "pod", "sleeper")
    with monkeypatch.context() as another_user:
        another_user.setenv("XDG_STATE_HOME", str(tmp_path))
        cluster_state.remove_cluster(name)
    until(second.is_healthy, "the second cluster is healthy")
    second.down()
    assert traces(name, slot) == []
    until(cluster.is_healthy, "the cluster is healthy")


def test_interrupted_up_removes_its_remains(name: str) -> None:
    stopped = an_up(name, "none")
    until(lambda: processes.find_processes(cluster_dir(name), ["kube-apiserver"]), "API server")
    record = cluster_state.read_record(name)
    assert record
    stopped.send_signal(signal.SIGTERM)
    output, _ = stopped.communicate(timeout=180)
    assert stopped.returncode == 130
    assert "Traceback" not in output
    assert traces(name, Slot(record.slot)) == []


def test_up_returns_a_running_cluster_and_rejects_other_nodes(cluster: Cluster) -> None:
    assert Cluster.up(cluster.name, str(cluster.nodes), arguments=RAISED_LIMITS).server == cluster.server
    with pytest.raises(ClusterError, match="take it down first"):
        Cluster.up(cluster.name, "kwok:1")


def test_restarted_api_server_still_has_its_objects(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "configmap", "kept")
    cluster.restart("kube-apiserver")
    assert "kept" in cluster.kubectl("-n", namespace, "get", "configmaps", "-o", "name")


def test_cluster_without_a_process_is_unhealthy_until_it_is_started(cluster: Cluster) -> None:
    cluster.stop("kube-scheduler")
    assert not cluster.is_healthy()
    cluster.start_missing()
    until(cluster.is_healthy, "the cluster is healthy")


def test_kubeconfig_of_a_service_account_has_exactly_its_roles(cluster: Cluster, namespace: str) -> None:
    kubeconfig = cluster.create_kubeconfig(namespace, "default")
    as_account = ["-n", namespace, f"--kubeconfig={kubeconfig}", "get", "configmaps"]
    with pytest.raises(ClusterError, match="Forbidden"):
        cluster.kubectl(*as_account)
    cluster.kubectl(
        "-n", namespace, "create", "rolebinding", "r", "--clusterrole=view", f"--serviceaccount={namespace}:default"
    )
    until(lambda: allowed(cluster, as_account), "effect of the role")


def allowed(cluster: Cluster, arguments: list[str]) -> bool:
    with contextlib.suppress(ClusterError):
        cluster.kubectl(*arguments)
        return True
    return False


def test_audit_log_records_user_verb_and_response(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "job", "seen", "--image=x")

    def created() -> list[tuple[str, str, int]]:
        complete = cluster.audit_log.read_text().rpartition("\n")[0]  # the last line may be half written
        events = [json.loads(line) for line in complete.splitlines()]
        return [
            (event["verb"], event["user"]["username"], event["responseStatus"]["code"])
            for event in events
            if event.get("objectRef", {}).get("namespace") == namespace and event["objectRef"]["resource"] == "jobs"
            if event["verb"] == "create"
        ]

    assert until(created, "the event") == [("create", "kubernetes-admin", 201)]


def a_pod(name: str, script: str, *, memory: str = "200Mi") -> str:
    """Return a pod that runs a shell script with this machine's programs; it needs only the node's own image."""
    folders = ["usr", "lib", "lib64"]
    container = {
        "name": "scorer",
        "image": "fleetscore.dev/pause:local",
        "imagePullPolicy": "Never",
        "command": ["/usr/bin/bash", "-c", script],
        "resources": {"limits": {"memory": memory}},
        "volumeMounts": [{"name": folder, "mountPath": f"/{folder}", "readOnly": True} for folder in folders],
    }
    volumes = [{"name": folder, "hostPath": {"path": str(Path(f"/{folder}").resolve())}} for folder in folders]
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [volume for volume in volumes if Path(f"/{volume['name']}").exists()],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def ended(cluster: Cluster, pod: str) -> dict[str, object]:
    """Return how a pod's container ended."""
    path = "jsonpath={.status.containerStatuses[0].state.terminated}"
    cluster.kubectl(
        "wait", "--for=jsonpath={.status.containerStatuses[0].state.terminated}", f"pod/{pod}", "--timeout=180s"
    )
    state: dict[str, object] = json.loads(cluster.kubectl("get", "pod", pod, "-o", path))
    return state


def test_real_pod_reaches_the_api_server_and_reports_exit_code_and_message(
    container_cluster: Cluster,
) -> None:
    script = """
        exec 3<>/dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT && echo reached
        echo -n '{"v":1}' > /dev/termination-log; exit 65
    """
    container_cluster.kubectl("apply", "-f", "-", input=a_pod("talks", script))
    state = ended(container_cluster, "talks")
    assert (state["exitCode"], state["message"]) == (65, '{"v":1}')
    assert container_cluster.kubectl("logs", "talks") == "reached\n"


def test_real_pod_above_its_memory_limit_is_oom_killed(container_cluster: Cluster) -> None:
    container_cluster.kubectl("apply", "-f", "-", input=a_pod("greedy", "head -c 100M /dev/zero | tail", memory="32Mi"))
    assert ended(container_cluster, "greedy")["reason"] == "OOMKilled"


def test_invalid_image_archive_is_rejected_with_its_name(container_cluster: Cluster, tmp_path: Path) -> None:
    archive = tmp_path / "not-an-image.tar"
    archive.write_bytes(b"nothing")
    with pytest.raises(ClusterError, match="not-an-image"):
        container_cluster.load_image(archive)
