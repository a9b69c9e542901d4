"""The content of the images: unpacked, and run in a read-only root as the user they name."""

import hashlib
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.toolchain import images
from localcluster.toolchain.images import CHECKOUT
from tests.testkit.image_root import Image, unpack_image
from tests.testkit.measurements import RecordMeasurement

pytestmark = pytest.mark.needs_services

PROGRAMS = {"operator": "scoring-operator", "scorer": "device-scorer", "console": "fleetscore"}
STARTS = {
    "operator": "scoring_operator.__main__, kopf, aiohttp, azure.storage.blob, msgspec",
    "scorer": "device_scorer.__main__, numpy, obstore, azure.storage.blob, sklearn.svm",
    "console": "fleetscore.cli, fleetscore.console.server, fleetscore.fleet, azure.identity, uvicorn.lifespan.off",
}
PINS = {"operator": "operator", "scorer": "scorer", "console": "client"}
DISTRIBUTIONS = {"operator": "scoring-operator", "scorer": "device-scorer", "console": "fleetscore"}
LEFT_OUT = {"operator": set(), "scorer": set(), "console": {"pyarrow"}}


@pytest.fixture(scope="module", params=images.ALL_IMAGE_NAMES)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp(request.param)
    yield unpack_image(request.param, folder)
    subprocess.run(["rm", "-rf", folder], check=True)


def test_image_runs_as_any_user_with_a_read_only_root(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == [PROGRAMS[image.name]]
    answer = image.run(PROGRAMS[image.name], "--help")
    assert answer.returncode == 0, answer.stderr
    assert "usage" in answer.stdout.lower()


def test_start_compiles_no_module(image: Image) -> None:
    answer = image.run("python", "-v", "-c", f"import {STARTS[image.name]}")
    assert answer.returncode == 0, answer.stderr[-2000:]
    loaded = re.findall(r"^# code object from '?(.+?)'?$", answer.stderr, re.MULTILINE)
    assert len(loaded) > 200
    assert [path for path in loaded if not path.endswith(".pyc")] == []


@pytest.mark.parametrize("image", ["scorer"], indirect=True)
def test_scorer_hashes_without_openssl(image: Image) -> None:
    code = (
        "import hashlib, sys; hashes = hashlib.md5(b'', usedforsecurity=False), hashlib.sha256(b'');"
        " print(*(found.hexdigest() for found in hashes), '_hashlib' in sys.modules)"
    )
    md5, sha256 = hashlib.md5(b"", usedforsecurity=False).hexdigest(), hashlib.sha256(b"").hexdigest()
    assert image.run("python", "-c", code).stdout.split() == [md5, sha256, "False"]


@pytest.mark.fault("F33")
@pytest.mark.parametrize("image", ["scorer"], indirect=True)
def test_scoring_works_on_a_read_only_root_and_compiles_no_module(
    image: Image, record_measurement: RecordMeasurement
) -> None:
    window = "--window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z"
    script = (
        "device-scorer simulate --store /tmp/s --devices 2 --hours 26 --interval 60 --end 2018-08-29T00:00:00Z"
        " && device-scorer train --store /tmp/s --end 2018-08-28T23:00:00Z"
        f" && python -v -m device_scorer score --store /tmp/s {window} -- press-1 press-2"
    )
    answer = image.run("sh", "-c", script)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert answer.stdout.count("  scored  ") == 2
    loaded = re.findall(r"^# code object from '?(.+?)'?$", answer.stderr, re.MULTILINE)
    assert len(loaded) > 40
    # The module that -m runs is read as source by whatever Python; as a program it is imported, as in the test above.
    assert [path for path in loaded if not path.endswith(".pyc") and not path.endswith("/__main__.py")] == []
    record_measurement(f"{len(loaded)} modules loaded, none compiled")


@pytest.mark.parametrize("image", ["scorer"], indirect=True)
def test_scorer_image_without_its_base_has_at_most_90_mb_compressed(image: Image) -> None:
    """Return the layers that a node with Python's image pulls: from our first layer, the library's bytecode."""
    names = list(image.layers)
    first = next(place for place, members in enumerate(image.layers.values()) if "opt/scorer" in members)
    ours = sum(compressed(image.packed / name) for name in names[first - 1 :])
    assert len(names[:first]) >= 2
    assert 20e6 < ours <= 90e6, f"{ours / 1e6:.1f} MB"


@pytest.mark.parametrize("image", ["scorer"], indirect=True)
def test_scorer_dependencies_and_distribution_have_at_most_75_mb_compressed(image: Image) -> None:
    sizes = [compressed(image.packed / name) for name, members in image.layers.items() if adds_packages(members)]
    assert len(sizes) == 2
    assert 20e6 < sum(sizes) <= 75e6, f"{sum(sizes) / 1e6:.1f} MB"


def adds_packages(members: list[str]) -> bool:
    """Return True for the layers of the dependencies and of the distribution."""
    return "opt/scorer" in members or "opt/distribution" in members


def compressed(layer: Path) -> int:
    """Bytes of a layer as registries keep it."""
    squeezer = zlib.compressobj(6, wbits=31)
    with layer.open("rb") as file:
        size = sum(len(squeezer.compress(piece)) for piece in iter(lambda: file.read(2**20), b""))
    return size + len(squeezer.flush())


def test_installed_bytecode_does_not_depend_on_times(image: Image) -> None:
    compiled = [*image.root.glob("opt/**/*.pyc")]
    assert len(compiled) > 100
    # Flags at offset 4: bit 0 says that the file contains the source's hash, bit 1 that it is to be checked.
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\x01\x00\x00\x00"}


@pytest.mark.fault("T16")
def test_image_contains_exactly_its_pins_and_its_distribution(image: Image) -> None:
    script = (
        "import importlib.metadata as m; print(*sorted({f'{d.name}=={d.version}'.lower() for d in m.distributions()}))"
    )
    installed = set(image.run("python", "-c", script).stdout.replace("_", "-").split())
    lines = (CHECKOUT / "requirements" / f"{PINS[image.name]}.txt").read_text().lower().splitlines()
    pinned = {line.split()[0] for line in lines if line and line[0].isalnum()}
    unpinned = installed - pinned
    assert {each.partition("==")[0] for each in unpinned} == {DISTRIBUTIONS[image.name]}
    # A pin may be for another platform: what is not installed is only that, and what the build leaves out.
    conditional = {line.split()[0] for line in lines if " ; " in line}
    missing = {each.partition("==")[0] for each in pinned - installed - conditional}
    assert missing == LEFT_OUT[image.name]


def test_image_contains_no_build_secrets_headers_or_tests(image: Image) -> None:
    names = [name for members in image.layers.values() for name in members]
    assert [name for name in names if "run/secrets" in name and not name.rstrip("/").endswith("run/secrets")] == []
    ours = [name for name in names if name.startswith("opt/")]
    assert len(ours) > 1000
    assert [name for name in ours if name.endswith((".h", ".pyx")) or "/tests/" in name] == []
    assert any(".libs/" in name for name in ours) == (image.name != "operator")


def test_source_change_changes_one_small_layer(image: Image) -> None:
    with_distribution = [
        names for names in image.layers.values() if "opt/distribution/bin/" + PROGRAMS[image.name] in names
    ]
    assert len(with_distribution) == 1
    assert [name for name in with_distribution[0] if name.startswith(f"opt/{PINS[image.name]}")] == []
