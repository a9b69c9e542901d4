"""Builds of the images, as archives that containerd can import.

`docker` builds them if its engine runs. Otherwise `buildah` builds them without a daemon, on a base image that
`debootstrap` makes from Debian packages, because an image registry may be unreachable. An archive's name has a hash of
its inputs, so an unchanged image is not rebuilt. The machine's certificates and package index are build secrets, which
no layer contains.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster.commands import run_command, scratch_folder
from localcluster.errors import BuildError
from localcluster.locks import hold_lock
from localcluster.paths import SOURCE_ROOT, cache_dir
from localcluster.progress import StepProgress
from localcluster.toolchain import debian

CHECKOUT = SOURCE_ROOT.parent
IMAGE_NAMES = ("operator", "scorer")
"""The images that every release needs."""

ALL_IMAGE_NAMES = (*IMAGE_NAMES, "console")
_DISTRIBUTIONS = {"console": "client"}
"""The folder of the distribution and the name of its pins, if they are not the image's name."""

_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_INDEX_PATTERN = re.compile(r"(?:global|install|:env:)\.(index-url|extra-index-url)=(.*)")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_BUILD_PROGRAMS = ("buildah", "debootstrap")
# In namespaces of its own: mounts and processes of a command end with it, even if it is killed.
_IN_OWN_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# The equivalent of python:3.13-slim-trixie; the venv package has the pip that installs uv.
_BASE_SUITE = "trixie"
_BASE_PACKAGES = "python3,python3-venv,ca-certificates"
_BASE_UNUSED_PATHS = (
    "dev",
    "var/cache",
    "var/lib/apt/lists",
    "var/log",
    *(f"usr/share/{part}" for part in ("doc", "man", "info", "locale")),
)


def image_reference(name: str) -> str:
    """Return the reference of an image in a cluster, e.g. ``fleetscore/scorer:dev``."""
    return f"fleetscore/{name}:dev"


def build_image(name: str, *, progress: StepProgress | None = None, checkout: Path = CHECKOUT) -> Path:
    """Build one image and return its archive in docker's format; an unchanged image is not rebuilt.

    Args:
        name: One of ALL_IMAGE_NAMES. The tag is `image_reference(name)`.
        progress: The printer of the steps. The default prints to standard error.
        checkout: The folder of the sources. Tests use a folder other than this checkout.

    Raises:
        BuildError: A command of the build failed. The message ends with the last lines of its output.
    """
    progress = progress or StepProgress()
    folder = cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    docker = _docker_is_available()
    archive = folder / f"{name}-{fingerprint(name, checkout, '' if docker else _base_fingerprint())}.tar"
    with hold_lock(cache_dir() / "locks" / "images.lock", progress, "another build of images"):
        if not archive.exists():
            part = archive.with_suffix(".part")
            part.unlink(missing_ok=True)
            (_build_with_docker if docker else _build_with_buildah)(name, part, checkout, progress)
            part.rename(archive)
        for old in sorted(set(folder.glob(f"{name}-*.tar")) - {archive}, key=lambda path: path.stat().st_mtime)[:-1]:
            old.unlink()  # the previous archive stays, for switches between two branches
    return archive


def push_image(
    archive: Path, reference: str, *, plain_http: bool = False, progress: StepProgress | None = None
) -> None:
    """Push an archive of `build_image` to a registry, with the stored credentials of an earlier login.

    Args:
        archive: The archive that `build_image` returned.
        reference: The image's reference in the registry, as ``host/path:tag``.
        plain_http: True if the registry has no TLS. A registry on this machine is always assumed to have none. docker
            needs a setting of its own for such a registry.
        progress: The printer of the step. The default prints to standard error.

    Raises:
        BuildError: A command failed, e.g. without a login. The message ends with the last lines of its output.
    """
    progress = progress or StepProgress()
    local = f"docker.io/{image_reference(archive.name.partition('-')[0])}"
    with tempfile.TemporaryDirectory() as scratch, progress.step(f"pushing {reference}", usual_seconds=30):
        if _docker_is_available():
            run_command(["docker", "load", "--quiet", "--input", str(archive)], archive.parent)
            run_command(["docker", "tag", local, reference], archive.parent)
            run_command(["docker", "push", "--quiet", reference], archive.parent)
            return
        buildah = _buildah_command(Path(scratch))
        run_command([*buildah, "pull", "--quiet", f"docker-archive:{archive}"], archive.parent)
        # A registry on this machine is assumed to use plain HTTP, as docker assumes.
        plain_http = plain_http or bool(re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|/)", reference))
        plain = ["--tls-verify=false"] if plain_http else []
        run_command([*buildah, "push", "--quiet", *plain, local, f"docker://{reference}"], archive.parent)


def fingerprint(name: str, checkout: Path, base: str) -> str:
    """Return a short hash of an image's inputs: Dockerfile, build steps, pins, sources and base.

    Args:
        name: One of ALL_IMAGE_NAMES.
        checkout: The folder of the sources.
        base: The fingerprint of a base image that the Dockerfile does not name, or empty.
    """
    distribution = _DISTRIBUTIONS.get(name, name)
    pins = [checkout / "requirements" / file for file in (f"{distribution}.txt", "uv.txt", "dev.txt")]
    folder = checkout / distribution
    sources = [path for path in (folder / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = [
        checkout / f"Dockerfile.{name}",
        checkout / "docker" / "build.sh",
        checkout / ".dockerignore",
        folder / "pyproject.toml",
        folder / "README.md",
        *pins,
        *sources,
    ]
    digest = hashlib.sha256(base.encode())
    for path in sorted(files):
        digest.update(f"\0{path.relative_to(checkout)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def index_exports(pip_settings: str, environment: Mapping[str, str], *, bundle: bool) -> str:
    """Return shell lines that export the machine's package index settings to pip and uv in a build.

    Args:
        pip_settings: The output of ``pip config list``.
        environment: The machine's environment, with proxies and the index settings of uv.
        bundle: True if the build gets a bundle of certificates.
    """
    exports = {
        key: value
        for key, value in environment.items()
        if key in _PROXY_VARIABLES or re.fullmatch(r"UV_\w*INDEX\w*", key)
    }
    for line in pip_settings.splitlines():
        if found := _INDEX_PATTERN.fullmatch(line.strip()):
            value = found[2].strip("'\"").replace(r"\n", " ").strip()
            exports[f"PIP_{found[1].upper().replace('-', '_')}"] = value
            exports.setdefault("UV_DEFAULT_INDEX" if found[1] == "index-url" else "UV_INDEX", value)
    if bundle:
        exports |= {"SSL_CERT_FILE": "/run/secrets/ca", "PIP_CERT": "/run/secrets/ca"}
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in sorted(exports.items()))


def _docker_is_available() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def _secret_arguments(scratch: Path) -> list[str]:
    """Write the build's secrets into a scratch folder and return the arguments that pass them."""
    named = next(
        (os.environ[key] for key in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE") if os.environ.get(key)), ""
    )
    bundle = Path(named) if named else _CA_BUNDLE
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    index = scratch / "index"
    index.write_text(index_exports(settings.stdout, os.environ, bundle=bundle.is_file()))
    arguments = ["--secret", f"id=index,src={index}"]
    return [*arguments, "--secret", f"id=ca,src={bundle}"] if bundle.is_file() else arguments


def _build_with_docker(name: str, archive: Path, checkout: Path, progress: StepProgress) -> None:
    with (
        tempfile.TemporaryDirectory() as scratch,
        progress.step(f"building the {name} image with docker", usual_seconds=60),
    ):
        run_command(
            [
                "docker",
                "build",
                "--quiet",
                *_secret_arguments(Path(scratch)),
                "-f",
                f"Dockerfile.{name}",
                "-t",
                image_reference(name),
                ".",
            ],
            checkout,
        )
        run_command(["docker", "save", "-o", str(archive), image_reference(name)], checkout)


def _build_with_buildah(name: str, archive: Path, checkout: Path, progress: StepProgress) -> None:
    debian.install([name for name in _BUILD_PROGRAMS if not shutil.which(name)], progress=progress)
    with scratch_folder("fleetscore-build-") as scratch:
        buildah = _buildah_command(scratch)
        run_command([*buildah, "rm", "--all"], checkout)  # the remains of an interrupted build
        base = f"localhost/fleetscore-base:{_base_fingerprint()}"
        if subprocess.run([*buildah, "inspect", "--type", "image", base], capture_output=True, check=False).returncode:
            _build_base_image(buildah, base, scratch, progress)
        with progress.step(f"building the {name} image", usual_seconds=75):
            options = ["--layers", "--quiet", "--build-arg", f"BASE_IMAGE={base}", *_secret_arguments(scratch)]
            run_command(
                [
                    *buildah,
                    "bud",
                    *options,
                    "-f",
                    f"Dockerfile.{name}",
                    "-t",
                    f"localhost/{image_reference(name)}",
                    ".",
                ],
                checkout,
            )
            run_command(
                [
                    *buildah,
                    "push",
                    "--quiet",
                    f"localhost/{image_reference(name)}",
                    f"docker-archive:{archive}:docker.io/{image_reference(name)}",
                ],
                checkout,
            )


def _base_fingerprint() -> str:
    recipe = f"{_BASE_SUITE} {_BASE_PACKAGES} {_BASE_UNUSED_PATHS}"
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _build_base_image(buildah: Sequence[str], base: str, scratch: Path, progress: StepProgress) -> None:
    root = scratch / "root"
    with progress.step(f"building the base image from Debian's {_BASE_SUITE}", usual_seconds=45):
        command = [*_IN_OWN_NAMESPACES, "debootstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}"]
        run_command([*command, _BASE_SUITE, str(root), *_debian_mirror()], scratch)
        for path in _BASE_UNUSED_PATHS:
            shutil.rmtree(root / path, ignore_errors=True)
            (root / path).mkdir(parents=True)
        (scratch / "Dockerfile").write_text("FROM scratch\nCOPY root/ /\n")
        run_command([*buildah, "bud", "--quiet", "-t", base, str(scratch)], scratch)


def _debian_mirror() -> list[str]:
    """Return the Debian mirror of this machine's apt, or nothing on another system; debootstrap has a default."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.split()[:1]


def _buildah_command(scratch: Path) -> list[str]:
    """Return the beginning of each buildah command, with images in the cache and namespaces of its own."""
    store = cache_dir() / "buildah"
    command = [*_IN_OWN_NAMESPACES, "env", "BUILDAH_ISOLATION=chroot", "buildah", "--root", str(store)]
    command += ["--runroot", str(scratch / "run")]
    # overlay creates a layer in a second; vfs copies all lower layers but works on any filesystem.
    for driver in ("overlay", "vfs"):
        if (
            subprocess.run([*command, "--storage-driver", driver, "info"], capture_output=True, check=False).returncode
            == 0
        ):
            return [*command, "--storage-driver", driver]
    raise BuildError(
        f"buildah has no storage driver that works in {store}; set XDG_CACHE_HOME to a folder on a local disk"
    )
