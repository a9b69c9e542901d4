"""Azurite, the Azure Storage emulator: one process per folder (nodejs.py installs it).

The account's key is made for the folder, not the well-known one of the emulator, since the demo's Azurite listens where
pods can reach it. Only the blob service runs. Kept to: what starts and stops it and makes the containers; whoever reads
and writes blobs brings a client of their own.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import secrets
import signal
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster import processes
from localcluster.errors import ClusterError
from localcluster.progress import StepProgress
from localcluster.toolchain.nodejs import install_azurite

ACCOUNT = "devstoreaccount1"
CONTAINERS = ("models", "data", "predictions")
_ROLE = "azurite"
_API_VERSION = "2023-11-03"


@dataclass(frozen=True)
class OAuth:
    """Makes Azurite speak TLS and accept bearer tokens: PEM files of its certificate and key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Azurite:
    """A running Azurite; as a context manager it is stopped at the end.

    Its folder holds ``data/``, ``logs/azurite.log``, the account's key and the address, so that `open` finds it again.
    """

    folder: Path
    host: str
    port: int
    key: str = field(repr=False)
    oauth: OAuth | None = None

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        oauth: OAuth | None = None,
        progress: StepProgress | None = None,
        containers: Sequence[str] = CONTAINERS,
    ) -> Self:
        """Start it in a folder that is new or empty, wait until it answers, and make the containers.

        Args:
            folder: where its data, log, key and address go.
            host: the address to listen on.
            port: 0 takes a free one.
            oauth: serve TLS and accept tokens; else plain HTTP with the account's key or a SAS.
            progress: where to show an installation; standard error by default.
            containers: the blob containers to make.

        Raises:
            ClusterError: it did not start; the message has the end of its log.
        """
        folder = folder.resolve()
        program = install_azurite(progress or StepProgress())
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ClusterError(f"{folder}: not empty; Azurite starts in a fresh folder only")
        azurite = cls(folder, host, port or _free_port(host), base64.b64encode(secrets.token_bytes(64)).decode(), oauth)
        (folder / "data").mkdir()
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_text(azurite.key)
        (folder / "address").write_text(f"{host} {azurite.port}")
        command = [
            *program,
            "--silent",
            "--blobHost",
            host,
            "--blobPort",
            str(azurite.port),
            "-l",
            str(folder / "data"),
        ]
        command += [
            "--disableTelemetry",
            "--skipApiVersionCheck",
        ]  # the SDK names API versions that Azurite has not heard of
        if oauth:
            command += ["--oauth", "basic", "--cert", str(oauth.certificate), "--key", str(oauth.key)]
        processes.start_process(folder, _ROLE, command, environment={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{azurite.key}"})
        try:
            processes.wait_until(
                folder, _ROLE, azurite.responds, timeout_seconds=60, description=f"Azurite to answer at {azurite.url}"
            )
            for container in containers:
                azurite.create_container(container)
        except BaseException:
            azurite.stop()
            raise
        return azurite

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """The Azurite (without OAuth) that runs in a folder and answers; None where none does."""
        folder = folder.resolve()
        try:
            host, port = (folder / "address").read_text().split()
            azurite = cls(folder, host, int(port), (folder / "key").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return azurite if azurite.responds() else None

    @property
    def url(self) -> str:
        """The account's URL, e.g. ``http://127.0.0.1:10000/devstoreaccount1``."""
        return f"{'https' if self.oauth else 'http'}://{self.host}:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """The connection string with the account's key, as Azure's clients take it."""
        scheme = self.url.partition(":")[0]
        parts = {
            "DefaultEndpointsProtocol": scheme,
            "AccountName": ACCOUNT,
            "AccountKey": self.key,
            "BlobEndpoint": self.url,
        }
        return ";".join(f"{name}={value}" for name, value in parts.items()) + ";"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return processes.log_path(self.folder, _ROLE)

    def responds(self) -> bool:
        """Whether it answers requests."""
        try:
            self._request("GET", "", "comp", "list")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def create_container(self, name: str) -> None:
        """Make a blob container; fine where it exists."""
        status = self._request("PUT", f"/{name}", "restype", "container")
        if status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            raise ClusterError(f"Azurite refused to make the container {name} (status {status}); see {self.log}")

    def _request(self, method: str, path: str, parameter: str, value: str) -> int:
        """The status of one request without a body, signed with the account's key (the REST API's Shared Key)."""
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": _API_VERSION}
        # After the method eleven standard headers, all absent. The account stands twice in the resource: as itself, and
        # as the first segment of the path.
        lines = [method, *[""] * 11, *(f"{key}:{value}" for key, value in headers.items())]
        lines += [f"/{ACCOUNT}/{ACCOUNT}{path}", f"{parameter}:{value}"]
        digest = hmac.new(base64.b64decode(self.key), "\n".join(lines).encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        connection = self._connection()
        try:
            connection.request(method, f"/{ACCOUNT}{path}?{parameter}={value}", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.oauth is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=5)
        context = ssl.create_default_context(cafile=str(self.oauth.certificate))
        return http.client.HTTPSConnection(self.host, self.port, timeout=5, context=context)

    def stop(self) -> None:
        """End the process; its folder stays. Fine where it has ended already."""
        stop(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def stop(folder: Path) -> None:
    """End whatever Azurite runs in a folder, a half-started one too."""
    processes.stop_processes(folder, [_ROLE], signal_number=signal.SIGKILL)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
