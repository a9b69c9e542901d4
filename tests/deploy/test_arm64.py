"""The pinned packages of the three distributions can be installed on arm64, from wheels and with the pinned hashes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testkit.paths import ROOT

# The Python and the C library of the images are newer: Debian trixie has glibc 2.41.
PLATFORM = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13")


def install_for_arm64(requirements: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Install pins into a folder. A dry run is not enough: it compares no hashes."""
    options = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--target", str(folder)]
    command = [sys.executable, "-m", "uv", "pip", "install", *PLATFORM, *options, "--requirement", str(requirements)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("distribution", ["client", "operator", "scorer"])
def test_every_pin_has_a_wheel_for_arm64_with_a_pinned_hash(distribution: str, tmp_path: Path) -> None:
    done = install_for_arm64(ROOT / "requirements" / f"{distribution}.txt", tmp_path / "packages")
    assert done.returncode == 0, done.stderr


def test_pin_with_the_hash_of_another_file_is_found(tmp_path: Path) -> None:
    pins = (ROOT / "requirements" / "scorer.txt").read_text()
    [package] = [line.split()[0] for line in pins.splitlines() if line.startswith("obstore==")]
    (tmp_path / "pins.txt").write_text(f"{package} --hash=sha256:{'0' * 64}\n")
    done = install_for_arm64(tmp_path / "pins.txt", tmp_path / "packages")
    assert done.returncode != 0
    assert "hash mismatch" in done.stderr.lower()
