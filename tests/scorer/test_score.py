"""`device-scorer score` over a folder: outcomes, bytes, write policies, words to the Job."""

import json
import math
import zlib
from typing import Any

import pytest

from device_scorer import __version__
from device_scorer.cli.score import _OutcomePrinter
from device_scorer.errors import DeadlineExceeded
from device_scorer.scoring.context import DeviceDeadline, ScoringContext
from device_scorer.scoring.device import score_device
from device_scorer.scoring.predictions import encode_tags
from device_scorer.scoring.request import ScoreRequest
from device_scorer.settings import Settings
from device_scorer.store.base import Blob
from device_scorer.store.folder import FolderStore
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
    scorer,
)

GARBAGE = b"garbage"


def word(fleet: Fleet, *words: str, devices: tuple[str, ...] = ("press-1",)) -> dict[str, Any]:
    """The termination message of a call."""
    target = fleet.folder / "message"
    fleet.score("--termination-log", str(target), *words, devices=devices)
    found = json.loads(target.read_bytes())
    assert isinstance(found, dict)
    return found


def test_every_reading_is_labelled(fleet: Fleet) -> None:
    fleet.device(data=readings("press-1", values=[*NORMAL, SPIKE]))
    said = fleet.score()
    assert (said.code, said.out) == (0, "press-1  scored  6 rows, 1 anomalies\n")
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


def test_packed_or_alone_the_bytes_are_the_same(fleet: Fleet) -> None:
    names = [fleet.device(f"press-{number}") for number in range(9)]
    fleet.score(devices=names)
    packed = [fleet.predictions(name) for name in names]
    for name in names:
        fleet.store.delete("predictions", f"{PREDICTIONS}/{name}.csv")
        fleet.score(devices=[name])
    assert [fleet.predictions(name) for name in names] == packed


def test_a_window_over_two_partitions_reads_both_in_order(fleet: Fleet) -> None:
    fleet.device(
        data=csv_of(("2018-08-28T23:30:00Z", "press-1", "1", "10"), ("2018-08-28T23:10:00Z", "press-1", "1", "10"))
    )
    fleet.put("press-1", csv_of(("2018-08-29T00:10:00Z", "press-1", "1", "11")), "20180829T0000Z")
    line = ("score", "--store", str(fleet.folder), "--window-start", "2018-08-28T23:20:00Z", "--window-end")
    scorer(*line, "2018-08-29T00:20:00Z", "--", "press-1")
    blob = fleet.store.read("predictions", "20180828T232000Z_20180829T002000Z/press-1.csv")
    assert blob is not None
    assert [row.split(",")[3] for row in blob.content.decode().splitlines()[1:]] == ["10", "11"]


@pytest.mark.fault("D2", "F31")
@pytest.mark.parametrize(
    ("models", "data", "reason", "told"),
    [
        (GARBAGE, None, "ModelInvalid", "no readable pickle"),
        (b"cos\nsystem\n(Vtrue\ntR.", None, "ModelRejected", "'os.system'"),
        (bundle({"_meta": {"format": 7}, "1": 0}), None, "ModelIncompatible", "use a newer device-scorer"),
        (bundle({"1": {"a": 1}}), None, "ModelInvalid", "none of its 1 tags"),
        (None, b"TS;Device;Tag;Value\n", "DataInvalid", "20180828T2300Z/press-1.csv: the first line must name"),
        (None, b"<html>\n", "DataInvalid", "must name the columns"),
        (None, csv_of(("2018-08-28T23:00:00Z", "press-1", "1", "x")), "DataInvalid", "1 of 1 lines are no readings"),
        (None, csv_of(("2018-08-28T23:00:00Z", "press-1", "other", "1")), "ModelNotFound", "none of the tags"),
    ],
)
def test_what_trying_again_would_not_mend_fails_with_its_reason(
    fleet: Fleet, models: bytes | None, data: bytes | None, reason: str, told: str
) -> None:
    fleet.device(models=models, data=data)
    said = fleet.score()
    assert said.code == 65
    assert said.out.startswith(f"press-1  FAILED  {reason}  ")
    assert told in said.out
    assert "Traceback" not in said.out + said.err
    assert fleet.predictions() is None


@pytest.mark.fault("F31")
def test_a_device_without_model_fails_as_model_not_found(fleet: Fleet) -> None:
    fleet.put("press-1", readings("press-1"))
    said = fleet.score()
    assert (said.code, "ModelNotFound  there is no model press-1.joblib" in said.out) == (65, True)


@pytest.mark.fault("T8")
@pytest.mark.parametrize("device", ["", "a/b", "a b", "x" * 129, "é", "a\nb"])
def test_what_is_no_device_id_fails_alone(fleet: Fleet, device: str) -> None:
    fleet.device()
    said = word(fleet, devices=(device, "press-1"))
    assert said["outcomes"] == {"scored": "1", "failed": "0"}
    assert said["reasons"] == {"ConfigurationInvalid": "0"}


@pytest.mark.fault("T9")
def test_an_id_cannot_make_a_line_of_its_own_nor_speak_to_the_terminal(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = 'x\n{"level":"info"}\x1b[31m\u2028'
    fleet.device()
    said = fleet.score(devices=[evil, "press-1"])
    assert len(said.out.splitlines()) == 2
    assert said.out.replace("\n", "").isprintable()
    monkeypatch.setattr(
        "device_scorer.cli.score._make_printer", lambda asked, local: _OutcomePrinter(asked, human=not local)
    )
    lines = fleet.score(devices=[evil]).err.split("\n")
    assert [json.loads(line)["device"] for line in lines if line] == [evil]
    assert all(line.isascii() and line.isprintable() for line in lines)


@pytest.mark.fault("D4")
@pytest.mark.parametrize("data", [b"", csv_of(), csv_of(("2018-08-28T22:00:00Z", "press-1", "1", "1"))])
def test_no_readings_in_the_window_are_empty_and_nothing_is_written(fleet: Fleet, data: bytes) -> None:
    fleet.device(data=data)
    said = fleet.score()
    assert (said.code, said.out) == (0, "press-1  empty  no readings in the window\n")
    assert fleet.predictions() is None


def test_no_partition_at_all_is_empty_and_late_data_is_scored_then(fleet: Fleet) -> None:
    fleet.store.write("models", "press-1.joblib", bundle({"1": a_model()}))
    assert fleet.score().out == "press-1  empty  no readings in the window\n"
    fleet.put("press-1", readings("press-1"))
    assert fleet.score().out == "press-1  scored  5 rows, 0 anomalies\n"


@pytest.mark.fault("D9")
def test_readings_under_another_spelling_of_the_device_are_empty_and_it_says_why(fleet: Fleet) -> None:
    fleet.device("001", data=readings("1"))
    assert "no readings in the window; a row of device '1'" in fleet.score(devices=["001"]).out


@pytest.mark.fault("D7")
def test_one_bad_tag_of_several_is_partial_and_the_mended_model_completes_it(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2"), models={"1": a_model(), "2": "broken"})
    said = fleet.score()
    assert said.code == 0
    assert "press-1  partial  5 rows, 0 anomalies, 5 of tags without a model" in said.out
    assert "tag '2' could not be scored" in said.out
    assert fleet.metadata()["complete"] == "false"
    fleet.device(tags=("1", "2"))
    assert fleet.score().out == "press-1  scored  10 rows, 0 anomalies\n"
    assert fleet.metadata()["complete"] == "true"


def test_only_the_tags_asked_for_are_scored(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2", "3"))
    fleet.score("--tag", "2")
    assert {line.split(",")[2] for line in (fleet.predictions() or "").splitlines()[1:]} == {"2"}
    assert fleet.metadata()["tags"] == encode_tags(frozenset({"2"}))


def test_a_second_tag_later_does_not_lose_the_first(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2", "3"))
    fleet.score("--tag", "2")
    fleet.score("--tag", "1")
    assert {line.split(",")[2] for line in (fleet.predictions() or "").splitlines()[1:]} == {"1", "2"}
    assert fleet.score("--tag", "2").out == "press-1  scored before\n"


@pytest.mark.fault("D1", "D5")
def test_bad_rows_are_counted_where_they_can_be_seen(fleet: Fleet) -> None:
    rows = [("2018-08-28T23:00:00Z", "press-1", "1", value) for value in ("10", "NaN", "10")]
    fleet.device(data=csv_of(*rows) + b"2018-08-28T23:59:00Z,press-1,1,1")
    said = fleet.score()
    assert said.out.startswith(
        "press-1  scored  2 rows, 0 anomalies, 2 bad  Value is no number: 'NaN'; the last line has no"
    )
    assert fleet.metadata()["badrows"] == "2"
    assert "nan" not in (fleet.predictions() or "").lower()


@pytest.mark.fault("T18")
def test_metadata_tells_the_inputs_and_the_figures(fleet: Fleet) -> None:
    fleet.device(data=readings("press-1", values=[10, SPIKE]))
    fleet.score("--run-uid", "u1", "--job-name", "j1")
    data, models = fleet.store.head("data", "20180828T2300Z/press-1.csv"), fleet.store.head("models", "press-1.joblib")
    assert data is not None
    assert models is not None
    found = fleet.metadata()
    assert found.pop("modelsha256")
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
def test_create_only_keeps_what_is_complete(fleet: Fleet) -> None:
    fleet.device()
    fleet.score()
    before = fleet.predictions()
    fleet.put("press-1", readings("press-1", values=[SPIKE]))
    assert word(fleet)["outcomes"] == {"alreadyScored": "0"}
    assert fleet.predictions() == before


def test_if_changed_scores_again_where_data_or_model_changed(fleet: Fleet) -> None:
    fleet.device()
    fleet.score("--write-policy", "IfChanged")
    assert fleet.score("--write-policy", "IfChanged").out == "press-1  scored before\n"
    fleet.put("press-1", readings("press-1", values=[SPIKE]))
    assert fleet.score("--write-policy", "IfChanged").out == "press-1  scored  1 rows, 1 anomalies\n"
    fleet.device(tags=("1", "2"), data=readings("press-1", values=[SPIKE]))
    assert fleet.score("--write-policy", "IfChanged").out == "press-1  scored  1 rows, 1 anomalies\n"
    assert fleet.labels() == ["1"]


def test_overwrite_needs_the_fleets_word(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.device()
    fleet.score()
    said = fleet.score("--write-policy", "Overwrite")
    assert (said.code, "does not allow it" in said.err) == (64, True)
    monkeypatch.setenv("FLEETSCORE_ALLOW_OVERWRITE", "true")
    fleet.put("press-1", readings("press-1", values=[SPIKE]))
    assert fleet.score("--write-policy", "Overwrite").out == "press-1  scored  1 rows, 1 anomalies\n"


def test_incomplete_predictions_never_replace_complete_ones(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2"))
    fleet.score()
    before = fleet.predictions()
    fleet.device(tags=("1", "2"), models={"1": a_model(), "2": "broken"})
    said = fleet.score("--write-policy", "IfChanged")
    assert "partial" in said.out
    assert "the earlier, complete predictions were kept" in said.out
    assert fleet.predictions() == before


def test_a_retried_pod_counts_its_own_work_and_does_only_the_rest(fleet: Fleet) -> None:
    for name in ("press-1", "press-2"):
        fleet.device(name, data=readings(name, values=[10, SPIKE, SPIKE, SPIKE]))
    first = word(fleet, "--run-uid", "u1", "--job-name", "j1")
    fleet.store.delete("models", "press-1.joblib")
    again = word(fleet, "--run-uid", "u1", "--job-name", "j1", devices=("press-1", "press-2"))
    assert first["anomalies"] == 3
    assert again["outcomes"] == {"scored": "0-1"}
    assert (again["rows"], again["anomalies"], again["anomalousDevices"]) == (8, 6, 2)


def test_a_mixed_job_tells_everything_once(fleet: Fleet) -> None:
    fleet.device("good")
    fleet.device("before")
    fleet.score(devices=["before"])
    fleet.device("bad", models=GARBAGE)
    fleet.device("silent", data=csv_of())
    fleet.device("half", tags=("1", "2"), models={"1": a_model(), "2": 0})
    devices = ("good", "bad", "silent", "before", "half", "lost")
    said = word(fleet, "--run-uid", "u", "--job-name", "j", devices=devices)
    assert said["outcomes"] == {"scored": "0", "partial": "4", "empty": "2", "alreadyScored": "3", "failed": "1,5"}
    assert said["reasons"] == {"ModelInvalid": "1", "ModelNotFound": "5"}
    record = fleet.store.read("predictions", "_runs/u/j.json")
    assert record is not None
    found = json.loads(record.content)
    assert found["outcomes"] == said["outcomes"]
    assert sorted(found["messages"]) == ["1", "2", "3", "4", "5"]


def test_a_job_of_which_some_failed_is_done_and_one_of_which_all_failed_is_not(fleet: Fleet) -> None:
    fleet.device("good")
    assert fleet.score(devices=["good", "lost"]).code == 0
    assert fleet.score(devices=["lost", "gone"]).code == 65


def test_a_new_scoring_takes_the_windows_success_mark_away(fleet: Fleet) -> None:
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
def test_limits_hold_before_loading(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    fleet.device(models=zlib.compress(bundle({"1": a_model()})), data=readings("press-1", values=[*NORMAL, math.nan]))
    monkeypatch.setenv(variable, value)
    assert f"FAILED  {reason}" in fleet.score().out
    monkeypatch.delenv(variable)
    assert "scored  5 rows" in fleet.score().out


def test_readings_above_the_small_size_are_scored_all_the_same(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_scorer.scoring.inputs.LARGE_READINGS_BYTES", 50)
    names = [fleet.device(f"press-{number}") for number in range(6)]
    assert fleet.score(devices=names).out.count("scored  5 rows") == 6


def test_wrong_usage_is_64_with_a_hint() -> None:
    for line in (
        ("score",),
        ("score", "--store", "x", "--window-start", "soon", "--window-end", END, "--", "a"),
        ("score", "--window-start", START, "--window-end", END, "--", "a"),
        ("scor",),
        (),
    ):
        said = scorer(*line)
        assert said.code == 64
        assert said.err
        assert "Traceback" not in said.err


def test_logs_are_json_lines_where_no_one_sits_at_a_terminal(fleet: Fleet) -> None:
    fleet.store.ensure_container("predictions")
    (fleet.folder / "predictions" / "_runs").write_text("a file where a folder belongs")
    fleet.device()
    said = fleet.score("--run-uid", "u", "--job-name", "j")
    (line,) = said.err.splitlines()
    found = json.loads(line)
    assert found["level"] == "warning"
    assert "outcome record _runs/u/j.json could not be written" in found["message"]
    assert said.code == 0


class Hurried(FolderStore):
    """A folder in which the device's time is over once its readings are read."""

    def __init__(self, fleet: Fleet, guard: DeviceDeadline) -> None:
        super().__init__(fleet.folder)
        self.guard = guard

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        if container == "data":
            self.guard.abandon()
        return super().read(container, name, max_bytes=max_bytes)


@pytest.mark.fault("F32")
def test_a_device_that_was_given_up_writes_no_more(fleet: Fleet) -> None:
    fleet.device()
    guard = DeviceDeadline(30)
    shift = ScoringContext(ScoreRequest(("press-1",), WINDOW), Settings(folder=fleet.folder), Hurried(fleet, guard))
    with pytest.raises(DeadlineExceeded):
        score_device("press-1", shift, guard)
    assert fleet.predictions() is None
    assert score_device("press-1", shift, DeviceDeadline(30)).kind == "scored"
