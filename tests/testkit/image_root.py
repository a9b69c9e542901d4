"""An image unpacked into a folder, and commands that run in it."""

import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.errors import ClusterError
from localcluster.machine import checks
from localcluster.toolchain import images

WHITEOUT = ".wh."  # the prefix of a deleted file's name in a layer (OCI image specification)
# Each program replaces the one before, so the command has the id of the process that the caller starts.
IN_IMAGE = """
root=$1 && shift
mount --bind "$root" "$root"
mount -t tmpfs -o size=16m tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    shift
done
shift
mount -o remount,ro,bind "$root"
exec chroot "$@"
"""


@dataclass(frozen=True)
class Image:
    """An unpacked image."""

    name: str
    root: Path
    config: dict[str, Any]
    layers: dict[str, list[str]]
    packed: Path

    def command_line(self, *command: str, user: str | None = None, folders: Sequence[Path] = ()) -> list[str]:
        """Return the arguments of a process that runs a command in the image.

        The command has the image's environment in addition to the caller's, the machine's network, and a read-only
        root. It can write only to /tmp and to the folders.

        Args:
            command: The command and its arguments.
            user: The ids of user and group, as `0:0`. The default is the image's user.
            folders: Folders of the machine, which have the same absolute paths in the image.
        """
        return [
            *("unshare", "--mount", "sh", "-euc", IN_IMAGE, "sh", str(self.root), *map(str, folders), "--"),
            *(f"--userspec={user or self.config['User']}", str(self.root), "/usr/bin/env", *self.config["Env"]),
            *command,
        ]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the image: its user, its environment, its root read-only and no folder to write to."""
        environment = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            self.command_line(*command), env=environment, capture_output=True, text=True, check=False, cwd="/"
        )


def unpack_image(name: str, folder: Path) -> Image:
    """Build an image and unpack it into a folder.

    Args:
        name: One of `images.ALL_IMAGE_NAMES`.
        folder: A folder, whose content the caller removes.

    Raises:
        ClusterError: The user is not root, or the build failed.
    """
    if lacking := checks.root():
        raise ClusterError(f"only root can unpack and run an image, not {lacking.found}: {lacking.fix}")
    archive = images.build_image(name)
    root = folder / "root"
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "packed", filter="tar")
    manifest = json.loads((folder / "packed" / "manifest.json").read_text())[0]
    layers = {}
    for layer in manifest["Layers"]:
        with tarfile.open(folder / "packed" / layer) as content:
            layers[layer] = content.getnames()
            content.extractall(root, filter="fully_trusted")  # noqa: S202  our own archive, as a kubelet unpacks it
        for member in layers[layer]:
            folder_of, _, file = member.rpartition("/")
            if file.startswith(WHITEOUT):
                (root / folder_of / file.removeprefix(WHITEOUT)).unlink()
    config = json.loads((folder / "packed" / manifest["Config"]).read_text())["config"]
    return Image(name, root, config, layers, folder / "packed")
