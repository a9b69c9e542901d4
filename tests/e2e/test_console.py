"""The console of the chart as a pod: its probes by a real kubelet, its pages by port-forward, and its doctor."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fleetscore.cli import main
from localcluster.toolchain import images
from localcluster.toolchain.tools import ensure_program
from tests.testkit.console_fleet import HALL, write_fleet
from tests.testkit.release import KEY, SECRET, Release
from tests.testkit.waiting import until


@contextmanager
def forwarded(release: Release, target: str) -> Iterator[str]:
    """Forward a free port to a Service's pod, and yield the URL."""
    command = [str(ensure_program("kubectl")), f"--kubeconfig={release.cluster.kubeconfig}", "-n", release.namespace]
    command += ["port-forward", target, ":8087"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            port = re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert port
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            process.terminate()


def test_console_becomes_ready_is_read_by_port_forward_and_is_checked_by_doctor(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release.cluster.load_image(images.build_image("console"))
    for path in sorted((write_fleet(tmp_path / "fleet") / "predictions").rglob("*")):
        if path.is_file():
            release.storage.put(
                "predictions", path.relative_to(tmp_path / "fleet" / "predictions").as_posix(), path.read_bytes()
            )
    repository, _, tag = images.image_reference("console").partition(":")
    release.install(console={"enabled": True, "image": {"repository": repository, "tag": tag}})
    release.start_run("held", suspend=True)
    with forwarded(release, "service/fleetscore-console-default") as url:
        until(lambda: "held" in httpx.get(url, timeout=60).text, "the run on the page of the fleet")
        for address in ("/heat-map", f"/device?id={HALL}", "/run?name=held", "/schedules"):
            response = httpx.get(f"{url}{address}", timeout=60)
            assert response.status_code == 200, response.text
            assert "does not allow" not in response.text
    (pod,) = release.get("pods", "-l", "app.kubernetes.io/component=console")["items"]
    assert [one["restartCount"] for one in pod["status"]["containerStatuses"]] == [0]

    monkeypatch.setenv("KUBECONFIG", str(release.cluster.kubeconfig))

    def doctor() -> tuple[str, str]:
        capsys.readouterr()
        main(["doctor", "-n", release.namespace, "-o", "json", "--use-fleet-secret"])
        found = json.loads(capsys.readouterr().out)
        return next((one["result"], one["message"] + one["cure"]) for one in found if one["check"] == "console")

    result, text = doctor()
    assert result == "OK"
    assert "port-forward service/fleetscore-console-default 8087" in text
    wrong = re.sub("AccountKey=[^;]+", "AccountKey=d3Jvbmc=", release.storage.connection_string)
    release.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {KEY: wrong}})
    assert doctor()[0] == "WARNING"
    release.kubectl("rollout", "restart", "deployment/fleetscore-console-default")
    release.kubectl("rollout", "status", "deployment/fleetscore-console-default", "--timeout=300s")
    until(lambda: "the console cannot read storage" in doctor()[1], "the fault of storage")
    assert f"correct key {KEY} of Secret {SECRET}" in doctor()[1]
    release.kubectl("delete", "secret", SECRET)
    assert f"Secret {SECRET}, which the console reads at its start, does not exist" in doctor()[1]
    release.kubectl("delete", "deployment", "fleetscore-console-default")
    assert doctor()[0] == "PROBLEM"
