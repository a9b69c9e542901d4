"""The main job with real containers: a fleet is scored; broken devices are named, fixed and scored again."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import joblib

from tests.testkit.conditions import is_true
from tests.testkit.release import WINDOW_START, Release, scored_locally
from tests.testkit.waiting import until

GARBAGE, BROKEN_CSV, BAD_TAG, ONLY_DATA = "press-3", "press-4", "press-5", "newcomer"


def test_fleet_is_scored_and_only_its_predictions_outlive_the_run(
    release: Release, fleet_of: Callable[[int], Path]
) -> None:
    store = fleet_of(12)
    release.upload(store)
    release.install()
    release.start_run("whole")
    status = release.wait_for_end("whole")
    # The operator deletes the Jobs from a minute after the end on.
    jobs = release.get("jobs", "-l", "fleetscore.dev/run=whole,app.kubernetes.io/component=scorer")["items"]
    uid = release.get("scoringrun", "whole")["metadata"]["uid"]
    assert len(jobs) == 12
    assert {job["metadata"]["ownerReferences"][0]["uid"] for job in jobs} == {uid}
    assert release.devices("whole") == {"total": 12, "scored": 12}
    header, row = (line.split() for line in release.kubectl("get", "sr", "whole").splitlines())
    assert (row[header.index("TOTAL")], row[header.index("SCORED")]) == ("12", "12")

    expected = scored_locally(store, [f"press-{number}" for number in range(1, 13)])
    assert release.predictions() == expected
    rows = [line for body in expected.values() for line in body.decode().splitlines()[1:]]
    anomalies = sum(line.split(",")[4] == "1" for line in rows)
    assert (status["results"]["rows"], status["results"]["anomalies"]) == (len(rows), anomalies)
    assert anomalies > 0

    release.kubectl("wait", "scoringrun/whole", "--for=condition=Reported", "--timeout=300s")
    assert set(release.report()) == {
        "_SUCCESS",
        "_anomalies.csv",
        "_empty.csv",
        "_incidents.csv",
        "_sensors.csv",
        "_failures.csv",
        "_summary.json",
        "report.html",
    }
    results = json.loads(release.report()["_summary.json"])["results"]
    assert (results["rows"], results["anomalies"]) == (len(rows), anomalies)

    release.kubectl("delete", "scoringrun", "whole")
    until(
        lambda: not release.get("jobs,configmaps", "-l", "fleetscore.dev/run=whole")["items"],
        description="gone",
    )
    assert release.predictions() == expected


def test_broken_devices_are_named_and_scored_by_a_retry_after_the_fix(
    release: Release, fleet_of: Callable[[int], Path]
) -> None:
    store = fleet_of(6)
    release.upload(store)
    readings = f"{WINDOW_START:%Y%m%dT%H%MZ}"
    whole = {
        role: {name: release.storage.get(role, name) for name in release.storage.names(role)}
        for role in ("models", "data")
    }
    one_tag = whole["data"][f"{readings}/{BAD_TAG}.csv"]
    release.storage.put("data", f"{readings}/{ONLY_DATA}.csv", one_tag.replace(BAD_TAG.encode(), ONLY_DATA.encode()))
    release.storage.put("models", f"{GARBAGE}.joblib", b"this is no model")
    release.storage.put("data", f"{readings}/{BROKEN_CSV}.csv", b"<html>not found</html>\n")
    release.storage.put("models", f"{BAD_TAG}.joblib", with_a_garbage_tag(whole["models"][f"{BAD_TAG}.joblib"]))
    release.install()

    release.start_run("all", maxFailedDevices="100%")
    status = release.wait_for_end("all")
    assert release.devices("all") == {"total": 6, "scored": 3, "partial": 1, "failed": 2}
    assert status["withoutModel"] == {"count": 1, "samples": [ONLY_DATA]}
    assert {each["device"]: each["reason"] for each in status["failures"]} == {
        GARBAGE: "ModelInvalid",
        BROKEN_CSV: "DataInvalid",
        BAD_TAG: "ModelInvalid",
    }
    assert is_true(status, "Degraded")

    release.kubectl("wait", "scoringrun/all", "--for=condition=Reported", "--timeout=300s")
    assert "_SUCCESS" not in release.report()
    failures = release.report()["_failures.csv"].decode()
    assert all(device in failures for device in (GARBAGE, BROKEN_CSV, BAD_TAG))

    release.start_run("asked", devices={"ids": [ONLY_DATA]}, maxFailedDevices="100%")
    status = release.wait_for_end("asked")
    assert release.devices("asked") == {"total": 1, "failed": 1}
    assert status["failureReasons"] == {"ModelNotFound": 1}
    release.kubectl("wait", "scoringrun/asked", "--for=condition=Reported", "--timeout=300s")

    for role, blobs in whole.items():
        for name, content in blobs.items():
            release.storage.put(role, name, content)
    release.start_run("again", devices={"retryOf": {"name": "all", "outcomes": ["Failed", "Partial"]}})
    release.wait_for_end("again")
    assert release.devices("again") == {"total": 3, "scored": 3}
    release.kubectl("wait", "scoringrun/again", "--for=condition=Reported", "--timeout=300s")
    assert "_SUCCESS" in release.report()
    assert release.predictions() == scored_locally(store, [f"press-{number}" for number in range(1, 7)])


def with_a_garbage_tag(bundle: bytes) -> bytes:
    """Return the bundle with a text instead of the first tag's model."""
    models = joblib.load(io.BytesIO(bundle))
    models[min(models)] = "not a model"
    buffer = io.BytesIO()
    joblib.dump(models, buffer)
    return buffer.getvalue()
