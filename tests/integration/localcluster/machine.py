"""The state of a machine: processes, mounts, links, routes, firewall rules, listening ports, cgroups.

As a script it prints the changes:

    python -m tests.integration.localcluster.machine save before.json
    python -m tests.integration.localcluster.machine diff before.json    # exit code 1 if there are differences
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from localcluster.nodes import cgroups

Snapshot = dict[str, list[str]]


def snapshot() -> Snapshot:
    return {
        "processes": sorted(_processes()),
        "mounts": sorted(Path("/proc/mounts").read_text().splitlines()),
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": sorted(Path("/proc/net/route").read_text().splitlines()),
        "iptables": sorted(_rules("iptables-save") + _rules("ip6tables-save")),
        "ports": sorted(_listening("tcp") + _listening("tcp6")),
        "cgroups": sorted(
            str(path)
            for hierarchy in cgroups.find_hierarchies(Path("/proc/mounts").read_text())
            for path in hierarchy.iterdir()
            if path.is_dir()
        ),
    }


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    lines = []
    for kind, now in after.items():
        lines += [f"{kind}: + {entry}" for entry in now if entry not in before[kind]]
        lines += [f"{kind}: - {entry}" for entry in before[kind] if entry not in now]
    return lines


def _processes() -> list[str]:
    """Command lines; kernel threads and zombies have none."""
    commands = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in _ourselves():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            commands.append(b" ".join(words).decode(errors="replace").strip())
    return [command for command in commands if command]


def _ourselves() -> set[int]:
    """Return this process and its ancestors, which differ from call to call."""
    found, pid = set(), int(Path("/proc/self").readlink().name)
    while pid > 1:
        found.add(pid)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pid = int(fields[1])
    return found


def _rules(program: str) -> list[str]:
    if not shutil.which(program):
        return []
    output = subprocess.run([program], capture_output=True, text=True, check=False).stdout
    # Tables and built-in chains appear when a program first reads them, and counters change by themselves: only
    # added rules and chains count.
    own = [line for line in output.splitlines() if line.startswith("-") or (line.startswith(":") and " - [" in line)]
    return [line.split(" [")[0] for line in own]


def _listening(table: str) -> list[str]:
    path = Path(f"/proc/net/{table}")
    rows = [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []
    return [f"{table} {row[1]}" for row in rows if row[3] == "0A"]


def main(command: str, file: str) -> int:
    if command == "save":
        Path(file).write_text(json.dumps(snapshot()))
        return 0
    changes = difference(json.loads(Path(file).read_text()), snapshot())
    print("\n".join(changes) or "no difference")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
