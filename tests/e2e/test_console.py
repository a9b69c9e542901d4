"""The console of the chart as a pod: its probes by a real kubelet, its pages by port-forward."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from localcluster.toolchain import images
from localcluster.toolchain.tools import ensure_program
from tests.testkit.console_fleet import HALL, write_fleet
from tests.testkit.release import Release
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


def test_console_becomes_ready_and_is_read_by_port_forward(release: Release, tmp_path: Path) -> None:
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
        until(lambda: "held" in httpx.get(url, timeout=60).text, "the run on the page of the fleet", seconds=60)
        for address in ("/heat-map", f"/device?id={HALL}", "/run?name=held", "/schedules"):
            response = httpx.get(f"{url}{address}", timeout=60)
            assert response.status_code == 200, response.text
            assert "does not allow" not in response.text
    (pod,) = release.get("pods", "-l", "app.kubernetes.io/component=console")["items"]
    assert [one["restartCount"] for one in pod["status"]["containerStatuses"]] == [0]
