import io
import shutil
import subprocess
from pathlib import Path

import pytest

from localcluster.errors import ClusterError
from localcluster.progress import StepProgress
from localcluster.toolchain import debian


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands of an apt-get that succeeds."""
    run: list[list[str]] = []

    def execute(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        run.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", execute)
    return run


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy-rc.d"


def install(policy: Path) -> None:
    debian.install(["runc"], progress=StepProgress(io.StringIO()), service_policy=policy)


def test_packages_of_missing_programs_are_listed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bridge").touch()
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("containerd", "ctr", "ip") else f"/bin/{name}")
    assert debian.missing_packages([tmp_path / "none", tmp_path]) == ["containerd", "iproute2"]
    lacking = debian.missing_packages([tmp_path / "none"])
    assert lacking == ["containerd", "containernetworking-plugins", "iproute2"]


def test_installation_removes_no_package_and_starts_no_service(
    commands: list[list[str]], policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies: list[str] = []
    run = subprocess.run

    def execute(command: list[str], **options: object) -> object:
        policies.append(policy.read_text())
        return run(command, **options)  # type: ignore[call-overload]  # the fixture's function

    monkeypatch.setattr(subprocess, "run", execute)
    install(policy)
    ((program, *arguments),) = commands
    assert program == "apt-get"
    assert {"install", "--no-remove", "--no-install-recommends", "runc"} <= set(arguments)
    assert policies == ["#!/bin/sh\nexit 101\n"]
    assert not policy.exists()


def test_policy_of_the_machine_is_kept(commands: list[list[str]], policy: Path) -> None:
    policy.write_text("exit 0\n")
    install(policy)
    assert policy.read_text() == "exit 0\n"
    assert len(commands) == 1


def test_nothing_is_run_if_no_package_is_missing(commands: list[list[str]]) -> None:
    debian.install([])
    assert commands == []


def test_machine_without_apt_is_an_error_that_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ClusterError, match="apt-get is missing; install the equivalents of: runc iptables"):
        debian.install(["runc", "iptables"])


def test_failed_installation_is_repeated_with_new_package_lists(
    commands: list[list[str]], policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 100, "Unable to locate package runc", "")

    monkeypatch.setattr(subprocess, "run", execute)
    with pytest.raises(ClusterError, match=r"apt-get failed; run: apt-get install .* runc\nUnable to locate package"):
        install(policy)
    assert [("install" in command, "update" in command) for command in commands] == [
        (True, False),
        (False, True),
        (True, False),
    ]
