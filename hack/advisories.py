"""Known weaknesses of the packages that are pinned: a snapshot of the PyPA advisory database, and what makes it.

    make audit                                  fetch the database, write the snapshot, check the pins
    python -m hack.advisories FOLDER  the same from a checkout that is there

`make check` holds the pins to the snapshot and asks nobody.
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
    """Name and version of every package that is pinned anywhere."""
    text = "\n".join(file.read_text() for file in REQUIREMENTS)
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\\n]+)", text, re.MULTILINE)
    return sorted({(canonicalize_name(name), version) for name, version in found})


def concerning(name: str, version: str, snapshot: dict[str, Any]) -> list[str]:
    """The advisories that a version of a package is affected by."""
    known = (one for one in snapshot["advisories"] if one["package"] == name)
    return [one["id"] for one in known if any(_within(Version(version), *span) for span in one["ranges"])]


def _within(version: Version, introduced: str, fixed: str | None) -> bool:
    return version >= Version(introduced) and (fixed is None or version < Version(fixed))


def take(database: Path) -> dict[str, Any]:
    """The snapshot of a checkout of the database, for the packages that are pinned."""
    advisories = []
    newest = ""
    for name in sorted({name for name, _ in pins()}):
        for file in sorted((database / "vulns" / name).glob("*.yaml")):
            document = yaml.load(file.read_text(), yaml.BaseLoader)  # noqa: S506  # no types: 3.10 is no number
            spans = [span for affected in document["affected"] for span in _spans(affected)]
            if spans and "withdrawn" not in document:
                advisories.append({"id": document["id"], "package": name, "ranges": spans})
                newest = max(newest, document["modified"][:10])
    return {"source": "PyPA advisory database", "newest": newest, "advisories": advisories}


def _spans(affected: dict[str, Any]) -> Iterator[list[str | None]]:
    """From and up to (and without) which versions; None: up to the last."""
    for part in affected.get("ranges", ()):
        events = part["events"] if part["type"] == "ECOSYSTEM" else []
        for event, following in zip(events, [*events[1:], {}], strict=False):
            if "introduced" in event:
                yield [event["introduced"], following.get("fixed")]


def main(database: Path) -> int:
    """Write the snapshot and say what it holds against the pins; 1 where that is anything."""
    snapshot = take(database)
    if not snapshot["advisories"]:
        print(f"{database} is no checkout of the PyPA advisory database", file=sys.stderr)
        return 64
    SNAPSHOT.write_text(json.dumps(snapshot, indent=1) + "\n")
    found = [(name, version, ids) for name, version in pins() if (ids := concerning(name, version, snapshot))]
    for name, version, ids in found:
        print(f"{name} {version}: {', '.join(ids)}; take a newer one (make lock UPGRADE=1)")
    print(f"{len(snapshot['advisories'])} advisories, the newest of {snapshot['newest']}; {len(found)} pins concerned")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
