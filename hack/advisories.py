"""Known vulnerabilities of the pinned packages: a snapshot of the PyPA advisory database, and its update.

make audit                        fetch the database, write the snapshot, check the pins
python -m hack.advisories FOLDER  the same from an existing checkout of the database

A test compares the pins with the snapshot, without a network.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

from hack.charts import ROOT

SNAPSHOT = ROOT / "requirements" / "advisories.json"
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def pins() -> list[tuple[str, str]]:
    """Return name and version of every pinned package."""
    text = "\n".join(file.read_text() for file in REQUIREMENTS)
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\\n]+)", text, re.MULTILINE)
    return sorted({(canonicalize_name(name), version) for name, version in found})


def affecting(name: str, version: str, snapshot: dict[str, Any]) -> list[str]:
    """Return the ids of the advisories that affect a version of a package."""
    known = (one for one in snapshot["advisories"] if one["package"] == name)
    return [one["id"] for one in known if any(_within(Version(version), *span) for span in one["ranges"])]


def _within(version: Version, introduced: str, fixed: str | None) -> bool:
    return version >= Version(introduced) and (fixed is None or version < Version(fixed))


def snapshot_of(database: Path) -> dict[str, Any]:
    """Return the snapshot of a checkout of the database, for the pinned packages."""
    advisories = []
    newest = ""
    for name in sorted({name for name, _ in pins()}):
        for file in sorted((database / "vulns" / name).glob("*.yaml")):
            document = yaml.load(file.read_text(), yaml.BaseLoader)  # noqa: S506  # versions are text, such as 3.10
            spans = [span for affected in document["affected"] for span in _spans(affected)]
            if spans and "withdrawn" not in document:
                advisories.append({"id": document["id"], "package": name, "ranges": spans})
                newest = max(newest, document["modified"][:10])
    return {"source": "PyPA advisory database", "newest": newest, "advisories": advisories}


def _spans(affected: dict[str, Any]) -> Iterator[list[str | None]]:
    """Yield the first affected version and the first fixed one; None if there is no fix."""
    for part in affected.get("ranges", ()):
        events = part["events"] if part["type"] == "ECOSYSTEM" else []
        for event, following in zip(events, [*events[1:], {}], strict=False):
            if "introduced" in event:
                yield [event["introduced"], following.get("fixed")]


def main(database: Path) -> int:
    """Write the snapshot, print the affected pins, and return 1 if there is one."""
    snapshot = snapshot_of(database)
    if not snapshot["advisories"]:
        print(f"{database} is not a checkout of the PyPA advisory database", file=sys.stderr)
        return 64
    SNAPSHOT.write_text(json.dumps(snapshot, indent=1) + "\n")
    found = [(name, version, ids) for name, version in pins() if (ids := affecting(name, version, snapshot))]
    for name, version, ids in found:
        print(f"{name} {version}: {', '.join(ids)}; to take a newer version, run make lock UPGRADE=1")
    print(f"{len(snapshot['advisories'])} advisories, the newest of {snapshot['newest']}; {len(found)} pins affected")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
