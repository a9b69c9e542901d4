"""A small HTTP server that answers as the API server would; and a schedule of the chart on a real one."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.charts import CRD

from localcluster.cluster import Cluster
from tests.schedule.scheduler import Scheduler

JOB = "/apis/batch/v1/namespaces/scoring/jobs/hourly-29"
RUNS = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns"


@dataclass
class Api:
    """What the server answers, by method and path, and what it was sent."""

    answers: dict[tuple[str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
        self.answers["POST", RUNS] = (code, status)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    api = Api()
    api.answers["GET", JOB] = (200, {"metadata": {"annotations": {}, "creationTimestamp": "2018-08-29T00:05:00Z"}})
    api.answers["POST", RUNS] = (201, {})

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = api.answers.get(
                (self.command, self.path), (404, {"kind": "Status", "message": "not found"})
            )
            if self.command == "POST":
                api.created.append(json.loads(body))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815  # the names that BaseHTTPRequestHandler calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        use_kubeconfig(f"http://127.0.0.1:{server.server_port}", tmp_path, monkeypatch)
        yield api
        server.shutdown()
        thread.join()


def use_kubeconfig(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))


@pytest.fixture
def schedules(tmp_path: Path) -> Path:
    file = tmp_path / "schedules.yaml"
    entry = {"name": "hourly", "fleet": "default", "window": "PT1H", "delay": "PT3M", "run": {"parallelism": 7}}
    file.write_text(yaml.safe_dump({"schedules": [entry]}))
    return file


@pytest.fixture
def cluster_with_crd(cluster: Cluster) -> Cluster:
    cluster.kubectl("apply", "-f", str(CRD))
    cluster.wait_for_crds()
    return cluster


@pytest.fixture
def scheduler(cluster_with_crd: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    scheduler = Scheduler(cluster_with_crd, namespace, tmp_path, run={"parallelism": 7})
    monkeypatch.setenv("KUBECONFIG", str(scheduler.kubeconfig))
    return scheduler
