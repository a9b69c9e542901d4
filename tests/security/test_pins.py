"""T16: what the programs, their images and these tests are made of, is what was pinned."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hack import advisories

from tests.testkit.paths import ROOT

PINS = sorted((ROOT / "requirements").glob("*.txt"))
IMAGES = sorted(ROOT.glob("Dockerfile.*"))
NAME = r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?"


@pytest.mark.fault("T16")
@pytest.mark.parametrize("file", PINS, ids=lambda file: file.name)
def test_every_pin_has_hashes_and_no_other_source(file: Path) -> None:
    lines = [line for line in file.read_text().replace("\\\n", "").splitlines() if line.strip()[:1] not in ("#", "")]
    assert lines
    for line in lines:
        assert re.fullmatch(rf"{NAME}==[^ ;]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{{64}})+\s*", line), line


@pytest.mark.fault("T16")
@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.name)
def test_images_install_only_packages_pinned_by_hash(file: Path) -> None:
    text = file.read_text() + (ROOT / "docker" / "build.sh").read_text()
    commands = re.findall(r"\b(?:pip install|uv pip install|uv build)\b[^&\n]*", text.replace("\\\n", ""))
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


@pytest.mark.fault("T16")
def test_no_pin_has_a_known_vulnerability() -> None:
    snapshot = json.loads(advisories.SNAPSHOT.read_text())
    pinned = advisories.pins()
    assert len(pinned) > 80
    assert {one["package"] for one in snapshot["advisories"]} <= {name for name, _ in pinned}
    assert [(name, ids) for name, version in pinned if (ids := advisories.affecting(name, version, snapshot))] == []


@pytest.mark.fault("T16")
def test_images_have_one_base_pinned_by_digest_with_its_tag() -> None:
    bases = {line for file in IMAGES for line in file.read_text().splitlines() if line.startswith("ARG BASE_IMAGE=")}
    assert len(bases) == 1
    assert re.fullmatch(r"ARG BASE_IMAGE=python:3\.13-slim-trixie@sha256:[0-9a-f]{64}", bases.pop())
    stages = [line for file in IMAGES for line in file.read_text().splitlines() if line.startswith("FROM ")]
    names = {"uv", "dependencies"}
    assert all(line.split()[1] in {"${BASE_IMAGE}", *names} for line in stages), stages


@pytest.mark.parametrize("name", ["operator", "scorer"])
def test_images_of_operator_and_scorer_contain_nothing_of_the_client(name: str) -> None:
    """Nothing of the client can enter an image except by its Dockerfile, its pins or its own distribution."""
    dockerfile = (ROOT / f"Dockerfile.{name}").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)
    assert set(copied) == {
        *("docker/build.sh", "requirements/uv.txt", "requirements/dev.txt"),
        *(f"requirements/{name}.txt", f"{name}/"),
    }
    steps = re.findall(r"build\.sh (\w+) ?(\w*)$", dockerfile, re.MULTILINE)
    hashes = [("hashes", "")] if name == "scorer" else []
    assert steps == [("uv", ""), ("dependencies", name), ("distribution", name), *hashes, ("stdlib", "")]
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    own = tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))
    of_client = {client["name"], *client["dependencies"], *client["optional-dependencies"]["parquet"]}
    declared = {re.split(r"[^a-z0-9-]", one)[0] for one in own}
    assert of_client & declared <= {"azure-identity", "azure-storage-blob", "pyyaml"}
    assert {"pandas", "jinja2", "kubernetes", "rich", "starlette", "typer", "uvicorn", "pyarrow"} <= of_client
    assert of_client & pins <= {"azure-identity", "azure-storage-blob", "pyyaml"}
