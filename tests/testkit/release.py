"""A release of the chart on the cluster of real containers, with its own storage."""

import json
import os
import secrets
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_scorer.cli import run as device_scorer
from localcluster.addons.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.toolchain import images
from localcluster.toolchain.tools import ensure_program
from tests.testkit.audit import Audit, created_jobs
from tests.testkit.azurite import Storage, new_storage
from tests.testkit.paths import CHART, ROOT
from tests.testkit.waiting import until

# The previous package of the chart, by `helm package`, from which a user upgrades.
BEFORE = ROOT / "tests" / "e2e" / "fleetscore-0.1.0-alpha.1.tgz"
SECRET, KEY = "fleet-storage", "connectionString"
WINDOW_START = datetime(2026, 3, 2, 10, tzinfo=UTC)
WINDOW_END = WINDOW_START + timedelta(hours=1)
SLUG = f"{WINDOW_START:%Y%m%dT%H%M%SZ}_{WINDOW_END:%Y%m%dT%H%M%SZ}"


@dataclass
class Release:
    """The chart installed in a namespace with restricted Pod Security, its fleet on `storage`."""

    cluster: Cluster
    storage: Storage
    namespace: str
    fleets: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._audit = Audit(self.cluster.audit_log)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=given)

    def get(self, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def fleet(
        self, name: str = "default", predictions: str | None = None, *, auth: str = "existingSecret"
    ) -> dict[str, Any]:
        secret = {"existingSecret": {"name": SECRET, "key": KEY, "kind": "connectionString"}}
        return {
            "name": name,
            "storage": {
                "accountUrl": self.storage.account_url,
                "models": self.storage.models,
                "data": self.storage.data,
                "predictions": predictions or self.storage.predictions,
                "auth": auth,
                **(secret if auth == "existingSecret" else {}),
            },
            "scorer": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}},
        }

    def install(self, chart: Path = CHART, **values: Any) -> None:
        """Create the namespace and the Secret, install the chart, and wait until the operator is ready."""
        self.prepare({KEY: self.storage.connection_string})
        self.helm_upgrade(chart, **values)

    def prepare(self, secret: dict[str, str]) -> None:
        """Create the namespace and the Secret of the fleet's storage."""
        self.make_namespace()
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": secret})

    def make_namespace(self) -> None:
        """Create the namespace, which admits only pods that meet restricted Pod Security."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        meta = {"name": self.namespace, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        account = ("get", "serviceaccount", "default", "--ignore-not-found")
        until(lambda: self.kubectl(*account), "the namespace's service account")

    def helm_upgrade(self, chart: Path = CHART, **values: Any) -> None:
        """Install the chart, or change its values."""
        given = {"fleets": self.fleets or [self.fleet()], **values}
        for component in images.IMAGE_NAMES:
            repository, _, tag = images.image_reference(component).partition(":")
            given.setdefault(component, {})["image"] = {"repository": repository, "tag": tag}
        # The CRD is kept when a release is deleted; the next one, in another namespace, adopts it.
        options = ["--install", "--take-ownership", "--values", "-", "--wait", "--timeout", "8m"]
        done = self.helm("upgrade", "fleetscore", str(chart), *options, given=yaml.safe_dump(given))
        assert done.returncode == 0, f"{done.stderr}\n{self.cluster.kubectl('get', 'pods', '-A', '-o', 'wide')}"

    def helm(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run helm in the release's namespace."""
        command = [
            str(ensure_program("helm")),
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={self.namespace}",
        ]
        return subprocess.run([*command, *arguments], input=given, capture_output=True, text=True, check=False)

    def uninstall(self) -> None:
        """Delete the namespace with all of its objects; keep the CRD for the next test."""
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    def upload(self, store: Path) -> None:
        """Upload a folder store's models and readings."""
        for role in ("models", "data"):
            for path in sorted((store / role).rglob("*")):
                if path.is_file():
                    self.storage.put(role, path.relative_to(store / role).as_posix(), path.read_bytes())

    def apply(self, manifest: dict[str, Any]) -> None:
        scope = [] if manifest["kind"] == "Namespace" else ["--namespace", self.namespace]
        self.cluster.kubectl(*scope, "apply", "-f", "-", input=json.dumps(manifest))

    def start_run(self, name: str, **spec: Any) -> None:
        """Create a ScoringRun over the window of `simulate`."""
        window = {"start": f"{WINDOW_START:%Y-%m-%dT%H:%M:%SZ}", "end": f"{WINDOW_END:%Y-%m-%dT%H:%M:%SZ}"}
        run = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "metadata": {"name": name}}
        self.apply({**run, "spec": {"window": window, **spec}})

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get("scoringrun", name).get("status", {})
        return status

    def devices(self, name: str) -> dict[str, int]:
        """Return the counts of a run's devices that are not zero."""
        counts = self.status(name).get("devices", {})
        return {key: count for key, count in counts.items() if count}

    def wait_for_end(self, name: str, condition: str = "Complete", seconds: int = 300) -> dict[str, Any]:
        """Wait for the end of a run with `kubectl wait`, and return its last status."""
        try:
            self.kubectl("wait", f"scoringrun/{name}", f"--for=condition={condition}", f"--timeout={seconds}s")
        except Exception as error:
            pods = self.kubectl("get", "pods", "-o", "wide")
            operator = self.kubectl("logs", "deployment/fleetscore-operator", "--tail=40")
            raise AssertionError(f"{error}\n{self.status(name)}\n{pods}\n{operator}") from error
        return self.status(name)

    def predictions(self, container: str | None = None) -> dict[str, bytes]:
        """Return the prediction blobs of the window, by device."""
        source = self.storage.client.get_container_client(container or self.storage.predictions)
        names = source.list_blob_names(name_starts_with=f"{SLUG}/")
        return {
            name.removeprefix(f"{SLUG}/").removesuffix(".csv"): source.download_blob(name).readall()
            for name in names
            if name.endswith(".csv") and "/_" not in name
        }

    def report(self) -> dict[str, bytes]:
        """Return the files of the window's report, by name."""
        source = self.storage.client.get_container_client(self.storage.predictions)
        names = [name.removeprefix(f"{SLUG}/") for name in source.list_blob_names(name_starts_with=f"{SLUG}/")]
        return {
            name: source.download_blob(f"{SLUG}/{name}").readall()
            for name in names
            if name == "report.html" or name.startswith("_")
        }

    def created_jobs(self, run: str) -> Counter[str]:
        """Return how often each scoring Job of a run was created, by the API server's audit log."""
        created = created_jobs(self._audit.of(self.namespace), f"{run}-")
        # Listed after the log was read, so the log may lack a later one.
        for report in self.get("jobs", "-l", "app.kubernetes.io/component=report")["items"]:
            created.pop(report["metadata"]["name"], None)
        return created

    def more_jobs_than(self, run: str, number: int) -> bool:
        """Return True if more than this number of Jobs of a run were created."""
        return self.created_jobs(run).total() > number

    def kill_operator(self) -> None:
        """End the operator's process by SIGKILL, as the kernel does; the kubelet restarts its container."""
        (pod,) = self.get("pods", "-l", "app.kubernetes.io/component=operator")["items"]
        for process in until(lambda: processes_of(pod["metadata"]["uid"]), "the operator's process"):
            os.kill(process, signal.SIGKILL)


def scored_locally(store: Path, devices: list[str]) -> dict[str, bytes]:
    """Return the predictions that the same command writes on this machine."""
    window = [
        "--window-start",
        f"{WINDOW_START:%Y-%m-%dT%H:%M:%SZ}",
        "--window-end",
        f"{WINDOW_END:%Y-%m-%dT%H:%M:%SZ}",
    ]
    assert device_scorer(["score", "--store", str(store), *window, "--", *devices]) == 0
    return {path.stem: path.read_bytes() for path in (store / "predictions" / SLUG).glob("*.csv")}


def processes_of(pod_uid: str) -> list[int]:
    """Return the processes of the operator in a pod, by the machine's pids."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if (
                pod_uid in (process / "cgroup").read_text()
                and b"scoring-operator" in (process / "cmdline").read_bytes()
            ):
                found.append(int(process.name))
    return found


@pytest.fixture(scope="session")
def loaded_cluster(container_cluster: Cluster) -> Cluster:
    """Return the cluster with both images."""
    for name in images.IMAGE_NAMES:
        container_cluster.load_image(images.build_image(name))
    return container_cluster


@pytest.fixture(scope="session")
def pods_azurite(container_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Run an Azurite that pods reach."""
    folder = tmp_path_factory.mktemp("pods-azurite") / "store"
    with Azurite.start(folder, host=container_cluster.host_address, containers=()) as running:
        yield running


@contextmanager
def new_release(cluster: Cluster, azurite: Azurite) -> Iterator[Release]:
    """Yield a release that is not installed yet, with its own storage; its namespace is deleted at the end."""
    release = Release(cluster, new_storage(azurite), f"e2e-{secrets.token_hex(4)}")
    yield release
    release.storage.client.close()
    release.uninstall()


@pytest.fixture
def release(loaded_cluster: Cluster, pods_azurite: Azurite) -> Iterator[Release]:
    """Return a release that is not installed yet; its namespace is deleted after the test."""
    with new_release(loaded_cluster, pods_azurite) as release:
        yield release


@pytest.fixture(scope="session")
def fleet_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a function that creates a folder store of N simulated devices, whose last hour has anomalies."""

    def make(devices: int) -> Path:
        folder = tmp_path_factory.mktemp("fleet")
        size = ["--devices", str(devices), "--tags", "5", "--hours", "4", "--interval", "60"]
        end = f"{WINDOW_END:%Y-%m-%dT%H:%M:%SZ}"
        assert device_scorer(["simulate", "--store", str(folder), *size, "--end", end]) == 0
        until = f"{WINDOW_START:%Y-%m-%dT%H:%M:%SZ}"
        assert device_scorer(["train", "--store", str(folder), "--end", until]) == 0
        return folder

    return make
