"""The check that each distribution works with only its own dependencies covers every distribution."""

import pytest
from hack import isolated


def test_every_distribution_is_checked() -> None:
    folders = {file.parent.name for file in isolated.ROOT.glob("*/pyproject.toml")}
    assert set(isolated.PACKAGES) == folders
    assert all((isolated.ROOT / name / "src" / package).is_dir() for name, package in isolated.PACKAGES.items())


def test_an_unknown_distribution_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert isolated.main(["scorer", "other"]) == 64
    assert "distribution 'other' is unknown" in capsys.readouterr().err
