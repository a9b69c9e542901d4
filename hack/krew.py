"""Build the archive of the krew plugin, and check its manifest against the rules of krew.

python3 -m hack.krew archive FILE.zip   write the archive that a release publishes
python3 -m hack.krew check              report each rule that deploy/krew/fleetscore.yaml violates

The rules are those of krew's `internal/index/validation`, and of its naming guide. The archive is a ZIP without
compression and with constant times, so equal files give equal bytes, and the manifest can state the checksum.
"""

import argparse
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "krew"
MANIFEST = FOLDER / "fleetscore.yaml"
FILES = (FOLDER / "kubectl-fleetscore", ROOT / "LICENSE")
API_VERSION = "krew.googlecontainertools.github.com/v1alpha2"
MAX_SHORT_DESCRIPTION_CHARS = 50
_SEMVER = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SHA256 = re.compile(r"[a-f0-9]{64}")


def archive() -> bytes:
    """Return the archive of the plugin: the script, which is executable, and the licence."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as target:
        for path in FILES:
            entry = zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix: the mode is in the upper half of the attributes
            entry.external_attr = (0o100755 if path.parent == FOLDER else 0o100644) << 16
            target.writestr(entry, path.read_bytes())
    return content.getvalue()


def check(manifest: Mapping[str, Any], version: str, content: bytes) -> Iterator[str]:
    """Yield a sentence for each rule that a manifest violates.

    Args:
        manifest: The manifest.
        version: The version that the manifest must have, without `v`.
        content: The archive.
    """
    name, spec = str((manifest.get("metadata") or {}).get("name", "")), manifest.get("spec") or {}
    if manifest.get("apiVersion") != API_VERSION or manifest.get("kind") != "Plugin":
        yield f"apiVersion and kind must be {API_VERSION} and Plugin"
    if name != MANIFEST.stem or not _NAME.fullmatch(name) or name.startswith("kubectl-"):
        yield f"metadata.name must be {MANIFEST.stem}, in lower case and without the prefix kubectl-"
    if spec.get("version") != f"v{version}" or not _SEMVER.fullmatch(str(spec.get("version"))):
        yield f"spec.version must be v{version}"
    short = str(spec.get("shortDescription") or "")
    if not 0 < len(short) <= MAX_SHORT_DESCRIPTION_CHARS or "\n" in short:
        yield f"spec.shortDescription must be one line of at most {MAX_SHORT_DESCRIPTION_CHARS} characters"
    if not spec.get("description") or not str(spec.get("homepage", "")).startswith("https://"):
        yield "spec.description and spec.homepage must be set"
    if not spec.get("platforms"):
        yield "spec.platforms must have a platform"
    for platform in spec.get("platforms") or []:
        yield from _check_platform(platform, version, content)


def _check_platform(platform: Mapping[str, Any], version: str, content: bytes) -> Iterator[str]:
    selector = platform.get("selector") or {}
    keys = [*(selector.get("matchLabels") or {}), *(one.get("key") for one in selector.get("matchExpressions") or [])]
    if not keys or not set(keys) <= {"os", "arch"}:
        yield "selector must have the keys os and arch, and no others"
    if not re.fullmatch(rf"https://\S+/v{re.escape(version)}/\S+\.(zip|tar\.gz)", str(platform.get("uri"))):
        yield f"uri must name a .zip or .tar.gz of the release v{version}"
    digest = hashlib.sha256(content).hexdigest()
    if not _SHA256.fullmatch(str(platform.get("sha256"))) or platform["sha256"] != digest:
        yield f"sha256 must be {digest}, the checksum of the archive"
    files = platform.get("files")
    if files is not None and not (files and all(one.get("from") and one.get("to") for one in files)):
        yield "files must be a list of from and to, or must be omitted"
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    if platform.get("bin") not in names or any(one.get("from") not in names for one in files or []):
        yield f"bin and files must be names of the archive: {', '.join(names)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Build and check the krew plugin.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="report each rule that the manifest violates")
    commands.add_parser("archive", help="write the archive").add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "archive":
        options.file.write_bytes(archive())
        return 0
    problems = list(check(yaml.safe_load(MANIFEST.read_text()), (ROOT / "VERSION").read_text().strip(), archive()))
    for problem in problems:
        print(f"{MANIFEST.relative_to(ROOT)}: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
