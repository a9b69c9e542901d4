"""The hook that adds Mermaid to the documentation site."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hack import site_mermaid

SCRIPT = b"mermaid = {}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache without the script, whose pin is that of SCRIPT."""
    path = tmp_path / "cache" / "mermaid.min.js"
    monkeypatch.setattr(site_mermaid, "CACHE", path)
    monkeypatch.setattr(site_mermaid, "SHA256", hashlib.sha256(SCRIPT).hexdigest())
    return path


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an npm on the path that packs the file `script` of the returned folder."""
    folder = tmp_path / "npm"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f'#!/bin/sh\n/bin/cp "{folder}/package.tgz" "mermaid-{site_mermaid.VERSION}.tgz"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def pack(folder: Path, script: bytes) -> None:
    with tarfile.open(folder / "package.tgz", "w:gz") as package:
        entry = tarfile.TarInfo(site_mermaid.IN_PACKAGE)
        entry.size = len(script)
        package.addfile(entry, io.BytesIO(script))


def config(site: Path) -> dict[str, Any]:
    return {"extra_javascript": [], "site_dir": str(site)}


def test_the_fetched_script_is_part_of_the_site(cache: Path, npm: Path, tmp_path: Path) -> None:
    pack(npm, SCRIPT)
    configured = site_mermaid.on_config(config(tmp_path / "site"))
    site_mermaid.on_post_build(configured)
    (script,) = configured["extra_javascript"]
    assert (tmp_path / "site" / script).read_bytes() == cache.read_bytes() == SCRIPT


def test_a_script_in_the_cache_needs_no_npm(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    cache.parent.mkdir()
    cache.write_bytes(SCRIPT)
    assert site_mermaid.on_config(config(tmp_path))["extra_javascript"] == [site_mermaid.IN_SITE]


def test_a_script_with_another_hash_stops_the_rendering(cache: Path, npm: Path, tmp_path: Path) -> None:
    pack(npm, SCRIPT + b";")
    with pytest.raises(SystemExit, match="is invalid"):
        site_mermaid.on_config(config(tmp_path))
    assert not cache.exists()


@pytest.mark.usefixtures("npm")
@pytest.mark.parametrize(("package", "cause"), [(False, "npm is not installed"), (True, "npm cannot fetch")])
def test_without_the_package_the_site_is_rendered_with_a_warning(
    *,
    package: bool,
    cause: str,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not package:
        monkeypatch.setenv("PATH", "")
    configured = site_mermaid.on_config(config(tmp_path / "site"))
    site_mermaid.on_post_build(configured)
    assert configured["extra_javascript"] == []
    assert f"warning: the site draws no diagrams offline: {cause}" in capsys.readouterr().err
    assert not cache.exists()
