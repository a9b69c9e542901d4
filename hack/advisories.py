"""Known vulnerabilities of the pinned packages: a snapshot of the PyPA advisory database, and its update.

make audit                        fetch the database, write the snapshot, check the pins
python -m hack.advisories FOLDER  the same from an existing checkout of the database

The check fails if its data are older than 60 days, unless --max-age-days allows it. A test compares the pins with the
snapshot, without a network and at any age.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

from hack.charts import ROOT

SNAPSHOT = ROOT / "requirements" / "advisories.json"
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
MAX_AGE_DAYS = 60
"""Age of the newest advisory above which the check fails: the database changes every few days."""

_MODIFIED = re.compile(r"^modified: ['\"]?(\d{4}-\d\d-\d\d)", re.MULTILINE)
NOT_INSPECTED = (
    "Debian's packages in the images",
    "the Go modules and npm packages of localcluster/",
    "tests/deploy/*.txt and localcluster/*.txt",
    "advisories that PyPA has not published",
)


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
    """Return the snapshot of a checkout: the advisories of the pinned packages, and the newest date of all."""
    advisories = []
    modified = (_MODIFIED.search(file.read_text()) for file in (database / "vulns").glob("*/*.yaml"))
    newest = max((found[1] for found in modified if found), default="")
    for name in sorted({name for name, _ in pins()}):
        for file in sorted((database / "vulns" / name).glob("*.yaml")):
            document = yaml.load(file.read_text(), yaml.BaseLoader)  # noqa: S506  # versions are text, such as 3.10
            spans = [span for affected in document["affected"] for span in _spans(affected)]
            if spans and "withdrawn" not in document:
                advisories.append({"id": document["id"], "package": name, "ranges": spans})
    return {"source": "PyPA advisory database", "newest": newest, "advisories": advisories}


def _spans(affected: dict[str, Any]) -> Iterator[list[str | None]]:
    """Yield the first affected version and the first fixed one; None if there is no fix."""
    for part in affected.get("ranges", ()):
        events = part["events"] if part["type"] == "ECOSYSTEM" else []
        for event, following in zip(events, [*events[1:], {}], strict=False):
            if "introduced" in event:
                yield [event["introduced"], following.get("fixed")]


def main(arguments: Sequence[str], today: date | None = None, path: Path = SNAPSHOT) -> int:
    """Write the snapshot and print the affected pins, the age of the data, and the parts that are not inspected.

    Args:
        arguments: The arguments of the command line.
        today: The date for the age of the data; None for the clock's.
        path: The file of the snapshot.

    Returns:
        0 if no pin is affected, 1 if one is affected or the data are too old, 64 if the folder is not the database.
    """
    parser = argparse.ArgumentParser(prog="hack.advisories", description="Check the pins against the PyPA advisories.")
    parser.add_argument("database", type=Path, help="a checkout of the PyPA advisory database")
    text = "fail if the newest advisory is older; the default is %(default)s"
    parser.add_argument("--max-age-days", type=int, default=MAX_AGE_DAYS, metavar="N", help=text)
    parsed = parser.parse_args(arguments)
    snapshot = snapshot_of(parsed.database)
    if not snapshot["advisories"]:
        print(f"{parsed.database} is not a checkout of the PyPA advisory database", file=sys.stderr)
        return 64
    path.write_text(json.dumps(snapshot, indent=1) + "\n")
    found = [(name, version, ids) for name, version in pins() if (ids := affecting(name, version, snapshot))]
    for name, version, ids in found:
        print(f"{name} {version}: {', '.join(ids)}; to take a newer version, run make lock UPGRADE=1")
    print(f"{len(snapshot['advisories'])} advisories, the newest of {snapshot['newest']}; {len(found)} pins affected")
    print(f"not inspected: {'; '.join(NOT_INSPECTED)}")
    age_days = ((today or datetime.now(UTC).date()) - date.fromisoformat(snapshot["newest"])).days
    outdated = age_days > parsed.max_age_days
    if outdated:
        limit = f"--max-age-days is {parsed.max_age_days}"
        print(f"the advisories are outdated: the newest is {age_days} days old and {limit}; fetch the database again")
    return int(bool(found) or outdated)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
