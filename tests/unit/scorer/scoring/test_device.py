"""Scoring of one device: outcomes, bytes and write policies."""

import itertools
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from device_scorer import __version__
from device_scorer.contract.digest import decode_digest
from device_scorer.contract.outcome_message import Outcome
from device_scorer.errors import ConfigurationInvalid, DeadlineExceeded, StorageUnavailable
from device_scorer.scoring.context import DeviceDeadline, ScoringContext
from device_scorer.scoring.device import MAX_WRITE_CONFLICTS, READINGS_CHANGED, score_device
from device_scorer.scoring.predictions import encode_tags
from device_scorer.scoring.request import ScoreRequest
from device_scorer.settings import Settings
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo
from device_scorer.store.folder import FolderStore
from device_scorer.window import parse_instant
from tests.testkit.scorer_fleet import (
    END,
    NORMAL,
    PREDICTIONS,
    SPIKE,
    START,
    WINDOW,
    Fleet,
    a_model,
    bundle,
    csv_of,
    readings,
)

MALFORMED = b"malformed"


class AbandoningStore(FolderStore):
    """A store in whose first read of readings the device is abandoned."""

    deadline: DeviceDeadline | None = None

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        if container == "data" and self.deadline is not None:
            self.deadline.abandon()
        return super().read(container, name, max_bytes=max_bytes)


def test_every_reading_is_labelled(fleet: Fleet) -> None:
    fleet.device(data=readings("press-1", values=[*NORMAL, SPIKE]))
    result = fleet.score()
    assert (result.code, result.out) == (0, "press-1  scored  6 rows, 1 anomaly\n")
    assert fleet.labels() == ["0", "0", "0", "0", "0", "1"]
    assert (fleet.predictions() or "").splitlines()[1].startswith("2018-08-28T23:00:00Z,press-1,1,9.5,0,0.0")


def test_both_engines_write_the_same_bytes(fleet: Fleet) -> None:
    support = a_model().steps[-1][1].support_
    assert len(support) > 0
    fleet.device(data=readings("press-1", values=[8.0, 12.0, 8.01, 11.99, *NORMAL, SPIKE]))
    fleet.score("--engine", "auto")
    auto = fleet.predictions()
    fleet.store.delete("predictions", f"{PREDICTIONS}/press-1.csv")
    fleet.score("--engine", "sklearn")
    assert fleet.predictions() == auto


def test_bytes_do_not_depend_on_the_other_devices_of_a_job(fleet: Fleet) -> None:
    names = [fleet.device(f"press-{number}") for number in range(9)]
    fleet.score(devices=names)
    packed = [fleet.predictions(name) for name in names]
    for name in names:
        fleet.store.delete("predictions", f"{PREDICTIONS}/{name}.csv")
        fleet.score(devices=[name])
    assert [fleet.predictions(name) for name in names] == packed


@pytest.mark.fault("D2", "F31")
@pytest.mark.parametrize(
    ("models", "data", "reason", "text"),
    [
        (MALFORMED, None, "ModelInvalid", "not a readable pickle"),
        (b"PK\x03\x04", None, "ModelInvalid", "it is a ZIP archive"),
        (b"", None, "ModelInvalid", "it is empty; write the bundle with joblib.dump"),
        (b"cos\nsystem\n(Vtrue\ntR.", None, "ModelRejected", "'os.system'"),
        (bundle({"_meta": {"format": 7}, "1": 0}), None, "ModelIncompatible", "use a newer device-scorer"),
        (bundle({"1": {"a": 1}}), None, "ModelInvalid", "none of its 1 tag"),
        (None, b"TS;Device;Tag;Value\n", "DataInvalid", "20180828T2300Z/press-1.csv: the first line must name"),
        (None, b"<html>\n", "DataInvalid", "must name the columns"),
        (None, csv_of(("2018-08-28T23:00:00Z", "press-1", "1", "x")), "DataInvalid", "1 of 1 line is not a reading"),
        (
            None,
            csv_of(("2018-08-28T23:00:00Z", "press-1", "other", "1")),
            "ModelNotFound",
            "none of the tags in its 1 reading has a model: the readings have 'other', and the models '1'",
        ),
    ],
)
def test_permanent_errors_fail_the_device_with_their_reason(
    fleet: Fleet, models: bytes | None, data: bytes | None, reason: str, text: str
) -> None:
    fleet.device(models=models, data=data)
    result = fleet.score()
    assert result.code == 65
    assert result.out.startswith(f"press-1  FAILED  {reason}  ")
    assert text in result.out
    assert "Traceback" not in result.out + result.err
    assert fleet.predictions() is None


@pytest.mark.fault("F31")
def test_device_without_a_model_fails_as_model_not_found(fleet: Fleet) -> None:
    fleet.put("press-1", readings("press-1"))
    result = fleet.score()
    assert (result.code, "ModelNotFound  model press-1.joblib does not exist" in result.out) == (65, True)


@pytest.mark.fault("T8")
@pytest.mark.parametrize("device", ["", "a/b", "a b", "x" * 129, "é", "a\nb"])
def test_invalid_device_id_fails_alone(fleet: Fleet, device: str) -> None:
    fleet.device()
    result = fleet.termination_message(devices=(device, "press-1"))
    assert result["outcomes"] == {"scored": "1", "failed": "0"}
    assert result["reasons"] == {"ConfigurationInvalid": "0"}


@pytest.mark.fault("D4")
@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (b"", ""),
        (csv_of(), ""),
        (
            csv_of(*((f"2018-08-28T{hour}:00:00Z", "press-1", "1", "1") for hour in ("22", "01"))),
            "; rows outside of the window: 2, from 2018-08-28T01:00:00Z to 2018-08-28T22:00:00Z",
        ),
        (
            csv_of(("20180828230000", "press-1", "1", "1")),
            "; rows outside of the window: 1, from 2609-07-04T09:37:10Z to 2609-07-04T09:37:10Z",
        ),
    ],
)
def test_device_without_readings_is_empty_and_writes_nothing(fleet: Fleet, data: bytes, remark: str) -> None:
    fleet.device(data=data)
    result = fleet.score()
    assert (result.code, result.out) == (0, f"press-1  empty  no readings in the window{remark}\n")
    assert fleet.predictions() is None


def test_device_without_partitions_is_empty_and_is_scored_when_data_arrive(fleet: Fleet) -> None:
    fleet.store.write("models", "press-1.joblib", bundle({"1": a_model()}))
    missing = "press-1  empty  no readings in the window: 20180828T2300Z/press-1.csv does not exist"
    assert fleet.score().out == f"{missing}\n"
    assert fleet.score("--window-end", "2018-08-29T02:00:00Z").out == f"{missing}, nor do 2 others\n"
    fleet.put("press-1", readings("press-1"))
    assert fleet.score().out == "press-1  scored  5 rows, 0 anomalies\n"


@pytest.mark.fault("D9")
def test_readings_of_a_differently_spelled_id_are_empty_with_an_example(fleet: Fleet) -> None:
    fleet.device("001", data=readings("1"))
    assert "no readings in the window; a row of device '1'" in fleet.score(devices=["001"]).out


@pytest.mark.fault("D7")
def test_one_bad_tag_makes_the_device_partial_until_its_model_is_fixed(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2"), models={"1": a_model(), "2": "broken"})
    result = fleet.score()
    assert result.code == 0
    assert "press-1  partial  5 rows, 0 anomalies, 5 of tags without a model" in result.out
    assert "tag '2' could not be scored" in result.out
    assert fleet.metadata()["complete"] == "false"
    fleet.device(tags=("1", "2"))
    assert fleet.score().out == "press-1  scored  10 rows, 0 anomalies\n"
    assert fleet.metadata()["complete"] == "true"


def test_only_requested_tags_are_scored(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2", "3"))
    fleet.score("--tag", "2")
    assert {line.split(",")[2] for line in (fleet.predictions() or "").splitlines()[1:]} == {"2"}
    assert fleet.metadata()["tags"] == encode_tags(frozenset({"2"}))


def test_scoring_one_of_many_tags_later_keeps_the_others(fleet: Fleet) -> None:
    tags = [f"hall-3.press.hydraulics.{number}" for number in range(80)]
    fleet.device(tags=tags)
    assert fleet.score(*(word for tag in tags[:70] for word in ("--tag", tag))).code == 0
    many = fleet.predictions()
    assert many is not None
    assert fleet.score("--tag", tags[75]).code == 0
    later = fleet.predictions()
    assert later is not None
    assert set(many.splitlines()) < set(later.splitlines())
    assert tags[75] in later


def test_scoring_a_second_tag_later_keeps_the_first(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2", "3"))
    fleet.score("--tag", "2")
    fleet.score("--tag", "1")
    assert {line.split(",")[2] for line in (fleet.predictions() or "").splitlines()[1:]} == {"1", "2"}
    assert fleet.score("--tag", "2").out == "press-1  already scored\n"


@pytest.mark.fault("D1", "D5")
def test_bad_rows_are_in_the_output_and_in_the_metadata(fleet: Fleet) -> None:
    rows = [("2018-08-28T23:00:00Z", "press-1", "1", value) for value in ("10", "NaN", "10")]
    fleet.device(data=csv_of(*rows) + b"2018-08-28T23:59:00Z,press-1,1,1")
    result = fleet.score()
    assert result.out.startswith(
        "press-1  scored  2 rows, 0 anomalies, 2 malformed  the last line has no line end: it may be truncated: "
        "'2018-08-28T23:59:00Z,press-1,1,1'; Value is not a number: 'NaN'"
    )
    assert fleet.metadata()["badrows"] == "2"
    assert "nan" not in (fleet.predictions() or "").lower()


@pytest.mark.fault("T18")
def test_metadata_have_input_versions_and_row_counts(fleet: Fleet) -> None:
    fleet.device(data=readings("press-1", values=[10, SPIKE]))
    fleet.score("--run-uid", "u1", "--job-name", "j1")
    data, models = fleet.store.head("data", "20180828T2300Z/press-1.csv"), fleet.store.head("models", "press-1.joblib")
    assert data is not None
    assert models is not None
    found = fleet.metadata()
    assert found.pop("modelsha256")
    assert parse_instant(found.pop("readat")) <= datetime.now(UTC)
    digest = decode_digest(found.pop("digest"))
    assert digest is not None
    assert [(tag.tag, tag.rows, tag.anomalies, tag.worst_value) for tag in digest.tags] == [("1", 2, 1, "99.0")]
    assert found == {
        "runuid": "u1",
        "window": f"{START}/{END}",
        "tags": "*",
        "complete": "true",
        "dataetags": data.etag,
        "modeletag": models.etag,
        "scorer": __version__,
        "sklearn": __import__("sklearn").__version__,
        "rows": "2",
        "badrows": "0",
        "unscoredrows": "0",
        "anomalies": "1",
    }


@pytest.mark.fault("T18")
def test_create_only_keeps_complete_predictions(fleet: Fleet) -> None:
    fleet.device()
    fleet.score()
    before = fleet.predictions()
    assert "changed" not in fleet.termination_message()
    fleet.put("press-1", readings("press-1", values=[SPIKE]))
    message = fleet.termination_message()
    assert message["outcomes"] == {"alreadyScored": "0"}
    assert message["changed"] == 1
    assert message["samples"] == [[0, "", READINGS_CHANGED]]
    assert "IfChanged" in READINGS_CHANGED
    assert fleet.predictions() == before


def test_predictions_of_emptied_readings_are_kept_with_the_next_step(fleet: Fleet) -> None:
    fleet.device()
    fleet.score()
    before = fleet.predictions()
    fleet.put("press-1", csv_of())
    assert "delete the predictions if the readings are now empty" in fleet.score().out
    out = fleet.score("--write-policy", "IfChanged").out
    assert f"the earlier predictions {PREDICTIONS}/press-1.csv are kept; delete them if they are wrong" in out
    assert fleet.predictions() == before


def test_deleted_readings_did_not_change(fleet: Fleet) -> None:
    fleet.device()
    fleet.score()
    fleet.store.delete("data", "20180828T2300Z/press-1.csv")
    assert fleet.score().out == "press-1  already scored\n"


def test_if_changed_scores_again_if_data_or_model_changed(fleet: Fleet) -> None:
    fleet.device()
    fleet.score("--write-policy", "IfChanged")
    assert fleet.score("--write-policy", "IfChanged").out == "press-1  already scored\n"
    fleet.put("press-1", readings("press-1", values=[SPIKE]))
    assert fleet.score("--write-policy", "IfChanged").out == "press-1  scored  1 row, 1 anomaly\n"
    fleet.device(tags=("1", "2"), data=readings("press-1", values=[SPIKE]))
    scored = "press-1  scored  1 row, 1 anomaly  silent: no usable reading of tag '2'\n"
    assert fleet.score("--write-policy", "IfChanged").out == scored
    assert fleet.labels() == ["1"]


def test_incomplete_predictions_never_replace_complete_ones(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2"))
    fleet.score()
    before = fleet.predictions()
    fleet.device(tags=("1", "2"), models={"1": a_model(), "2": "broken"})
    result = fleet.score("--write-policy", "IfChanged")
    assert "partial" in result.out
    assert "the earlier, complete predictions were kept" in result.out
    assert fleet.predictions() == before


def test_retried_pod_counts_finished_devices_and_scores_the_others(fleet: Fleet) -> None:
    for name in ("press-1", "press-2"):
        fleet.device(name, data=readings(name, values=[10, SPIKE, SPIKE, SPIKE]))
    first = fleet.termination_message("--run-uid", "u1", "--job-name", "j1")
    fleet.store.delete("models", "press-1.joblib")
    again = fleet.termination_message("--run-uid", "u1", "--job-name", "j1", devices=("press-1", "press-2"))
    assert first["anomalies"] == 3
    assert again["outcomes"] == {"scored": "0-1"}
    assert (again["rows"], again["anomalies"], again["anomalousDevices"]) == (8, 6, 2)


def test_new_predictions_remove_the_windows_success_marker(fleet: Fleet) -> None:
    mark = f"{PREDICTIONS}/_SUCCESS"
    fleet.device()
    fleet.store.write("predictions", mark, b"")
    fleet.score()
    assert fleet.store.head("predictions", mark) is None
    fleet.store.write("predictions", mark, b"")
    fleet.score()
    assert fleet.store.head("predictions", mark) is not None


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("FLEETSCORE_MAX_DATA_BYTES", "100", "DataTooLarge"),
        ("FLEETSCORE_MAX_ROWS", "4", "DataTooLarge"),
        ("FLEETSCORE_MAX_MODEL_BYTES", "100", "ModelInvalid"),
        ("FLEETSCORE_MAX_MODEL_UNPACKED_BYTES", "100", "ModelInvalid"),
        ("FLEETSCORE_MAX_BAD_ROWS", "10%", "DataInvalid"),
    ],
)
def test_limits_fail_the_device(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    fleet.device(models=zlib.compress(bundle({"1": a_model()})), data=readings("press-1", values=[*NORMAL, math.nan]))
    monkeypatch.setenv(variable, value)
    assert f"FAILED  {reason}" in fleet.score().out
    monkeypatch.delenv(variable)
    assert "scored  5 rows" in fleet.score().out


@pytest.mark.fault("F32")
def test_abandoned_device_does_not_write(fleet: Fleet) -> None:
    fleet.device()
    store = AbandoningStore(fleet.folder)
    store.deadline = DeviceDeadline(store, 30)
    context = ScoringContext(ScoreRequest(("press-1",), WINDOW), Settings(folder=fleet.folder), store)
    with pytest.raises(DeadlineExceeded):
        score_device("press-1", context, store.deadline)
    assert fleet.predictions() is None
    store.deadline = None
    assert score_device("press-1", context, DeviceDeadline(store, 30)).kind == "scored"


@pytest.mark.fault("F33")
def test_full_disk_leaves_no_partial_predictions(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.device()
    original = os.fdopen

    class Full:
        def __init__(self, handle: int) -> None:
            self.file = original(handle, "wb")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")

    def open_full(handle: int, mode: str, **options: Any) -> Any:
        return Full(handle) if mode == "wb" else original(handle, mode, **options)

    monkeypatch.setattr(os, "fdopen", open_full)
    result = fleet.score()
    assert (result.code, "No space left on device" in result.out) == (75, True)
    assert fleet.predictions() is None
    assert [path for path in (fleet.folder / "predictions").rglob("*") if path.is_file()] == []


class RacingStore(FolderStore):
    """A store in which another writer writes before each of our writes of predictions."""

    def __init__(self, folder: Path, contents: Iterator[bytes], metadata: Mapping[str, str] = NO_METADATA) -> None:
        super().__init__(folder)
        self._contents, self._metadata = contents, metadata

    def write(
        self,
        container: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        if_match: str | None = None,
        overwrite: bool = False,
    ) -> str | None:
        theirs = next(self._contents, None) if container == "predictions" else None
        if theirs is not None:
            super().write(container, name, theirs or content, metadata=self._metadata or metadata, overwrite=True)
        return super().write(container, name, content, metadata=metadata, if_match=if_match, overwrite=overwrite)


def score_on(store: FolderStore, folder: Path) -> Outcome:
    context = ScoringContext(ScoreRequest(("press-1",), WINDOW), Settings(folder=folder), store)
    return score_device("press-1", context, DeviceDeadline(store, 30))


def test_predictions_overwritten_four_times_are_a_transient_error(fleet: Fleet) -> None:
    assert MAX_WRITE_CONFLICTS == 4
    fleet.device()
    contents = (f"theirs {number}".encode() for number in itertools.count())
    with pytest.raises(StorageUnavailable, match="was overwritten by other writers 4 times"):
        score_on(RacingStore(fleet.folder, contents, {"window": "other"}), fleet.folder)


def test_predictions_overwritten_three_times_are_written_at_last(fleet: Fleet) -> None:
    fleet.device()
    contents = (f"theirs {number}".encode() for number in range(3))
    assert score_on(RacingStore(fleet.folder, contents, {"window": "other"}), fleet.folder).kind == "scored"
    assert fleet.labels() == ["0"] * 5


def test_equal_predictions_of_another_writer_are_the_devices_result(fleet: Fleet) -> None:
    fleet.device()
    outcome = score_on(RacingStore(fleet.folder, iter([b""])), fleet.folder)
    assert (outcome.kind, outcome.row_counts.rows) == ("scored", 5)
    assert fleet.metadata()["complete"] == "true"


def test_large_device_that_is_scored_again_takes_its_locks_again(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2"))
    theirs = {"window": WINDOW.interval, "tags": "2", "complete": "true"}
    store = RacingStore(fleet.folder, iter([b"theirs"]), theirs)
    request = ScoreRequest(("press-1",), WINDOW, tags=frozenset("1"))
    context = ScoringContext(
        request, Settings(folder=fleet.folder), store, large_readings_bytes=50, large_model_bytes=50
    )
    outcome = score_device("press-1", context, DeviceDeadline(store, 60))
    assert (outcome.kind, outcome.row_counts.rows) == ("scored", 10)
    assert not context.large_readings_lock.locked()
    assert not context.large_models_lock.locked()


class AbandonedAfterChecks(DeviceDeadline):
    """A deadline of a device that is abandoned after its second check."""

    checks = 0

    def check(self) -> None:
        super().check()
        self.checks += 1
        if self.checks == 2:
            self.abandon()


def test_device_that_is_abandoned_after_scoring_does_not_write(fleet: Fleet) -> None:
    fleet.device()
    context = ScoringContext(ScoreRequest(("press-1",), WINDOW), Settings(folder=fleet.folder), fleet.store)
    deadline = AbandonedAfterChecks(fleet.store, 30)
    with pytest.raises(DeadlineExceeded):
        score_device("press-1", context, deadline)
    assert deadline.checks == 2
    assert fleet.predictions() is None


@pytest.mark.fault("D7")
def test_one_sound_tag_among_unreadable_ones_is_scored(fleet: Fleet) -> None:
    texts = {"a": "10", "b": "I/O Timeout", "c": '"1,5"', "d": "1e308", "state": "RUNNING"}
    rows = [(f"2018-08-28T23:0{minute}:00Z", "press-1", tag, texts[tag]) for tag in texts for minute in range(3)]
    fleet.device(tags=tuple("abcd"), data=csv_of(*rows))
    result = fleet.score()
    assert "partial  3 rows, 0 anomalies, 9 malformed, 3 of tags without a model  DataInvalid  tag 'b'" in result.out
    for problem in (
        "Value is not a number: 'I/O Timeout'",
        "Value has a decimal comma, it must be a point: '1,5'",
        "Value is infinite or at least 1e+150: '1e308'",
    ):
        assert f"could not be scored: none of its 3 rows is usable: {problem}" in result.out


@pytest.mark.fault("D7")
def test_tag_of_unreadable_values_makes_the_device_partial(fleet: Fleet) -> None:
    """A gateway writes a text in place of the values of one sensor."""
    rows = [("2018-08-28T23:00:00Z", "press-1", tag, "I/O Timeout" if tag == "c" else "10") for tag in "abcd"]
    fleet.device(tags=tuple("abcd"), data=csv_of(*rows))
    message = fleet.termination_message()
    assert message["outcomes"] == {"partial": "0"}
    (sample,) = message["samples"]
    assert sample[1] == "DataInvalid"
    assert "tag 'c' could not be scored: none of its 1 row is usable: Value is not a number: 'I/O Timeout'" in sample[2]
    assert fleet.metadata()["complete"] == "false"


def test_message_of_a_partial_device_is_bounded(fleet: Fleet) -> None:
    broken = {f"{number}{'x' * 200}": "broken" for number in range(2000)}
    fleet.device(models={"1": a_model(), **broken})
    fleet.score("--run-uid", "u1", "--job-name", "j1")
    record = fleet.store.read("predictions", "_runs/u1/j1.json")
    assert record is not None
    message = json.loads(record.content)["messages"]["0"][2]
    assert "1,997 more tags could not be scored" in message
    assert len(message) < 1000


def test_silent_tags_are_named_up_to_three(fleet: Fleet) -> None:
    fleet.device(tags=("1", *"abcde"), data=readings("press-1"))
    assert "silent: no usable reading of tag 'a', 'b', 'c' and 2 more" in fleet.score().out
    digest = decode_digest(fleet.metadata()["digest"])
    assert digest is not None
    assert [tag.tag for tag in digest.tags if tag.flags and tag.flags[0].name == "silent"] == list("abcde")


QUALITY = {"badValues": [-9999], "badWhen": {"column": "Quality", "values": ["Bad"]}}
MARKED = b"""TS,Device,Tag,Value,Quality
2018-08-28T23:00:00Z,press-1,1,10.0,Bad
2018-08-28T23:01:00Z,press-1,1,10.0,Good
2018-08-28T23:02:00Z,press-1,1,-9999.0,Good
2018-08-28T23:03:00Z,press-1,1,10.0,Good
"""


def test_rows_of_bad_quality_are_counted_and_not_labelled(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_QUALITY", json.dumps(QUALITY))
    fleet.device(data=MARKED)
    assert "scored  2 rows, 0 anomalies, 2 malformed  the quality rules exclude 2 rows" in fleet.score().out
    assert [line.split(",")[0][14:16] for line in (fleet.predictions() or "").splitlines()[1:]] == ["01", "03"]
    assert fleet.metadata()["badrows"] == "2"


def test_excluded_rows_do_not_fail_the_device(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_QUALITY", json.dumps({"badValues": [10]}))
    fleet.device(data=MARKED)
    assert "scored  1 row" in fleet.score().out
    monkeypatch.setenv("FLEETSCORE_QUALITY", json.dumps({"badValues": [10, -9999]}))
    fleet.store.delete("predictions", f"{PREDICTIONS}/press-1.csv")
    assert "empty  no readings in the window; the quality rules exclude 4 rows" in fleet.score().out


def test_missing_quality_column_is_reported(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_QUALITY", json.dumps(QUALITY))
    fleet.device()
    assert "the readings lack the column 'Quality' of the quality rules, so no row is bad by it" in fleet.score().out


def test_predictions_from_before_the_windows_end_are_replaced_later(fleet: Fleet) -> None:
    fleet.device(data=readings("press-1", values=[10.0]))
    fleet.score("--run-uid", "early", "--job-name", "j")
    name = f"{PREDICTIONS}/press-1.csv"
    blob = fleet.store.read("predictions", name)
    assert blob is not None
    early = {**blob.metadata, "readat": "2018-08-28T23:59:59Z"}
    fleet.store.write("predictions", name, blob.content, metadata=early, overwrite=True)
    fleet.put("press-1", readings("press-1", values=[10.0, SPIKE]))
    assert fleet.score("--run-uid", "early", "--job-name", "j").out == "press-1  scored  1 row, 0 anomalies\n"
    assert fleet.score("--run-uid", "official", "--job-name", "j").out == "press-1  scored  2 rows, 1 anomaly\n"
    assert fleet.score().out == "press-1  already scored\n"


def test_unreadable_readings_keep_the_outcome_already_scored(fleet: Fleet) -> None:
    fleet.device()
    fleet.score()

    class Forbidden(FolderStore):
        def head(self, container: str, name: str) -> BlobInfo | None:
            if container == "data":
                raise ConfigurationInvalid("forbidden")
            return super().head(container, name)

    outcome = score_on(Forbidden(fleet.folder), fleet.folder)
    assert (outcome.kind, outcome.changed, outcome.message) == ("alreadyScored", False, "")
