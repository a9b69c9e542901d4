"""The predictions of a window, from digests or from the files."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.contract.digest import DeviceDigest, SensorFlag, TagDigest, encode_digest
from device_scorer.report.collector import ReportCollector
from device_scorer.report.statistics import compute_statistics
from device_scorer.report.summary import Summary
from device_scorer.report.window_predictions import MAX_PREDICTIONS_BYTES
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from device_scorer.settings import Settings
from device_scorer.store.base import Blob, BlobInfo, md5_hex
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_report import SLUG, WINDOW, add_models, read_table, report

ROW = "2018-08-28T23:10:00Z,d1,t,1.5,1,-0.5\n"


def write(folder: Path, content: bytes, device: str = "d1", **metadata: str) -> None:
    name = f"{SLUG}/{device}.csv"
    FolderStore(folder).write("predictions", name, content, metadata={"window": "w", **metadata}, overwrite=True)


def collect(folder: Path) -> Summary:
    return ReportCollector(FolderStore(folder), Settings(folder=folder), WINDOW).collect(None, {}).summary


def digest_of(content: bytes) -> DeviceDigest:
    """Return the digest of predictions, counted here."""
    tags: dict[str, TagDigest] = {}
    statistics = compute_statistics(content, WINDOW)
    for tag, one in statistics.tags.items():
        texts = (one.first_anomaly, one.last_anomaly, one.worst_ts, one.worst_value, one.worst_score)
        tags[tag] = TagDigest(tag, one.rows, 0, 0, 0, 0.0, 0.0, 0.0, 0, one.anomalies, *texts)
    buckets = tuple(statistics.anomalies_by_bucket.get(bucket, 0) for bucket in range(60))
    return DeviceDigest(tuple(tags.values()), statistics.newest_epoch_seconds, buckets if any(buckets) else ())


def test_figures_of_a_digest_are_those_of_the_predictions(tmp_path: Path) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(
        [f"2018-08-28T23:{at:02}:00Z", "d1", tag, f"{at}.5", int(at % 7 == 0), -0.25 if at % 7 == 0 else 0.5]
        for at in range(60)
        for tag in ("a", "b,c", "d")
    )
    content = PREDICTIONS_HEADER + file.getvalue().encode()
    write(tmp_path, content)
    read = collect(tmp_path)
    write(tmp_path, b"not read", rows="180", anomalies="27", digest=encode_digest(digest_of(content)))
    listed = collect(tmp_path)
    assert listed.devices == read.devices
    assert listed.totals == read.totals
    assert listed.anomalies == 27


@pytest.mark.parametrize(
    ("digest", "damaged"),
    [
        (encode_digest(DeviceDigest((TagDigest("t", 3),))), True),
        (encode_digest(DeviceDigest((TagDigest("t", 2),))), True),
        (encode_digest(DeviceDigest((TagDigest("t", 1, anomalies=1),), 0, (1, *[0] * 59), left_out_tags=1)), False),
        ("cut", True),
        ("", False),
    ],
    ids=["more rows", "no anomalies", "tags left out", "cut", "none"],
)
def test_predictions_are_read_if_the_digest_lacks_figures(tmp_path: Path, digest: str, *, damaged: bool) -> None:
    write(tmp_path, PREDICTIONS_HEADER + ROW.encode() * 2, rows="2", anomalies="2", digest=digest)
    summary = collect(tmp_path)
    assert (summary.rows, summary.anomalies) == (2, 2)
    assert summary.coverage.damaged_digests == ["d1"] * damaged


def test_faults_of_sensors_are_kept_if_predictions_are_read(tmp_path: Path) -> None:
    tags = (TagDigest("t", 1, anomalies=1), TagDigest("u", flags=(SensorFlag("silent"),)))
    digest = DeviceDigest(tags, 0, (1, *[0] * 59), left_out_tags=1)
    write(tmp_path, PREDICTIONS_HEADER + ROW.encode() * 2, rows="2", anomalies="2", digest=encode_digest(digest))
    (device,) = collect(tmp_path).devices
    assert [(one.tag, one.flag.name) for one in device.statistics.flagged] == [("u", "silent")]


@pytest.mark.parametrize("anomalies", [0, 1])
def test_flags_of_tags_that_are_left_out_are_kept(tmp_path: Path, anomalies: int) -> None:
    flags = (SensorFlag("stuck", 1),)
    tags = [TagDigest(f"t{number * 7919:x}", 1, anomalies=anomalies, flags=flags) for number in range(1000)]
    buckets = (1000, *[0] * 59) if anomalies else ()
    encoded = encode_digest(DeviceDigest(tuple(tags), 0, buckets))
    rows = "".join(ROW.replace(",t,", f",{tag.tag},") for tag in tags)
    write(tmp_path, PREDICTIONS_HEADER + rows.encode(), rows="1000", anomalies=str(1000 * anomalies), digest=encoded)
    (device,) = collect(tmp_path).devices
    listed = len(device.statistics.flagged)
    assert 0 < listed <= 400
    left_out = 1000 - listed
    assert device.statistics.left_out_flags == (0, 0, 0, left_out, 0, 0, left_out * anomalies)


def test_tags_without_anomalies_may_be_left_out(tmp_path: Path) -> None:
    digest = DeviceDigest((TagDigest("t", 3, anomalies=1),), 0, (1, *[0] * 59), left_out_tags=40)
    write(tmp_path, b"not read", rows="90", anomalies="1", digest=encode_digest(digest))
    summary = collect(tmp_path)
    assert (summary.rows, summary.anomalies, summary.totals.left_out_rows) == (90, 1, 87)


@pytest.mark.parametrize(
    ("row", "metadata"),
    [
        ("2018-08-28T23:10:00Z,d1,t,abc,1,-0.5\n", {}),
        ("2018-08-28T23:10:00Z,d1,t,1,1,x\n", {}),
        ("2018-08-28T23:10:00Z,d1,t,nan,1,-0.5\n", {}),
        ("2018-08-28T23:10:00Z,d1,t,1e308,1,-0.5\n2018-08-28T23:10:00Z,d1,t,-1e308,1,-0.5\n", {}),
        ("2018-08-28T23:10:00Z,d1,t,1,1,inf\n", {}),
        ("2018-08-28T23:10:00Z,d1,t,1,2,-0.5\n", {}),
        ("2018-08-28T23:10:00Z,d1\n", {"rows": "1"}),
    ],
)
def test_invalid_predictions_are_unreadable_and_do_not_end_the_report(
    tmp_path: Path, row: str, metadata: dict[str, str]
) -> None:
    add_models(tmp_path, "d1", "d2")
    write(tmp_path, PREDICTIONS_HEADER + row.encode(), **metadata)
    write(tmp_path, PREDICTIONS_HEADER + ROW.encode(), "d2")
    report(tmp_path)
    assert [(row["Device"], row["Outcome"]) for row in read_table(tmp_path, "_failures.csv")] == [("d1", "unreadable")]


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=6), st.integers(0, 120), st.booleans())
def test_any_changed_bytes_give_figures_or_unreadable(noise: bytes, at: int, insert: bool) -> None:  # noqa: FBT001
    content = PREDICTIONS_HEADER + ROW.encode() * 3
    changed = content[:at] + noise + content[at + (0 if insert else len(noise)) :]
    folder = FolderInMemory(changed)
    collector = ReportCollector(folder, Settings(folder=Path("x")), WINDOW)
    collected = collector.collect(None, {})
    assert len(collected.summary.devices) + len(collected.summary.unreadable) == 1
    collector.series(collected)


class FolderInMemory(FolderStore):
    """A store with one predictions blob, which is not on disk."""

    def __init__(self, content: bytes, **metadata: str) -> None:
        super().__init__(Path("/nonexistent"))
        self.blob = Blob(content, md5_hex(content), {"window": "w", **metadata})

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:  # noqa: ARG002
        return self.blob if (container, name) == ("predictions", f"{SLUG}/d1.csv") else None

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:  # noqa: ARG002
        if container == "predictions" and prefix.startswith(SLUG):
            yield BlobInfo(f"{SLUG}/d1.csv", len(self.blob.content), self.blob.etag, self.blob.metadata)


METADATA_VALUES = st.one_of(st.text(max_size=30), st.sampled_from(["9" * 5000, "-1", "1e5", "٣", "1.AAAA"]))
METADATA = st.dictionaries(
    st.sampled_from(["rows", "anomalies", "badrows", "unscoredrows", "digest", "complete", "tags", "dataetags"]),
    METADATA_VALUES,
)


@settings(max_examples=200, deadline=None)
@given(METADATA)
def test_any_metadata_gives_figures(metadata: dict[str, str]) -> None:
    store = FolderInMemory(PREDICTIONS_HEADER + ROW.encode(), **metadata)
    summary = ReportCollector(store, Settings(folder=Path("x")), WINDOW).collect(None, {}).summary
    assert (summary.rows, summary.anomalies) == (1, 1)


def test_readings_that_changed_after_scoring_are_named(tmp_path: Path) -> None:
    for device, content in (("d1", b"new"), ("d2", b"same"), ("d3", b"same")):
        FolderStore(tmp_path).write("data", f"20180828T2300Z/{device}.csv", content)
        metadata = {} if device == "d3" else {"dataetags": md5_hex(b"same")}
        write(tmp_path, PREDICTIONS_HEADER + ROW.encode(), device, **metadata)
    assert collect(tmp_path).coverage.outdated == ["d1"]


def test_device_whose_model_vanished_since_the_previous_window_is_named(tmp_path: Path) -> None:
    add_models(tmp_path, "d1")
    for device in ("d1", "d2"):
        FolderStore(tmp_path).write(
            "predictions", f"20180828T220000Z_20180828T230000Z/{device}.csv", PREDICTIONS_HEADER
        )
    assert collect(tmp_path).coverage.vanished_models == ["d2"]


def test_predictions_of_a_device_are_read_up_to_512_mib() -> None:
    assert MAX_PREDICTIONS_BYTES == 536_870_912
