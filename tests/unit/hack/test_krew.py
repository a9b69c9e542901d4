"""The manifest of the krew plugin follows the rules of krew, and its archive has the checksum that it states."""

import copy
import io
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import krew, version

MANIFEST = yaml.safe_load(krew.MANIFEST.read_text())
CONTENT = krew.archive()


def test_manifest_follows_the_rules_of_krew() -> None:
    assert list(krew.check(MANIFEST, version.read(), CONTENT)) == []
    assert krew.main(["check"]) == 0


def changed(path: str, value: Any) -> dict[str, Any]:
    found: Any = copy.deepcopy(MANIFEST)
    *parents, last = path.split(".")
    where = found
    for key in parents:
        where = where[int(key)] if key.isdecimal() else where[key]
    where[last] = value
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("kind", "Plug", "apiVersion and kind"),
        ("metadata.name", "kubectl-fleetscore", "metadata.name"),
        ("spec.version", "9.9.9", "spec.version"),
        ("spec.shortDescription", "two\nlines", "spec.shortDescription"),
        ("spec.shortDescription", "x" * 51, "spec.shortDescription"),
        ("spec.homepage", "", "spec.homepage"),
        ("spec.platforms", [], "must have a platform"),
        ("spec.platforms.0.selector", {"matchLabels": {"kernel": "linux"}}, "selector"),
        ("spec.platforms.0.uri", "https://x/v9.9.9/a.zip", "uri must name"),
        ("spec.platforms.0.sha256", "0" * 64, "the checksum of the archive"),
        ("spec.platforms.0.bin", "fleetscore", "must be names of the archive"),
        ("spec.platforms.0.files", [], "files must be a list"),
    ],
)
def test_manifest_that_violates_a_rule_is_reported(path: str, value: object, text: str) -> None:
    problems = list(krew.check(changed(path, value), version.read(), CONTENT))
    assert any(text in problem for problem in problems)


def test_archive_is_the_same_each_time_and_has_an_executable_script(tmp_path: Path) -> None:
    file = tmp_path / "plugin.zip"
    assert krew.main(["archive", str(file)]) == 0
    assert file.read_bytes() == CONTENT
    entries = {one.filename: one.external_attr >> 16 for one in zipfile.ZipFile(io.BytesIO(CONTENT)).infolist()}
    assert entries == {"kubectl-fleetscore": 0o100755, "LICENSE": 0o100644}


def test_script_starts_the_program_or_says_that_it_is_missing(tmp_path: Path) -> None:
    script = str(krew.FILES[0])
    missing = subprocess.run(
        ["/bin/sh", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 127
    assert "install the Python package fleetscore" in missing.stderr
    program = tmp_path / "fleetscore"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(
        [script, "doctor", "-o", "json"], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "doctor -o json\n"
