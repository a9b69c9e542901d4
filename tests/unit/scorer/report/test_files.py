"""The files of a report in storage."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from device_scorer.contract.blob_paths import encode_id
from device_scorer.report.files import delete_success_marker, render_files, write_files
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_report import (
    BEFORE,
    SLUG,
    WINDOW,
    a_summary,
    add_empty_readings,
    add_models,
    read_page,
    read_summary,
    read_table,
    report,
    write_predictions,
)


def test_success_marker_exists_only_while_the_window_is_complete(tmp_path: Path) -> None:
    mark = tmp_path / "predictions" / SLUG / "_SUCCESS"
    add_models(tmp_path, "press-1")
    write_predictions(tmp_path, "press-1", {"1": "000"})
    report(tmp_path)
    assert mark.exists()
    add_empty_readings(tmp_path, "press-2")
    add_models(tmp_path, "press-2")
    result = report(tmp_path)
    assert not mark.exists()
    assert "1 no predictions" in result.out
    assert [row["Device"] for row in read_table(tmp_path, "_failures.csv")] == ["press-2"]


@pytest.mark.fault("T5")
@pytest.mark.parametrize("device", ["_failures", "_anomalies", "_summary", "_SUCCESS", "_runs", "report"])
def test_device_named_like_a_report_file_keeps_its_predictions(tmp_path: Path, device: str) -> None:
    write_predictions(tmp_path, device, {"1": "000111"})
    predictions = tmp_path / "predictions" / SLUG / f"{encode_id(device)}.csv"
    before = predictions.read_bytes()
    report(tmp_path)
    assert predictions.read_bytes() == before
    assert read_summary(tmp_path)["devices"] == {"total": 1, "scored": 1}
    assert [row["Device"] for row in read_table(tmp_path, "_anomalies.csv")] == [device]
    assert (tmp_path / "predictions" / SLUG / "_SUCCESS").read_bytes() == b""


def test_second_report_has_the_same_bytes(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000111"})
    write_predictions(tmp_path, "_anomalies", {"1": "000111"}, slug=BEFORE)
    report(tmp_path)
    before = read_page(tmp_path), read_summary(tmp_path)
    report(tmp_path)
    assert (read_page(tmp_path), read_summary(tmp_path)) == before


def test_success_marker_is_deleted_first_and_written_last(tmp_path: Path) -> None:
    class RecordingStore(FolderStore):
        calls: ClassVar[list[str]] = []

        def delete(self, container: str, name: str) -> None:
            self.calls.append(f"delete {name}")
            super().delete(container, name)

        def write(self, container: str, name: str, content: bytes, **more: Any) -> str | None:
            self.calls.append(f"write {name}")
            return super().write(container, name, content, **more)

    store = RecordingStore(tmp_path)
    write_files(store, WINDOW, {"a": b"1", "b": b"2"}, complete=True)
    names = ["delete _SUCCESS", "write a", "write b", "write _SUCCESS"]
    assert store.calls == [name.replace(" ", f" {SLUG}/") for name in names]


def test_incomplete_window_has_the_files_and_no_marker(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("predictions", f"{SLUG}/_SUCCESS", b"")
    write_files(store, WINDOW, {"a": b"1"}, complete=False)
    assert [info.name for info in store.list("predictions")] == [f"{SLUG}/a"]


def test_report_has_seven_files(tmp_path: Path) -> None:
    names = ["_summary.json", "_failures.csv", "_empty.csv", "_anomalies.csv", "_sensors.csv", "_incidents.csv"]
    names.append("report.html")
    assert list(render_files(a_summary(3), {})) == names
    delete_success_marker(FolderStore(tmp_path), WINDOW)
