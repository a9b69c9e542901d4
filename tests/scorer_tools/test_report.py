import csv
import io
import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from device_scorer.contract.blob_paths import encode_id
from device_scorer.store.base import Blob
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_command import Said, scorer

SLUG = "20180828T230000Z_20180829T000000Z"
BEFORE = "20180828T220000Z_20180828T230000Z"
HEADER = "TS,Device,Tag,Val,Prediction,Score\n"


def predicted(
    folder: Path,
    device: str,
    labels: dict[str, str],
    *,
    slug: str = SLUG,
    complete: bool = True,
    tags: str = "*",
    minute: int = 59,
) -> None:
    """Predictions of a device: per tag a text of labels, one reading each, from minute `minute` on downwards."""
    hour = f"{slug[:4]}-{slug[4:6]}-{slug[6:8]}T{slug[9:11]}"
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for tag, text in labels.items():
        for at, label in enumerate(text):
            score = {"0": "0.5", "1": "-0.25"}[label]
            writer.writerow([f"{hour}:{minute - at:02}:00Z", device, tag, f"{at}.5", label, score])
    found = Counter("".join(labels.values()))
    metadata = {"window": "w", "tags": tags, "complete": str(complete).lower(), "badrows": "2", "unscoredrows": "1"}
    figures = {"rows": str(found.total()), "anomalies": str(found["1"])}
    content = f"{HEADER}{file.getvalue()}".encode()
    name = f"{slug}/{encode_id(device)}.csv"
    FolderStore(folder).write("predictions", name, content, metadata={**metadata, **figures}, overwrite=True)


def modelled(folder: Path, *devices: str) -> None:
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for device in devices:
        (folder / "models" / f"{encode_id(device)}.joblib").touch()


def report(folder: Path, *words: str | Path) -> Said:
    window = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z")
    said = scorer("report", "--store", folder, *window, *words)
    assert said.code == 0, said.err
    return said


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "predictions" / SLUG / "_summary.json").read_text())
    return found


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "predictions" / SLUG / name).read_text().splitlines()))


def page(folder: Path) -> str:
    return (folder / "predictions" / SLUG / "report.html").read_text()


def run_state(folder: Path, devices: Iterable[str], progress: dict[str, object]) -> tuple[str | Path, ...]:
    (folder / "list").write_bytes(zlib.compress("\n".join(devices).encode()))
    (folder / "progress").write_bytes(zlib.compress(json.dumps({"v": 1, "samples": [], **progress}).encode()))
    return ("--devices", folder / "list", "--progress", folder / "progress")


def test_every_figure_equals_one_counted_from_the_predictions(tmp_path: Path) -> None:
    dice = random.Random(7)  # noqa: S311 (labels, not secrets)
    for device in range(1, 7):
        rare = "0" * (50 * device) + "1"
        predicted(tmp_path, f"press-{device}", {tag: "".join(dice.choices(rare, k=60)) for tag in ("1", "a,b", "3")})
    report(tmp_path)

    texts = [path.read_text() for path in (tmp_path / "predictions" / SLUG).glob("press-*.csv")]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines())]
    anomalies = [row for row in rows if row["Prediction"] == "1"]
    per_device = Counter(row["Device"] for row in rows)
    worst = Counter(row["Device"] for row in anomalies)
    anomalous = {device for device, count in worst.items() if count >= 3 and count >= per_device[device] * 0.01}
    assert 0 < len(anomalous) < 6
    assert anomalies
    assert summary(tmp_path)["results"] == {
        "rows": len(rows),
        "badRows": 12,
        "unscoredRows": 6,
        "anomalies": len(anomalies),
        "anomalousDevices": len(anomalous),
    }
    listed = {(row["Device"], row["Tag"]): int(row["Anomalies"]) for row in table(tmp_path, "_anomalies.csv")}
    assert listed == Counter((row["Device"], row["Tag"]) for row in anomalies)
    assert f"<b>{len(anomalies):,}</b>" in page(tmp_path)
    embedded = re.search(r'id="devices">(.*?)</script>', page(tmp_path))
    assert embedded
    assert json.loads(embedded[1]) == [
        [f"press-{n}", "scored", per_device[f"press-{n}"], worst[f"press-{n}"]] for n in range(1, 7)
    ]


def test_the_list_of_anomalies_names_the_first_the_last_and_the_strongest(tmp_path: Path) -> None:
    predicted(tmp_path, "press-1", {"temp": "0110"})
    report(tmp_path)
    assert table(tmp_path, "_anomalies.csv") == [
        {
            "Device": "press-1",
            "Tag": "temp",
            "Rows": "4",
            "Anomalies": "2",
            "First": "2018-08-28T23:58:00Z",
            "Last": "2018-08-28T23:57:00Z",
            "WorstTS": "2018-08-28T23:58:00Z",
            "WorstVal": "1.5",
            "WorstScore": "-0.250000000",
        }
    ]


def test_a_complete_window_is_marked_last_and_the_mark_goes_when_it_no_longer_is(tmp_path: Path) -> None:
    mark = tmp_path / "predictions" / SLUG / "_SUCCESS"
    modelled(tmp_path, "press-1")
    predicted(tmp_path, "press-1", {"1": "000"})
    report(tmp_path)
    assert mark.exists()
    (tmp_path / "data/20180828T2300Z").mkdir(parents=True)
    (tmp_path / "data/20180828T2300Z/press-2.csv").touch()
    modelled(tmp_path, "press-2")
    said = report(tmp_path)
    assert not mark.exists()
    assert "1 no predictions" in said.out
    assert [row["Device"] for row in table(tmp_path, "_failures.csv")] == ["press-2"]


def test_a_run_over_some_devices_leaves_the_window_incomplete_while_others_have_no_predictions(tmp_path: Path) -> None:
    modelled(tmp_path, "press-1", "press-2")
    predicted(tmp_path, "press-1", {"1": "000"})
    (tmp_path / "data/20180828T2300Z").mkdir(parents=True)
    (tmp_path / "data/20180828T2300Z/press-2.csv").touch()
    some = run_state(
        tmp_path, ["press-1", "stray"], {"outcomes": {"scored": "0", "failed": "1"}, "reasons": {"X": "1"}}
    )
    report(tmp_path, *some, "--include-modelled")
    assert [row["Device"] for row in table(tmp_path, "_failures.csv")] == ["press-2", "stray"]
    assert not (tmp_path / "predictions" / SLUG / "_SUCCESS").exists()


def test_a_device_with_a_model_and_no_readings_leaves_the_window_complete(tmp_path: Path) -> None:
    modelled(tmp_path, "press-1", "press-2")
    predicted(tmp_path, "press-1", {"1": "000"})
    report(tmp_path)
    assert summary(tmp_path)["devices"] == {"total": 2, "scored": 1, "empty": 1}
    assert (tmp_path / "predictions" / SLUG / "_SUCCESS").exists()


def test_partial_predictions_leave_the_window_incomplete(tmp_path: Path) -> None:
    predicted(tmp_path, "press-1", {"1": "000"}, complete=False)
    report(tmp_path)
    assert not (tmp_path / "predictions" / SLUG / "_SUCCESS").exists()
    assert table(tmp_path, "_failures.csv")[0]["Outcome"] == "partial"


def test_a_runs_word_gives_reasons_and_messages(tmp_path: Path) -> None:
    devices = [f"press-{number}" for number in range(6)]
    predicted(tmp_path, "press-0", {"1": "000"})
    outcomes = {"failed": "1-2,4", "empty": "3", "notRun": "5"}
    told = {"outcomes": outcomes, "reasons": {"ModelInvalid": "1-2", "OOMKilled": "4"}}
    report(tmp_path, *run_state(tmp_path, devices, {**told, "samples": [[2, "ModelInvalid", "cut, short"]]}))
    assert summary(tmp_path)["devices"] == {"total": 6, "scored": 1, "empty": 1, "failed": 3, "notRun": 1}
    assert summary(tmp_path)["failureReasons"] == {"ModelInvalid": 2, "OOMKilled": 1, "notRun": 1}
    failures = {
        row["Device"]: [row["Outcome"], row["Reason"], row["Message"]] for row in table(tmp_path, "_failures.csv")
    }
    assert failures == {
        "press-1": ["failed", "ModelInvalid", ""],
        "press-2": ["failed", "ModelInvalid", "cut, short"],
        "press-4": ["failed", "OOMKilled", ""],
        "press-5": ["notRun", "", ""],
    }


def test_the_records_of_a_runs_jobs_give_each_failure_its_message(tmp_path: Path) -> None:
    devices = ["press-0", "press-1", "press-2", "press-3"]
    store = FolderStore(tmp_path)
    for device in devices[:2]:
        store.write("models", f"{device}.joblib", b"rubbish")
        store.write("data", f"20180828T2300Z/{device}.csv", b"TS,Device,Tag,Value\n")
    window = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z")
    run = ("--run-uid", "u-1", "--job-name", "j-1")
    assert scorer("score", "--store", tmp_path, *window, *run, "--", *devices[:3]).code == 65
    for name, content in (("rubbish", b"[" * 99_999), ("other", b'{"messages": {"0": ["failed", 1, [], {}], "1": 2}}')):
        store.write("predictions", f"_runs/u-1/{name}.json", content, metadata={"failures": "1"})
    told: dict[str, object] = {
        "outcomes": {"failed": "0-3"},
        "reasons": {"ModelInvalid": "0-1", "OOMKilled": "2", "JobLost": "3"},
        "samples": [[1, "ModelInvalid", "as the run tells it"]],
    }
    state = run_state(tmp_path, devices, told)
    report(tmp_path, *state, "--run-uid", "u-1")
    messages = {row["Device"]: row["Message"] for row in table(tmp_path, "_failures.csv")}
    assert messages.pop("press-0").startswith("the model is no readable pickle")
    # What the run tells stands; a record that speaks of another reason is of an earlier attempt.
    assert messages == {"press-1": "as the run tells it", "press-2": "", "press-3": ""}
    report(tmp_path, *state, "--run-uid", "u-2")
    assert table(tmp_path, "_failures.csv")[0]["Message"] == ""


def test_predictions_that_are_there_outweigh_a_runs_word(tmp_path: Path) -> None:
    predicted(tmp_path, "press-0", {"1": "000"})
    report(tmp_path, *run_state(tmp_path, ["press-0"], {"outcomes": {"failed": "0"}, "reasons": {"JobLost": "0"}}))
    assert summary(tmp_path)["devices"] == {"total": 1, "scored": 1}


@pytest.mark.parametrize(
    "progress", [b"no json", b"{}", b"\x78\x01rubbish", b'{"outcomes":{"failed":"7"},"reasons":{},"samples":[]}']
)
def test_a_progress_file_that_is_none_is_wrong_usage(tmp_path: Path, progress: bytes) -> None:
    (tmp_path / "list").write_text("press-0\n")
    (tmp_path / "progress").write_bytes(progress)
    window = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z")
    words = ("--devices", tmp_path / "list", "--progress", tmp_path / "progress")
    said = scorer("report", "--store", tmp_path, *window, *words)
    assert said.code == 64
    assert "Traceback" not in said.err


def test_new_recovered_and_vanished_devices_are_told_by_the_window_before(tmp_path: Path) -> None:
    bad, good = {"1": "0" * 10 + "1" * 5}, {"1": "0" * 15}
    for device, before, now in (
        ("a", bad, bad),
        ("b", bad, good),
        ("c", good, bad),
        ("d", bad, None),
        ("e", None, bad),
    ):
        if before:
            predicted(tmp_path, device, before, slug=BEFORE)
        if now:
            predicted(tmp_path, device, now)
    report(tmp_path)
    previous = summary(tmp_path)["previous"]
    assert {key: previous[key] for key in ("known", "new", "recovered", "vanished")} == {
        "known": True,
        "new": {"count": 2, "devices": ["c", "e"]},
        "recovered": {"count": 1, "devices": ["b"]},
        "vanished": {"count": 1, "devices": ["d"]},
    }


def test_without_a_window_before_nothing_is_new(tmp_path: Path) -> None:
    predicted(tmp_path, "a", {"1": "111"})
    report(tmp_path)
    assert summary(tmp_path)["previous"]["new"] == {"count": 0, "devices": []}


def test_devices_with_old_or_no_readings_are_stale(tmp_path: Path) -> None:
    predicted(tmp_path, "fresh", {"1": "000"}, minute=59)
    predicted(tmp_path, "old", {"1": "000"}, minute=40)
    modelled(tmp_path, "silent")
    report(tmp_path)
    assert summary(tmp_path)["stale"] == {"count": 2, "devices": ["silent", "old"]}
    report(tmp_path, "--stale-after", "PT30M")
    assert summary(tmp_path)["stale"] == {"count": 1, "devices": ["silent"]}


def test_a_device_is_anomalous_by_share_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_ANOMALOUS_SHARE", "5%")
    monkeypatch.setenv("FLEETSCORE_ANOMALOUS_MIN_ROWS", "2")
    predicted(tmp_path, "just", {"1": ("0" * 19 + "1") * 2})
    predicted(tmp_path, "too rare", {"1": "0" * 39 + "11"}, minute=58)
    predicted(tmp_path, "too-few", {"1": "1"})
    report(tmp_path)
    assert summary(tmp_path)["results"]["anomalousDevices"] == 1


def test_unreadable_predictions_are_named_and_leave_the_window_incomplete(tmp_path: Path) -> None:
    predicted(tmp_path, "press-1", {"1": "000"})
    (tmp_path / "predictions" / SLUG / "press-2.csv").write_text("<html>")
    said = report(tmp_path)
    assert "incomplete" in said.out
    assert table(tmp_path, "_failures.csv")[0]["Device"] == "press-2"
    assert "unreadable" in page(tmp_path)


@pytest.mark.fault("T9")
def test_ids_and_tags_are_text_in_the_page_whatever_they_hold(tmp_path: Path) -> None:
    tag = "<script>alert(1)</script>"
    predicted(tmp_path, "a'b(1),$", {tag: "000111"})
    report(tmp_path)
    assert tag not in page(tmp_path)
    assert "&lt;script&gt;alert(1)" in page(tmp_path)
    assert "a&#x27;b(1),$" in page(tmp_path)


def test_the_page_asks_for_nothing_from_anywhere(tmp_path: Path) -> None:
    predicted(tmp_path, "press-1", {"1": "000111"})
    report(tmp_path)
    assert not re.search(r"""(src|href)=|url\(|@import|https?:""", page(tmp_path))


@pytest.mark.fault("T5")
@pytest.mark.parametrize("device", ["_failures", "_anomalies", "_summary", "_SUCCESS", "_runs", "report"])
def test_a_device_called_like_a_file_of_the_report_keeps_its_predictions(tmp_path: Path, device: str) -> None:
    predicted(tmp_path, device, {"1": "000111"})
    predictions = tmp_path / "predictions" / SLUG / f"{encode_id(device)}.csv"
    before = predictions.read_bytes()
    report(tmp_path)
    assert predictions.read_bytes() == before
    assert summary(tmp_path)["devices"] == {"total": 1, "scored": 1}
    assert [row["Device"] for row in table(tmp_path, "_anomalies.csv")] == [device]
    assert (tmp_path / "predictions" / SLUG / "_SUCCESS").read_bytes() == b""


def test_where_the_fleets_path_gives_a_device_the_pages_name_the_predictions_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETSCORE_PREDICTIONS_PATH", "{window}/{device}")
    store = FolderStore(tmp_path)
    store.write("predictions", f"{SLUG}/report.html", HEADER.encode(), metadata={"window": "w"})
    said = report(tmp_path)
    assert "is a device's predictions" in said.err
    assert page(tmp_path) == HEADER


class Busy(FolderStore):
    """A folder whose window is scored anew when something happens to one of its blobs."""

    def __init__(self, folder: Path, kind: str, name: str, times: int = 1) -> None:
        super().__init__(folder)
        self.folder, self.kind, self.name, self.left = folder, kind, name, times

    def scored_anew(self, kind: str, name: str) -> None:
        if self.left and kind == self.kind and name == f"{SLUG}/{self.name}":
            self.left -= 1
            predicted(self.folder, "press-1", {"1": "0" * (3 + self.left) + "111"})

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        blob = super().read(container, name, max_bytes=max_bytes)
        self.scored_anew("read", name)
        return blob

    def write(self, container: str, name: str, content: bytes, **more: Any) -> str | None:
        etag = super().write(container, name, content, **more)
        self.scored_anew("write", name)
        return etag


def test_a_late_report_tells_of_the_predictions_that_are_there_when_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted(tmp_path, "press-1", {"1": "000"})
    # The listing reads each blob once; the first read after it is the digest's.
    busy = Busy(tmp_path, "read", "press-1.csv", times=2)
    monkeypatch.setattr("device_scorer.cli.report.open_store", lambda _: busy)
    report(tmp_path)
    assert busy.left == 0
    assert summary(tmp_path)["results"]["anomalies"] == 3
    assert (tmp_path / "predictions" / SLUG / "_SUCCESS").exists()


def test_a_window_that_is_scored_anew_beside_the_report_is_not_marked_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted(tmp_path, "press-1", {"1": "000"})
    busy = Busy(tmp_path, "write", "_SUCCESS")
    monkeypatch.setattr("device_scorer.cli.report.open_store", lambda _: busy)
    said = report(tmp_path)
    assert "is being scored anew" in said.err
    assert not (tmp_path / "predictions" / SLUG / "_SUCCESS").exists()


def test_predictions_of_some_tags_only_leave_the_window_incomplete(tmp_path: Path) -> None:
    predicted(tmp_path, "press-1", {"1": "000"}, tags="1 4")
    predicted(tmp_path, "press-2", {"1": "000"})
    report(tmp_path, *run_state(tmp_path, ["press-1", "press-2"], {"outcomes": {"scored": "0-1"}, "reasons": {}}))
    assert summary(tmp_path)["devices"] == {"total": 2, "scored": 1, "partial": 1}
    assert not (tmp_path / "predictions" / SLUG / "_SUCCESS").exists()
    assert "only the tags that a run asked for" in table(tmp_path, "_failures.csv")[0]["Message"]


def test_reporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    predicted(tmp_path, "press-1", {"1": "000111"})
    predicted(tmp_path, "_anomalies", {"1": "000111"}, slug=BEFORE)
    report(tmp_path)
    before = page(tmp_path), summary(tmp_path)
    report(tmp_path)
    assert (page(tmp_path), summary(tmp_path)) == before


def test_an_empty_window_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    said = report(tmp_path)
    assert "no devices" in said.out
    assert "nothing is known of the window before" in page(tmp_path)
