import json
from pathlib import Path

import pytest

from localcluster import cluster_state, processes
from localcluster.cluster_state import ClusterRecord
from localcluster.paths import cluster_dir


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use a machine without clusters."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_written_record_is_read_again() -> None:
    record = ClusterRecord(3, "kwok:2", "/bin", "/etcd", {"etcd": ["--v=1"]}, ready=True)
    cluster_state.write_record("mine", record)
    assert cluster_state.read_record("mine") == record
    assert cluster_dir("mine").stat().st_mode & 0o077 == 0
    assert cluster_state.list_clusters() == ["mine"]


@pytest.mark.parametrize("text", ["", "[", "{}", '{"slot": 1, "nodes": "none", "bin": "", "etcd": "", "added": 1}'])
def test_record_of_another_version_or_without_content_is_none(text: str) -> None:
    cluster_dir("mine").mkdir(parents=True)
    (cluster_dir("mine") / "cluster.json").write_text(text)
    assert cluster_state.read_record("mine") is None


def test_machine_without_clusters_has_no_names_and_no_records() -> None:
    assert cluster_state.list_clusters() == []
    assert cluster_state.read_record("mine") is None


def test_removed_cluster_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    cluster_state.write_record("mine", ClusterRecord(3, "none", "/bin", "/etcd"))
    processes.start_process(cluster_dir("mine"), "etcd", ["sleep", "1000"])
    cluster_state.remove_cluster("mine")
    assert processes.find_processes(cluster_dir("mine")) == {}
    assert list((tmp_path / "state").iterdir()) == []


def test_record_has_the_fields_that_a_later_command_reads() -> None:
    cluster_state.write_record("mine", ClusterRecord(3, "none", "/bin", "/etcd"))
    stored = json.loads((cluster_dir("mine") / "cluster.json").read_text())
    assert stored.keys() == {"slot", "nodes", "bin", "etcd", "arguments", "ready"}
