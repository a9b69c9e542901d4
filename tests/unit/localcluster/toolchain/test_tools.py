import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.errors import BuildError
from localcluster.paths import SOURCE_ROOT
from localcluster.toolchain import golang, official_binaries, tools
from tests.testkit.waiting import until

# A go without a compiler: it records its call, waits, and creates the program.
_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go1.99.0 linux/amd64"; exit 0; fi
echo "$PWD" >> "$CALLS"
sleep "$BUILD_SECONDS" & wait
while [ "$1" != -o ]; do shift; done
touch "$2"
"""
_BUILD = [sys.executable, "-c", "from localcluster.toolchain import tools; print(tools.ensure_tool('pause'))"]

# The process exists, and Popen has not returned it yet.
_INTERRUPTED_BUILD = """
import signal, subprocess
from localcluster.toolchain import tools

class Interrupted(subprocess.Popen):
    def __init__(self, command, **options):
        super().__init__(command, **options)
        if "build" in command:
            signal.raise_signal(signal.SIGINT)

subprocess.Popen = Interrupted
tools.ensure_tool("pause")
"""


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


@pytest.mark.parametrize(
    ("program", "text", "fits"),
    [
        ("kubectl", "Client Version: v1.34.4\nKustomize Version: v5.7.1", True),
        ("kubectl", "Client Version: v1.33.0", True),
        ("kubectl", "Client Version: v1.35.1", True),
        ("kubectl", "Client Version: v1.32.4-dispatcher", False),
        ("kubectl", "Client Version: v1.36.0", False),
        ("kubectl", "no version here", False),
        ("helm", "v3.18.0+gcc58e3f", True),
        ("helm", "v3.17.3+ge4da497", False),
        ("helm", "v3.13.3+gc8b9489", False),
        ("helm", "v4.3.0", True),
    ],
)
def test_program_on_path_is_used_only_in_a_supported_version(program: str, text: str, *, fits: bool) -> None:
    assert tools.version_fits(program, text) is fits


@pytest.mark.parametrize(
    "changed",
    [
        ({"go.mod": b"module b", "go.sum": b""}, "1.26.1", "-s"),
        ({"go.mod": b"module a", "go.sum": b"x"}, "1.26.1", "-s"),
        ({"go.mod": b"module a", "go.sum": b""}, "1.26.2", "-s"),
        ({"go.mod": b"module a", "go.sum": b""}, "1.26.1", ""),
        ({"go.mod": b"module a"}, "1.26.1", "-s"),
    ],
    ids=["go.mod", "go.sum", "Go", "flags", "files"],
)
def test_cache_key_changes_with_each_input_of_a_build(changed: tuple[dict[str, bytes], str, str]) -> None:
    before = ({"go.mod": b"module a", "go.sum": b""}, "1.26.1", "-s")
    assert tools.cache_key(*before) == tools.cache_key(*before)
    assert tools.cache_key(*changed) != tools.cache_key(*before)


def test_tools_and_pinned_modules_correspond() -> None:
    assert {path.parent.name for path in golang.TOOL_SOURCES.glob("*/go.mod")} == set(tools.TOOLS)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "go").write_text(_GO)
    (programs / "go").chmod(0o755)
    return os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CALLS": str(tmp_path / "calls"),
        "BUILD_SECONDS": "0.3",
    }


def test_concurrent_commands_build_a_tool_once(environment: dict[str, str]) -> None:
    both = [subprocess.Popen(_BUILD, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=180)[0].strip() for process in both}
    assert len(folders) == 1
    assert Path(folders.pop(), "pause").exists()
    assert len(Path(environment["CALLS"]).read_text().splitlines()) == 1


def test_interrupted_build_leaves_no_process_and_no_partial_tool(environment: dict[str, str]) -> None:
    environment["BUILD_SECONDS"] = "1000"
    build = subprocess.Popen(_BUILD, env=environment, stderr=subprocess.PIPE, text=True)
    until(Path(environment["CALLS"]).exists, "the build has begun")
    build.send_signal(signal.SIGINT)
    build.communicate(timeout=180)
    assert build.returncode != 0
    assert_nothing_is_left(environment)


def test_build_that_is_interrupted_while_it_starts_leaves_no_process(environment: dict[str, str]) -> None:
    environment["BUILD_SECONDS"] = "1000"
    build = subprocess.run([*_BUILD[:2], _INTERRUPTED_BUILD], env=environment, stderr=subprocess.PIPE, check=False)
    assert build.returncode == -signal.SIGINT
    assert not Path(environment["CALLS"]).exists()
    assert_nothing_is_left(environment)


def assert_nothing_is_left(environment: dict[str, str]) -> None:
    assert [path.name for path in Path(environment["XDG_CACHE_HOME"], "fleetscore/tools").glob("*.unfinished-*")] == []
    assert list(Path(environment["XDG_CACHE_HOME"], "fleetscore/tools").glob("*/pause")) == []
    # A process that ends exists for a moment longer.
    until(lambda: not running_with(f"CALLS={environment['CALLS']}"), "no process of the build is left")


def running_with(variable: str) -> list[str]:
    """Return the processes that have an environment variable."""
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if variable in readable(path)]


def readable(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_failed_build_reports_the_compilers_output(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = _GO.replace('touch "$2"', 'echo "main.go:7: undefined: x"; exit 1')
    Path(environment["PATH"].split(":")[0], "go").write_text(failing)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BuildError, match="undefined: x"):
        tools.ensure_tool("pause")
