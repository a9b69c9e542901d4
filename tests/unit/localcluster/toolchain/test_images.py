import shutil
from pathlib import Path

import pytest

from localcluster.toolchain import images


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the files of the images of the scorer and the console."""
    for name in (
        "Dockerfile.scorer",
        "Dockerfile.console",
        ".dockerignore",
        "docker",
        "scorer",
        "client",
        "requirements",
    ):
        source = images.CHECKOUT / name
        ignore = shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "changed",
    [
        "Dockerfile.scorer",
        "docker/build.sh",
        "requirements/scorer.txt",
        "scorer/README.md",
        "scorer/pyproject.toml",
        "scorer/src/device_scorer/__main__.py",
    ],
)
def test_image_is_rebuilt_when_an_input_changes(checkout: Path, changed: str) -> None:
    before = images.fingerprint("scorer", checkout, "base")
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert images.fingerprint("scorer", checkout, "base") != before


@pytest.mark.parametrize(
    "changed", ["Dockerfile.console", "requirements/client.txt", "client/src/fleetscore/errors.py"]
)
def test_image_of_the_console_is_made_of_the_client(checkout: Path, changed: str) -> None:
    before, scorer = (images.fingerprint(name, checkout, "base") for name in ("console", "scorer"))
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert images.fingerprint("console", checkout, "base") != before
    assert images.fingerprint("scorer", checkout, "base") == scorer


def test_changed_base_changes_the_image(checkout: Path) -> None:
    assert images.fingerprint("scorer", checkout, "one") != images.fingerprint("scorer", checkout, "other")


@pytest.mark.parametrize("unrelated", ["requirements/operator.txt", "scorer/src/device_scorer/__pycache__/x.pyc"])
def test_image_is_kept_when_another_file_changes(checkout: Path, unrelated: str) -> None:
    before = images.fingerprint("scorer", checkout, "base")
    (checkout / unrelated).parent.mkdir(exist_ok=True)
    (checkout / unrelated).write_text("changed")
    assert images.fingerprint("scorer", checkout, "base") == before


def test_build_uses_the_package_index_of_pip() -> None:
    exports = images.index_exports("global.index-url='https://index.example/simple'\n", {}, bundle=False)
    assert exports.splitlines() == [
        "export PIP_INDEX_URL=https://index.example/simple",
        "export UV_DEFAULT_INDEX=https://index.example/simple",
    ]


def test_build_gets_only_proxy_and_index_of_the_environment() -> None:
    environment = {
        "https_proxy": "http://proxy.example:3128",
        "UV_DEFAULT_INDEX": "https://uv.example",
        "HOME": "/root",
    }
    exports = images.index_exports("global.index-url='https://pip.example'", environment, bundle=False)
    assert "export https_proxy=http://proxy.example:3128\n" in exports
    assert "export UV_DEFAULT_INDEX=https://uv.example\n" in exports
    assert "HOME" not in exports


def test_build_trusts_the_given_certificate_bundle() -> None:
    assert "export SSL_CERT_FILE=/run/secrets/ca\n" in images.index_exports("", {}, bundle=True)
    assert images.index_exports("", {}, bundle=False) == ""
