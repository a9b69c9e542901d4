"""A fake API server with canned responses, for commands that send a few requests."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig

JOB = "/apis/batch/v1/namespaces/scoring/jobs/hourly-29"
RUNS = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns"


@dataclass
class CannedApi:
    """The responses by method and path, and the objects that were sent."""

    answers: dict[tuple[str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, code: int, reason: str, message: str) -> None:
        """Reject the creation of runs."""
        status = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
        self.answers["POST", RUNS] = (code, status)


class _Handler(RequestHandler):
    api: CannedApi

    def handle_request(self) -> None:
        body = self.read_body()
        if self.command == "POST":
            self.api.created.append(json.loads(body))
        not_found = (404, {"kind": "Status", "message": "not found"})
        self.respond_json(*self.api.answers.get((self.command, self.path), not_found))


@pytest.fixture
def canned_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CannedApi]:
    """Serve a Job of a CronJob and the creation of runs; KUBECONFIG names this server."""
    api = CannedApi()
    api.answers["GET", JOB] = (200, {"metadata": {"annotations": {}, "creationTimestamp": "2018-08-29T00:05:00Z"}})
    api.answers["POST", RUNS] = (201, {})
    with serve(_Handler, api=api) as url:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path, url)))
        yield api


@pytest.fixture
def schedules_file(tmp_path: Path) -> Path:
    """Return a schedules file with the schedule `hourly`."""
    file = tmp_path / "schedules.yaml"
    entry = {"name": "hourly", "fleet": "default", "window": "PT1H", "delay": "PT3M", "run": {"parallelism": 7}}
    file.write_text(yaml.safe_dump({"schedules": [entry]}))
    return file
