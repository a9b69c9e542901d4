"""The files under a folder, also those behind links."""

import os
from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid
from device_scorer.store.linked_files import MAX_LINKED_FOLDERS, list_files


def names(folder: Path, *, max_links: int = MAX_LINKED_FOLDERS) -> list[str]:
    found = list_files(folder, omitted=".meta", max_links=max_links)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def add_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_files_behind_links_are_listed_by_each_of_their_names(tmp_path: Path) -> None:
    add_file(tmp_path / "elsewhere" / "deep" / "a.csv")
    add_file(tmp_path / "data" / "w" / "b.csv")
    (tmp_path / "data" / "first").symlink_to("../elsewhere")
    (tmp_path / "data" / "second").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "c.csv").symlink_to("w/b.csv")
    assert names(tmp_path / "data") == ["c.csv", "first/deep/a.csv", "second/deep/a.csv", "w/b.csv"]


def test_folder_that_is_a_link_or_missing_is_listed(tmp_path: Path) -> None:
    add_file(tmp_path / "elsewhere" / "a.csv")
    (tmp_path / "data").symlink_to("elsewhere")
    assert names(tmp_path / "data") == ["a.csv"]
    assert names(tmp_path / "missing") == names(tmp_path / "data" / "a.csv") == []


def test_link_to_a_folder_on_the_way_to_it_is_omitted(tmp_path: Path) -> None:
    for folder, target in (("a", "b"), ("b", "a")):
        add_file(tmp_path / "data" / folder / f"{folder}.csv")
        (tmp_path / "data" / folder / "other").symlink_to(f"../{target}")
        (tmp_path / "data" / folder / "up").symlink_to("../..")
        (tmp_path / "data" / folder / "itself").symlink_to("itself")
    assert names(tmp_path / "data") == ["a/a.csv", "a/other/b.csv", "b/b.csv", "b/other/a.csv"]


def test_omitted_folders_and_special_files_are_not_listed(tmp_path: Path) -> None:
    for name in ("w/a.csv", ".meta/w/a.csv.0.json", "w/.meta/b"):
        add_file(tmp_path / name)
    os.mkfifo(tmp_path / "w" / "pipe.csv")
    (tmp_path / "w" / "nothing.csv").symlink_to("missing")
    assert names(tmp_path) == ["w/a.csv"]


def test_folder_with_too_many_links_is_rejected(tmp_path: Path) -> None:
    assert MAX_LINKED_FOLDERS == 100_000
    for number in range(12):
        (tmp_path / f"{number}").mkdir()
        for other in range(12):
            (tmp_path / f"{number}" / f"to-{other}").symlink_to(f"../{other}")
    with pytest.raises(ConfigurationInvalid, match=r"more than 100 links to folders, .*; delete links that lead from"):
        names(tmp_path, max_links=100)


def test_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise PermissionError(13, "Permission denied", "w")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(PermissionError):
        names(tmp_path)
