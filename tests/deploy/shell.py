"""A shell in which the real az is signed in to the recording endpoint, as a user's is to Azure."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcluster.locks import hold_lock
from localcluster.paths import cache_dir
from localcluster.progress import StepProgress
from localcluster.toolchain.tools import ensure_program
from tests.deploy.endpoint import CLIENT, TENANT, Azure

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


def install(tool: str) -> Path:
    """Return the folder with a tool's programs, which is installed once per machine with the pins next to this file."""
    pins = Path(__file__).with_name(f"{tool}.txt")
    folder = cache_dir() / f"{tool}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    progress = StepProgress()
    with hold_lock(folder.with_suffix(".lock"), progress, f"another command that installs {tool}"):
        if not (folder / "whole").exists():
            with progress.step(f"installing {tool} from PyPI", usual_seconds=60):
                shutil.rmtree(folder, ignore_errors=True)
                uv = str(Path(sys.executable).with_name("uv"))
                _succeed([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
                options = ["--require-hashes", "--requirement", str(pins)]
                _succeed([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *options])
                (folder / "whole").touch()
    return folder / "bin"


def _succeed(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Shell:
    """Runs commands in the checkout; `home` is theirs alone, `more` are variables on top of this machine's."""

    azure: Azure
    home: Path
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        folders = [install("azure-cli"), ensure_program("helm").parent, ensure_program("kubectl").parent]
        direct = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        return {
            **direct,
            "PATH": ":".join([str(self.home / "bin"), *map(str, folders), os.environ["PATH"]]),
            "HOME": str(self.home),
            "AZURE_CONFIG_DIR": str(self.home / "azure"),
            "REQUESTS_CA_BUNDLE": str(self.azure.ca),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "KUBECONFIG": str(self.home / ".kube" / "config"),
            "XDG_CACHE_HOME": str(cache_dir().parent),
            **self.more,
        }

    def run(self, *command: str, given: str = "") -> Done:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, input=given, capture_output=True, text=True, check=False
        )

    def script(self, name: str, *options: str, given: str = "") -> Done:
        """Run one of deploy/azure's scripts."""
        return self.run(f"deploy/azure/{name}.sh", *options, given=given)

    def sign_in(self) -> None:
        """Make az use the endpoint as its cloud, and sign in as a service principal."""
        for command in (
            ["cloud", "register", "--name", "recorded", "--endpoint-resource-manager", self.azure.url],
            ["cloud", "set", "--name", "recorded"],
            ["login", "--service-principal", "--username", CLIENT, "--password", "any", "--tenant", TENANT],
        ):
            done = self.run("az", *command)
            assert done.returncode == 0, done.stderr
