import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.errors import BuildError
from localcluster.toolchain import golang, tools
from tests.testkit.waiting import until

# A go that only pretends: it takes its time, writes down that it was called, and leaves the programs asked for.
_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go1.99.0 linux/amd64"; exit 0; fi
echo "$PWD" >> "$CALLS"
sleep "$PRETENDED_SECONDS" & wait
while [ "$1" != -o ]; do shift; done
touch "$2"
"""
_BUILD = [sys.executable, "-c", "from localcluster.toolchain import tools; print(tools.ensure_tool('pause'))"]


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
        "PRETENDED_SECONDS": "0.3",
    }


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


def test_go_from_pypi_is_new_enough_for_every_module() -> None:
    pinned = golang.parse_version(golang.pinned_version(golang.REQUIREMENTS.read_text()))
    assert pinned >= golang.required_version([path.read_text() for path in golang.TOOL_SOURCES.glob("*/go.mod")])


def test_unknown_program_is_named_in_the_error() -> None:
    with pytest.raises(BuildError, match="no-such-program"):
        tools.ensure_program("no-such-program")


def test_concurrent_commands_build_a_tool_once(environment: dict[str, str]) -> None:
    both = [subprocess.Popen(_BUILD, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=180)[0].strip() for process in both}
    assert len(folders) == 1
    assert Path(folders.pop(), "pause").exists()
    assert len(Path(environment["CALLS"]).read_text().splitlines()) == 1


def test_interrupted_build_leaves_no_process_and_no_partial_tool(environment: dict[str, str]) -> None:
    environment["PRETENDED_SECONDS"] = "1000"
    build = subprocess.Popen(_BUILD, env=environment, stderr=subprocess.PIPE, text=True)
    until(Path(environment["CALLS"]).exists, "the build has begun")
    build.send_signal(signal.SIGINT)
    build.communicate(timeout=180)
    assert build.returncode != 0
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
