import re
import shutil
from pathlib import Path

import pytest

from localcluster.errors import BuildError
from localcluster.paths import SOURCE_ROOT
from localcluster.toolchain import official_binaries, tools


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the installations and builds of a machine with an empty cache and no kubectl or helm on PATH."""
    made: list[str] = []

    def install(name: str, _progress: object) -> Path:
        made.append(f"install {name}")
        return tmp_path / "official" / name

    def build(tool: str, programs: list[str], **_options: object) -> Path:
        made.append(f"build {' '.join(programs)}")
        return tmp_path / tool

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(tools, "missing_programs", lambda _tool, programs: list(programs))
    monkeypatch.setattr(tools, "ensure_tool", build)
    monkeypatch.setattr(official_binaries, "install_binary", install)
    return made


def test_kubectl_and_helm_are_installed_instead_of_built(calls: list[str], tmp_path: Path) -> None:
    assert tools.ensure_program("kubectl") == tmp_path / "official" / "kubectl"
    assert tools.ensure_program("helm") == tmp_path / "official" / "helm"
    assert calls == ["install kubectl", "install helm"]


def test_program_that_cannot_be_installed_is_built(
    calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official_binaries, "install_binary", lambda _name, _progress: None)
    assert tools.ensure_program("kubectl") == tmp_path / "kubernetes" / "kubectl"
    assert tools.ensure_program("helm") == tmp_path / "helm" / "helm"
    assert calls == ["build kubectl", "build helm"]


def test_earlier_build_is_used_without_a_download(
    calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "missing_programs", lambda _tool, _programs: [])
    assert tools.ensure_program("helm") == tmp_path / "helm" / "helm"
    assert "install helm" not in calls


def test_installed_program_is_used_before_an_earlier_build(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program = official_binaries.binaries_folder() / "helm"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(tools, "missing_programs", lambda _tool, _programs: [])
    assert tools.ensure_program("helm") == program
    assert calls == []


@pytest.mark.parametrize(("version", "used"), [("v3.17.9", False), ("v3.18.0", True), ("v4.1.4", True)])
def test_helm_on_path_is_used_only_from_3_18(
    version: str,
    used: bool,  # noqa: FBT001  a table's column
    calls: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "helm"
    program.write_text(f"#!/bin/sh\necho {version}+g05fa379\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _name: str(program))
    assert (tools.ensure_program("helm") == program) is used
    assert calls == ([] if used else ["install helm"])


def test_other_programs_are_built(calls: list[str], tmp_path: Path) -> None:
    assert tools.ensure_program("etcd") == tmp_path / "etcd" / "etcd"
    assert calls == ["build etcd"]


def test_unknown_program_is_an_error(calls: list[str]) -> None:
    with pytest.raises(BuildError, match="'helm4' is unknown"):
        tools.ensure_program("helm4")
    assert calls == []


def test_oldest_helm_is_the_same_in_code_module_and_documents() -> None:
    assert tools.MIN_HELM_VERSION == (3, 18)
    module = (SOURCE_ROOT / "tools" / "helm-oldest" / "go.mod").read_text()
    pinned = re.findall(r"helm\.sh/helm/v3 v(\d+)\.(\d+)\.\d+", module)
    assert [tuple(map(int, found)) for found in pinned] == [(3, 18)]
    assert "version=v3.18.0" in tools.TOOLS["helm-oldest"].link_flags
    for page in ("install.md", "install-aks.md"):
        text = (SOURCE_ROOT.parent / "docs" / "operations" / page).read_text()
        assert re.search(r"\b[Hh]elm\b\S* 3\.18 or newer", text), page


def test_sources_of_a_tool_are_listed_as_they_are_built() -> None:
    command = tools.sources_command(Path("go"), "promtool", ["promtool"])
    assert command[:3] == ["go", "list", "-deps"]
    assert command[-1] == "github.com/prometheus/prometheus/cmd/promtool"
    assert command[command.index("-tags") + 1] == "remove_all_sd"


def test_expected_time_is_of_the_link_once_the_tool_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "tool_folder", lambda _tool: tmp_path / "kubernetes")
    assert tools.expected_seconds("kubernetes", ["kubelet", "kubectl"]) == 400
    (tmp_path / "kubernetes").mkdir()
    assert tools.expected_seconds("kubernetes", ["kubelet", "kubectl"]) == 20
