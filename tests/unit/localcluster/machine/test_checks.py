"""The checks that read the machine; the other ones are commands that preflight runs on each machine."""

import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from localcluster import allocation
from localcluster.errors import ClusterError
from localcluster.machine import checks
from localcluster.machine.requirements import MissingRequirement
from localcluster.nodes import cgroups


class Usage(NamedTuple):
    """The usage of a disk, of which the checks read the free bytes."""

    free: int


@pytest.mark.parametrize(
    ("system", "processor", "fits"),
    [
        ("Linux", "x86_64", True),
        ("Linux", "aarch64", True),
        ("Linux", "armv7l", False),
        ("Darwin", "x86_64", False),
    ],
)
def test_only_linux_on_two_processors_is_supported(
    system: str,
    processor: str,
    fits: bool,  # noqa: FBT001  a table's column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    finding = checks.machine()
    assert (finding is None) is fits
    assert fits or finding == MissingRequirement(
        "Linux on x86_64 or aarch64", f"{system} {processor}", "use a Linux machine or virtual machine"
    )


@pytest.mark.parametrize(
    ("available_gib", "building", "needed"),
    [(2, False, None), (1.9, False, "2 GiB"), (4, True, None), (3.9, True, "4 GiB")],
)
def test_build_needs_twice_the_memory_of_a_cluster(
    available_gib: float,
    building: bool,  # noqa: FBT001  a table's column
    needed: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = f"MemTotal: 8000000 kB\nMemAvailable: {int(available_gib * 1024**2)} kB\n"
    monkeypatch.setattr(Path, "read_text", lambda _path: text)
    finding = checks.memory(building=building)
    assert (finding and finding.requirement) == (needed and f"{needed} of free memory")


@pytest.mark.parametrize(
    ("free_gib", "building", "needed"), [(2, False, None), (1, False, "2 GiB"), (10, True, None), (9, True, "10 GiB")]
)
def test_disk_of_cluster_and_cache_needs_free_space(
    free_gib: int,
    building: bool,  # noqa: FBT001  a table's column
    needed: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(free_gib << 30))
    finding = checks.disk(building=building)
    assert (finding and finding.requirement) == (needed and f"{needed} of disk at {tmp_path}")


def test_folder_that_cannot_be_written_is_a_finding_with_chown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a" / "b"))
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    finding = checks.disk(building=False)
    assert finding
    assert (finding.requirement, finding.fix) == (f"a writable {tmp_path}", f"chown {os.getuid()} {tmp_path}")


def test_user_other_than_root_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    finding = checks.root()
    assert finding
    assert (finding.requirement, finding.found) == ("root", "user 1000")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert checks.root() is None


@pytest.mark.parametrize(("effective", "lacking"), [(2**64 - 1, None), (2**64 - 1 - 2**21 - 2**27, "SYS_ADMIN, MKNOD")])
def test_capabilities_that_a_container_lacks_are_named(
    effective: int, lacking: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path: f"Name: python\nCapEff: {effective:016x}\n")
    finding = checks.capabilities()
    assert (finding and finding.found) == (lacking and f"lacks {lacking}")


def test_machine_without_a_free_slot_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_arguments: object) -> None:
        raise ClusterError("no free slot")

    monkeypatch.setattr(allocation, "allocate", reject)
    finding = checks.free_slot()
    assert finding
    assert (finding.found, finding.fix) == ("no free slot", "localcluster down --all")


def test_missing_cgroup_controllers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "create", lambda _group: None)
    monkeypatch.setattr(cgroups, "remove", lambda _group: None)
    monkeypatch.setattr(cgroups, "available_controllers", lambda _mounts, _group: {"cpu", "io"})
    finding = checks.cgroup_hierarchies()
    assert finding
    assert (finding.requirement, finding.found) == ("cgroup controllers", "lacks memory, pids")


def test_cgroups_that_cannot_be_written_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(_group: str) -> None:
        raise PermissionError(13, "Read-only file system")

    monkeypatch.setattr(cgroups, "create", reject)
    finding = checks.cgroup_hierarchies()
    assert finding
    assert (finding.requirement, finding.found) == ("writable cgroups", "[Errno 13] Read-only file system")


@pytest.mark.parametrize(
    ("check", "requirement", "modules"),
    [
        (checks.namespaces, "namespaces (mount, network, process)", ""),
        (checks.overlay, "overlay mounts in ", "modprobe overlay"),
        (checks.network_devices, "network devices veth and bridge", "modprobe -a veth bridge"),
        (checks.netfilter, "address translation by iptables", "modprobe -a iptable_nat"),
    ],
)
def test_command_that_the_kernel_rejects_is_a_finding_with_its_error(
    check: Callable[[], MissingRequirement | None],
    requirement: str,
    modules: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(checks, "command_failure", lambda _command: "Operation not permitted")
    finding = check()
    assert finding
    assert finding.requirement.startswith(requirement)
    assert finding.found == "Operation not permitted"
    assert modules in finding.fix
    monkeypatch.setattr(checks, "command_failure", lambda _command: None)
    assert check() is None


def test_programs_that_are_not_installed_yet_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(checks, "command_failure", lambda _command: "not found")
    assert checks.network_devices() is None
    assert checks.netfilter() is None
