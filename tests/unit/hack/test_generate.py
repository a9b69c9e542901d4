from pathlib import Path

import pytest
from hack import generate

PAGE = f"before\n{generate.BEGIN}old\n{generate.END}after\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[Path, str]:
    """Return the content that three files should have; one file is missing and one is out of date."""
    (tmp_path / "old").write_text("old\n")
    (tmp_path / "current").write_text("new\n")
    return {tmp_path / "missing": "new\n", tmp_path / "old": "new\n", tmp_path / "current": "new\n"}


def test_section_between_the_marks_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    page = generate._between_marks(tmp_path / "page.md", "new\n")
    assert page == f"before\n{generate.BEGIN}\nnew\n\n{generate.END}after\n"
    (tmp_path / "page.md").write_text(page)
    assert generate._between_marks(tmp_path / "page.md", "new\n") == page


def test_check_lists_the_files_that_are_out_of_date_and_writes_none(
    files: dict[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check"], files, tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == ["stale: missing", "stale: old"]
    assert [path.name for path in files if path.exists()] == ["old", "current"]


def test_files_that_are_out_of_date_are_written(
    files: dict[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([], files, tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == ["written: missing", "written: old"]
    assert {path: path.read_text() for path in files} == files
    assert generate.main(["--check"], files, tmp_path) == 0
