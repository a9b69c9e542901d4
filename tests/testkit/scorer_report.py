"""Predictions of a window in a folder, the command `device-scorer report` over them, and its files."""

import csv
import io
import json
import random
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device_scorer.cli import build_parser
from device_scorer.cli.report import run
from device_scorer.contract.blob_paths import encode_id
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.statistics import DeviceStatistics, TagStatistics
from device_scorer.report.summary import AnomalyRule, DeviceRow, Summary, build_row, compare_windows
from device_scorer.report.totals import WindowTotals
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from device_scorer.store.base import Blob, BlobInfo
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window
from tests.testkit.scorer_command import CommandResult, scorer

SLUG = "20180828T230000Z_20180829T000000Z"
BEFORE = "20180828T220000Z_20180828T230000Z"
WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
ARGUMENTS = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z")
NEWEST = int(WINDOW.end.timestamp()) - 30
OUTCOMES = ["scored"] * 15 + ["partial", "empty", "failed", "notRun", "missing"]


def write_predictions(
    folder: Path,
    device: str,
    labels: dict[str, str],
    *,
    slug: str = SLUG,
    complete: bool = True,
    tags: str = "*",
    minute: int = 59,
) -> None:
    """Write predictions: one reading per character of a tag's labels, the first at `minute`, each a minute earlier."""
    hour = f"{slug[:4]}-{slug[4:6]}-{slug[6:8]}T{slug[9:11]}"
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for tag, text in labels.items():
        for at, label in enumerate(text):
            score = {"0": "0.5", "1": "-0.25"}[label]
            writer.writerow([f"{hour}:{minute - at:02}:00Z", device, tag, f"{at}.5", label, score])
    found = Counter("".join(labels.values()))
    metadata = {"window": "w", "tags": tags, "complete": str(complete).lower(), "badrows": "2", "unscoredrows": "1"}
    counts = {"rows": str(found.total()), "anomalies": str(found["1"])}
    name = f"{slug}/{encode_id(device)}.csv"
    content = PREDICTIONS_HEADER + file.getvalue().encode()
    FolderStore(folder).write("predictions", name, content, metadata={**metadata, **counts}, overwrite=True)


def add_models(folder: Path, *devices: str) -> None:
    """Add empty bundles."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for device in devices:
        (folder / "models" / f"{encode_id(device)}.joblib").touch()


def add_empty_readings(folder: Path, device: str) -> None:
    """Add an empty partition of readings."""
    partition = folder / "data" / "20180828T2300Z"
    partition.mkdir(parents=True, exist_ok=True)
    (partition / f"{encode_id(device)}.csv").touch()


def report(folder: Path, *words: str | Path) -> CommandResult:
    """Run the command, which must succeed."""
    result = scorer("report", "--store", folder, *ARGUMENTS, *words)
    assert result.code == 0, result.err
    return result


def report_on(store: FolderStore, folder: Path) -> None:
    """Run the command on a store."""
    arguments = build_parser("report").parse_args(["--store", str(folder), *ARGUMENTS])
    assert run(arguments, open_store=lambda _: store) == 0


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the content of _summary.json."""
    found: dict[str, Any] = json.loads((folder / "predictions" / SLUG / "_summary.json").read_text())
    return found


def read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV of the report."""
    return list(csv.DictReader((folder / "predictions" / SLUG / name).read_text().splitlines()))


def read_page(folder: Path) -> str:
    """Return the page."""
    return (folder / "predictions" / SLUG / "report.html").read_text()


def is_marked_complete(folder: Path) -> bool:
    """Return True if the window has a _SUCCESS."""
    return (folder / "predictions" / SLUG / "_SUCCESS").exists()


def run_state(folder: Path, devices: Iterable[str], progress: Mapping[str, object]) -> tuple[str | Path, ...]:
    """Write a run's device list and progress, and return the arguments that name them."""
    (folder / "list").write_bytes(zlib.compress("\n".join(devices).encode()))
    (folder / "progress").write_bytes(zlib.compress(json.dumps({"v": 1, "samples": [], **progress}).encode()))
    return ("--devices", folder / "list", "--progress", folder / "progress")


class BusyStore(FolderStore):
    """A store in which the device press-1 is scored again while a blob of the window is read or written."""

    def __init__(self, folder: Path, kind: str, name: str, times: int = 1) -> None:
        super().__init__(folder)
        self.folder, self.kind, self.name, self.left = folder, kind, name, times

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        blob = super().read(container, name, max_bytes=max_bytes)
        self._score_again("read", name)
        return blob

    def head(self, container: str, name: str) -> BlobInfo | None:
        info = super().head(container, name)
        self._score_again("read", name)
        return info

    def write(self, container: str, name: str, content: bytes, **more: Any) -> str | None:
        etag = super().write(container, name, content, **more)
        self._score_again("write", name)
        return etag

    def _score_again(self, kind: str, name: str) -> None:
        if self.left and kind == self.kind and name == f"{SLUG}/{self.name}":
            self.left -= 1
            write_predictions(self.folder, "press-1", {"1": "0" * (3 + self.left) + "111"})


def a_row(device: str, dice: random.Random, totals: WindowTotals) -> DeviceRow:
    """Return a device with random statistics."""
    outcome = dice.choice(OUTCOMES)
    tags = {}
    if outcome in ("scored", "partial"):
        tags = {
            f"a long tag's name {tag}": TagStatistics(240, dice.choice([0, 0, 9]), "t", "t", "t", "1", -1)
            for tag in range(5)
        }
    reason = "ModelInvalid" if outcome == "failed" else ""
    statistics = DeviceStatistics(tags, NEWEST - dice.choice([0, 0, 1800]), {dice.randrange(60): 9})
    message = "m" * 200 if reason else ""
    totals.add(statistics, RowCounts())
    return build_row(device, DeviceOutcome(outcome, reason, message), statistics, WINDOW, AnomalyRule())


def a_summary(devices: int) -> Summary:
    """Return a summary of random devices."""
    dice = random.Random(1)  # noqa: S311  a simulated fleet
    totals = WindowTotals()
    rows = [a_row(str(uuid.UUID(int=dice.getrandbits(128))), dice, totals) for _ in range(devices)]
    return Summary(WINDOW, AnomalyRule(), rows, compare_windows(rows, {}, WINDOW, AnomalyRule()), totals)
