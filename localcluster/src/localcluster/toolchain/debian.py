"""Debian packages for container nodes, installed by apt-get if their programs are missing.

A program that exists is used, whatever package it came from. Docker's containerd, for example, is never replaced, and
apt-get may not remove packages.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.progress import StepProgress

# program -> its package
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


def find_cni_folder(folders: Sequence[Path] = CNI_FOLDERS) -> Path | None:
    """Return the folder with the CNI plugins, or None.

    Args:
        folders: The folders that may have the plugins.
    """
    return next((folder for folder in folders if (folder / "bridge").exists()), None)


def missing_packages(cni_folders: Sequence[Path] = CNI_FOLDERS) -> list[str]:
    """Return the packages that a container node needs and this machine lacks.

    Args:
        cni_folders: The folders that may have the CNI plugins.
    """
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    return sorted(missing | (set() if find_cni_folder(cni_folders) else {"containernetworking-plugins"}))


def install_command(packages: Sequence[str]) -> list[str]:
    """Return the command that installs packages, which messages also show."""
    return ["apt-get", "install", "--yes", "--no-install-recommends", "--no-remove", *packages]


def install(
    packages: Sequence[str],
    *,
    progress: StepProgress | None = None,
    service_policy: Path = _SERVICE_POLICY_FILE,
) -> None:
    """Install packages without starting their services, now or at the next boot.

    Args:
        packages: The packages. Without any, nothing is done.
        progress: The printer of the step.
        service_policy: The script that allows or forbids packages to start services.

    Raises:
        ClusterError: apt-get is missing or failed. The message has its output.
    """
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(f"apt-get is missing; install the equivalents of: {' '.join(packages)}")
    with (progress or StepProgress()).step(f"installing {', '.join(packages)} with apt-get", usual_seconds=20):
        with _services_disabled(service_policy):
            if _run_apt(install_command(packages)).returncode != 0:
                _run_apt(["apt-get", "update", "--quiet"])  # the package lists may be old or missing
                answer = _run_apt(install_command(packages))
                if answer.returncode != 0:
                    command = " ".join(install_command(packages))
                    raise ClusterError(f"apt-get failed; run: {command}\n{answer.stdout.strip()[-2000:]}")
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
def _services_disabled(policy: Path) -> Iterator[None]:
    """Forbid packages to start services, by a policy-rc.d script that exits with 101 (Debian policy, invoke-rc.d)."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
