"""Azurite, the Azure Storage emulator: one process per folder (toolchain/nodejs.py installs it).

The account's key is generated per folder and is not the emulator's well-known key, because pods reach the demo's
Azurite over the network. Only the blob service runs. This module starts and stops Azurite and creates containers; a
client that reads or writes blobs lives elsewhere.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import secrets
import signal
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster import processes
from localcluster.allocation import free_port
from localcluster.errors import ClusterError
from localcluster.progress import StepProgress
from localcluster.toolchain.nodejs import install_azurite

ACCOUNT = "devstoreaccount1"
CONTAINERS = ("models", "data", "predictions")
_ROLE = "azurite"
_API_VERSION = "2023-11-03"


@dataclass(frozen=True)
class OAuth:
    """The PEM files of a certificate and key, with which Azurite serves TLS and accepts bearer tokens."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Azurite:
    """A running Azurite; as a context manager it stops at the end.

    Its folder contains ``data/``, ``logs/azurite.log``, the account's key and the address, which `open` reads.
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
        """Start Azurite, wait until it responds, and create the containers.

        Args:
            folder: A new or empty folder for data, log, key and address.
            host: The address to listen on.
            port: The port to listen on; 0 selects a free port.
            oauth: Serve TLS and accept bearer tokens. The default is plain HTTP with the account's key or a SAS.
            progress: The printer of an installation. The default prints to standard error.
            containers: The blob containers to create.

        Raises:
            ClusterError: Azurite did not start. The message has the end of its log.
        """
        folder = folder.resolve()
        program = install_azurite(progress or StepProgress())
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ClusterError(f"{folder} is not empty; start Azurite in a new folder")
        azurite = cls(folder, host, port or free_port(), base64.b64encode(secrets.token_bytes(64)).decode(), oauth)
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
        # The SDK requests API versions that Azurite does not know.
        command += ["--disableTelemetry", "--skipApiVersionCheck"]
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
        """Return the Azurite without OAuth that runs in a folder, or None if none responds."""
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
        """The connection string with the account's key, for Azure's clients."""
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
        """The file with the process's output."""
        return processes.log_path(self.folder, _ROLE)

    def responds(self) -> bool:
        """Return True if Azurite responds to a request."""
        try:
            self._request("GET", "", "comp", "list")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def create_container(self, name: str) -> None:
        """Create a blob container, if it does not exist."""
        status = self._request("PUT", f"/{name}", "restype", "container")
        if status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            raise ClusterError(f"Azurite did not create the container {name} (status {status}); see {self.log}")

    def _request(self, method: str, path: str, parameter: str, value: str) -> int:
        """Send a request without a body and return the status code.

        The request is signed with the account's key (Azure Storage REST API, "Authorize with Shared Key").
        """
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": _API_VERSION}
        # Eleven standard headers follow the method, all absent. The resource contains the account twice: as the account
        # and as the first segment of the path.
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
        """End the process, if it runs; keep its folder."""
        stop(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def stop(folder: Path) -> None:
    """End the Azurite of a folder, even if it is still starting."""
    processes.stop_processes(folder, [_ROLE], signal_number=signal.SIGKILL)
