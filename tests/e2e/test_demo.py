"""The README's first command, under another name than the demo's own, so that one that is up is not touched."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.workspace import CHECKOUT, NAMESPACE, Workspace

from localcluster import processes
from localcluster.paths import cluster_dir
from tests.testkit import documents

pytestmark = pytest.mark.needs_services


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Workspace]:
    places = Workspace(tmp_path / "local", f"tests-{os.getpid()}-demo")
    yield places
    start(places, "down").communicate()


def start(where: Workspace, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demo", "--folder", str(where.root), "--cluster", where.cluster, *arguments]
    # A process group of its own, as a terminal gives it: Ctrl-C is for all of it.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT, start_new_session=True
    )


def kubectl(where: Workspace, *arguments: str) -> str:
    command = [str(where.bin_folder / "kubectl"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_documented_commands(where: Workspace) -> subprocess.CompletedProcess[str]:
    """Run the blocks of the documents that need the demo, as in a checkout whose .local is the demo's folder."""
    folder = where.root.parent
    (folder / ".local").symlink_to(where.root)
    name = kubectl(where, "get", "sr", "-o", "name").partition("/")[2].strip()
    path = f"{where.bin_folder}:{os.environ['PATH']}"
    return documents.run("demo", folder, {**os.environ, "PATH": path, "NAME": name})


def test_demo_survives_an_interruption_passes_and_is_removed_completely(where: Workspace) -> None:
    interrupted = start(where, "run")
    assert interrupted.stdout is not None
    lines = []
    for line in interrupted.stdout:
        lines.append(line)
        if re.search(r"\b[1-9]\d* active", line):
            os.killpg(interrupted.pid, signal.SIGINT)
            break
    end, _ = interrupted.communicate(timeout=180)
    assert interrupted.returncode == 130, "".join(lines) + end
    assert end.splitlines()[-1].startswith("Interrupted.")
    assert "Traceback" not in end

    again = start(where, "run")
    shown, _ = again.communicate(timeout=300)
    assert (again.returncode, shown.splitlines()[-1]) == (0, "PASS"), shown
    assert len(list((where.demo_folder / "models").glob("press-*.joblib"))) == 12
    (window,) = (where.demo_folder / "predictions").iterdir()
    assert len(list(window.glob("press-*.csv"))) == 12
    assert "Complete" in kubectl(where, "get", "sr")
    enforced = "pod-security.kubernetes.io/enforce=restricted"
    assert f"namespace/{NAMESPACE}" in kubectl(where, "get", "namespaces", "-l", enforced, "-o", "name")
    documented = run_documented_commands(where)
    assert documented.returncode == 0, f"{documented.stdout}\n{documented.stderr}"

    gone = start(where, "down")
    shown, _ = gone.communicate(timeout=300)
    assert gone.returncode == 0, shown
    left = [path for path in (where.root, where.azurite_folder, cluster_dir(where.cluster)) if path.exists()]
    assert left == []
    assert processes.find_processes(where.azurite_folder) | processes.find_processes(cluster_dir(where.cluster)) == {}
