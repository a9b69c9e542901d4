import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from localcluster import provision
from localcluster.nodes.layout import NodeLayout
from localcluster.progress import StepProgress
from localcluster.toolchain import debian, tools

PLANE = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]


@pytest.mark.parametrize(
    ("nodes", "missing"),
    [
        ("none", {"kubernetes": PLANE, "etcd": ["etcd"]}),
        ("kwok:1", {"kubernetes": PLANE, "etcd": ["etcd"], "kwok": ["kwok"]}),
        ("container", {"kubernetes": [*PLANE, "kubelet", "kube-proxy"], "etcd": ["etcd"], "pause": ["pause"]}),
    ],
)
def test_machine_with_an_empty_cache_misses_the_programs_of_its_nodes(
    nodes: str, missing: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert provision.missing_programs(NodeLayout.parse(nodes)) == missing


def test_built_programs_are_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "missing_programs", lambda tool, _programs: ["etcd"] if tool == "etcd" else [])
    assert provision.missing_programs(NodeLayout.parse("container,kwok:1")) == {"etcd": ["etcd"]}


@pytest.mark.parametrize(
    ("nodes", "ensured"),
    [
        ("none", [" ".join(["kubernetes", *PLANE]), "etcd"]),
        ("kwok:1", [" ".join(["kubernetes", *PLANE]), "etcd", "kwok"]),
        ("container", [" ".join(["kubernetes", *PLANE, "kubelet", "kube-proxy"]), "etcd", "packages runc", "pause"]),
    ],
)
def test_only_what_the_nodes_need_is_built_and_installed(
    nodes: str, ensured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def ensure_tool(tool: str, programs: Sequence[str] = (), **_options: object) -> Path:
        calls.append(" ".join([tool, *programs]))
        return Path("/cache", tool)

    def ensure_program(name: str, **_options: object) -> Path:
        calls.append(name)
        return Path("/cache", name, name)

    def install(packages: Sequence[str], **_options: object) -> None:
        calls.append(" ".join(["packages", *packages]))

    monkeypatch.setattr(tools, "ensure_tool", ensure_tool)
    monkeypatch.setattr(tools, "ensure_program", ensure_program)
    monkeypatch.setattr(debian, "missing_packages", lambda: ["runc"])
    monkeypatch.setattr(debian, "install", install)
    folders = provision.ensure(NodeLayout.parse(nodes), StepProgress(io.StringIO()))
    assert folders == (Path("/cache/kubernetes"), Path("/cache/etcd/etcd"))
    assert calls == ensured
