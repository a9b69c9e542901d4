"""create-run against a small HTTP server that answers as the API server would."""

import argparse
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from scoring_operator import schedule

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


def create_run(file: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    schedule.add_arguments(parser)
    arguments = ["--schedules-file", str(file), "--schedule", "hourly", "--job", "hourly-29", "--namespace", "scoring"]
    return schedule.run(parser.parse_args([*arguments, *more]))


def test_the_run_of_the_jobs_window_is_created(api: Api, schedules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create_run(schedules) == 0
    (run,) = api.created
    assert run["metadata"]["name"] == "hourly-20180828t230000z"
    assert run["spec"]["window"] == {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    assert run["spec"]["parallelism"] == 7
    assert "ScoringRun scoring/hourly-20180828t230000z created" in capsys.readouterr().out


def test_job_and_namespace_come_from_the_pods_environment(
    api: Api, schedules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_NAME", "hourly-29")
    monkeypatch.setenv("POD_NAMESPACE", "scoring")
    parser = argparse.ArgumentParser()
    schedule.add_arguments(parser)
    args = parser.parse_args(["--schedules-file", str(schedules), "--schedule", "hourly"])
    assert schedule.run(args) == 0
    assert api.created[0]["metadata"]["namespace"] == "scoring"


def test_a_run_that_exists_already_is_success_and_says_so(
    api: Api, schedules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.refuse(409, "AlreadyExists", "exists")
    assert create_run(schedules) == 0
    assert "exists already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        pytest.param(422, "Invalid", 65, id="invalid"),
        pytest.param(403, "Forbidden", 75, id="forbidden"),
        pytest.param(404, "NotFound", 75, id="no CRD"),
        pytest.param(500, "InternalError", 75, id="broken"),
    ],
)
def test_a_refusal_is_shown_with_its_message_and_only_a_final_one_ends_the_job(
    api: Api, schedules: Path, capsys: pytest.CaptureFixture[str], code: int, reason: str, exit_code: int
) -> None:
    api.refuse(code, reason, "the words of the server")
    assert create_run(schedules) == exit_code
    said = capsys.readouterr().err
    assert "the words of the server" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--schedule", "weekly"], "are named 'weekly'; it has: hourly", id="unknown schedule"),
        pytest.param(["--job", "other"], "there is no Job scoring/other", id="unknown job"),
        pytest.param(["--job", ""], "no job is given", id="no job"),
        pytest.param(["--namespace", ""], "no namespace is given", id="no namespace"),
        pytest.param(["--schedules-file", "/nowhere"], "/nowhere: No such file", id="no file"),
        pytest.param(["--schedules-file", "{garbage}"], "is no YAML", id="no YAML"),
    ],
)
@pytest.mark.usefixtures("api")
def test_wrong_usage_ends_with_64_and_names_the_thing(
    schedules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "garbage").write_text("a: [")
    assert create_run(schedules, *[a.replace("{garbage}", str(tmp_path / "garbage")) for a in arguments]) == 64
    assert message in capsys.readouterr().err


def test_a_job_with_an_unreadable_time_ends_with_64(
    api: Api, schedules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["GET", JOB] = (200, {"metadata": {"creationTimestamp": "soon"}})
    assert create_run(schedules) == 64
    assert "Job scoring/hourly-29: scheduled time 'soon' is no time" in capsys.readouterr().err
