"""The console as its pod runs it: the rendered command and environment, and the token of its service account."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from localcluster.cluster import Cluster
from tests.testkit.waiting import until

ACCOUNT_FOLDER = "/run/secrets/kubernetes.io/serviceaccount"
# A pod's volume of its service account, on a /run of its own: the machine's stays as it is.
IN_POD = f"""
mount -t tmpfs tmpfs /run && mkdir -p {ACCOUNT_FOLDER} && cp "$1"/* {ACCOUNT_FOLDER}/ && shift && exec "$@"
"""


class ConsoleProcess:
    """A running console.

    Args:
        container: The container of the rendered pod.
        output: The file with the output of the process.
    """

    def __init__(self, container: dict[str, Any], output: Path) -> None:
        self._port = next(one["containerPort"] for one in container["ports"] if one["name"] == "http")
        self.output = output

    def get(self, address: str, host: str = "localhost", **headers: str) -> httpx.Response:
        """Send a GET with a Host header, as a proxy or a browser would."""
        return httpx.get(f"http://127.0.0.1:{self._port}{address}", headers={"Host": host, **headers}, timeout=60)

    def probe(self, probe: dict[str, Any]) -> int:
        """Return the status that a kubelet gets for a probe; 0 while nothing listens."""
        get = probe["httpGet"]
        headers = {one["name"]: one["value"] for one in get.get("httpHeaders", [])}
        try:
            return self.get(get["path"], headers.pop("Host", "10.0.0.7"), **headers).status_code
        except httpx.TransportError:
            return 0


@contextmanager
def started_console(
    cluster: Cluster, pod: dict[str, Any], namespace: str, secrets: dict[str, str], folder: Path
) -> Iterator[ConsoleProcess]:
    """Start the container of a rendered pod as a process of this machine, and wait for its startup probe.

    Args:
        cluster: The cluster with the service account.
        pod: The spec of the pod.
        namespace: The namespace of the pod.
        secrets: The values of the Secret that the pod names, by key.
        folder: An empty folder.
    """
    (container,) = pod["containers"]
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(cluster.create_token(namespace, pod["serviceAccountName"]))
    (account / "namespace").write_text(namespace)
    (account / "ca.crt").write_bytes(cluster.ca_certificate.read_bytes())
    host, _, port = cluster.server.rpartition("/")[2].rpartition(":")
    environment = {"HOME": str(folder)} | {one["name"]: _value(one, secrets) for one in container["env"]}
    environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "PATH": os.environ["PATH"]}
    program = [sys.executable, "-c", "import sys; from fleetscore.cli import main; sys.exit(main(sys.argv[1:]))"]
    command = ["unshare", "--mount", "sh", "-ec", IN_POD, "sh", str(account), *program, *container["args"]]
    output = folder / "output"
    with output.open("wb") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        console = ConsoleProcess(container, output)
        try:
            until(
                lambda: console.probe(container["startupProbe"]) == 200 or process.poll() is not None,
                "the startup probe of the console",
                seconds=300,
            )
            assert process.poll() is None, output.read_text()
            yield console
        finally:
            process.terminate()
            process.wait(180)


def _value(variable: dict[str, Any], secrets: dict[str, str]) -> str:
    if "value" in variable:
        return str(variable["value"]).replace("$$", "$")
    return secrets[variable["valueFrom"]["secretKeyRef"]["key"]]
