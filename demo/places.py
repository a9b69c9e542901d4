"""Where the demo keeps things: all in the checkout's `.local`, but the cluster, which has its own place."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from localcluster.paths import clusters_dir

CHECKOUT = Path(__file__).resolve().parents[1]
LOCAL = CHECKOUT / ".local"
BIN = LOCAL / "bin"
DEMO = LOCAL / "demo"
ALONE = LOCAL / "demo-local"
MODELS = DEMO / "models"
PREDICTIONS = DEMO / "predictions"
KUBECONFIG = DEMO / "kubeconfig"
IMAGES_LOG = DEMO / "images.log"
_STATE = DEMO / "state.json"

CLUSTER = "demo"
NAMESPACE = "fleetscore-demo"
RELEASE = "fleetscore"


def azurite_folder() -> Path:
    """Where the demo's Azurite keeps its blobs: beside the cluster, one per machine as that is."""
    return clusters_dir().parent / "azurite-demo"


def fresh(folder: Path) -> Path:
    """An empty folder in place of whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def read_state() -> dict[str, Any]:
    """What the last demo wrote down about where it runs; empty where there was none."""
    try:
        state: dict[str, Any] = json.loads(_STATE.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state


def write_state(state: dict[str, Any]) -> None:
    """Write down where the demo runs, so that `down` ends the right thing."""
    DEMO.mkdir(parents=True, exist_ok=True)
    _STATE.write_text(json.dumps(state))


def write_wrappers(programs: dict[str, Path]) -> None:
    """Put programs into `.local/bin`, set to the demo's cluster and namespace."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name, program in programs.items():
        wrapper = BIN / name
        setting = f"KUBECONFIG={shlex.quote(str(KUBECONFIG))} HELM_NAMESPACE={NAMESPACE}"
        wrapper.write_text(f'#!/bin/sh\n{setting} exec {shlex.quote(str(program))} "$@"\n')
        wrapper.chmod(0o755)
