"""The command `open`, over a fleet in a folder and over a store without one."""

import json
import webbrowser
from pathlib import Path

import pytest

from device_scorer.store.folder import FolderStore as ScorerStore
from fleetscore import Fleet
from fleetscore.cli import main
from fleetscore.cli.reports import report_path
from fleetscore.contract.fleets import FleetLayout
from fleetscore.errors import FleetscoreError, NotFound
from fleetscore.store.folder import FolderStore

SLUGS = ("20180828T220000Z_20180828T230000Z", "20180828T230000Z_20180829T000000Z")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for slug in SLUGS:
        report = tmp_path / "fleet" / "predictions" / slug
        report.mkdir(parents=True)
        (report / "_summary.json").write_text("{}")
        (report / "report.html").write_text(f"<html>{slug}")
    return tmp_path / "fleet"


def test_report_of_the_newest_window_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_url)
    path = folder / "predictions" / SLUGS[1] / "report.html"
    assert main(["open", "--store", str(folder)]) == 0
    assert opened == [path.as_uri()]
    assert capsys.readouterr().out == f"{path}\n"
    assert main(["open", "--store", str(folder), "--print", "--window", "2018-08-28T22:00Z"]) == 0
    assert main(["open", "--store", str(folder), "-o", "json"]) == 0
    assert len(opened) == 1
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["window"] == "2018-08-28T23:00Z/1h"


def test_missing_browser_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert main(["open", "--store", str(folder)]) == 0
    assert "no browser was found; open the file yourself" in capsys.readouterr().err


def test_report_of_an_account_is_downloaded_into_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fleet = Fleet(FleetLayout("press/1"), FolderStore(folder))
    path = report_path(fleet, fleet.newest_window(), None)
    assert path == tmp_path / "cache/fleetscore/reports/press%2F1" / SLUGS[1] / "report.html"
    assert path.read_text() == f"<html>{SLUGS[1]}"
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_relative_cache_folder_is_ignored_and_a_relative_home_is_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", ".")
    fleet = Fleet(FleetLayout(), FolderStore(folder))
    path = report_path(fleet, fleet.newest_window(), None)
    assert path == tmp_path / ".cache/fleetscore/reports/default" / SLUGS[1] / "report.html"


def test_cache_that_cannot_be_written_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    fleet = Fleet(FleetLayout(), FolderStore(folder))
    with pytest.raises(FleetscoreError, match=r"cannot be written: .*; set XDG_CACHE_HOME"):
        report_path(fleet, fleet.newest_window(), None)


def test_predictions_with_the_name_of_the_page_are_not_opened(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"TS,Device,Tag,Val,Prediction,Score\n2018-08-28T23:00:00Z,report.html,<script>,1,0,1\n"
    name = f"{SLUGS[1]}/report.html"
    (folder / "predictions" / name).unlink()
    ScorerStore(folder).write("predictions", name, content, metadata={"window": "2018-08-28T23:00:00Z"})
    assert main(["open", "--store", str(folder)]) == 1
    assert "the predictions of a device have its name report.html; add .csv" in capsys.readouterr().err


def test_missing_report_is_not_found(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", "--store", str(folder), "--window", "2018-08-28T10:00Z"]) == 1
    assert "2018-08-28T10:00Z/1h has no report" in capsys.readouterr().err
    with pytest.raises(NotFound, match="has no report of a window"):
        Fleet(FleetLayout(), FolderStore(tmp_path)).newest_window()


def test_missing_home_directory_has_the_next_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    fleet = Fleet(FleetLayout(), FolderStore(folder))
    with pytest.raises(FleetscoreError, match="the home directory is unknown; set HOME, or XDG_CACHE_HOME"):
        report_path(fleet, fleet.newest_window(), None)
