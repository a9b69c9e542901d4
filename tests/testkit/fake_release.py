"""A fake API server with the objects of a healthy release, which tests of the client break on purpose."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig

NAMESPACE = "scoring"
LABELS = {"app.kubernetes.io/part-of": "fleetscore", "app.kubernetes.io/version": "0.1.0"}
OPERATOR = {**LABELS, "app.kubernetes.io/component": "operator"}
SCHEDULER = {**LABELS, "app.kubernetes.io/component": "scheduler"}
DEPLOYMENTS = "/apis/apps/v1/deployments"
CRON_JOBS = "/apis/batch/v1/cronjobs"
RUNS = f"/apis/fleetscore.dev/v1alpha1/namespaces/{NAMESPACE}/scoringruns"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/fleetscore-operator"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/account"
GROUP = "/apis/fleetscore.dev"


def api_time(age: timedelta = timedelta(0)) -> str:
    """Return a time in the past as Kubernetes writes it."""
    return f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%S.%fZ}"


def deployment(namespace: str = NAMESPACE, name: str = "fleetscore-operator", watches: str = NAMESPACE) -> Any:
    """Return the Deployment of an operator with a ready pod."""
    env = [{"name": "FLEETSCORE_WATCH_NAMESPACES", "value": watches}]
    pod = {"serviceAccountName": "operator", "containers": [{"name": "operator", "env": env}]}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": OPERATOR},
        "spec": {"replicas": 1, "selector": {"matchLabels": OPERATOR}, "template": {"spec": pod}},
        "status": {"readyReplicas": 1, "updatedReplicas": 1},
    }


def config_map(name: str, labels: dict[str, str], **data: Any) -> Any:
    """Return a ConfigMap with YAML documents."""
    files = {f"{key}.yaml": yaml.safe_dump(value) for key, value in data.items()}
    return {"metadata": {"namespace": NAMESPACE, "name": name, "labels": labels}, "data": files}


def cron_job(*, created: timedelta = timedelta(minutes=5), **spec: Any) -> Any:
    """Return the CronJob of the schedule `hourly`."""
    labels = {**SCHEDULER, "fleetscore.dev/schedule": "hourly"}
    metadata = {"namespace": NAMESPACE, "name": "fleetscore-hourly", "labels": labels}
    job = {"spec": {"template": {"spec": {"serviceAccountName": "scheduler"}}}}
    own = {"schedule": "5 * * * *", "jobTemplate": job}
    return {"metadata": {**metadata, "creationTimestamp": api_time(created)}, "spec": {**own, **spec}}


@dataclass
class FakeRelease:
    """The objects by the path of their list or of themselves, and the rights that are missing.

    Attributes:
        url: The URL of the server.
        lists: The objects of each list over all namespaces.
        objects: The single objects, or functions that return them.
        texts: The logs of pods.
        denied: The rights that no reviewed user has, as `verb resource`.
        denied_to_user: The rights that the user of the connection lacks by a review, in the same form.
        forbidden: The paths that the user may not read.
        clock: The difference of the server's clock to the local one.
        new_status: The status that a run has as soon as it is created.
    """

    url: str = ""
    lists: dict[str, list[Any]] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    denied_to_user: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    clock: timedelta = timedelta(0)
    new_status: dict[str, Any] = field(default_factory=dict)

    def set_storage(self, account_url: str, **containers: str) -> None:
        """Set the storage of the fleet, whose Secret is `account`."""
        storage: dict[str, Any] = {"accountUrl": account_url, "auth": "existingSecret", **containers}
        storage["existingSecret"] = {"name": "account", "key": "connectionString", "kind": "connectionString"}
        fleet = {"name": "default", "namespaces": [NAMESPACE], "storage": storage}
        self.lists["/api/v1/configmaps"][0] = config_map("fleetscore-fleets", OPERATOR, fleets={"fleets": [fleet]})


def healthy_release(url: str = "http://127.0.0.1:1") -> FakeRelease:
    """Return a release with one operator, one fleet and one schedule."""
    found = FakeRelease()
    schedules = {"schedules": [{"name": "hourly", "fleet": "default", "window": "PT1H", "delay": "PT0S", "run": {}}]}
    lease = {"holderIdentity": "operator-1", "renewTime": api_time(), "leaseDurationSeconds": 15}
    found.lists = {
        DEPLOYMENTS: [deployment()],
        CRON_JOBS: [cron_job()],
        "/api/v1/configmaps": [{}, config_map("fleetscore-schedules", SCHEDULER, schedules=schedules)],
        "/apis/batch/v1/jobs": [],
        f"/api/v1/namespaces/{NAMESPACE}/pods": [{"metadata": {"name": "operator-1", "labels": OPERATOR}}],
        RUNS: [],
    }
    found.set_storage(url)
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scoringruns.fleetscore.dev"
    found.objects = {
        "/version": {"gitVersion": "v1.34.0"},
        GROUP: {"versions": [{"version": "v1alpha1"}]},
        crd: {"metadata": {"labels": LABELS}},
        LEASE: {"metadata": {}, "spec": lease},
        SECRET: {"metadata": {"name": "account"}, "data": {}},
        f"/api/v1/namespaces/{NAMESPACE}": {"metadata": {"name": NAMESPACE}, "status": {"phase": "Active"}},
    }
    found.objects |= {
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{name}": {"metadata": {"name": name}}
        for name in ("operator", "scheduler")
    }
    return found


class _Handler(RequestHandler):
    release: FakeRelease

    def handle_request(self) -> None:
        release, parts = self.release, urlsplit(self.path)
        if parts.path.startswith(RUNS) and self.command in ("POST", "PATCH"):
            self.respond_json(*self._write_run(parts.path))
        elif self.command == "POST":
            spec = json.loads(self.read_body())["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (spec["resource"], spec.get("subresource"))))
            path = f"{parts.path.rpartition('/')[2]}"
            own = release.denied_to_user if path == "selfsubjectaccessreviews" else set()
            allowed = f"{spec['verb']} {resource}" not in release.denied | own
            self._send({"status": {"allowed": allowed}} if path not in release.forbidden else None, 403)
        elif parts.path in release.forbidden:
            self._send(None, 403)
        elif parts.path in release.texts:
            self.respond(200, release.texts[parts.path].encode(), {"Content-Type": "text/plain"})
        elif (items := self._items(parts.path)) is not None:
            selector = parse_qs(parts.query).get("labelSelector", [""])[0]
            self._send({"metadata": {}, "items": [one for one in items if _matches(one, selector)]})
        else:
            found = release.objects.get(parts.path) or self._item(parts.path)
            self._send(found() if callable(found) else found, 404)

    def _write_run(self, path: str) -> tuple[int, Any]:
        """Create a run, or merge a patch into its spec, and return the status and the run."""
        body = json.loads(self.read_body())
        if self.command == "POST":
            if self._item(f"{path}/{body['metadata']['name']}"):
                return 409, {"kind": "Status", "message": "it already exists"}
            own = {"namespace": NAMESPACE, "creationTimestamp": "2018-08-29T01:00:00Z"}
            body = {**body, "metadata": {**body["metadata"], **own}, "status": self.release.new_status}
            self.release.lists[RUNS].append(body)
            return 201, body
        run = self._item(path)
        run["spec"] |= body["spec"]
        return 200, run

    def _item(self, path: str) -> Any:
        """Return an object of a list by its path; None if there is none."""
        head, _, name = path.rpartition("/")
        return next((one for one in self.release.lists.get(head, []) if one["metadata"]["name"] == name), None)

    def _items(self, path: str) -> list[Any] | None:
        """Return the objects of a list; the list of a namespace has those of the list of all namespaces."""
        if path in self.release.lists:
            return self.release.lists[path]
        head, _, resource = path.rpartition("/")
        root, _, namespace = head.partition("/namespaces/")
        every = self.release.lists.get(f"{root}/{resource}")
        return None if every is None else [one for one in every if one["metadata"]["namespace"] == namespace]

    def _send(self, document: Any, failure: int = 200) -> None:
        if document is None:
            self.respond_json(failure, {"kind": "Status", "message": "not allowed or not found"})
        else:
            self.respond_json(200, document)

    def date_time_string(self, timestamp: float | None = None) -> str:
        now = (datetime.now(UTC) + self.release.clock).timestamp()
        return super().date_time_string(int(timestamp or now))


def _matches(found: Any, selector: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    pairs = [one.partition("=") for one in selector.split(",") if one]
    return all(labels.get(key) == value if sign else key in labels for key, sign, value in pairs)


@contextmanager
def serve_release() -> Iterator[FakeRelease]:
    """Serve a healthy release."""
    release = healthy_release()
    with serve(_Handler, release=release) as url:
        release.url = url
        yield release


@pytest.fixture
def fake_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRelease]:
    """Serve a healthy release; KUBECONFIG names the server and the namespace."""
    with serve_release() as release:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path, release.url, namespace=NAMESPACE)))
        monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
        yield release
