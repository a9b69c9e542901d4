"""An OCI registry on this machine: `distribution`, one process per folder, over plain HTTP.

Pods' images are pulled from it once the cluster was told of it (`Cluster.use_registry`). Kept to: what starts and stops
it; images are pushed by `images.push`, charts by helm.
"""

import json
import signal
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster import processes
from localcluster.progress import StepProgress
from localcluster.toolchain import tools

_ROLE = "registry"


@dataclass(frozen=True)
class Registry:
    """A running registry; as a context manager it is stopped at the end. Its folder stays."""

    folder: Path
    address: str  # host and port, as an image's reference begins

    @classmethod
    def start(cls, folder: Path, *, host: str = "127.0.0.1", progress: StepProgress | None = None) -> Self:
        """Start it in a new folder and wait until it answers.

        Args:
            folder: where its content, configuration and log go.
            host: the address to listen on.
            progress: where to show the build of the program; standard error by default.

        Raises:
            ClusterError: it did not start; the message has the end of its log.
        """
        program = tools.ensure_program("registry", progress=progress)
        folder.mkdir(parents=True)
        with socket.create_server((host, 0)) as listener:
            registry = cls(folder.resolve(), f"{host}:{listener.getsockname()[1]}")
        configuration = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}, "level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(registry.folder / "content")}},
            "http": {"addr": registry.address},
        }
        file = folder / "registry.json"
        file.write_text(json.dumps(configuration))  # every JSON document is YAML
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        processes.start_process(registry.folder, _ROLE, [str(program), "serve", str(file)], environment=environment)
        processes.wait_until(
            registry.folder,
            _ROLE,
            registry.responds,
            timeout_seconds=30,
            description=f"the registry to answer at {registry.address}",
        )
        return registry

    @property
    def log(self) -> Path:
        """What the process printed: a line for each request."""
        return processes.log_path(self.folder, _ROLE)

    def responds(self) -> bool:
        """Whether it answers requests."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://{self.address}/v2/", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End the process. Fine where it has ended already."""
        processes.stop_processes(self.folder, [_ROLE], signal_number=signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
