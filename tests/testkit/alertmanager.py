"""A real Alertmanager, from Debian's package, with its data in a folder."""

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from localcluster.allocation import free_port
from localcluster.toolchain import debian
from tests.testkit.waiting import until

PROGRAM = "prometheus-alertmanager"
SETTINGS = {
    "route": {"receiver": "none", "group_by": ["fleet"], "group_wait": "0s"},
    "receivers": [{"name": "none"}],
}


class Alertmanager:
    """A process of Alertmanager.

    Args:
        folder: An empty folder for its settings, data and log.
        host: The address to listen on.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        if not shutil.which(PROGRAM):
            debian.install([PROGRAM])
        self._address = f"{host}:{free_port()}"
        self._folder = folder
        (folder / "alertmanager.json").write_text(json.dumps(SETTINGS))
        self.url = f"http://{self._address}"
        self.start()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        options = [
            f"--config.file={self._folder}/alertmanager.json",
            f"--storage.path={self._folder}/data",
            f"--web.listen-address={self._address}",
            "--cluster.listen-address=",
        ]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen([PROGRAM, *options], stdout=log, stderr=log)
        until(self._is_ready, "Alertmanager is ready")

    def stop(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.wait(180)

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are not resolved, in the order of their devices."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?active=true") as response:  # noqa: S310
            found: list[dict[str, Any]] = json.load(response)
        return sorted(found, key=lambda alert: str(alert["labels"].get("device", "")))

    def devices(self) -> list[str]:
        """Return the devices of the alerts that are not resolved; an incident of the fleet has the device ''."""
        return [alert["labels"].get("device", "") for alert in self.alerts()]

    def groups(self) -> list[dict[str, Any]]:
        """Return the groups of alerts."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts/groups") as response:  # noqa: S310
            found: list[dict[str, Any]] = json.load(response)
        return found

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):  # noqa: S310
                return True
        except OSError:
            return False
