from pathlib import Path

from localcluster.nodes import cgroups


def test_cgroups_of_both_versions_are_found(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    mounts = (
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"
        f"cgroup2 {tmp_path} cgroup2 rw,nosuid 0 0\n"
        "tmpfs /run tmpfs rw 0 0\n"
    )
    assert cgroups.find_hierarchies(mounts) == [Path("/sys/fs/cgroup/cpu,cpuacct"), tmp_path]
    assert {"cpu", "cpuacct", "memory", "pids"} <= cgroups.available_controllers(mounts)
