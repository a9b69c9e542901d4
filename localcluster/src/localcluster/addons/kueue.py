"""Kueue: a queue that suspends Jobs and admits them by quota, with its own controllers and without its webhooks.

A Job with the label of a queue is suspended by Kueue's controller as soon as it is seen. The webhooks would suspend it
at creation; they need an address that the API server reaches, and change nothing else for a Job.
"""

import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

from localcluster import processes
from localcluster.cluster import Cluster
from localcluster.progress import StepProgress
from localcluster.toolchain import golang, tools

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_ROLE = "kueue"
_MODULE = "sigs.k8s.io/kueue"
_CERTIFICATES = "kueue-certificates"
_CRDS = "config/components/crd/bases"
_API_PATH = "/apis/kueue.x-k8s.io/v1beta2"
_FLAVOR = "default"
# Kueue reads the certificate of its metrics from a fixed path. In a mount namespace of its own, the path has one.
_WITH_CERTIFICATES = """
mount -t tmpfs etc /mnt && cp -a /etc/. /mnt && mount --bind /mnt /etc
mkdir -p /etc/kueue/metrics && cp -r "$0" /etc/kueue/metrics/certs && exec "$@"
"""


def start(cluster: Cluster, *, progress: StepProgress | None = None) -> None:
    """Start Kueue on a cluster; Jobs wait for `create_queue`.

    Args:
        cluster: The cluster.
        progress: The printer of the build.

    Raises:
        ClusterError: Kueue did not start.
    """
    program = tools.ensure_program("kueue", progress=progress)
    crds = golang.module_folder("kueue", _MODULE) / _CRDS
    cluster.kubectl("apply", "--server-side", *(f"--filename={crd}" for crd in sorted(crds.glob("*.yaml"))))
    cluster.wait_for_crds()
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "kueue-system"}})
    cluster.api.create(f"{_API_PATH}/resourceflavors", _object("ResourceFlavor", _FLAVOR, {}))
    settings = cluster.folder / "kueue.yaml"
    settings.write_text(yaml.safe_dump(_configuration(cluster.folder)))
    processes.start_process(
        cluster.folder,
        _ROLE,
        [
            *("unshare", "--mount", "sh", "-euc", _WITH_CERTIFICATES, str(cluster.folder / _CERTIFICATES)),
            *(str(program), f"--config={settings}", "--feature-gates=VisibilityOnDemand=false"),
        ],
        environment={"KUBECONFIG": str(cluster.kubeconfig), "POD_NAMESPACE": "kueue-system"},
    )
    processes.wait_until(
        cluster.folder,
        _ROLE,
        lambda: "Starting workers" in cluster.log(_ROLE).read_text(),
        timeout_seconds=60,
        description="Kueue to start its work",
    )


def stop(cluster: Cluster) -> None:
    """End Kueue, if it runs."""
    processes.stop_processes(cluster.folder, [_ROLE], signal_number=signal.SIGKILL)


def create_queue(cluster: Cluster, name: str, namespace: str, *, cpu: str) -> None:
    """Create a queue of a namespace whose Jobs together may request this much CPU.

    Args:
        cluster: The cluster.
        name: The name of the queue, which is the value of QUEUE_LABEL.
        namespace: The namespace of the Jobs.
        cpu: The quota of CPU, as a Kubernetes quantity; memory is not limited.
    """
    quotas = [{"name": "cpu", "nominalQuota": cpu}, {"name": "memory", "nominalQuota": "1Ti"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": _FLAVOR, "resources": quotas}]}
    spec = {
        "namespaceSelector": {},
        "resourceGroups": [group],
        "preemption": {"withinClusterQueue": "LowerPriority"},
    }
    cluster.api.create(f"{_API_PATH}/clusterqueues", _object("ClusterQueue", f"{namespace}-{name}", spec))
    local = _object("LocalQueue", name, {"clusterQueue": f"{namespace}-{name}"})
    cluster.api.create(f"{_API_PATH}/namespaces/{namespace}/localqueues", local)


def admitted_jobs(cluster: Cluster, namespace: str) -> list[str]:
    """Return the names of the unfinished Jobs that Kueue has admitted and not evicted."""
    found: list[dict[str, Any]] = cluster.api.request("GET", f"{_API_PATH}/namespaces/{namespace}/workloads")["items"]
    return [
        one["metadata"]["ownerReferences"][0]["name"]
        for one in found
        if _is_true(one, "Admitted") and not _is_true(one, "Finished")
    ]


def _is_true(workload: dict[str, Any], type_: str) -> bool:
    conditions = workload.get("status", {}).get("conditions", ())
    return any(one["type"] == type_ and one["status"] == "True" for one in conditions)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _configuration(folder: Path) -> dict[str, Any]:
    """Return Kueue's configuration: batch Jobs only, and no port that another cluster of this machine uses."""
    certificates = folder / _CERTIFICATES
    certificates.mkdir(exist_ok=True)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kueue"),
            *("-keyout", str(certificates / "tls.key"), "-out", str(certificates / "tls.crt")),
        ],
        check=True,
        capture_output=True,
    )
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": "127.0.0.1:0"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": 0, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "integrations": {"frameworks": ["batch/job"]},
    }
