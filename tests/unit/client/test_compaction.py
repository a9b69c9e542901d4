"""Files of windows: what remains after an error, and which content is rejected."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleetscore import Window
from fleetscore.compaction import MAX_GROUP_BYTES, compact_window
from fleetscore.errors import DataInvalid, FleetscoreError, StorageUnavailable, UsageInvalid
from fleetscore.store.base import Blob, BlobInfo

WINDOW = Window.parse("2018-08-28T23:00Z")
HEADER = b"TS,Device,Tag,Val,Prediction,Score\n"
LINE = b"2018-08-28T23:00:00Z,press-1,1,9.50,0,0.01"


def a_blob(content: bytes = HEADER + LINE) -> Blob:
    return Blob(BlobInfo("w/press-1.csv", len(content), "1"), content)


def test_csv_has_the_bytes_of_each_line(tmp_path: Path) -> None:
    found = compact_window([a_blob(), a_blob(HEADER)], WINDOW, tmp_path, "csv", replace=False)
    assert found is not None
    assert found.path.read_bytes() == HEADER + LINE + b"\n"
    assert found.devices == 2


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\n"], ids=["empty", "other", "binary"])
def test_invalid_predictions_leave_no_file(tmp_path: Path, form: str, content: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"w/press-1\.csv is invalid"):
        compact_window([a_blob(), a_blob(content)], WINDOW, tmp_path, form, replace=False)
    assert list(tmp_path.iterdir()) == []


def test_files_with_few_lines_end_a_row_group_by_their_bytes(tmp_path: Path) -> None:
    assert MAX_GROUP_BYTES == 64 * 2**20
    size = 2 * len(a_blob().content)
    found = compact_window([a_blob()] * 5, WINDOW, tmp_path, "parquet", replace=False, max_group_bytes=size)
    assert found is not None
    assert pq.ParquetFile(found.path).num_row_groups == 3


def test_window_without_predictions_has_no_file(tmp_path: Path) -> None:
    assert compact_window([], WINDOW, tmp_path, "csv", replace=False) is None
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_and_folder_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageInvalid, match="format 'xlsx' is invalid: use parquet or csv"):
        compact_window([a_blob()], WINDOW, tmp_path, "xlsx", replace=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(FleetscoreError, match=r"cannot be written: .*; choose another folder"):
        compact_window([a_blob()], WINDOW, tmp_path / "file", "csv", replace=False)


def test_parquet_without_its_extra_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageInvalid, match=r"pip install 'fleetscore\[parquet\]'"):
        compact_window([a_blob()], WINDOW, tmp_path, "parquet", replace=False)


def test_folder_with_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="File name too long; choose another folder"):
        compact_window([], WINDOW, tmp_path / ("d" * 300), "csv", replace=False)
