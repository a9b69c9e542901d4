import sys
import time
from pathlib import Path

import pytest

from localcluster.machine import registry_checks, requirements
from localcluster.toolchain import debian, golang
from localcluster.toolchain.golang import GoToolchain

_MISSING = {"pause": ["pause"]}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file with the calls of the go that `write_go` writes."""
    monkeypatch.setattr(golang, "find_toolchain", lambda: GoToolchain(tmp_path / "go", "1.99.0"))
    monkeypatch.setattr(registry_checks, "_RETRY_INTERVAL_SECONDS", 0)
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


def test_limits_allow_for_a_busy_machine() -> None:
    assert requirements.MAX_CHECK_SECONDS == 19
    assert registry_checks._MAX_SOURCES_SECONDS == 10
    assert registry_checks._REGISTRY_ATTEMPTS == 2


def test_registry_is_not_asked_if_all_sources_are_downloaded(calls: Path) -> None:
    write_go(calls, sources="exit 0", registry="exit 1")
    assert registry_checks.go_modules(_MISSING) is None
    assert calls.read_text().splitlines() == ["sources off"]


def test_registry_is_asked_if_a_source_is_missing(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry="exit 0")
    assert registry_checks.go_modules({"pause": ["pause"], "etcd": ["etcd"]}) is None
    assert calls.read_text().splitlines() == ["sources off", "registry"]


def test_registry_that_fails_once_is_not_a_finding(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry="[ $count = 2 ]")
    assert registry_checks.go_modules(_MISSING) is None
    assert calls.read_text().splitlines() == ["sources off", "registry", "registry"]


def test_registry_that_fails_twice_is_a_finding_with_the_last_line(calls: Path) -> None:
    write_go(calls, sources="exit 1", registry='echo "dial tcp: no route $count" >&2; exit 1')
    finding = registry_checks.go_modules(_MISSING)
    assert finding is not None
    assert (finding.requirement, finding.found) == ("Go's modules", "dial tcp: no route 2")
    assert "GOPROXY" in finding.fix


@pytest.mark.slow
def test_registry_that_hangs_once_is_not_a_finding(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_checks, "MAX_CHECK_SECONDS", 16.0)
    write_go(calls, sources="exit 1", registry="[ $count = 2 ] || exec sleep 600")
    assert registry_checks.go_modules(_MISSING) is None
    assert calls.read_text().splitlines() == ["sources off", "registry", "registry"]


@pytest.mark.slow
def test_hanging_registry_is_a_finding_within_the_limit(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_checks, "MAX_CHECK_SECONDS", 1.0)
    write_go(calls, sources="exit 1", registry="exec sleep 600")
    started = time.monotonic()
    finding = registry_checks.go_modules(_MISSING)
    assert finding is not None
    assert "did not finish in" in finding.found
    assert time.monotonic() - started < 120  # far less than the registry hangs


def test_hanging_list_of_sources_leaves_time_for_the_registry(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_checks, "_MAX_SOURCES_SECONDS", 0.5)
    write_go(calls, sources="exec sleep 600", registry="exit 0")
    assert registry_checks.go_modules(_MISSING) is None
    assert calls.read_text().splitlines()[-1] == "registry"


def test_pypi_is_asked_only_if_go_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(registry_checks, "_RETRY_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(golang, "find_toolchain", lambda: GoToolchain(tmp_path / "go", "1.99.0"))
    assert registry_checks.python_packages() is None
    monkeypatch.setattr(golang, "find_toolchain", lambda: GoToolchain(None, "1.99.0"))
    finding = registry_checks.python_packages()
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
    monkeypatch.setattr(registry_checks, "_MAX_SOURCES_SECONDS", 0.5)
    finding = registry_checks.debian_packages()
    assert finding is not None
    assert (finding.requirement, finding.found) == ("Debian packages: runc", "no sources")
