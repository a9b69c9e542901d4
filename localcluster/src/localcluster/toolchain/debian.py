"""Debian packages that nodes of real containers need, brought in by apt-get where their programs are missing.

A program that is there already is used, whatever package it came from: Docker's own containerd, for one, is never
replaced, and apt is told to remove nothing.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.progress import StepProgress

# program -> the package it is in
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
}
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
_SERVICE_POLICY_FILE = Path("/usr/sbin/policy-rc.d")


def find_cni_folder() -> Path | None:
    """The folder with the network plugins, if there is one."""
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), None)


def missing_packages() -> list[str]:
    """The packages whose programs a node of real containers needs and this machine lacks."""
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    return sorted(missing | (set() if find_cni_folder() else {"containernetworking-plugins"}))


def install_command(packages: Sequence[str]) -> list[str]:
    """The command that installs packages; also what a user is told to run."""
    return ["apt-get", "install", "--yes", "--no-install-recommends", "--no-remove", *packages]


def install(packages: Sequence[str], *, progress: StepProgress | None = None) -> None:
    """Install packages; services that come with them are neither started now nor at the next boot.

    Raises:
        ClusterError: apt-get is missing, or failed with what it printed.
    """
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(f"this machine has no apt-get; install the equivalents of: {' '.join(packages)}")
    with (progress or StepProgress()).step(f"installing {', '.join(packages)} with apt-get", usual_seconds=20):
        with _services_disabled():
            if _run_apt(install_command(packages)).returncode != 0:
                _run_apt(["apt-get", "update", "--quiet"])  # the lists may be old, or none at all
                answer = _run_apt(install_command(packages))
                if answer.returncode != 0:
                    command = " ".join(install_command(packages))
                    raise ClusterError(f"apt-get failed; try: {command}\n{answer.stdout.strip()[-2000:]}")
        if "containerd" in packages and Path("/run/systemd/system").exists():
            subprocess.run(["systemctl", "disable", "--quiet", "containerd"], check=False, capture_output=True)


def _run_apt(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    waiting = [command[0], "-o", "DPkg::Lock::Timeout=300", *command[1:]]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    output = subprocess.PIPE
    return subprocess.run(
        waiting,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )


@contextmanager
def _services_disabled() -> Iterator[None]:
    """Debian's own way to say that installing a package starts nothing: a policy that answers 101 (forbidden)."""
    if _SERVICE_POLICY_FILE.exists():
        yield
        return
    _SERVICE_POLICY_FILE.write_text("#!/bin/sh\nexit 101\n")
    _SERVICE_POLICY_FILE.chmod(0o755)
    try:
        yield
    finally:
        _SERVICE_POLICY_FILE.unlink()
