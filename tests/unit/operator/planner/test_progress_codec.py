import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.intervals import Position, Positions, Span
from scoring_operator.contract.outcome_message import REASONS, Results
from scoring_operator.errors import InvalidProgress
from scoring_operator.planner import progress_document
from scoring_operator.planner.progress import Completion, Progress, RunClock, RunSnapshot, new_progress
from scoring_operator.planner.progress_codec import MAX_DEVICE_LISTS, decode_progress, encode_progress
from tests.testkit.builders import NOW, a_batch, a_progress

END = {"condition": "Failed", "reason": "Cancelled", "message": "m", "time": "2026-11-24T12:00:00Z"}


def positions(text: str) -> Positions:
    return Positions.parse(text)


def test_progress_decodes_to_itself() -> None:
    progress: Progress = replace(
        a_progress(9, already="0"),
        waiting=positions("3-8"),
        reasons={"Unknown": positions("1")},
        outcomes={"alreadyScored": positions("0")},
        open_batches={"job": a_batch("1", round=1, attempts=2, lost_jobs=1, created=True)},
        queued_batches=(a_batch("2"),),
        results=Results(1, 2, 3, 4, 5),
        top_anomalies=((Position(1), 60, 9),),
        failure_samples=((Position(1), "Unknown", "x"),),
        clock=RunClock(started=NOW, accumulated=3.5, since=NOW, first_pod=(NOW, 1.0), progressed=NOW),
        pod_seconds=7,
        consecutive_failures=3,
        transient_reason="ImagePull",
        slow_warning_sent=True,
        completion=Completion("Failed", "Cancelled", "m", NOW),
    )
    assert decode_progress(encode_progress(progress)) == progress


def test_progress_has_the_stored_format() -> None:
    snapshot = RunSnapshot({"name": "f"}, ("list",), 2, (1, ("a",)), (1, ("b",)), rebuilt=True)
    progress = replace(
        new_progress(snapshot, 3, positions("0")),
        waiting=positions("2"),
        open_batches={"job": a_batch("1", round=1)},
        clock=RunClock(accumulated=3.5),
    )
    assert json.loads(zlib.decompress(encode_progress(progress))) == {
        "v": 1,
        "frozen": {
            "fleet": {"name": "f"},
            "lists": ["list"],
            "devicesPerJob": 2,
            "withoutModel": [1, ["a"]],
            "unreadable": [1, ["b"]],
            "rebuilt": True,
            "historyProblem": "",
            "marksSuspension": False,
        },
        "total": 3,
        "waiting": "2",
        "outcomes": {"alreadyScored": "0"},
        "reasons": {},
        "queue": [],
        "open": {"job": ["1", 1, 0, 0, 0]},
        "results": {"rows": 0, "bad_rows": 0, "unscored_rows": 0, "anomalies": 0, "anomalous_devices": 0},
        "top": [],
        "samples": [],
        "clock": {"started": None, "ran": 3.5, "since": None, "firstPod": None, "progressed": None},
        "podSeconds": 0,
        "streak": 0,
        "warned": False,
        "end": None,
        "canary": "",
        "transientReason": "",
    }


def in_places(text: str, labels: Sequence[tuple[str, str]]) -> Progress:
    """Return the progress of which each device has the label of its character."""
    spans: dict[str, list[Span]] = {}
    for run in re.finditer(r"(.)\1*", text):
        spans.setdefault(run[1], []).append((run.start(), run.end() - 1))
    sets = {labels[ord(character) - ord("a")]: Positions.from_spans(found) for character, found in spans.items()}
    failed = Positions.from_spans(
        span for (outcome, _), found in sets.items() if outcome == "failed" for span in found.spans
    )
    outcomes = {outcome: found for (outcome, reason), found in sets.items() if outcome not in ("", "failed")}
    return replace(
        a_progress(len(text)),
        waiting=sets.get(("", ""), Positions()),
        outcomes=outcomes | ({"failed": failed} if failed else {}),
        reasons={reason: found for (_, reason), found in sets.items() if reason},
        canary=sets.get(("", ""), Positions()),
    )


LABELS = [
    *((outcome, "") for outcome in ("scored", "empty", "", "partial", "alreadyScored", "quarantined", "notRun")),
    *(("failed", reason) for reason in REASONS),
]


@pytest.mark.parametrize(
    ("devices", "weights"),
    [(10**6, (45, 45, 10)), (4 * 10**5, (1,) * len(LABELS))],
    ids=["two outcomes and a canary", "all labels"],
)
@pytest.mark.slow
def test_progress_of_scattered_devices_has_less_than_a_byte_per_device(devices: int, weights: tuple[int, ...]) -> None:
    letters = [chr(ord("a") + at) for at in range(len(weights))]
    progress = in_places("".join(Random(7).choices(letters, weights, k=devices)), LABELS)  # noqa: S311
    content = encode_progress(progress)
    assert len(content) <= 0.7 * devices  # so that a million devices fit into a ConfigMap
    assert decode_progress(content) == progress


@given(st.text("abcdefghi", max_size=60))
def test_progress_with_a_character_per_device_decodes_to_itself(text: str) -> None:
    progress = in_places(text, [*LABELS[:7], ("failed", "OOMKilled"), ("failed", "Unknown")])
    content = encode_progress(progress, max_content_bytes=0)
    assert json.loads(zlib.decompress(content))["v"] == 2
    assert decode_progress(content) == progress


@pytest.mark.parametrize("limit", ["max_content_bytes", "max_document_bytes"])
def test_progress_that_is_too_large_as_intervals_has_a_character_per_device(limit: str) -> None:
    progress = replace(
        a_progress(7),
        waiting=positions("5-6"),
        outcomes={"scored": positions("0,2"), "failed": positions("1")},
        reasons={"OOMKilled": positions("1")},
        open_batches={"job": a_batch("3-4", round=1)},
        canary=positions("0-5"),
    )
    intervals = json.loads(zlib.decompress(encode_progress(progress)))
    content = encode_progress(progress, **{limit: 0})
    labels = [["", ""], ["-", ""], ["failed", ""], ["scored", ""], ["failed", "OOMKilled"]]
    sets = {"waiting": "", "outcomes": {}, "reasons": {}, "canary": "", "labels": labels, "places": "STSPPQ1"}
    assert json.loads(zlib.decompress(content)) == intervals | {"v": 2} | sets
    assert decode_progress(content) == progress


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"OOMKilled": positions("0"), "Unknown": positions("0")}, id="two reasons of one device"),
        pytest.param({"OOMKilled": positions("1")}, id="reason of a device that is scored"),
        pytest.param({"OOMKilled": positions("2")}, id="reason of a device in a batch"),
        pytest.param({"OOMKilled": positions("3")}, id="reason of a device that does not exist"),
        pytest.param({f"r{number}": positions("0") for number in range(300)}, id="reasons of any number"),
    ],
)
@pytest.mark.parametrize("failed", ["0", ""], ids=["with a failure", "without a failure"])
def test_edited_progress_with_overlapping_sets_is_written_as_intervals(
    edited: dict[str, Positions], failed: str
) -> None:
    outcomes = {"scored": positions("1"), "failed" if failed else "empty": positions("0")}
    progress = replace(
        a_progress(3),
        waiting=positions(""),
        outcomes=outcomes,
        reasons=edited,
        open_batches={"job": a_batch("2")},
    )
    content = encode_progress(progress, max_content_bytes=0)
    assert json.loads(zlib.decompress(content))["v"] == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"malformed", id="not compressed"),
        pytest.param(encode_progress(a_progress())[:-9], id="truncated"),
        pytest.param(zlib.compress(b'{"v": 3}'), id="newer format"),
    ],
)
def test_damaged_progress_is_rejected(data: bytes) -> None:
    with pytest.raises(InvalidProgress):
        decode_progress(data)


def test_progress_of_more_than_4_mib_is_rejected() -> None:
    document = zlib.decompress(encode_progress(a_progress()))
    largest = document.rjust(4 * 2**20)
    assert decode_progress(zlib.compress(largest, 1)) == a_progress()
    with pytest.raises(InvalidProgress, match="more than 4,194,304 bytes"):
        decode_progress(zlib.compress(b" " + largest, 1))


def test_progress_of_an_earlier_operator_is_read() -> None:
    document = json.loads(zlib.decompress(encode_progress(a_progress(2))))
    document |= {"open": {"job": ["1", 0, 0, 0, True]}, "waiting": "0"}
    assert decode_progress(zlib.compress(json.dumps(document).encode())).open_batches["job"] == a_batch(
        "1", created=True
    )


@pytest.mark.fault("T18")
@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"waiting": "0-1"}, id="missing device"),
        pytest.param({"outcomes": {"scored": "0"}}, id="device in two places"),
        pytest.param({"waiting": "0-3"}, id="additional device"),
        pytest.param({"total": 4}, id="other total"),
        pytest.param({"total": -1}, id="negative total"),
        pytest.param({"samples": [[3, "Unknown", "x"]]}, id="sample of another device"),
        pytest.param({"top": [[-1, 9, 9]]}, id="negative position"),
        pytest.param({"total": 10**6 + 1, "waiting": f"0-{10**6}"}, id="more devices than a run may have"),
        pytest.param({"results": {"rows": 10**30}}, id="number that status cannot hold"),
        pytest.param({"queue": [["", 0, 0, 0, 0]]}, id="batch without devices"),
        pytest.param({"reasons": {"Unknown": "0,2,4,6"}}, id="more intervals than devices"),
        pytest.param({"clock": {"since": "2026-11-24T12:00:00"}}, id="time without a zone"),
        pytest.param({"frozen": {"fleet": {"a": [[]] * 10**5}}}, id="large facts"),
        pytest.param({"frozen": {"fleet": {"a": 0}, "lists": "many"}}, id="other type"),
        pytest.param({"frozen": {"fleet": {}, "devicesPerJob": 0}}, id="Jobs without devices"),
        pytest.param({"frozen": {"fleet": {}, "withoutModel": [2**70, []]}}, id="count that status cannot hold"),
        pytest.param({"frozen": {"fleet": {}, "withoutModel": [1, ["x" * 1025]]}}, id="id that status cannot hold"),
        pytest.param({"reasons": {"x" * 65: "0"}}, id="reason that status cannot hold"),
        pytest.param({"outcomes": {"\x1b[2J": "0-2"}, "waiting": ""}, id="outcome of control characters"),
        pytest.param(
            {"open": {"../../pods/x?watch=1": ["0", 0, 0, 0, 0]}, "waiting": "1-2"}, id="path of the API server"
        ),
        pytest.param({"samples": [[0, "Unknown", "x"]] * 21}, id="samples that status cannot hold"),
        pytest.param({"samples": [[0, "Unknown", "x" * 1025]]}, id="text that status cannot hold"),
        pytest.param({"top": [[0, 1, 1]] * 21}, id="anomalies that status cannot hold"),
        pytest.param({"clock": {"started": "0001-01-01T00:00:00+14:00"}}, id="time before the first year"),
        pytest.param({"clock": {"since": "9999-12-31T23:59:59-12:00"}}, id="time after the last year"),
        pytest.param({"clock": {"firstPod": ["2026-11-24T12:00:00Z", 1e300]}}, id="seconds beyond all durations"),
        pytest.param({"end": END | {"condition": "Evil"}}, id="unknown condition"),
        pytest.param({"v": 2, "labels": [["-", ""]], "places": "001", "waiting": ""}, id="character without a label"),
        pytest.param({"v": 2, "labels": [["", ""]], "places": "000", "waiting": ""}, id="batch that does not exist"),
        pytest.param({"end": END | {"reason": "x" * 129}}, id="reason of the end that status cannot hold"),
    ],
)
def test_inconsistent_progress_is_rejected(edited: dict[str, Any]) -> None:
    document = json.loads(zlib.decompress(encode_progress(a_progress(3))))
    assert decode_progress(zlib.compress(json.dumps(document).encode())) == a_progress(3)
    with pytest.raises(InvalidProgress):
        decode_progress(zlib.compress(json.dumps(document | edited).encode()))


@pytest.mark.fault("T15", "T18")
def test_batch_of_more_devices_than_a_job_may_have_is_rejected() -> None:
    progress = replace(a_progress(501), waiting=positions("500"), queued_batches=(a_batch("0-499"),))
    assert decode_progress(encode_progress(progress)) == progress
    with pytest.raises(InvalidProgress, match="more than 500 devices"):
        decode_progress(encode_progress(replace(progress, waiting=positions(""), queued_batches=(a_batch("0-500"),))))


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "lists", [("hourly-a", "hourly-a"), tuple(f"hourly-{number}" for number in range(201))], ids=["repeated", "many"]
)
def test_progress_with_repeated_or_too_many_device_lists_is_rejected(lists: tuple[str, ...]) -> None:
    progress = a_progress(2)
    snapshot = msgspec.structs.replace(progress.snapshot, device_list_names=lists)
    with pytest.raises(InvalidProgress, match="too many or repeated ConfigMaps"):
        decode_progress(encode_progress(replace(progress, snapshot=snapshot)))


def test_limits_of_a_device_list_are_a_million_devices_in_200_config_maps() -> None:
    assert (progress_document.MAX_DEVICES, MAX_DEVICE_LISTS) == (1_000_000, 200)
