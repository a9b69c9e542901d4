"""T16: what the programs, their images and these tests are made of, is what was pinned."""

import re
from pathlib import Path

import pytest

from tests.support.marks import ROOT

PINS = sorted((ROOT / "requirements").glob("*.txt"))
IMAGES = sorted(ROOT.glob("Dockerfile.*"))
NAME = r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?"


@pytest.mark.fault("T16")
@pytest.mark.parametrize("file", PINS, ids=lambda file: file.name)
def test_every_pin_has_hashes_and_no_other_place_to_come_from(file: Path) -> None:
    lines = [line for line in file.read_text().replace("\\\n", "").splitlines() if line.strip()[:1] not in ("#", "")]
    assert lines
    for line in lines:
        assert re.fullmatch(rf"{NAME}==[^ ;]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{{64}})+\s*", line), line


@pytest.mark.fault("T16")
@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.name)
def test_images_install_nothing_that_is_not_pinned_by_its_hash(file: Path) -> None:
    commands = re.findall(r"\b(?:pip install|uv pip install|uv build)\b[^&]*", file.read_text().replace("\\\n", ""))
    installs = [one for one in commands if "--no-deps" not in one]
    assert len(installs) >= 3
    assert all("--require-hashes" in one for one in installs), installs


@pytest.mark.fault("T16")
def test_go_tools_are_pinned_by_the_sums_of_their_modules() -> None:
    modules = sorted((ROOT / "localcluster" / "tools").glob("*/go.mod"))
    wanted = {module: re.findall(r"^\t([^\s=]+) (v\S+)", module.read_text(), re.MULTILINE) for module in modules}
    assert sum(map(bool, wanted.values())) > 3
    for module, needs in wanted.items():
        sums = module.with_name("go.sum").read_text() if needs else ""
        replaced = dict(re.findall(r"^\t(\S+) => \1 (v\S+)", module.read_text(), re.MULTILINE))
        for path, version in needs:
            assert f"{path} {replaced.get(path, version)}" in sums, f"{module}: {path} {version}"
