"""Runs of a CRD of another version."""

import copy
import json
from typing import Any

import pytest

from fleetscore.cli import main
from fleetscore.cluster.connection import Cluster
from fleetscore.cluster.run_shape import checked_run
from fleetscore.errors import DataInvalid
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

RUN: dict[str, Any] = {
    "metadata": {"name": "r1", "namespace": fake.NAMESPACE, "creationTimestamp": "2018-08-29T00:05:00Z"},
    "spec": {"window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}, "later": {"a": [None]}},
    "status": {
        "phase": "Complete",
        "devices": {"total": 2, "scored": 2},
        "conditions": [{"type": "Complete", "status": "True", "observedGeneration": 1}],
        "failures": [{"device": "press-1", "reason": "Other", "message": "text"}],
    },
}
FAULTS: dict[str, Any] = {
    "spec": 5,
    "spec.window": 5,
    "spec.window.start": 5,
    "spec.fleet": [],
    "spec.devices.ids": "press-1",
    "status": 5,
    "status.phase": {},
    "status.devices": [1],
    "status.devices.scored": "2",
    "status.results.anomalies": 1.5,
    "status.conditions": {"type": "Complete"},
    "status.conditions.type": 5,
    "status.failures": ["press-1"],
    "status.failureReasons": {"Other": "1"},
    "metadata.creationTimestamp": 5,
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return a run with another value of a field; that of a list is changed in its first item."""
    found = copy.deepcopy(RUN)
    at: Any = found
    *folders, last = path.split(".")
    for name in folders:
        at = at.setdefault(name, {})
        at = at[0] if isinstance(at, list) else at
    at[last] = value
    return found


@pytest.mark.parametrize("path", FAULTS)
def test_run_with_a_field_of_another_type_is_named_with_the_field(path: str) -> None:
    with pytest.raises(DataInvalid, match=rf"run r1 is invalid: its {path}[a-zA-Z.]* is missing or has another type"):
        checked_run(changed(path, FAULTS[path]))


@pytest.mark.parametrize("path", ["spec", "spec.window", "spec.window.end"])
def test_run_without_a_window_is_invalid(path: str) -> None:
    with pytest.raises(DataInvalid, match=r"run r1 is invalid: its spec\.window is missing"):
        checked_run(changed(path, None))


@pytest.mark.parametrize("path", [one for one in FAULTS if one.startswith("status")])
def test_null_is_a_missing_field_of_a_run(path: str) -> None:
    *folders, last = path.split(".")
    found: Any = checked_run(changed(path, None))
    for name in folders:
        found = found[name]
        found = found[0] if isinstance(found, list) else found
    assert found.get(last) in (None, {})
    assert checked_run(copy.deepcopy(RUN))["status"] == RUN["status"]


@pytest.mark.parametrize("words", [("status",), ("status", "r1"), ("wait", "r1"), ("retry", "r1"), ("cancel", "r1")])
@pytest.mark.parametrize("path", ["spec", "status", "status.devices.scored"])
def test_invalid_run_is_an_error_of_one_line(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], path: str
) -> None:
    bad = changed(path, FAULTS[path])
    fake_release.lists[fake.RUNS] = [bad]
    fake_release.objects[f"{fake.RUNS}/r1"] = bad
    assert main(list(words)) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: run r1 is invalid: its ")
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_runs_of_this_version_are_read_unchanged(fake_release: FakeRelease) -> None:
    text = json.dumps(RUN)
    fake_release.lists[fake.RUNS] = [json.loads(text)]
    [found] = Cluster.connect().runs()
    assert found["status"] == RUN["status"]
