"""Every file states the version of VERSION, and hack/version.py finds and fixes one that does not."""

import shutil
from pathlib import Path

import pytest
from hack import version


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {file for location in version.LOCATIONS for file in version.ROOT.glob(location.glob)}
    for file in [version.ROOT / version.SOURCE, *files]:
        copy = tmp_path / file.relative_to(version.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return tmp_path


def test_every_file_states_the_version() -> None:
    assert list(version.check()) == []


@pytest.mark.parametrize("location", version.LOCATIONS, ids=lambda location: f"{location.glob} {location.pattern[:12]}")
def test_a_location_with_another_version_is_reported(
    location: version.VersionLocation, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = checkout.glob(location.glob)
    text = file.read_text()
    start, end = next(location.stated_in(text)).span("version")
    file.write_text(f"{text[:start]}9.8{text[end:]}")
    assert version.main(["check"], checkout) == 1
    line = text.count("\n", 0, start) + 1
    assert f"{file.relative_to(checkout)}:{line}: states 9.8, not" in capsys.readouterr().err


@pytest.mark.parametrize("location", version.LOCATIONS, ids=lambda location: f"{location.glob} {location.pattern[:12]}")
def test_a_location_without_a_version_is_reported(
    location: version.VersionLocation, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in checkout.glob(location.glob):
        file.write_text("")
    assert version.main(["check"], checkout) == 1
    assert f"{location.glob}: states no version" in capsys.readouterr().err


@pytest.mark.parametrize("new", ["1.20.3", "2.0.0-rc.1"])
def test_set_writes_every_location(checkout: Path, new: str) -> None:
    old = version.read(checkout)
    assert version.main(["set", new], checkout) == 0
    assert version.read(checkout) == new
    assert f'__version__ = "{new}"' in (checkout / "scorer/src/device_scorer/__init__.py").read_text()
    assert (checkout / "charts/fleetscore/Chart.yaml").read_text().count(new) == 5
    assert old not in (checkout / "docs/operations/install.md").read_text()


def test_set_changes_nothing_but_the_version(checkout: Path) -> None:
    before = {file: file.read_bytes() for file in checkout.rglob("*") if file.is_file()}
    old = version.read(checkout)
    assert version.main(["set", "1.20.3"], checkout) == 0
    assert version.main(["set", old], checkout) == 0
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("invalid", ["v1.2.3", "1.2", "1.2.3.4", "01.2.3", "1.2.3rc1", "1.2.3+local", ""])
def test_set_rejects_an_invalid_version(checkout: Path, invalid: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = version.read(checkout)
    assert version.main(["set", invalid], checkout) == 64
    assert f"version '{invalid}' is invalid" in capsys.readouterr().err
    assert version.read(checkout) == before


def test_check_rejects_an_invalid_source(checkout: Path) -> None:
    (checkout / version.SOURCE).write_text("latest\n")
    assert version.main(["check"], checkout) == 1
