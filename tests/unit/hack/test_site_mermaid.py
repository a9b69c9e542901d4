"""The hook that adds Mermaid to the documentation site."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hack import site_mermaid
from hack.site_mermaid import Script

CONTENT = b"mermaid = {}"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a script that is not in the cache, and whose hash is that of CONTENT."""
    return Script(tmp_path / "cache" / "mermaid.min.js", hashlib.sha256(CONTENT).hexdigest())


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


def pack(folder: Path, content: bytes) -> None:
    with tarfile.open(folder / "package.tgz", "w:gz") as package:
        entry = tarfile.TarInfo(site_mermaid.IN_PACKAGE)
        entry.size = len(content)
        package.addfile(entry, io.BytesIO(content))


def config(site: Path) -> dict[str, Any]:
    return {"extra_javascript": [], "site_dir": str(site)}


def test_the_fetched_script_is_part_of_the_site(script: Script, npm: Path, tmp_path: Path) -> None:
    pack(npm, CONTENT)
    configured = site_mermaid.on_config(config(tmp_path / "site"), script=script)
    site_mermaid.on_post_build(configured, script=script)
    (place,) = configured["extra_javascript"]
    assert (tmp_path / "site" / place).read_bytes() == script.path.read_bytes() == CONTENT


def test_a_script_in_the_cache_needs_no_npm(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    script.path.parent.mkdir()
    script.path.write_bytes(CONTENT)
    assert site_mermaid.on_config(config(tmp_path), script=script)["extra_javascript"] == [site_mermaid.IN_SITE]


def test_a_script_with_another_hash_stops_the_rendering(script: Script, npm: Path, tmp_path: Path) -> None:
    pack(npm, CONTENT + b";")
    with pytest.raises(SystemExit, match="is invalid"):
        site_mermaid.on_config(config(tmp_path), script=script)
    assert not script.path.exists()


@pytest.mark.usefixtures("npm")
@pytest.mark.parametrize(("package", "cause"), [(False, "npm is not installed"), (True, "npm cannot fetch")])
def test_without_the_package_the_site_is_rendered_with_a_warning(
    *,
    package: bool,
    cause: str,
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not package:
        monkeypatch.setenv("PATH", "")
    configured = site_mermaid.on_config(config(tmp_path / "site"), script=script)
    site_mermaid.on_post_build(configured, script=script)
    assert configured["extra_javascript"] == []
    assert f"warning: the site draws no diagrams offline: {cause}" in capsys.readouterr().err
    assert not script.path.exists()
