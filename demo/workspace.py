"""The folders of the demo: all in the checkout's `.local`, except those of the cluster and of Azurite."""

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
    """The root folder and the cluster's name; tests use other values than the defaults."""

    root: Path = CHECKOUT / ".local"
    cluster: str = "demo"

    @property
    def bin_folder(self) -> Path:
        """The folder of kubectl, helm and fleetscore, configured for the demo's cluster."""
        return self.root / "bin"

    @property
    def demo_folder(self) -> Path:
        """The folder of the demo's files."""
        return self.root / "demo"

    @property
    def local_demo_folder(self) -> Path:
        """The folder of the files of demo-local."""
        return self.root / "demo-local"

    @property
    def kubeconfig(self) -> Path:
        """The demo's own kubeconfig."""
        return self.demo_folder / "kubeconfig"

    @property
    def azurite_folder(self) -> Path:
        """The folder of the demo's Azurite, next to the clusters' folder: one per machine, like the cluster."""
        return clusters_dir().parent / f"azurite-{self.cluster}"

    def read_state(self) -> dict[str, Any]:
        """Return the state that the last demo wrote, or an empty mapping."""
        try:
            state: dict[str, Any] = json.loads((self.demo_folder / "state.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write the location of the demo's cluster, which `down` reads."""
        self.demo_folder.mkdir(parents=True, exist_ok=True)
        (self.demo_folder / "state.json").write_text(json.dumps(state))

    def write_wrappers(self, programs: Mapping[str, Path]) -> None:
        """Write wrappers of programs into `bin`, configured for the demo's cluster and namespace."""
        self.bin_folder.mkdir(parents=True, exist_ok=True)
        for name, program in programs.items():
            wrapper = self.bin_folder / name
            setting = f"KUBECONFIG={shlex.quote(str(self.kubeconfig))} HELM_NAMESPACE={NAMESPACE}"
            setting += f" KUBECACHEDIR={shlex.quote(str(cache_folder(self.kubeconfig)))}"
            setting += " FLEETSCORE_USE_FLEET_SECRET=1"  # the demo's storage has no other credential
            setting += f' PATH={shlex.quote(str(self.bin_folder))}:"$PATH"'  # kubectl finds its plugins there
            wrapper.write_text(f'#!/bin/sh\n{setting} exec {shlex.quote(str(program))} "$@"\n')
            wrapper.chmod(0o755)


def cache_folder(kubeconfig: Path) -> Path:
    """Return the folder of kubectl's cache: `down` deletes it, as no other program uses it."""
    return kubeconfig.with_name("kubectl-cache")


def recreate_folder(folder: Path) -> Path:
    """Delete a folder with its content, create it again, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def relative_to_checkout(path: Path) -> Path:
    """Return a path relative to the checkout, if it is in the checkout."""
    return path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path
