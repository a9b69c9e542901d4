"""The commands that show runs, on a fake API server; test_golden has their output."""

import json
from typing import Any

import pytest

from fleetscore.cli import main
from fleetscore.cli.runs import EXIT_RUN_FAILED, EXIT_TIMEOUT, MAX_LISTED_RUNS
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease


def a_run(name: str, hour: int, *, condition: str = "Complete", **changed: str) -> dict[str, Any]:
    """Return a run of an hour that was created at the end of its window."""
    window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    created = changed.get("created", window["end"])
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {
        "metadata": {"name": name, "namespace": fake.NAMESPACE, "creationTimestamp": created},
        "spec": {"fleet": changed.get("fleet", "default"), "window": window},
        "status": {"phase": condition or "Running", "conditions": conditions},
    }


def names_of(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["status", *words, "-o", "name"]) == 0
    return capsys.readouterr().out.splitlines()


def test_limits_and_exit_codes_are_the_documented_ones() -> None:
    assert (MAX_LISTED_RUNS, EXIT_RUN_FAILED, EXIT_TIMEOUT) == (20, 2, 3)


def test_runs_of_the_fleet_are_listed_with_the_newest_window_first(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = [a_run("a", 1), a_run("c", 3), a_run("b", 3), a_run("d", 2, fleet="other")]
    assert names_of(capsys) == ["b", "c", "a"]
    assert names_of(capsys, "--fleet", "other") == ["d"]


def test_only_20_runs_are_listed_without_all(fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]) -> None:
    fake_release.lists[fake.RUNS] = [a_run(f"r-{hour:02}", hour) for hour in range(21)]
    newest_first = [f"r-{hour:02}" for hour in reversed(range(21))]
    assert names_of(capsys) == newest_first[:20]
    assert names_of(capsys, "--all") == newest_first


@pytest.mark.usefixtures("fake_release")
def test_namespace_without_runs_names_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    shown = "".join(capsys.readouterr())
    assert "namespace scoring has no runs of fleet default; check -n and --fleet, or create one with" in shown


@pytest.mark.usefixtures("fake_release")
@pytest.mark.parametrize("words", [("wait",), ("status", "--watch")], ids=["wait", "watch"])
def test_newest_run_of_a_namespace_without_runs_is_an_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(words)) == 1
    assert "namespace scoring has no runs of fleet default; name another" in capsys.readouterr().err


def test_run_without_a_name_is_the_one_that_was_created_last(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    backfill = a_run("backfill", 1, created="2018-08-29T00:00:00Z")
    fake_release.lists[fake.RUNS] = [backfill, a_run("hourly", 5), a_run("other", 7, fleet="other")]
    assert names_of(capsys, "--watch") == ["backfill"]
    assert main(["wait", "-o", "name"]) == 0
    assert capsys.readouterr().out == "backfill\n"


@pytest.mark.parametrize(("condition", "code"), [("Complete", 0), ("Failed", 2)])
def test_exit_code_of_wait_is_the_end_of_the_run(
    condition: str, code: int, fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = [a_run("hourly", 5, condition=condition)]
    assert main(["wait", "hourly", "-o", "json"]) == code
    assert json.loads(capsys.readouterr().out)["metadata"]["name"] == "hourly"


def test_run_that_has_not_ended_in_time_has_an_exit_code_and_a_next_step(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = [a_run("hourly", 5, condition="")]
    assert main(["wait", "hourly", "--timeout", "0.1"]) == 3
    captured = capsys.readouterr()
    assert "run hourly has not ended after 0.1 s; `fleetscore status hourly` shows the reason" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("seconds", ["nan", "-1", "x"])
def test_timeout_that_is_not_a_number_from_0_is_wrong_usage(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wait", "hourly", "--timeout", seconds]) == 2
    assert "'--timeout'" in capsys.readouterr().err


def test_followed_run_is_printed_once_it_has_ended(
    fake_release: FakeRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = [a_run("hourly", 5)]
    assert main(["status", "hourly", "--watch", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["phase"] == "Complete"
