"""An OCI registry on this machine: `distribution`, one process per folder, over plain HTTP.

A cluster pulls images from it after `Cluster.use_registry`. This module starts and stops the registry; images are
pushed by `toolchain.images.push_image`, charts by helm.
"""

import json
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster import processes
from localcluster.allocation import free_port
from localcluster.progress import StepProgress
from localcluster.toolchain import tools

_ROLE = "registry"


@dataclass(frozen=True)
class Registry:
    """A running registry; as a context manager it stops at the end and keeps its folder."""

    folder: Path
    address: str  # host and port: the beginning of an image's reference

    @classmethod
    def start(cls, folder: Path, *, host: str = "127.0.0.1", progress: StepProgress | None = None) -> Self:
        """Start the registry and wait until it responds.

        Args:
            folder: A new folder for content, configuration and log.
            host: The address to listen on.
            progress: The printer of the program's build. The default prints to standard error.

        Raises:
            ClusterError: The registry did not start. The message has the end of its log.
        """
        program = tools.ensure_program("registry", progress=progress)
        folder.mkdir(parents=True)
        registry = cls(folder.resolve(), f"{host}:{free_port()}")
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
        """The file with the process's output, one line a request."""
        return processes.log_path(self.folder, _ROLE)

    def responds(self) -> bool:
        """Return True if the registry responds to a request."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://{self.address}/v2/", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End the process, if it runs."""
        processes.stop_processes(self.folder, [_ROLE], signal_number=signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
