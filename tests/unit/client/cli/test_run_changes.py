"""The commands that create and change runs on a fake API server; test_golden has their output."""

import json
import re
import shlex
from typing import Any

import pytest

from fleetscore.cli import main
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}


def set_run(release: FakeRelease, condition: str = "Complete", fleet: str = "default", **devices: int) -> None:
    metadata = {"name": "hourly", "namespace": fake.NAMESPACE, "creationTimestamp": "2018-08-29T00:05:00Z"}
    counts = {"total": sum(devices.values())} | devices
    status = {"devices": counts, "conditions": [{"type": condition, "status": "True"}]}
    release.lists[fake.RUNS] = [{"metadata": metadata, "spec": {"fleet": fleet, "window": WINDOW}, "status": status}]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_options_of_run_become_fields_of_the_spec(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--window", "2018-08-28T23:00Z/15m", "-d", "hall-*", "-d", "press-7", "--tag", "1", "--parallelism", "3")
    more = ("--write-policy", "IfChanged", "--devices-per-job", "20", "--fleet", "plant", "--dry-run", "client")
    assert printed(capsys, "run", *words, *more)["spec"] == {
        "fleet": "plant",
        "window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-28T23:15:00Z"},
        "devices": {"include": ["hall-*", "press-7"]},
        "tags": ["1"],
        "writePolicy": "IfChanged",
        "devicesPerJob": 20,
        "parallelism": 3,
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), {"name": "hourly"}), (("--outcome", "Empty"), {"name": "hourly", "outcomes": ["Empty"]})],
    ids=["default", "empty"],
)
def test_retry_selects_devices_by_outcome(
    words: tuple[str, ...], expected: dict[str, Any], fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    set_run(fake_release, scored=1, failed=1, empty=1)
    assert printed(capsys, "retry", *words)["spec"]["devices"] == {"retryOf": expected}
    assert len(fake_release.lists[fake.RUNS]) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "each is scored or has no readings"),
        (("--outcome", "Partial", "--outcome", "NotRun"), "none is partial or"),
    ],
    ids=["default", "outcomes"],
)
def test_retry_without_devices_creates_nothing(
    words: tuple[str, ...], reason: str, fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    set_run(fake_release, scored=1, empty=1, quarantined=1)
    assert main(["retry", *words]) == 1
    assert f"run hourly has no devices to retry: {reason}" in capsys.readouterr().err
    assert len(fake_release.lists[fake.RUNS]) == 1


@pytest.mark.parametrize("condition", ["Complete", "Failed"])
@pytest.mark.parametrize(
    ("devices", "words", "reason", "steps"),
    [
        ({"empty": 2}, (), "each has no readings", ("retry hourly --outcome Empty",)),
        ({"scored": 1, "quarantined": 1}, (), "each is scored or is", ("retry hourly --outcome Quarantined",)),
        ({"scored": 1, "alreadyScored": 1}, (), "each is scored; ", ()),
        ({"failed": 1}, ("--outcome", "Empty"), "none is empty; ", ("retry hourly --outcome Failed",)),
    ],
    ids=["empty", "quarantined", "scored", "named"],
)
def test_retry_without_devices_names_the_commands_that_score_again(
    condition: str,
    devices: dict[str, int],
    words: tuple[str, ...],
    reason: str,
    steps: tuple[str, ...],
    fake_release: FakeRelease,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_run(fake_release, condition, "default", **devices)
    assert main(["retry", *words]) == 1
    error = capsys.readouterr().err
    assert f"run hourly has no devices to retry: {reason}" in error
    found = re.findall("`fleetscore ([^`]+)`", error)
    assert found == [*steps, "run --window 2018-08-28T23:00Z --write-policy IfChanged"]
    assert len(fake_release.lists[fake.RUNS]) == 1
    for command in found:
        assert main(shlex.split(command)) == 0


def test_retry_of_a_run_without_a_device_list_names_the_run_of_its_fleet(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    set_run(fake_release, "Failed", "plant")
    assert main(["retry", "hourly"]) == 1
    text = "run hourly has no devices to retry: its devices were never listed; "
    assert (
        f"{text}`fleetscore run --window 2018-08-28T23:00Z --fleet plant` scores the window" in capsys.readouterr().err
    )
    assert len(fake_release.lists[fake.RUNS]) == 1


@pytest.mark.parametrize("words", [("status",), ("status", "--watch"), ("retry",)])
def test_command_without_a_run_names_a_complete_command(
    words: tuple[str, ...], fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = []
    main(words)
    assert "create one with `fleetscore run --window WINDOW`" in capsys.readouterr().err


def test_run_that_has_ended_is_not_changed(fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    set_run(fake_release, scored=1)
    assert main(["cancel"]) == 1
    assert "run hourly has ended already; `fleetscore status` lists the runs" in capsys.readouterr().err
    assert "cancel" not in fake_release.lists[fake.RUNS][0]["spec"]


@pytest.mark.parametrize("name", ["Bad_Name", "-a", "a" * 51, ""], ids=["capital", "hyphen", "long", "empty"])
def test_invalid_name_of_a_run_is_rejected_before_a_request(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--window", "2018-08-28T23:00Z", "--name", name, "--dry-run", "client"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: name {name!r} is invalid: use lower-case letters, digits and hyphens, at most 50")


@pytest.mark.usefixtures("fake_release")
@pytest.mark.parametrize(
    ("year", "remark"), [("2018", ""), ("2999", "it waits for the end of its window, 2999-08-29T00:00:00Z; ")]
)
def test_run_of_a_window_that_is_not_over_says_that_it_waits(
    year: str, remark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--window", f"{year}-08-28T23:00Z", "--name", "mine"]) == 0
    assert capsys.readouterr().out == f"run mine created; {remark}`fleetscore status mine --watch` follows it\n"
