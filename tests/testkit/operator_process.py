"""The operator as a process outside the cluster, with the chart's service account and Roles."""

import base64
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from localcluster.allocation import free_port
from localcluster.cluster import Cluster
from tests.testkit.audit import Audit, created_jobs
from tests.testkit.azurite import Storage
from tests.testkit.chart import render
from tests.testkit.paths import ROOT
from tests.testkit.waiting import until

# The process is the Deployment. The admission policies of one site would guard the namespaces of others.
OMITTED = {"Deployment", "CronJob", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
# The settings of the image: a process has as much memory as a container, and a fatal signal leaves a stack in the log.
OF_IMAGE = dict(re.findall(r"(MALLOC_\w+|PYTHONFAULTHANDLER)=(\w+)", (ROOT / "Dockerfile.operator").read_text()))
WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
DATA = "20180828T2300Z"


@dataclass
class OperatorEnvironment:
    """The chart's objects in a namespace, and what an operator's process needs to stand for its Deployment."""

    cluster: Cluster
    namespace: str
    folder: Path
    fleets: list[dict[str, Any]]
    log_level: str = "INFO"
    all_namespaces: bool = False
    tenants: tuple[str, ...] = ()  # other watched namespaces, which use the fleets too
    schedules: list[dict[str, str]] = field(default_factory=list)  # of every fleet, as the chart writes them
    settings: dict[str, str] = field(default_factory=dict)
    kubeconfig: Path = field(init=False)

    def __post_init__(self) -> None:
        self._audit = Audit(self.cluster.audit_log)

    def created_jobs(self) -> Counter[str]:
        """Return how often each scoring Job was created in the namespace, by the API server's audit log."""
        created = created_jobs(self._audit.of(self.namespace))
        for job in self.jobs():  # listed after the log was read, so that each report Job in the log is in the list
            if job["metadata"]["labels"].get("app.kubernetes.io/component") == "report":
                created.pop(job["metadata"]["name"], None)
        return created

    def install(self) -> None:
        """Apply CRD, Roles and accounts."""
        namespaces = [self.namespace, *self.tenants]
        values = {
            "fleets": [{"namespaces": namespaces} | fleet for fleet in self.fleets],
            "watch": {"allNamespaces": self.all_namespaces}
            | ({} if self.all_namespaces else {"namespaces": namespaces}),
        }
        objects = render(values, namespace=self.namespace)
        wanted = [item for item in objects if item["kind"] not in OMITTED]
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=yaml.dump_all(wanted))
        self.cluster.wait_for_crds()
        self.cluster.kubectl("get", "scoringruns", "-n", self.namespace)  # repeats until their storage answers
        self.kubeconfig = self.cluster.create_kubeconfig(self.namespace, "fleetscore-operator")
        self.folder.mkdir(parents=True, exist_ok=True)
        fleets = [{"namespaces": namespaces} | fleet for fleet in self.fleets]
        if self.schedules:
            fleets = [fleet | {"schedules": self.schedules} for fleet in fleets]
        (self.folder / "fleets.yaml").write_text(yaml.safe_dump({"fleets": fleets}))

    def secret(self, fleet: str, key: str, value: str) -> None:
        """Set the value of a fleet's Secret: for the operator as a file, for scorers as a Secret."""
        path = self.folder / "secrets" / fleet / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
        data = {key: base64.b64encode(value.encode()).decode()}
        self.cluster.api.create(
            f"/api/v1/namespaces/{self.namespace}/secrets",
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "fleet-storage"}, "data": data},
        )

    def environment(self, name: str, port: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            **OF_IMAGE,
            "KUBECONFIG": str(self.kubeconfig),
            "FLEETSCORE_FLEETS_FILE": str(self.folder / "fleets.yaml"),
            "FLEETSCORE_SECRETS_DIR": str(self.folder / "secrets"),
            "FLEETSCORE_SCORER_IMAGE": "fleetscore/scorer:dev",
            "FLEETSCORE_WATCH_NAMESPACES": "" if self.all_namespaces else ",".join([self.namespace, *self.tenants]),
            "FLEETSCORE_METRICS_PORT": str(port),
            "FLEETSCORE_LOG_LEVEL": self.log_level,
            "POD_NAME": name,
            "POD_NAMESPACE": self.namespace,
            **self.settings,
        }

    def run(self, name: str, **spec: Any) -> dict[str, Any]:
        """Create a ScoringRun."""
        body = {
            "apiVersion": "fleetscore.dev/v1alpha1",
            "kind": "ScoringRun",
            "metadata": {"name": name},
            "spec": {"window": WINDOW} | spec,
        }
        self.cluster.kubectl("create", "-n", self.namespace, "-f", "-", input=yaml.safe_dump(body))
        return body

    def get(self, name: str) -> dict[str, Any]:
        path = f"/apis/fleetscore.dev/v1alpha1/namespaces/{self.namespace}/scoringruns/{name}"
        return self.cluster.api.request("GET", path)

    def jobs(self) -> list[dict[str, Any]]:
        found = self.cluster.api.request("GET", f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
        return list(found["items"])

    def lease(self) -> dict[str, Any]:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/fleetscore-operator"
        return dict(self.cluster.api.request("GET", path)["spec"])


def an_operator_environment(cluster: Cluster, namespace: str, folder: Path, storage: Storage) -> OperatorEnvironment:
    """Return a release with one fleet on the test's storage."""
    fleet = {
        "name": "default",
        "storage": {
            "accountUrl": storage.account_url,
            "models": storage.models,
            "data": storage.data,
            "predictions": storage.predictions,
            "auth": "existingSecret",
            "existingSecret": {"name": "fleet-storage", "key": "connectionString", "kind": "connectionString"},
        },
    }
    release = OperatorEnvironment(cluster, namespace, folder, [fleet])
    release.install()
    release.secret("default", "connectionString", storage.connection_string)
    return release


@dataclass
class Operator:
    """A running operator."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def probe(self, path: str) -> tuple[int, str]:
        """Ask its port; status 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:  # own port
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def end(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal and return the seconds until the process has ended."""
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(120)
        return time.monotonic() - began


@contextmanager
def operator(
    release: OperatorEnvironment,
    name: str = "operator-a",
    *,
    command: Sequence[str] = (sys.executable, "-m", "scoring_operator", "run"),
) -> Iterator[Operator]:
    """Run an operator until it is ready; kill it at the end, if it still runs."""
    port = free_port()
    log = release.folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=release.environment(name, port),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Operator(process, port, log)
    try:
        until(lambda: running.probe("/readyz")[0] == 200 or process.poll() is not None, "the operator is ready")
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        process.kill()
        process.wait()
