"""`doctor` on a release whose operator is a real process, and whose reports are those of the real scorer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from localcluster.cluster import Cluster
from localcluster.kubernetes.certificates import write_kubeconfig
from tests.integration.client.doctor_release import FLEETS, RECEIVER, Doctor, Release, installed
from tests.testkit.fault_proxy import Call, Fault, Response, proxied
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.operator_process import OperatorEnvironment, operator

END = datetime(2018, 8, 29, tzinfo=UTC)
WINDOW = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z")


@pytest.fixture(scope="module")
def release(cluster_with_crd: Cluster, azurite: Any, helm: None) -> Iterator[Release]:  # noqa: ARG001  it builds helm
    with installed(cluster_with_crd, azurite) as found:
        yield found


@pytest.fixture
def environment(release: Release, tmp_path: Path) -> OperatorEnvironment:
    """Return the environment of a process that stands for the operator's pod."""
    found = OperatorEnvironment(release.cluster, release.namespace, tmp_path, [])
    found.kubeconfig = release.cluster.create_kubeconfig(release.namespace, "fleetscore-operator")
    text = json.loads(release.kubectl("get", "configmap", FLEETS, "-o", "json"))["data"]["fleets.yaml"]
    (tmp_path / "fleets.yaml").write_text(text)
    key = tmp_path / "secrets" / "default" / "connectionString"
    key.parent.mkdir(parents=True)
    key.write_text(release.storage.connection_string)
    return found


@pytest.fixture
def doctor(release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    monkeypatch.setenv("KUBECONFIG", str(release.cluster.kubeconfig))
    return Doctor(release.namespace, capsys)


def test_release_with_a_running_operator_has_only_oks(
    release: Release, environment: OperatorEnvironment, doctor: Doctor
) -> None:
    with operator(environment, release.pods()[0]):
        assert doctor(code=0) == []


@pytest.mark.parametrize(("seconds", "direction"), [(3600, "ahead of"), (-3600, "behind")], ids=["ahead", "behind"])
def test_operator_whose_clock_is_wrong_is_a_problem(
    release: Release, environment: OperatorEnvironment, doctor: Doctor, seconds: int, direction: str
) -> None:
    command = (sys.executable, "-m", "tests.faults.operator_main", "--devices", "1", f"--clock={seconds}")
    with operator(environment, release.pods()[0], command=command):
        doctor.until_found("clock", f"s {direction} the API server's", "--use-fleet-secret")


class TenMinutesAhead(Fault):
    """The clock of the API server, as in its responses, is ten minutes ahead."""

    async def after(self, call: Call, response: Response) -> Response:  # noqa: ARG002  the base class has it
        date = parsedate_to_datetime(response.headers["Date"]) + timedelta(minutes=10)
        return Response(response.status, response.body, response.headers | {"Date": format_datetime(date, usegmt=True)})


def test_api_server_whose_clock_is_wrong_is_a_problem(
    release: Release, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = {"token": release.cluster.create_token(release.namespace, "fleetscore-operator")}
    with proxied(release.cluster) as proxy, proxy.having(TenMinutesAhead()):
        path = tmp_path / "kubeconfig"
        write_kubeconfig(path, server=proxy.url, ca=release.cluster.ca_certificate, user=user)
        monkeypatch.setenv("KUBECONFIG", str(path))
        doctor.until_found("clock", "s behind the API server's")


class _Down(RequestHandler):
    """A receiver that is out of order."""

    def handle_request(self) -> None:
        self.read_body()
        self.respond(500, b"out of order")


def report_failure(release: Release, url: str) -> None:
    """Write the report of a failed run, as its report Job does."""
    receivers = json.dumps([{**RECEIVER, "url": url}])
    environment = {**os.environ, **release.storage.environment(), "FLEETSCORE_NOTIFY": receivers}
    command = [sys.executable, "-m", "device_scorer", "report", *WINDOW, "--run-failed", "NoData"]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def test_receiver_that_rejects_notices_is_a_problem_until_it_accepts_them(release: Release, doctor: Doctor) -> None:
    release.create_run("notified", END)
    with serve(_Down) as url:
        report_failure(release, url)
    doctor.until_found("notifications", "receiver hook has not accepted 1 notices", "--use-fleet-secret")

    class Up(_Down):
        def handle_request(self) -> None:
            self.read_body()
            self.respond(200)

    with serve(Up) as url:
        report_failure(release, url)
    found = doctor(code=None)
    assert not [one for one in found if one[1] == "notifications"]
    release.kubectl("delete", "sr", "notified")
