"""Write the version of VERSION to every other file that states it, or check that those files agree.

python3 hack/version.py set 0.2.0     write VERSION and the files of LOCATIONS
python3 hack/version.py check         report each location that states another version; the exit code is then 1

The standard library is enough, so that the release workflow can run `check` without a virtual environment.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = "VERSION"
# A subset of Semantic Versioning that Python's packaging accepts too, as 0.2.0rc1 for 0.2.0-rc.1.
VALID = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(alpha|beta|rc)\.(0|[1-9]\d*))?")
_STATED = r"(?P<version>\d[\w.+-]*)"


@dataclass(frozen=True)
class VersionLocation:
    """The files of a glob, and the pattern whose group `version` is the version."""

    glob: str
    pattern: str
    minor: bool = False  # the location states 0.2 for 0.2.0

    def stated_in(self, text: str) -> Iterator[re.Match[str]]:
        """Return the matches in a file's text."""
        return re.finditer(self.pattern, text, re.MULTILINE)

    def expected(self, version: str) -> str:
        """Return what the location has to state for a version."""
        return ".".join(version.split(".")[:2]) if self.minor else version


_IMAGE = rf"fleetscore/(?:operator|scorer|console|\$image):{_STATED}"
LOCATIONS = (
    VersionLocation("operator/pyproject.toml", rf'^version = "{_STATED}"$'),
    VersionLocation("scorer/pyproject.toml", rf'^version = "{_STATED}"$'),
    VersionLocation("localcluster/pyproject.toml", rf'^version = "{_STATED}"$'),
    VersionLocation("client/pyproject.toml", rf'^version = "{_STATED}"$'),
    VersionLocation("client/src/fleetscore/__init__.py", rf'^__version__ = "{_STATED}"$'),
    # A constant, since importlib.metadata would cost every scorer pod an import.
    VersionLocation("scorer/src/device_scorer/__init__.py", rf'^__version__ = "{_STATED}"$'),
    VersionLocation("charts/fleetscore/Chart.yaml", rf"^version: {_STATED}$"),
    VersionLocation("charts/fleetscore/Chart.yaml", rf"^appVersion: {_STATED}$"),
    VersionLocation("charts/fleetscore/Chart.yaml", _IMAGE),
    VersionLocation("docs/operations/install.md", _IMAGE),
    VersionLocation("docs/operations/install-aks.md", _IMAGE),
    VersionLocation("docs/operations/console.md", _IMAGE),
    VersionLocation("examples/gitops/flux.yaml", rf"\btag: v{_STATED}"),
    VersionLocation("examples/gitops/argocd.yaml", rf"\btargetRevision: v{_STATED}$"),
    VersionLocation("deploy/krew/fleetscore.yaml", rf"^  version: v{_STATED}$"),
    VersionLocation("deploy/krew/fleetscore.yaml", rf"/releases/download/v{_STATED}/"),
    VersionLocation("SECURITY.md", r"^\| (?P<version>\d+\.\d+)\.x \| yes \|$", minor=True),
)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Keep the version of every file equal to the file VERSION.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="report the locations that state another version")
    commands.add_parser("set", help="write a version to VERSION and to every location").add_argument("version")
    options = parser.parse_args(arguments)
    if options.command == "set":
        if not VALID.fullmatch(options.version):
            print(f"version '{options.version}' is invalid: it must be X.Y.Z or X.Y.Z-rc.N", file=sys.stderr)
            return 64
        write(root, options.version)
    problems = list(check(root))
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


def read(root: Path = ROOT) -> str:
    """Return the version that VERSION states."""
    return (root / SOURCE).read_text().strip()


def write(root: Path, version: str) -> None:
    """Write a version to VERSION and to every location."""
    (root / SOURCE).write_text(f"{version}\n")
    for location in LOCATIONS:
        for file in root.glob(location.glob):
            text = file.read_text()
            for found in reversed(list(location.stated_in(text))):
                start, end = found.span("version")
                text = text[:start] + location.expected(version) + text[end:]
            file.write_text(text)


def check(root: Path = ROOT) -> Iterator[str]:
    """Return one line for each location that does not state the version of VERSION."""
    version = read(root)
    if not VALID.fullmatch(version):
        yield f"{SOURCE}: version '{version}' is invalid: it must be X.Y.Z or X.Y.Z-rc.N; correct the file"
    for location in LOCATIONS:
        count = 0
        for file in sorted(root.glob(location.glob)):
            text = file.read_text()
            for found in location.stated_in(text):
                count += 1
                if found["version"] != location.expected(version):
                    line = text.count("\n", 0, found.start("version")) + 1
                    where = f"{file.relative_to(root)}:{line}"
                    yield f"{where}: states {found['version']}, not {version}; run hack/version.py set {version}"
        if not count:
            yield f"{location.glob}: states no version; restore it there or remove the location from hack/version.py"


if __name__ == "__main__":
    sys.exit(main())
