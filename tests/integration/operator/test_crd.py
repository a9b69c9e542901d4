"""The CRD's own rules, one by one, on a real API server."""

from typing import Any

import pytest

from localcluster.errors import ClusterError
from localcluster.kubernetes.api import ApiError
from tests.testkit.kstatus import kstatus
from tests.testkit.runs import HOUR, Runs

EARLIER = {"start": "2018-08-28T22:00:00Z", "end": "2018-08-28T23:00:00Z"}
FULL: dict[str, Any] = {
    "fleet": "default",
    "devices": {"include": ["press-*"]},
    "tags": ["1", "temperature °C"],
    "writePolicy": "IfChanged",
    "devicesPerJob": "Auto",
    "parallelism": 10000,
    "backoffLimit": 0,
    "maxFailedDevices": 0,
    "maxEmptyDevices": "100%",
    "maxDevices": 1000000,
    "suspend": True,
    "cancel": False,
    "canary": {"jobs": 1000, "maxFailedPercent": "0.5%"},
    "overlapPolicy": "Skip",
    "pendingDeadlineSeconds": 1,
    "activeDeadlineSeconds": 604800,
    "deviceDeadlineSeconds": 86400,
    "ttlSecondsAfterFinished": 0,
    "historyLimit": 1,
    "resources": {"requests": {"cpu": "250m", "memory": 268435456}, "limits": {"memory": "1Gi"}},
}
NO_TIME = "must be a UTC time in whole seconds with a Z at its end, such as 2018-08-28T23:00:00Z"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an empty window": ({"window": {**HOUR, "end": HOUR["start"]}}, "window.end must be after window.start"),
    "a window that runs backwards": ({"window": {"start": HOUR["end"], "end": HOUR["start"]}}, "must be after"),
    "a window longer than a year": (
        {"window": {"start": "2018-01-01T00:00:00Z", "end": "2020-01-01T00:00:00Z"}},
        "366 days",
    ),
    "a window with a fraction": ({"window": {**HOUR, "end": "2018-08-29T00:00:00.5Z"}}, f"{NO_TIME}; it is .*0.5Z"),
    "a window with an offset": ({"window": {**HOUR, "end": "2018-08-29T02:00:00+02:00"}}, NO_TIME),
    "a window without a Z": ({"window": {**HOUR, "end": "2018-08-29T00:00:00"}}, NO_TIME),
    "a window that starts on a date": ({"window": {**HOUR, "start": "2018-08-28"}}, NO_TIME),
    "a window with a line break": ({"window": {**HOUR, "end": "2018-08-29T00:00:00Z\n"}}, NO_TIME),
    "a window on a day that does not exist": ({"window": {**HOUR, "end": "2018-08-32T00:00:00Z"}}, NO_TIME),
    "a window in the year 0": ({"window": {**HOUR, "start": "0000-01-01T00:00:00Z"}}, NO_TIME),
    "a window on 30 February": (
        {"window": {"start": "2018-02-01T00:00:00Z", "end": "2018-02-30T00:00:00Z"}},
        "window.end must be after window.start",
    ),
    "no end of the window": ({"window": {"start": HOUR["start"]}}, "window.end: Required"),
    "two device sources": ({"devices": {"ids": ["a"], "include": ["b"]}}, "at most one of devices.include"),
    "three device sources": ({"devices": {"ids": ["a"], "include": ["b"], "retryOf": {"name": "c"}}}, "at most one of"),
    "no ids": ({"devices": {"ids": []}}, "should have at least 1 items"),
    "an id twice": ({"devices": {"ids": ["a", "a"]}}, "Duplicate value"),
    "an id with a slash": ({"devices": {"ids": ["a/b"]}}, "should match"),
    "an id with a line break": ({"devices": {"ids": ["a\nb"]}}, "should match"),
    "an id of 129 characters": ({"devices": {"ids": ["x" * 129]}}, "may not be more than 128"),
    "1,001 ids": ({"devices": {"ids": [f"d{n}" for n in range(1001)]}}, "must have at most 1000"),
    "an unknown outcome to retry": (
        {"devices": {"retryOf": {"name": "a", "outcomes": ["Scored"]}}},
        "Unsupported value",
    ),
    "101 tags": ({"tags": [str(n) for n in range(101)]}, "must have at most 100"),
    "a tag with a control character": ({"tags": ["a\x1bb"]}, "should match"),
    "an unknown write policy": ({"writePolicy": "Append"}, "Unsupported value"),
    "no devices per Job": ({"devicesPerJob": 0}, "devicesPerJob must be a number from 1 to 500, or Auto; it is 0"),
    "501 devices per Job": ({"devicesPerJob": 501}, "devicesPerJob must be a number from 1 to 500, or Auto; it is 501"),
    "devices per Job as text": (
        {"devicesPerJob": "many"},
        "devicesPerJob must be a number from 1 to 500, or Auto; it is many",
    ),
    "no parallelism": ({"parallelism": 0}, "greater than or equal to 1"),
    "too much parallelism": ({"parallelism": 10001}, "less than or equal to 10000"),
    "a negative backoff limit": ({"backoffLimit": -1}, "greater than or equal to 0"),
    "a percentage above 100": ({"maxFailedDevices": "101%"}, "maxFailedDevices must be a number.*; it is 101%"),
    "a percentage without its sign": ({"maxFailedDevices": "5"}, "maxFailedDevices must be a number"),
    "a negative number of devices": ({"maxEmptyDevices": -1}, "maxEmptyDevices must be a number.*; it is -1"),
    "no devices at all": ({"maxDevices": 0}, "greater than or equal to 1"),
    "a canary without Jobs": ({"canary": {"jobs": 0}}, "canary.jobs.*greater than or equal to 1"),
    "a canary of too many Jobs": ({"canary": {"jobs": 1001}}, "less than or equal to 1000"),
    "a canary's percentage above 100": (
        {"canary": {"maxFailedPercent": 101}},
        "canary.maxFailedPercent must be a perc",
    ),
    "a canary's text": ({"canary": {"maxFailedPercent": "half"}}, "must be a percentage from 0% to 100%.*; it is half"),
    "an unknown overlap policy": ({"overlapPolicy": "Replace"}, "Unsupported value"),
    "no pending deadline": ({"pendingDeadlineSeconds": 0}, "greater than or equal to 1"),
    "no active deadline": ({"activeDeadlineSeconds": 0}, "greater than or equal to 1"),
    "no device deadline": ({"deviceDeadlineSeconds": 0}, "greater than or equal to 1"),
    "a negative time to live": ({"ttlSecondsAfterFinished": -1}, "greater than or equal to 0"),
    "no history": ({"historyLimit": 0}, "greater than or equal to 1"),
    "a quantity that is none": ({"resources": {"limits": {"memory": "much"}}}, "should match"),
    "an invalid fleet name": ({"fleet": "../other"}, "should match"),
}
FIXED: dict[str, Any] = {
    "fleet": "other",
    "window": EARLIER,
    "devices": {"ids": ["press-1"]},
    "tags": ["2"],
    "writePolicy": "CreateOnly",
    "devicesPerJob": 2,
    "backoffLimit": 1,
    "maxDevices": 5,
    "canary": {"jobs": 999, "maxFailedPercent": "0.5%"},
    "overlapPolicy": "Queue",
    "pendingDeadlineSeconds": 2,
    "deviceDeadlineSeconds": 2,
    "resources": {"limits": {"memory": "2Gi"}},
}
LATER: dict[str, Any] = {
    "parallelism": 3,
    "maxFailedDevices": "7%",
    "maxEmptyDevices": 4,
    "suspend": False,
    "cancel": True,
    "activeDeadlineSeconds": 7,
    "ttlSecondsAfterFinished": 7,
    "historyLimit": 7,
}


def test_run_with_only_a_window_gets_the_documented_defaults(runs: Runs) -> None:
    spec = runs.create()["spec"]
    assert spec.pop("window") == HOUR
    assert spec == {
        "fleet": "default",
        "writePolicy": "CreateOnly",
        "devicesPerJob": 1,
        "parallelism": 100,
        "backoffLimit": 2,
        "maxFailedDevices": "5%",
        "maxEmptyDevices": "50%",
        "maxDevices": 100000,
        "suspend": False,
        "cancel": False,
        "overlapPolicy": "Queue",
        "pendingDeadlineSeconds": 1800,
        "activeDeadlineSeconds": 3300,
        "deviceDeadlineSeconds": 300,
        "ttlSecondsAfterFinished": 604800,
        "historyLimit": 200,
    }


def test_every_field_is_stored_as_given(runs: Runs) -> None:
    assert runs.create(**FULL)["spec"] == {**FULL, "window": HOUR}


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_invalid_input_is_rejected_with_a_message(runs: Runs, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        runs.create(**spec)


@pytest.mark.parametrize("name", ["x" * 51, "a.b", "1" * 60])
def test_name_too_long_for_a_job_is_rejected(runs: Runs, name: str) -> None:
    with pytest.raises(ApiError, match=r"metadata\.name must be a DNS label of at most 50 characters"):
        runs.create(name)


def test_name_of_50_characters_is_allowed(runs: Runs) -> None:
    assert runs.create("x" * 50)["metadata"]["name"] == "x" * 50


@pytest.mark.parametrize("field", FIXED)
def test_immutable_field_cannot_be_changed_added_or_removed(runs: Runs, field: str) -> None:
    runs.create("full", **FULL)
    runs.create("bare")
    for name, value in (("full", FIXED[field]), ("bare", FULL.get(field, EARLIER)), ("full", None)):
        if runs.get(name)["spec"].get(field) == value:
            continue
        if value is None and field in {"fleet", "window"}:
            continue  # the schema's default or Required answers that
        with pytest.raises(ClusterError, match=r"Required|cannot be changed"):
            runs.change(name, **{field: value})


@pytest.mark.parametrize("field", LATER)
def test_mutable_field_can_be_changed(runs: Runs, field: str) -> None:
    runs.create(**FULL)
    runs.change(**{field: LATER[field]})
    assert runs.get()["spec"][field] == LATER[field]


@pytest.mark.parametrize("value", [False, None])
def test_cancelled_run_stays_cancelled(runs: Runs, value: Any) -> None:
    runs.create(cancel=True)
    with pytest.raises(ClusterError, match="cannot be taken back"):
        runs.change(cancel=value)


def test_status_is_a_subresource_and_says_that_no_operator_has_handled_the_run(runs: Runs) -> None:
    runs.create()
    runs.cluster.kubectl(
        "-n", runs.namespace, "patch", "sr", "hourly", "--type=merge", "-p", '{"status":{"phase":"Failed"}}'
    )
    message = "no operator has handled the run; check that one watches its namespace"
    assert runs.status() == {"observedGeneration": -1, "message": message}


def test_run_that_no_operator_has_observed_is_in_progress_for_kstatus(runs: Runs) -> None:
    assert kstatus(runs.create()) == "InProgress"


def test_kubectl_get_prints_the_documented_columns(runs: Runs) -> None:
    runs.create()
    narrow = runs.cluster.kubectl("-n", runs.namespace, "get", "scoring").splitlines()[0].split()
    wide = runs.cluster.kubectl("-n", runs.namespace, "get", "sr", "-o", "wide").splitlines()[0].split()
    counters = ["TOTAL", "SCORED", "ALREADY", "FAILED", "ANOMALIES"]
    assert narrow == ["NAME", "WINDOW", "PHASE", *counters, "AGE", "MESSAGE"]
    assert [column for column in wide if column not in narrow] == [
        "ACTIVE",
        "PARTIAL",
        "EMPTY",
        "INCIDENTS",
        "DURATION",
    ]


def test_every_field_of_spec_has_a_description(runs: Runs) -> None:
    explained = runs.cluster.kubectl("explain", "scoringrun.spec", "--recursive=false")
    for field in [*FULL, "window"]:
        assert field in explained
    assert "<no description>" not in explained
