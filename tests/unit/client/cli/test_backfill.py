"""The command `backfill` on a fake API server: the windows that exist, and the arguments."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fleetscore.cli import main
from fleetscore.cli.backfill import summary
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.windows import Window
from fleetscore.errors import ClusterUnavailable, NotFound
from fleetscore.runs.gaps import WindowState
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

RANGE = ("--from", "2018-08-28T00:00Z", "--to", "2018-08-28T03:00Z")


def a_run(name: str, hour: int, condition: str) -> dict[str, Any]:
    times = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    status = {"conditions": [{"type": condition, "status": "True"}]}
    metadata = {"name": name, "namespace": fake.NAMESPACE}
    return {"metadata": metadata, "spec": {"fleet": "default", "window": times}, "status": status}


@pytest.mark.parametrize("words", [(), ("--schedule", "hourly")], ids=["fleet", "schedule"])
def test_dry_run_lists_each_window_and_its_run(
    fake_release: FakeRelease, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_release.lists[fake.RUNS] = [a_run("done", 0, "Complete"), a_run("lost", 1, "Failed")]
    assert main(["backfill", *RANGE, *words, "--dry-run", "client", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"Window": "2018-08-28T00:00Z/1h", "State": "complete", "Run": "done"},
        {"Window": "2018-08-28T01:00Z/1h", "State": "failed", "Run": "lost"},
        {"Window": "2018-08-28T02:00Z/1h", "State": "missing", "Run": ""},
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((*RANGE, "--schedule", "daily"), "has no schedule daily; it has hourly"),
        ((*RANGE, "--length", "0h"), "duration '0h' is invalid"),
        (
            ("--from", "2018-08-28", "--to", "2018-08-27"),
            "--from 2018-08-28T00:00:00Z is after --to 2018-08-27T00:00:00Z; swap them",
        ),
        (("--from", "2018-08-28", "--to", "2018-08-28"), "has no complete window of 1h; choose a longer range"),
        (("--from", "soon", "--to", "2018-08-27T00:00Z"), "time 'soon' is invalid"),
    ],
    ids=["schedule", "length", "swapped", "empty", "time"],
)
@pytest.mark.usefixtures("fake_release")
def test_invalid_argument_is_an_error(words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backfill", *words]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.usefixtures("fake_release")
@pytest.mark.parametrize("command", [("backfill", *RANGE), ("run", "--window", "2018-08-28T23:00Z"), ("retry",)])
def test_unknown_dry_run_is_a_wrong_usage(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--dry-run", "server"]) == 2
    assert "'server' is not one of 'none', 'client'" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_summary_counts_windows_by_state() -> None:
    window = Window.parse("2018-08-28T00:00Z")
    states = [WindowState(window, state) for state in ("missing", "complete", "missing")]
    assert summary(states, 2) == "3 windows: 1 complete, 2 missing; 2 runs are created"


@pytest.fixture
def release(fake_release: FakeRelease, monkeypatch: pytest.MonkeyPatch) -> FakeRelease:
    """Return a release whose runs are complete as soon as they are created; nothing waits."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    fake_release.new_status = {"phase": "Complete", "conditions": [{"type": "Complete", "status": "True"}]}
    return fake_release


def fail_first(call: Callable[..., Any], error: Exception, *, times: int = 1, sent: bool = False) -> Callable[..., Any]:
    """Return a method of the cluster whose first calls raise an error; with `sent`, the API server has obeyed."""
    errors = [error] * times

    def call_or_fail(self: Cluster, argument: str | Mapping[str, Any]) -> Any:
        found = call(self, argument) if sent or not errors else None
        if errors:
            raise errors.pop()
        return found

    return call_or_fail


@pytest.mark.parametrize(
    ("reads", "creations", "sent"), [(4, 0, False), (0, 4, False), (0, 1, True)], ids=["read", "create", "lost"]
)
def test_backfill_continues_after_an_api_server_that_was_down(
    release: FakeRelease, monkeypatch: pytest.MonkeyPatch, reads: int, creations: int, *, sent: bool
) -> None:
    down = ClusterUnavailable("down")
    monkeypatch.setattr(Cluster, "run", fail_first(Cluster.run, down, times=reads))
    monkeypatch.setattr(Cluster, "create_run", fail_first(Cluster.create_run, down, times=creations, sent=sent))
    assert main(["backfill", *RANGE]) == 0
    assert [one["metadata"]["name"][-17:] for one in release.lists[fake.RUNS]] == [
        *("-20180828t000000z", "-20180828t010000z", "-20180828t020000z")
    ]


@pytest.mark.usefixtures("release")
def test_backfill_ends_after_five_failed_attempts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cluster, "run", fail_first(Cluster.run, ClusterUnavailable("down"), times=5))
    assert main(["backfill", *RANGE]) == 1
    assert "down" in capsys.readouterr().err


@pytest.mark.usefixtures("release")
def test_run_that_is_deleted_during_a_backfill_counts_as_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cluster, "run", fail_first(Cluster.run, NotFound("gone")))
    assert main(["backfill", *RANGE]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "backfill-20180828t000000z: Deleted (1 of 3)" in lines
    assert "backfill-20180828t020000z: Complete (3 of 3)" in lines


@pytest.mark.parametrize(("fleet", "code"), [("default", 0), ("other", 1)], ids=["same", "other"])
def test_run_that_another_client_creates_meanwhile_is_used_if_it_covers_the_window(
    release: FakeRelease, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fleet: str, code: int
) -> None:
    existing = a_run("backfill-20180828t000000z", 0, "Complete")
    existing["spec"]["fleet"] = fleet
    listed = Cluster.runs

    def list_before_it_exists(self: Cluster) -> Any:
        found = list(listed(self))
        release.lists[fake.RUNS].append(existing)
        return iter(found)

    monkeypatch.setattr(Cluster, "runs", list_before_it_exists)
    assert main(["backfill", *RANGE]) == code
    assert ("the same command continues with the other windows" in capsys.readouterr().err) == bool(code)
    assert len(release.lists[fake.RUNS]) == (1 if code else 3)
