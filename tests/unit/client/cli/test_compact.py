"""The command `compact`."""

from pathlib import Path

import pytest

from fleetscore.cli import main
from fleetscore.contract.windows import Window
from tests.unit.client.conftest import FIRST, LAST, make_folder

SPAN = ("--start", "2018-08-28", "--end", "2018-08-29")


def test_files_are_listed_and_kept_the_second_time(
    scored_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compact", *SPAN, "--to", str(tmp_path / "out"), "--format", "csv", "--store", str(scored_folder)]
    assert main(words) == main(words) == 0
    out = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert out[:3] == [
        ["WINDOW", "STATE", "DEVICES", "BYTES"],
        [FIRST.column, "written", "3", out[1][3]],
        [LAST.column, "written", "2", out[2][3]],
    ]
    assert [row[1] for row in out[4:]] == ["kept", "kept"]
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("windows", [[FIRST], [FIRST, LAST]], ids=["one", "all"])
def test_windows_without_a_report_are_named_with_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], windows: list[Window]
) -> None:
    folder = make_folder(tmp_path / "store")
    for window in windows:
        (folder / "predictions" / window.slug / "_summary.json").unlink()
    words = ["compact", *SPAN, "--to", str(tmp_path / "out"), "--format", "csv", "--store", str(folder)]
    assert main(words) == 0
    out, error = capsys.readouterr()
    text = f"warning: windows without a report are omitted: {len(windows)}, first {FIRST.column}; a report is written"
    assert error.startswith(f"{text} at the end of a run, or by `device-scorer report --store {folder} ")
    assert (LAST.column in out) == (LAST not in windows)
    assert ("no predictions of windows with a report from" in error) == (LAST in windows)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--format", "xlsx"), 2, "is not one of"),
        (("--end", "2018-08-28"), 0, "no predictions from 2018-08-28T00:00:00Z to 2018-08-28T00:00:00Z"),
    ],
    ids=["format", "empty"],
)
def test_reason_is_named_without_files(
    scored_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    assert main(["compact", *SPAN, "--to", str(tmp_path), *words, "--store", str(scored_folder)]) == code
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
