"""Where the demo keeps things: all in the checkout's `.local`, but the cluster, which has its own place."""

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.paths import clusters_dir

CHECKOUT = Path(__file__).resolve().parents[1]
NAMESPACE = "fleetscore-demo"
RELEASE = "fleetscore"


@dataclass(frozen=True)
class Workspace:
    """The folder of everything, and the cluster's name; others than the demo's own are for tests."""

    root: Path = CHECKOUT / ".local"
    cluster: str = "demo"

    @property
    def bin_folder(self) -> Path:
        """The two programs, kubectl and helm, set to the demo's cluster."""
        return self.root / "bin"

    @property
    def demo_folder(self) -> Path:
        """What the demo made."""
        return self.root / "demo"

    @property
    def local_demo_folder(self) -> Path:
        """What demo-local made."""
        return self.root / "demo-local"

    @property
    def kubeconfig(self) -> Path:
        """The demo's own kubeconfig."""
        return self.demo_folder / "kubeconfig"

    @property
    def azurite_folder(self) -> Path:
        """Where the demo's Azurite keeps its blobs: beside the cluster, one per machine as that is."""
        return clusters_dir().parent / f"azurite-{self.cluster}"

    def read_state(self) -> dict[str, Any]:
        """What the last demo wrote down about where it runs; empty where there was none."""
        try:
            state: dict[str, Any] = json.loads((self.demo_folder / "state.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write down where the demo runs, so that `down` ends the right thing."""
        self.demo_folder.mkdir(parents=True, exist_ok=True)
        (self.demo_folder / "state.json").write_text(json.dumps(state))

    def write_wrappers(self, programs: Mapping[str, Path]) -> None:
        """Put programs into `bin`, set to the demo's cluster and namespace."""
        self.bin_folder.mkdir(parents=True, exist_ok=True)
        for name, program in programs.items():
            wrapper = self.bin_folder / name
            setting = f"KUBECONFIG={shlex.quote(str(self.kubeconfig))} HELM_NAMESPACE={NAMESPACE}"
            wrapper.write_text(f'#!/bin/sh\n{setting} exec {shlex.quote(str(program))} "$@"\n')
            wrapper.chmod(0o755)


def recreate_folder(folder: Path) -> Path:
    """An empty folder in place of whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def relative_to_checkout(path: Path) -> Path:
    """A path as the checkout's user would type it."""
    return path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path
