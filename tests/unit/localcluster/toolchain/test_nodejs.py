import io
from pathlib import Path

import pytest

from localcluster.errors import BuildError
from localcluster.progress import StepProgress
from localcluster.toolchain import nodejs
from localcluster.toolchain.nodejs import NodeJs

# npm creates the package's folder where it runs; $1 is `ci`.
_NPM = 'test "$1" = ci && test -f package-lock.json && mkdir -p node_modules/azurite && echo run >>"$CALLS"'


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use a machine with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))


def write_nodejs(folder: Path, version: str, *, npm: str | None = _NPM) -> None:
    """Write a Node.js of a version, and its npm as a shell script."""
    folder.mkdir()
    for name, script in {"node": f"echo {version}", **({} if npm is None else {"npm": npm})}.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def progress() -> StepProgress:
    return StepProgress(io.StringIO())


def test_nodejs_on_path_is_used_from_version_20(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nodejs(tmp_path / "bin", "v20.11.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert nodejs.find_nodejs(progress()) == NodeJs(tmp_path / "bin", 20)


@pytest.mark.parametrize(("version", "npm"), [("v18.19.0", _NPM), ("v22.1.0", None)], ids=["old", "without npm"])
def test_nodejs_is_installed_from_pypi_once_if_path_has_no_suitable_one(
    version: str, npm: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nodejs(tmp_path / "bin", version, npm=npm)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    commands: list[list[str]] = []

    def run(command: list[str], _folder: Path) -> None:
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            Path(command[3]).mkdir(parents=True)
            write_nodejs(Path(command[3]) / "bin", "v24.0.1")

    monkeypatch.setattr(nodejs, "run_command", run)
    first, second = (nodejs.find_nodejs(progress()) for _ in range(2))
    assert first == second
    assert first.major_version == 24
    assert first.bin_folder.is_relative_to(tmp_path / "cache")
    assert len(commands) == 2
    assert "--require-hashes" in commands[1]


def test_azurite_is_installed_once_for_a_lock_file_and_a_nodejs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nodejs(tmp_path / "bin", "v22.1.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    first, second = (nodejs.install_azurite(progress()) for _ in range(2))
    assert first == second
    assert first[0] == str(tmp_path / "bin" / "node")
    assert Path(first[1]).is_relative_to(tmp_path / "cache")
    assert (tmp_path / "calls").read_text() == "run\n"


def test_failed_installation_names_npms_output_and_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nodejs(tmp_path / "bin", "v22.1.0", npm="echo ENOTFOUND registry; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for _ in range(2):
        with pytest.raises(BuildError, match="ENOTFOUND registry"):
            nodejs.install_azurite(progress())
    assert [path.name for path in (tmp_path / "cache" / "fleetscore").iterdir()] == ["locks"]
