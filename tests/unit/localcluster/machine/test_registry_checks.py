import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster.machine import registry_checks
from localcluster.machine.registry_checks import RegistryLimits
from localcluster.toolchain import debian, golang
from localcluster.toolchain.golang import GoToolchain

_MISSING = {"pause": ["pause"]}
_NO_PAUSE = RegistryLimits(retry_interval_seconds=0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file with the calls of the go that `write_go` writes."""
    monkeypatch.setattr(golang, "find_toolchain", lambda: GoToolchain(tmp_path / "go", "1.99.0"))
    (tmp_path / "calls").touch()
    return tmp_path / "calls"


def write_go(calls: Path, *, sources: str, registry: str) -> None:
    """Write a go whose offline list and whose request to the registry run these shell commands."""
    script = f"""#!/bin/sh
case "$*" in
*-deps*) echo "sources $GOPROXY" >>{calls}; {sources} ;;
*) echo registry >>{calls}; count=$(grep -c registry {calls}); {registry} ;;
esac
"""
    calls.with_name("go").write_text(script)
    calls.with_name("go").chmod(0o755)


def test_limits_of_a_check_allow_for_a_busy_machine() -> None:
    assert RegistryLimits() == RegistryLimits(
        check_seconds=19, sources_seconds=10, attempts=2, retry_interval_seconds=0.5
    )


def test_registry_is_not_asked_if_all_sources_are_downloaded(calls: Path) -> None:
    write_go(calls, sources="exit 0", registry="exit 1")
    assert registry_checks.go_modules(_MISSING, _NO_PAUSE) is None
    assert calls.read_text().splitlines() == ["sources off"]


def test_registry_is_asked_if_a_source_is_missing(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry="exit 0")
    assert registry_checks.go_modules({"pause": ["pause"], "etcd": ["etcd"]}, _NO_PAUSE) is None
    assert calls.read_text().splitlines() == ["sources off", "registry"]


def test_registry_that_fails_once_is_not_a_finding(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry="[ $count = 2 ]")
    assert registry_checks.go_modules(_MISSING, _NO_PAUSE) is None
    assert calls.read_text().splitlines() == ["sources off", "registry", "registry"]


def test_registry_that_fails_twice_is_a_finding_with_the_last_line(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry='echo "dial tcp: no route $count" >&2; exit 1')
    finding = registry_checks.go_modules(_MISSING, _NO_PAUSE)
    assert finding is not None
    assert (finding.requirement, finding.found) == ("Go's modules", "dial tcp: no route 2")
    assert "GOPROXY" in finding.fix


@pytest.mark.slow
def test_registry_that_hangs_once_is_not_a_finding(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry="[ $count = 2 ] || exec sleep 600")
    assert registry_checks.go_modules(_MISSING, replace(_NO_PAUSE, check_seconds=16.0)) is None
    assert calls.read_text().splitlines() == ["sources off", "registry", "registry"]


@pytest.mark.slow
def test_hanging_registry_is_a_finding_within_the_limit(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry="exec sleep 600")
    started = time.monotonic()
    finding = registry_checks.go_modules(_MISSING, replace(_NO_PAUSE, check_seconds=1.0))
    assert finding is not None
    assert "did not finish in" in finding.found
    assert time.monotonic() - started < 120  # far less than the registry hangs


def test_hanging_list_of_sources_leaves_time_for_the_registry(calls: Path) -> None:
    write_go(calls, sources="exec sleep 600", registry="exit 0")
    assert registry_checks.go_modules(_MISSING, replace(_NO_PAUSE, sources_seconds=0.5)) is None
    assert calls.read_text().splitlines()[-1] == "registry"


def test_pypi_is_asked_only_if_go_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(golang, "find_toolchain", lambda: GoToolchain(tmp_path / "go", "1.99.0"))
    assert registry_checks.python_packages(_NO_PAUSE) is None
    monkeypatch.setattr(golang, "find_toolchain", lambda: GoToolchain(None, "1.99.0"))
    finding = registry_checks.python_packages(_NO_PAUSE)
    assert finding is not None
    assert (finding.requirement, finding.found) == ("PyPI (for Go)", "/bin/false failed")


def test_debian_is_asked_only_if_a_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "missing_packages", list)
    monkeypatch.setenv("PATH", "")
    assert registry_checks.debian_packages() is None


def test_apt_that_hangs_is_a_finding_without_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(debian, "missing_packages", lambda: ["runc"])
    finding = registry_checks.debian_packages(RegistryLimits(sources_seconds=0.5))
    assert finding is not None
    assert (finding.requirement, finding.found) == ("Debian packages: runc", "no sources")
