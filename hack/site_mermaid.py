"""Hook of mkdocs: add Mermaid to the site, so that a browser needs no other server to draw the diagrams.

The script is a file of Mermaid's npm package. It is fetched once, compared with its hash, and kept in .local. Without
npm or without a network the site is rendered without the script; a browser then loads it from a public server, or shows
the source of each diagram.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VERSION = "11.17.2"  # the major version that mkdocs-material expects
IN_PACKAGE = "package/dist/mermaid.min.js"
IN_SITE = "assets/javascripts/mermaid.min.js"
TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Script:
    """The script in the cache, and the hash that it must have."""

    path: Path = ROOT / ".local" / "mermaid" / f"mermaid-{VERSION}.min.js"
    sha256: str = "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"

    def is_pinned(self) -> bool:
        """Return True if the script exists and has its hash."""
        return self.path.exists() and hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256


PINNED = Script()


def on_config(config: Any, *, script: Script = PINNED) -> Any:
    """Return the configuration with the script, if it is available."""
    if script.is_pinned() or _fetch(script):
        config["extra_javascript"].append(IN_SITE)
    return config


def on_post_build(config: Any, *, script: Script = PINNED) -> None:
    """Copy the script into the site."""
    if IN_SITE in config["extra_javascript"]:
        target = Path(config["site_dir"]) / IN_SITE
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(script.path, target)


def _fetch(script: Script) -> bool:
    """Fetch the script into the cache, and return True if this succeeded.

    Raises:
        SystemExit: The script does not have the expected hash.
    """
    npm = shutil.which("npm")
    if npm is None:
        return _skip("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", f"mermaid@{VERSION}"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return _skip(f"npm cannot fetch mermaid {VERSION} ({type(error).__name__})")
        with tarfile.open(Path(folder) / f"mermaid-{VERSION}.tgz") as package:
            content = package.extractfile(IN_PACKAGE)
            text = content.read() if content else b""
    script.path.parent.mkdir(parents=True, exist_ok=True)
    script.path.write_bytes(text)
    if not script.is_pinned():
        script.path.unlink()
        sys.exit(f"mermaid {VERSION} is invalid: its hash is not that of hack/site_mermaid.py; do not use it")
    return True


def _skip(cause: str) -> bool:
    print(f"warning: the site draws no diagrams offline: {cause}", file=sys.stderr)  # a logged warning is an error
    return False
