from pathlib import Path

import pytest

from localcluster import allocation
from localcluster.kubernetes.control_plane import ControlPlane


@pytest.mark.parametrize("role", ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"])
def test_extra_arguments_come_last(role: str, tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path, allocation.Slot(0), "127.0.0.1", tmp_path, tmp_path / "etcd", {role: ("--v=9",)})
    assert plane.command(role)[-1] == "--v=9"
